"""Truncation at every byte, and a flipped bit in every byte, of a journal, a transaction file and an HDF5 file.

What is intact is read and recovered, what is lost is counted, what is damaged is kept, and nothing
but a PymanipError comes out: no other exception, no hang, no unbounded memory. The looks at damaged HDF5 are
taken in processes with limits of time and memory, which also tell of a crash of the library.

By default a part of the bytes, spread over all, is tried; every one of them, in half a day, by::

    PYMANIP_RUN_TEST_DAMAGE=all pytest tests/crash/test_damage.py
"""

import os
import resource
import signal
from contextlib import contextmanager, suppress
from itertools import chain

import numpy as np
import pytest
from helpers_storage import (
    EPOCH,
    MS,
    checkpoint,
    die,
    finish,
    in_a_fork,
    put,
    quiet_store,
    side_files,
)
from scenario import Life, found

from pymanip_run.describe import describe
from pymanip_run.errors import PymanipError
from pymanip_run.records import Event, SweepPoint, Window
from pymanip_run.session import SavedAsyncSession
from pymanip_run.storage import transaction
from pymanip_run.storage.checkpoint import Checkpoint, recover
from pymanip_run.storage.files import SYSTEM_FILES, SessionPaths
from pymanip_run.storage.journal import HEAD, Kind
from pymanip_run.storage.redo import read_redo
from pymanip_run.storage.snapshot import SnapshotStore
from pymanip_run.storage.verify import verify

EVERY = os.environ.get("PYMANIP_RUN_TEST_DAMAGE") == "all"
pytestmark = [pytest.mark.timeout(0)] if EVERY else []
#: Seconds of the processor and bytes that a look at a damaged file may take, and seconds on the clock.
SECONDS, MEMORY, WAIT = 10, 1 << 30, 100
BITS = (1, 128, 16)


def places(size, step):
    """All offsets, or some that are spread over the whole file and not in step with its structures."""
    return range(0, size, 1 if EVERY else step)


def flipped(content, offset):
    changed = bytearray(content)
    changed[offset] ^= BITS[offset % len(BITS)]
    return bytes(changed)


def records(content):
    """The places of a journal's records: (begin, end, kind)."""
    found, offset = [], 0
    while offset + HEAD.size <= len(content):
        end = offset + HEAD.size + HEAD.unpack_from(content, offset)[1]
        found.append((offset, end, content[offset + HEAD.size]))
        offset = end
    return found


def recorded(path):
    """A journal of 20 records of several kinds; whose values tell their number."""
    store = quiet_store(path)
    for i in range(6):
        store.append_row(EPOCH + 10 * i * MS, ("T",), [i])
        store.append_row(EPOCH + (10 * i + 1) * MS, ("T", "p"), [i + 100, i])
    put(store, EPOCH + 100 * MS, "a", np.arange(5, dtype="<i2"))
    store.append_event(Event(EPOCH + 101 * MS, "note", "user", "look"))
    store.put_parameter(EPOCH + 102 * MS, "gain", 2.5, "V")
    put(store, EPOCH + 103 * MS, "a", np.arange(4, dtype="<i2"))
    store.append_row(EPOCH + 110 * MS, ("T",), [6])
    die(store)


@pytest.mark.parametrize("where", ["before", "inside", "behind"])
def test_a_point_is_not_over_when_data_before_it_are_lost(tmp_path, where):
    path = tmp_path / "s.h5"
    store = quiet_store(path)
    for i in range(6):
        store.append_row(EPOCH + 10 * i * MS, ("T",), [i])
        start, end = EPOCH + (10 * i - 1) * MS, EPOCH + (10 * i + 1) * MS
        store.append_point(0, SweepPoint("s", i, start, end, value=str(i)))
    die(store)
    (segment,) = tmp_path.glob("s.h5.wal.*")
    content = segment.read_bytes()
    rows = [(begin, end) for begin, end, kind in records(content) if kind == Kind.ROW]
    offset = {"before": rows[3][0], "inside": rows[3][1] - 3, "behind": rows[3][1] + 30}[where]
    segment.write_bytes(flipped(content, offset))

    recover(SYSTEM_FILES, SessionPaths(path), remove_lock=True)
    recovered = SnapshotStore(path)
    # The records behind the damage are there; that a point is over is not believed any more.
    assert recovered.read_series("T", Window())[1][-1] == 5
    assert [p.number for p in recovered.sweep_points(0)] == [0, 1, 2]


