"""Real processes killed at random instants: what was acknowledged is there, in order, and nothing else is.

Half of the kills come at random, half just when a checkpoint appends or commits. For a long night::

    PYMANIP_RUN_TEST_KILLS=500 pytest -s tests/crash/test_kill.py

`KILL_SEED`, which a failure tells, repeats the choices, though not the instants.
"""

import asyncio
import itertools
import multiprocessing
import os
import random
import signal
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
from helpers_storage import side_files, wait_until

from pymanip_run.session import AsyncSession, SavedAsyncSession, internals
from pymanip_run.storage.files import SessionPaths

KILLS = int(os.environ.get("PYMANIP_RUN_TEST_KILLS", "124"))
LANES = 2
#: Within this a session heals after its run was killed; generous, for a busy machine.
HEAL_SECONDS = 8.0
LARGE = 150_000  # float64 values: more than a part of the journal


def record(path, first, channel):
    """Record for ever, in a process of its own, and acknowledge each number once it is stored."""
    pause = threading.Event()
    session = AsyncSession(path, verbose=False, checkpoint_period=0.05)
    child = internals(session).store._child
    channel.send_bytes(struct.pack("<q", child.pid))
    for n in itertools.count(first):
        session.add_entry(n=n, double=2 * n)
        session.add_entry(double=2 * n + 1, half=n / 2)
        if n % 10 == 0:
            session.add_dataset(few=np.array([n, -n]))
            session.save_parameter(last=n)
            session.add_entry({f"new {n // 100}": n})
        if n % 100 == 0:
            session.add_dataset(many=np.full(LARGE, n))
        channel.send_bytes(struct.pack("<q", n))
        pause.wait(0.0005)


def changes(path):
    """What changes with each write to a file."""
    status = path.stat()
    return status.st_size, status.st_mtime_ns


