"""A session's life on a recorded disk, and what must be found of it after a crash at any operation."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from disk import Operation, RecordingFiles

from pymanip_run.records import Event, SweepPoint, Window
from pymanip_run.storage.checkpoint import Checkpoint
from pymanip_run.storage.files import SessionPaths
from pymanip_run.storage.opening import open_for_writing
from pymanip_run.storage.snapshot import SnapshotStore
from pymanip_run.storage.writer import JournalWriter

START = 1_800_000_000_000_000_000
NAME = "s.h5"


class Call(NamedTuple):
    """A call of the writer, as it is found again: (what, name, time in µs, content)."""

    what: str
    name: str
    microseconds: int
    content: Any


class Life:
    """Writes, and notes after which operation each call returned and each sync was complete."""

    def __init__(
        self, folder: Path, segment_size: int = 1200, files: RecordingFiles | None = None
    ) -> None:
        self.files = files or RecordingFiles()
        self.paths = SessionPaths(folder / NAME)
        opened = open_for_writing(self.files, self.paths, "crash")
        self._lock_fd = opened.lock_fd
        self.writer = JournalWriter(
            self.files, self.paths, opened.uuid, opened.next_segment, segment_size
        )
        self.begin = len(self.files.log)
        self.calls: list[Call] = []
        #: Calls that were refused: each has its own time nevertheless.
        self.tick = 0
        #: Length of the log when a call began and when it returned; and (length, calls) at syncs.
        self.spans: list[tuple[int, int]] = []
        self.syncs: list[tuple[int, int]] = []
        self.checkpoint = Checkpoint(self.files, self.paths)

    @property
    def log(self) -> list[Operation]:
        return self.files.log

    def _ns(self) -> int:
        return START + (len(self.calls) + self.tick) * 1_000_000

    def _done(self, began: int, *calls: Call) -> None:
        self.calls.extend(calls)
        self.spans.extend([(began, len(self.log))] * len(calls))

    def row(self, *names: str) -> None:
        ns, began = self._ns(), len(self.log)
        values = [ns % 1000 + i / 8 + len(self.calls) for i in range(len(names))]
        self.writer.append_row(ns, names, values)
        self._done(
            began, *(Call("row", n, ns // 1000, v) for n, v in zip(names, values, strict=True))
        )

    def array(self, name: str, array: np.ndarray) -> None:
        ns, began = self._ns(), len(self.log)
        self.writer.append_array(ns, name, array, None)
        self._done(began, Call("array", name, ns // 1000, array.tobytes()))

    def event(self, text: str) -> None:
        ns, began = self._ns(), len(self.log)
        self.writer.append_event(Event(ns, "note", "test", text))
        self._done(began, Call("event", "note", ns // 1000, text))

    def parameter(self, name: str, value: float) -> None:
        ns, began = self._ns(), len(self.log)
        self.writer.put_parameter(ns, name, value, None)
        self._done(began, Call("parameter", name, ns // 1000, value))

    def point(self, number: int) -> None:
        """A point of a sweep is over: of what was recorded before nothing may be missing then."""
        ns, began = self._ns(), len(self.log)
        self.writer.append_point(0, SweepPoint("s", number, ns - 1000, ns))
        self._done(began, Call("point", "s", ns // 1000, number))

    def sync(self) -> None:
        self.writer.sync()
        self.syncs.append((len(self.log), len(self.calls)))

    @contextmanager
    def reader_holds(self):
        """Another program has the file open for reading, as HDF5 does it."""
        fd = os.open(self.paths.main, os.O_RDONLY)
        try:
            assert self.files.try_lock(fd, exclusive=False)
            yield
        finally:
            os.close(fd)

    def end(self) -> None:
        self.writer._close_journal(_never)
        self.checkpoint.finish()
        self.syncs.append((len(self.log), len(self.calls)))
        self.files.unlink(self.paths.lock)
        os.close(self._lock_fd)

    def acknowledged(self, operations: int) -> int:
        """How many calls had returned when that many operations were done."""
        return sum(1 for _, end in self.spans if end <= operations)

    def begun(self, operations: int) -> int:
        """How many calls had at least begun."""
        return sum(1 for begin, _ in self.spans if begin < operations)

    def synced(self, operations: int) -> int:
        """How many calls the last complete sync covers."""
        return max([count for end, count in self.syncs if end <= operations], default=0)


def _never(_fd: int, _data: Any) -> int:
    raise AssertionError("nothing is written after the end")


def short_life(folder: Path, life: Life | None = None) -> Life:
    """All kinds of records, several segments, several transactions, one of them put off by a reader."""
    life = life or Life(folder)
    life.row("a")
    life.row("a", "b")
    life.event("first")
    life.sync()
    life.checkpoint.advance()
    life.array("x", np.arange(6, dtype="<u2").reshape(2, 3))
    for number in range(12):
        life.row("a", "b")
        if number % 4 == 3:
            life.point(number // 4)
    life.parameter("p", 1.5)
    life.sync()
    life.row("c")
    life.checkpoint.advance()
    life.array("x", np.arange(4, dtype="<f8"))
    with life.reader_holds():
        for _ in range(8):
            life.row("a")
        life.checkpoint.advance()  # committed, put off
        assert life.checkpoint.pending is not None
        life.row("b", "c")
        life.parameter("p", 2.5)
        life.checkpoint.advance()  # nothing: one is pending
    life.sync()
    life.checkpoint.advance()
    for number in range(6):
        life.row("a", "b", "c")
        life.event(f"number {number}")
        life.point(3 + number)
    life.end()
    return life


def found(path: Path) -> list[Call]:
    """Everything in a session, as calls in the order of time."""
    store = SnapshotStore(path)
    try:
        calls = []
        for name in store.variables():
            times, values = store.read_series(name, Window())
            calls += [
                Call("row", name, round(t * 1e6), v)
                for t, v in zip(times, values.tolist(), strict=True)
            ]
        for name, info in store.datasets().items():
            times = store.dataset_times(name)
            assert len(times) == info.n
            calls += [
                Call("array", name, round(t * 1e6), store.dataset_record(name, i).tobytes())
                for i, t in enumerate(times)
            ]
        calls += [
            Call("event", e.kind, e.ns // 1000, e.text) for e in store.events() if e.kind == "note"
        ]
        calls += [Call("point", p.sweep, p.ns // 1000, p.number) for p in store.sweep_points(0)]
        calls += [
            Call("parameter", name, p.ns // 1000, p.value) for name, p in store.parameters().items()
        ]
        return sorted(calls, key=lambda c: (c.microseconds, c.what, c.name))
    finally:
        store.close()


def check(life: Life, path: Path, least: int, most: int) -> None:
    """All of the first `least` calls are there, in order and once; of the rest nothing invented."""
    there = found(path)
    assert len(set(there)) == len(there), "something is there twice"
    invented = set(there) - set(life.calls[:most])
    assert not invented, f"never recorded: {sorted(invented, key=str)[:3]}"
    have = set(there)
    over = max((c.microseconds for c in there if c.what == "point"), default=0)
    missing = [
        c for c in life.calls if c.microseconds < over and c.what != "parameter" and c not in have
    ]
    assert not missing, f"a point is over without {missing[0]}"
    latest = {c.name: c for c in there if c.what == "parameter"}
    for call in life.calls[:least]:
        if call.what == "parameter":  # a later value takes the place of an earlier one
            kept = latest.get(call.name)
            assert kept is not None, f"lost: {call}"
            assert kept.microseconds >= call.microseconds, f"lost: {call}"
        else:
            assert call in have, f"lost: {call}"