def contents(store):
    """What is in a session, one hashable item for each call that can be lost by itself."""
    found = {
        ("row", name, round(t * 1e6), v)
        for name in store.variables()
        for t, v in zip(*(x.tolist() for x in store.read_series(name, Window())), strict=True)
    }
    for name, info in store.datasets().items():
        times = store.dataset_times(name)
        found |= {
            ("array", round(times[i] * 1e6), repr(store.dataset_record(name, i)))
            for i in range(info.n)
        }
    found |= {("event", e.ns) for e in store.events() if e.kind == "note"}
    return found | {("parameter", p.value) for p in store.parameters().values()}


def look(path):
    store = SnapshotStore(path)
    try:
        return contents(store), store.journal_state()[0]
    finally:
        store.close()


class Journal:
    """A session with its journal, and what each of its records holds."""

    def __init__(self, path):
        recorded(path)
        self.path = path
        self.segment = SessionPaths(path).segment(1)
        self.content = self.segment.read_bytes()
        self.records = records(self.content)
        self.base = path.read_bytes()
        self.whole, _ = look(path)
        self.after = [look_with(self, self.content[:end])[0] for _, end, _ in self.records]

    def holds(self, number):
        """What came with one record."""
        return self.after[number] - (self.after[number - 1] if number else set())

    def restore(self):
        for name in side_files(self.path):
            (self.path.parent / name).unlink()
        self.path.write_bytes(self.base)


def look_with(journal, content):
    journal.segment.write_bytes(content)
    return look(journal.path)


@pytest.fixture(scope="module")
def journal(tmp_path_factory):
    return Journal(tmp_path_factory.mktemp("journal") / "s.h5")


def test_a_journal_cut_at_any_byte_gives_all_whole_records(journal):
    assert len(journal.records) >= 20
    assert journal.after[-1] == journal.whole
    for cut in places(len(journal.content), 3):
        whole = [i for i, (_, end, _) in enumerate(journal.records) if end <= cut]
        expected = journal.after[whole[-1]] if whole else set()
        found, findings = look_with(journal, journal.content[:cut])
        assert found == expected, cut
        assert findings.torn == cut - (journal.records[whole[-1]][1] if whole else 0)
        assert findings.damaged == []


def lost_with(journal, number):
    """What may be missing when one record is damaged: its own, and rows whose names it told."""
    kind = journal.records[number][2]
    if kind != Kind.ROW_SET:
        return journal.holds(number)
    definitions = [i for i, r in enumerate(journal.records) if r[2] == Kind.ROW_SET]
    wide = definitions.index(number) == 1
    rows = {item for item in journal.whole if item[0] == "row"}
    with_p = {item[2] for item in rows if item[1] == "p"}
    return {item for item in rows if (item[2] in with_p) == wide}


@pytest.mark.timeout(600)
def test_a_flipped_bit_anywhere_in_a_journal_costs_its_own_record_and_is_counted(journal):
    for offset in places(len(journal.content), 3):
        number = next(i for i, (a, b, _) in enumerate(journal.records) if a <= offset < b)
        found, findings = look_with(journal, flipped(journal.content, offset))
        assert found == journal.whole - lost_with(journal, number), offset
        begin, end, _ = journal.records[number]
        if number == len(journal.records) - 1:
            assert findings.torn == end - begin, offset
        else:
            assert findings.damaged == [(1, begin, end - begin)], offset
            assert findings.lost >= (1 if number else 0), offset


@pytest.mark.timeout(600)
def test_a_repair_of_a_flipped_journal_keeps_the_damaged_bytes_beside_and_tells(journal):
    for offset in places(len(journal.content), 37):
        number = next(i for i, (a, b, _) in enumerate(journal.records) if a <= offset < b)
        journal.restore()
        damaged = flipped(journal.content, offset)
        journal.segment.write_bytes(damaged)
        last = number == len(journal.records) - 1
        recover(SYSTEM_FILES, SessionPaths(journal.path), remove_lock=True)
        found, _ = look(journal.path)
        assert found == journal.whole - lost_with(journal, number), offset
        kept = [name for name in side_files(journal.path) if name.endswith(".damaged")]
        assert side_files(journal.path) == kept
        if kept:
            assert (journal.path.parent / kept[0]).read_bytes() == damaged
            assert not verify(journal.path).healthy
        else:  # a last record that claims to be longer than the file is one that was cut short
            assert last
            assert 4 <= offset - journal.records[number][0] < 8