class Lane:
    """One session, written by one process after the other, each of which is killed."""

    def __init__(self, context, path, seed):
        self.context = context
        self.path = path
        self.random = random.Random(seed)
        #: First and last acknowledged number of each process. One more may have been under way.
        self.runs = []
        self.kills = 0
        #: Seconds from the death of a run to its session being one complete file.
        self.heals = []

    def round(self):
        """Start a process, kill it, its checkpointer, or both, and look."""
        mine, its = self.context.Pipe(duplex=False)
        # Beyond what may have been under way; and each begins with all kinds of calls.
        first = (self.runs[-1][1] // 100 + 1) * 100 if self.runs else 0
        first += 100 if self.runs and first == self.runs[-1][1] + 1 else 0
        self.runs.append((first, first - 1))
        process = self.context.Process(target=record, args=(self.path, first, its))
        process.start()
        its.close()
        child = struct.unpack("<q", mine.recv_bytes())[0]
        redo = SessionPaths(self.path).redo
        wait_until(redo.exists)  # from now on there is a checkpoint every 50 ms
        self.wait_for_the_instant(redo)
        who = self.random.choice(["parent", "child", "both"])
        victims = {"parent": [process.pid], "child": [child], "both": [process.pid, child]}[who]
        self.random.shuffle(victims)
        for pid in victims:
            self.kill(pid)
        died = time.monotonic()
        if who == "child":
            self.look_while_it_runs(mine)
            self.kill(process.pid)
        process.join()
        self.drain(mine)
        mine.close()
        self.look(who)
        if who == "parent":
            wait_until(lambda: side_files(self.path) == [], 30)
            self.heals.append(time.monotonic() - died)
            self.look("healed")

    def wait_for_the_instant(self, redo):
        """A random one, or when a checkpoint has just appended to the file or committed."""
        watched = self.random.choice([None, None, self.path, redo])
        threading.Event().wait(self.random.uniform(0, 0.12))
        if watched is not None:
            before = changes(watched)
            deadline = time.monotonic() + 0.5
            while changes(watched) == before and time.monotonic() < deadline:
                pass

    def kill(self, pid):
        os.kill(pid, signal.SIGKILL)
        self.kills += 1

    def drain(self, channel, whole=True):
        try:
            while whole or channel.poll():
                last = struct.unpack("<q", channel.recv_bytes())[0]
                assert last == self.runs[-1][1] + 1
                self.runs[-1] = (self.runs[-1][0], last)
        except (EOFError, ConnectionResetError):
            pass

    def look_while_it_runs(self, channel):
        self.drain(channel, whole=False)
        with SavedAsyncSession(self.path, verbose=False) as saved:
            assert saved["n"].values[-1] >= self.runs[-1][1]

    def look(self, what):
        """Open it as others do, then as we do; nothing is repaired by that."""
        self.open_plainly()
        with SavedAsyncSession(self.path, verbose=False) as saved:
            self.check(saved, what)

    def open_plainly(self):
        def opened():
            try:
                with h5py.File(self.path) as h5:
                    return h5.attrs["format"] == "pymanip-run" and len(h5) == 7
            except BlockingIOError:
                return False

        wait_until(opened, 1.0)

    def check(self, view, what):
        n = view["n"]
        assert np.all(np.diff(n.timestamps) > 0), what
        double = view["double"].values.astype(int)
        count = len(view.dataset_times("few"))
        few = [int(view.dataset("few", n=i)[0]) for i in range(max(0, count - 20), count)]
        many = view.dataset("many")
        assert many.shape == (LARGE,), what
        assert set(many) == {many[0]}, what
        for numbers, step, all_of_them in (
            (n.values, 1, True),
            (double[double % 2 == 0] / 2, 1, True),
            (double[double % 2 == 1] // 2, 1, True),
            (view["half"].values * 2, 1, True),
            (few, 10, False),
            (many[:1], 100, False),
            ([view.parameter("last")], 10, False),
        ):
            self.check_numbers(list(map(int, numbers)), step, all_of_them, what)
        for name, step in (("few", 10), ("many", 100)):
            certain, possible = self.wanted(step)
            recorded = len(view.dataset_times(name))
            assert len(certain) <= recorded <= len(certain) + len(possible), (what, name)

    def wanted(self, step):
        """Numbers that were acknowledged, and those that were under way at a kill."""
        certain = [n for a, b in self.runs for n in range(a, b + 1) if n % step == 0]
        return certain, {b + 1 for _, b in self.runs if (b + 1) % step == 0}

    def check_numbers(self, numbers, step, all_of_them, what):
        certain, possible = self.wanted(step)
        assert numbers == sorted(set(numbers)), what
        acknowledged = [n for n in numbers if n not in possible]
        assert acknowledged == (
            certain if all_of_them else certain[len(certain) - len(acknowledged) :]
        ), what
        if not all_of_them:
            assert numbers[-1] >= certain[-1], what

    def end(self):
        """Open it for writing, which repairs it, and close it."""
        with AsyncSession(self.path, verbose=False) as session:
            self.check(session, "re-opened")
        assert side_files(self.path) == []
        self.look("closed")


@pytest.mark.timeout(300 + 2 * KILLS)
def test_nothing_acknowledged_is_lost_by_kills_at_random_instants(tmp_path):
    seed = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(2**32)))
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pymanip_run.session", "numpy", "h5py", __name__])

    def work(number):
        kills, heals, path = 0, [], None
        for count in itertools.count():
            path = tmp_path / f"{number}-{count}" / "s.h5"
            path.parent.mkdir()
            lane = Lane(context, path, f"{seed} {number} {count}")
            for _ in range(6):
                lane.round()
            lane.end()
            kills += lane.kills
            heals += lane.heals
            if kills >= KILLS // LANES:
                break
        return kills, heals

    try:
        with ThreadPoolExecutor(LANES) as pool:
            kills, heals = zip(*pool.map(work, range(LANES)), strict=True)
    except BaseException as error:
        error.add_note(f"KILL_SEED={seed}")
        raise
    assert sum(kills) >= KILLS
    times = sorted(itertools.chain(*heals))
    print(
        f"{sum(kills)} kills; {len(times)} sessions healed by themselves in "
        f"{times[len(times) // 2]:.2f} s (median), {times[-1]:.2f} s at most"
    )
    assert times[-1] < HEAL_SECONDS


async def test_the_measuring_loop_does_not_notice_that_its_checkpointer_is_killed_again_and_again(
    tmp_path,
):
    path = tmp_path / "s.h5"
    killed, numbers = [], itertools.count()
    session = AsyncSession(path, verbose=False, checkpoint_period=0.02)
    child = internals(session).store._child

    async def measure(sesn):
        n = next(numbers)
        sesn.add_entry(n=n)
        if n % 50 == 0:
            sesn.add_dataset(few=np.array([n]))
        await asyncio.sleep(0.002)

    redo, seen = SessionPaths(path).redo, {}

    async def end_the_checkpointer(sesn):
        committed = redo.exists() and redo.stat().st_mtime_ns
        if (
            child.pid not in killed
            and seen.setdefault(child.pid, committed) != committed  # it got something done
        ):
            await asyncio.sleep(random.uniform(0, 0.05))
            os.kill(child.pid, signal.SIGKILL)
            killed.append(child.pid)
        if len(killed) == 20:
            sesn.ask_exit()
        await asyncio.sleep(0.01)

    with session:
        await session.monitor(measure, end_the_checkpointer)
    count = next(numbers)
    assert len(set(killed)) == 20
    assert side_files(path) == []
    with SavedAsyncSession(path, verbose=False) as saved:
        assert saved["n"].values.tolist() == list(range(count))
        assert [int(x[0]) for _, x in saved.datasets("few")] == list(range(0, count, 50))
