"""Long lives made by chance: hundreds of calls of every kind and size, crashed at random operations."""

import os
import random
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import h5py
import numpy as np
import pytest
from disk import Disk, Operation, RecordingFiles, power_cuts
from scenario import Life, check, found
from test_every_operation import as_operations, healed, rebased, removed, restored

from pymanip_run.storage.checkpoint import recover
from pymanip_run.storage.files import SessionPaths

#: Lives, and crashes in each of them; more by the environment, for a long night.
LIVES = int(os.environ.get("PYMANIP_RUN_TEST_LIVES", "2"))
CRASHES = int(os.environ.get("PYMANIP_RUN_TEST_CRASHES", "12"))
STEPS = 400
SEGMENT = 48_000
SHAPES = ((), (0,), (3,), (17, 5), (64, 64), (300, 100))
DTYPES = ("<u2", "<f8", "?", "<c16", "S7")


class RandomLife:
    """A life of random calls; what it did is counted."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.chance = random.Random(seed)
        self.life = Life(folder, SEGMENT)
        self.names = [f"variable {number}" for number in range(60)]
        self.done: Counter = Counter()
        self._readers = ExitStack()
        self._held = False

    def live(self, steps: int = STEPS) -> None:
        weights = {
            self.row: 40, self.wide_row: 6, self.array: 10, self.large_array: 0.4, self.event: 8, self.parameter: 8,
            self.checkpoint: 12, self.hold: 2, self.let_go: 6, self.replace: 4, self.life.sync: 8,
        }  # fmt: skip
        with self._readers:
            for action in self.chance.choices([*weights], [*weights.values()], k=steps):
                action()
                self.done[action.__name__] += 1
        self.life.end()

    def row(self) -> None:
        known = self.names[: self.chance.choice((3, 3, 3, 60))]
        self.life.row(*self.chance.sample(known, self.chance.randint(1, 3)))

    def wide_row(self) -> None:
        self.life.row(*self.names)

    def array(self) -> None:
        shape, dtype = self.chance.choice(SHAPES), self.chance.choice(DTYPES)
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        content = np.frombuffer(self.chance.randbytes(size), np.uint8)
        if dtype == "?":
            content = content % 2
        self.life.array(f"array of {dtype}", content.view(dtype).reshape(shape))

    def large_array(self) -> None:
        self.life.array("large", np.frombuffer(self.chance.randbytes(3 << 20), "<u4"))

    def event(self) -> None:
        self.life.event(self.chance.choice(("short", "long " * 300)))

    def parameter(self) -> None:
        self.life.parameter(self.chance.choice(self.names), self.chance.random())

    def checkpoint(self) -> None:
        self.life.checkpoint.advance()
        self.done["put off"] += self.life.checkpoint.pending is not None

    def hold(self) -> None:
        if not self._held:
            self._readers.enter_context(self.life.reader_holds())
            self._held = True

    def let_go(self) -> None:
        self._readers.close()
        self._held = False

    def replace(self) -> None:
        if self.life.checkpoint.pending is not None:
            self.life.checkpoint.settle(escalate=True)
            self.done["replaced"] += self.life.checkpoint.pending is None


@pytest.fixture(scope="module", params=range(LIVES))
def lived(request, tmp_path_factory) -> tuple[Life, Counter, random.Random]:
    one = RandomLife(tmp_path_factory.mktemp("life"), request.param)
    one.live()
    return one.life, one.done, random.Random(f"crashes of {request.param}")


def test_a_random_life_is_found_whole_and_did_a_bit_of_everything(lived):
    life, done, _ = lived
    check(life, life.paths.main, len(life.calls), len(life.calls))
    segments = {o.target[0] for o in life.log if o.kind == "create" and ".wal." in o.target[0]}
    assert len(segments) > 5
    assert len(life.log) > STEPS
    assert done["put off"]
    assert done["checkpoint"] > 10
    assert {"row", "wide_row", "array", "event", "parameter", "sync", "hold"} <= done.keys()


def test_a_random_life_survives_kills_and_power_cuts_anywhere(lived, tmp_path):
    life, _, chance = lived
    for count in sorted(chance.sample(range(life.begin, len(life.log) + 1), CRASHES)):
        disk = Disk(life.log[:count])
        kept = [("kill", disk.after_kill(), life.acknowledged(count))]
        kept += [(*cut, life.synced(count)) for cut in power_cuts(disk, count, 2)]
        for which, state, least in kept:
            path = restored(tmp_path / "crash", state)
            try:
                if which == "kill":
                    h5py.File(path).close()
                check(life, path, least, life.begun(count))
                healed(path)
                check(life, path, least, life.begun(count))
            except Exception as error:
                error.add_note(f"{which} after {count} operations ({life.log[count - 1][:3]})")
                raise
            removed(path.parent)


def test_a_recovery_that_is_cut_at_random_can_be_done_again(lived, tmp_path):
    life, _, chance = lived
    for count in chance.sample(range(life.begin, len(life.log) + 1), max(2, CRASHES // 5)):
        state = Disk(life.log[:count]).after_kill()
        path = restored(tmp_path / "first", state)
        recording = RecordingFiles()
        recover(recording, SessionPaths(path), remove_lock=True)
        expected = found(path)
        removed(path.parent)
        operations = rebased(as_operations(state), recording.log)
        imported = len(as_operations(state))
        for end in chance.choices(range(imported, len(operations) + 1), k=4):
            for which, again in power_cuts(Disk(settled(operations, imported, end)), end, 2):
                path = restored(tmp_path / "again", again)
                healed(path)
                try:
                    assert found(path) == expected
                except Exception as error:
                    error.add_note(f"{which}, {end - imported} operations into the recovery")
                    raise
                removed(path.parent)


def settled(operations: list[Operation], imported: int, end: int) -> list[Operation]:
    """The files as they were found, all on disk, and the first operations of the recovery."""
    on_disk = [Operation("sync", o.target) for o in operations[:imported] if o.kind == "write"]
    return [
        *operations[:imported],
        *on_disk,
        Operation("sync names", None),
        *operations[imported:end],
    ]