# -- the transaction file ---------------------------------------------------------------------------


def committed(folder, *, partly):
    """A session whose last transaction was committed and not, or half, carried out; and its contents."""
    folder.mkdir()
    path = folder / "s.h5"
    store = quiet_store(path)
    for i in range(5):
        store.append_row(EPOCH + i * MS, ("T",), [i])
    checkpoint(path)
    for i in range(5, 10):
        store.append_row(EPOCH + i * MS, ("T", "p"), [i, i])
    assert in_a_fork(lambda: commit_and_die(path)) == 0
    whole = contents(store)
    die(store)
    if partly:
        redo = read_redo(SYSTEM_FILES, SessionPaths(path).redo)
        fd = os.open(path, os.O_RDWR)
        for change in redo.changes[: len(redo.changes) // 2]:
            os.pwrite(fd, change.data, change.offset)
        os.close(fd)
    return path, whole


def commit_and_die(path):
    class CutError(Exception):
        pass

    def cut(*_arguments):
        raise CutError

    transaction.apply = cut
    with suppress(CutError):
        Checkpoint(SYSTEM_FILES, SessionPaths(path)).advance()
    os._exit(0)


def variants(content, step):
    """Every way in which a file is damaged: cut at, and flipped in, each byte."""
    for offset in places(len(content), step):
        yield f"cut at {offset}", content[:offset]
        yield f"flipped at {offset}", flipped(content, offset)


def test_a_damaged_redo_of_a_transaction_not_begun_costs_nothing(tmp_path):
    path, whole = committed(tmp_path / "a", partly=False)
    redo = SessionPaths(path).redo
    before = {p: p.read_bytes() for p in path.parent.iterdir()}
    for number, (what, damaged) in enumerate(variants(before[redo], 31)):
        redo.write_bytes(damaged)
        assert look(path)[0] == whole, what
        if number % 10 == 0:
            recover(SYSTEM_FILES, SessionPaths(path), remove_lock=True)
            assert look(path)[0] == whole, what
            for p, content in before.items():
                p.write_bytes(content)


def test_a_damaged_redo_of_a_transaction_half_carried_out_is_said(tmp_path):
    path, whole = committed(tmp_path / "a", partly=True)
    redo = SessionPaths(path).redo
    assert look(path)[0] == whole
    content = redo.read_bytes()
    limited(path, redo, variants(content, 29))


# -- the HDF5 file ----------------------------------------------------------------------------------


def inspected(path):
    """Look at everything, as the commands do; nothing but our errors may come out."""
    with suppress(PymanipError):
        verify(path)
    with suppress(PymanipError), SavedAsyncSession(path, verbose=False) as saved:
        describe(saved, str(path))
    with suppress(PymanipError):
        look(path)


def limited(path, file, states):
    """Inspect the session with `file` in each state, in a process with limits; fail on the first that is not survived.

    One state after the other is made: all those of a whole file do not fit into any memory.
    """
    done = path.parent.parent / "done"
    status = in_a_fork(lambda: inspect_all(path, file, states, done))
    if status:
        pytest.fail(f"{done.read_text()}: the process that looked at it ended with {status}")


@contextmanager
def limits_of_time():
    """End this process when it computes in circles, or waits for what does not come.

    Of the processor's time, for all tests together may have less than one processor.
    """
    for signum, timer, seconds in (
        (signal.SIGPROF, signal.ITIMER_PROF, SECONDS),
        (signal.SIGALRM, signal.ITIMER_REAL, WAIT),
    ):
        signal.signal(signum, signal.SIG_DFL)
        signal.setitimer(timer, seconds)
    yield
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.setitimer(signal.ITIMER_REAL, 0)


def inspect_all(path, file, states, done):
    resource.setrlimit(resource.RLIMIT_AS, (address_space() + MEMORY,) * 2)
    for what, content in states:
        done.write_text(what)
        file.write_bytes(content)
        with limits_of_time():
            inspected(path)


def address_space():
    with open("/proc/self/statm") as status:  # noqa: PTH123
        return int(status.read().split()[0]) * resource.getpagesize()


def closed(folder):
    folder.mkdir()
    path = folder / "s.h5"
    recorded(path)
    recover(SYSTEM_FILES, SessionPaths(path), remove_lock=True)
    store = quiet_store(path)
    store.put_metadata(EPOCH, "operator", {"name": "Ada"})
    store.put_run(EPOCH, 0, {"start": 1.0, "host": "lab", "pid": 3}, {"experiment": "tasks: []"})
    store.put_attributes(EPOCH, "T", {"unit": "K"})
    put(store, EPOCH + 200 * MS, "text", "a text of any length")
    put(store, EPOCH + 201 * MS, "list", [1, 2, 3])
    finish(store)
    return path


@pytest.mark.timeout(0 if EVERY else 300)
def test_a_damaged_hdf5_file_is_never_met_with_a_traceback_a_hang_or_all_memory(tmp_path):
    path = closed(tmp_path / "a")
    content = path.read_bytes()
    limited(path, path, variants(content, 997))


def test_no_size_in_a_heap_of_texts_sends_a_reader_round_in_circles(tmp_path):
    """HDF5 has no checksum of these, and follows them for ever where one is nothing."""
    path = closed(tmp_path / "a")
    content = path.read_bytes()
    heap = content.index(b"GCOL")
    places, place = [heap + 8], heap + 16
    while place + 16 <= heap + 4096 and content[place : place + 2] != bytes(2):
        places += [place, place + 1, place + 8, place + 9]
        place += 16 + -(-int.from_bytes(content[place + 8 : place + 16], "little") // 8) * 8
    assert len(places) > 50
    limited(path, path, ((f"flipped at {n}", flipped(content, n)) for n in places))


def test_a_repair_over_a_damaged_hdf5_file_deletes_nothing(tmp_path):
    path = closed(tmp_path / "a")
    store = quiet_store(path)
    store.append_row(EPOCH + 300 * MS, ("T",), [7])
    die(store)
    before = {p: p.read_bytes() for p in path.parent.iterdir()}
    content = before[path]
    (journal,) = [p for p in before if ".wal." in p.name]
    # Cuts among the first structures are those over which HDF5 went round in circles.
    cuts = ((f"cut at {n}", content[:n]) for n in range(2, 4803, 400))
    for what, damaged in chain(variants(content, 4001), cuts):
        path.write_bytes(damaged)
        status = in_a_fork(lambda: repaired(path))
        assert status in {0, 1}, what
        if status:
            assert journal.read_bytes() == before[journal], what
        for p in path.parent.iterdir():
            p.unlink()
        for p, was in before.items():
            p.write_bytes(was)


def repaired(path):
    """Repair as the checkpointer does, for which any error means: not repaired, look again."""
    try:
        with limits_of_time():
            recover(SYSTEM_FILES, SessionPaths(path), remove_lock=True)
    except Exception:  # noqa: BLE001 - HDF5 raises what it likes; the process ends
        os._exit(1)
    os._exit(0)


def test_a_segment_that_is_shorter_than_what_the_file_has_of_it_is_no_damage(tmp_path, caplog):
    """A power cut may take the unsynced end of a segment whose records are in the HDF5 file already."""
    life = Life(tmp_path)
    for _ in range(20):
        life.row("a", "b")
    life.checkpoint.advance()
    in_file = list(life.calls)
    first = life.paths.segment(life.checkpoint.reader.position.segment)
    size = first.stat().st_size
    while len(life.files.segments(life.paths.main)) < 2:
        life.row("a")
    os.truncate(first, size - 100)
    life.checkpoint.finish()
    assert found(life.paths.main) == sorted(
        [*in_file, life.calls[-1]], key=lambda call: (call.microseconds, call.what, call.name)
    )
    assert "damaged" not in caplog.text
    assert life.checkpoint.report().damaged_bytes == 0
