"""Redo files: read, refused, and carried out whatever part of them was already."""

import itertools
import os
from binascii import crc32
from uuid import uuid4

import h5py
import pytest
from helpers_storage import (
    EPOCH,
    MS,
    die,
    differences,
    everything,
    finish,
    in_a_fork,
    put,
    quiet_store,
    side_files,
)
from hypothesis import given
from hypothesis import strategies as st

from pymanip_run.errors import DamagedFileError, StorageError
from pymanip_run.storage import transaction
from pymanip_run.storage.checkpoint import Checkpoint
from pymanip_run.storage.files import SYSTEM_FILES, Files, SessionPaths
from pymanip_run.storage.overlay import Change
from pymanip_run.storage.redo import Applied, Redo, read_redo
from pymanip_run.storage.snapshot import SnapshotStore


class Killed(BaseException):
    """The process ends here."""


class Stopping(Files):
    """Ends the process at the n-th in-place write of a transaction."""

    def __init__(self, after):
        self.after = after
        self.armed = False
        self.writes = 0
        self.replaced = False

    def try_lock(self, fd, *, exclusive):
        self.armed = exclusive
        return super().try_lock(fd, exclusive=exclusive)

    def unlock(self, fd):
        self.armed = False
        super().unlock(fd)

    def pwrite(self, fd, data, offset):
        if self.armed:
            self.writes += 1
            if self.after is not None and self.writes > self.after:
                raise Killed
        return super().pwrite(fd, data, offset)


def fill(path, part):
    store = quiet_store(path)
    at = EPOCH + part * 10_000 * MS
    for i in range(30):
        store.append_row(at + i * MS, ("T", f"p{part}"), (i, -i))
        store.append_row(at + i * MS + 1000, tuple(f"v{k}" for k in range(20)), [i] * 20)
    store.put_parameter(at, "gain", part, None)
    put(store, at, "a", list(range(part, part + 5)))
    return store


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s.h5"


def torn(path, after):
    """A session killed within the in-place writes of its second transaction; what it must show; whether it was."""
    finish(fill(path, 0))
    store = fill(path, 1)
    expected = everything(store)
    die(store)
    files = Stopping(after)
    try:
        Checkpoint(files, SessionPaths(path)).advance()
    except Killed:
        return expected, True
    return expected, False


def number_of_writes(tmp_path):
    path = tmp_path / "count.h5"
    finish(fill(path, 0))
    die(fill(path, 1))
    files = Stopping(None)
    engine = Checkpoint(files, SessionPaths(path))
    engine.advance()
    engine.close()
    return files.writes


def test_a_kill_between_any_two_writes_leaves_a_file_that_opens_and_reads_and_heals(tmp_path):
    count = number_of_writes(tmp_path)
    assert count > 20
    for after in sorted({*range(0, count, count // 8), count - 2, count - 1, count}):
        path = tmp_path / str(after) / "s.h5"
        path.parent.mkdir()
        expected, was_killed = torn(path, after)
        assert was_killed == (after < count)
        before = path.read_bytes()
        with h5py.File(path) as h5:  # a plain reader, before any repair
            assert h5.attrs["format"] == "pymanip-run"
            assert set(h5) >= {"variables", "parameters", "datasets", "events"}
        reader = SnapshotStore(path)
        assert differences(everything(reader), expected) == []
        reader.close()
        assert path.read_bytes() == before, "readers write nothing"
        store = quiet_store(path)
        assert differences(everything(store), expected) == []
        finish(store)
        assert side_files(path) == []


def test_without_the_redo_a_torn_file_does_not_read_the_same(tmp_path):
    """The negative control: the tests above can fail."""
    count = number_of_writes(tmp_path)
    path = tmp_path / "s.h5"
    expected, was_killed = torn(path, count // 2)
    assert was_killed
    SessionPaths(path).redo.unlink()
    try:
        reader = SnapshotStore(path)
        found = everything(reader)
    except Exception:  # noqa: BLE001 - that is as good
        return
    assert differences(found, expected) != []


def test_the_states_of_a_redo(tmp_path):
    file = tmp_path / "f"
    file.write_bytes(b"a" * 100)
    fd = os.open(file, os.O_RDWR)
    changes = [Change(10, b"bbb"), Change(50, b"cc")]
    redo = Redo(1, uuid4(), 100, 100, crc32(b"aaaaa"), crc32(b"bbbcc"), changes)
    assert redo.state(SYSTEM_FILES, fd) is Applied.NOT_YET
    os.pwrite(fd, b"bbb", 10)
    assert redo.state(SYSTEM_FILES, fd) is Applied.PARTLY
    assert transaction.apply(SYSTEM_FILES, fd, redo)
    assert redo.state(SYSTEM_FILES, fd) is Applied.WHOLLY
    os.ftruncate(fd, 40)
    with pytest.raises(StorageError, match="shorter"):
        redo.state(SYSTEM_FILES, fd)
    os.close(fd)


def _apart(changes):
    return all(b.offset >= a.offset + len(a.data) for a, b in itertools.pairwise(sorted(changes)))


CHANGES = st.lists(
    st.builds(Change, st.integers(0, 2**40), st.binary(min_size=1)), max_size=5
).filter(_apart)


@given(changes=CHANGES, number=st.integers(0, 2**63), cut=st.integers(1, 50), flip=st.integers(0))
def test_a_redo_comes_back_whole_or_not_at_all(tmp_path_factory, changes, number, cut, flip):
    paths = SessionPaths(tmp_path_factory.getbasetemp() / "s.h5")
    path = paths.redo
    path.unlink(missing_ok=True)
    redo = Redo(number, uuid4(), 2**41, 2**41 + 6, 7, 8, changes)
    transaction.write_redo(SYSTEM_FILES, paths, redo)
    assert read_redo(SYSTEM_FILES, path) == redo
    data = bytearray(path.read_bytes())
    path.write_bytes(data[:-cut])
    assert read_redo(SYSTEM_FILES, path) is None
    path.write_bytes(data + b"remains of a longer one")
    assert read_redo(SYSTEM_FILES, path) == redo
    data[flip % len(data)] ^= 1
    path.write_bytes(data)
    assert read_redo(SYSTEM_FILES, path) is None


def test_the_redo_of_another_session_is_refused_and_nothing_is_touched(tmp_path):
    ours, theirs = tmp_path / "a" / "s.h5", tmp_path / "b" / "s.h5"
    for path in (ours, theirs):
        path.parent.mkdir()
    torn(theirs, 3)
    finish(fill(ours, 0))
    redo = SessionPaths(ours).redo
    redo.write_bytes(SessionPaths(theirs).redo.read_bytes())
    before = {p.name: p.read_bytes() for p in ours.parent.iterdir()}
    with pytest.raises(DamagedFileError, match="belongs to another session"):
        quiet_store(ours)
    assert {p.name: p.read_bytes() for p in ours.parent.iterdir()} == before
    reader = SnapshotStore(ours)  # readers go by the file
    assert "T" in reader.variables()
    reader.close()


def test_a_disk_error_while_appending_commits_nothing(path):
    class Failing(Files):
        def pwrite(self, fd, data, offset):
            if len(data) > 20_000:
                raise OSError(28, "No space left on device")
            return super().pwrite(fd, data, offset)

    store = fill(path, 0)
    put(store, EPOCH + MS, "big", list(range(20_000)))
    expected = everything(store)
    before = path.read_bytes()

    def fail():
        engine = Checkpoint(Failing(), SessionPaths(path))
        try:
            engine.advance()
        except OSError as error:
            os._exit(error.errno)

    assert in_a_fork(fail) == 28
    assert differences(everything(store), expected) == []
    assert path.read_bytes()[: len(before)] == before
    finish(store)
    reader = SnapshotStore(path)
    assert differences(everything(reader), expected) == []
    reader.close()
    assert side_files(path) == []


def test_closing_the_file_writes_nothing(path):
    store = fill(path, 0)
    engine = Checkpoint(SYSTEM_FILES, SessionPaths(path))
    engine.advance()
    before = path.read_bytes()
    engine.close()
    assert path.read_bytes() == before
    assert before[11] == 0, "no consistency flag"
    finish(store)


def test_a_reader_that_holds_the_file_defers_the_transaction_and_then_gets_a_copy_instead(path):
    store = fill(path, 0)
    expected = everything(store)
    notebook = h5py.File(path)
    inode = path.stat().st_ino
    before = path.read_bytes()
    engine = Checkpoint(SYSTEM_FILES, SessionPaths(path))
    assert engine.advance()
    assert engine.pending is not None
    store.append_row(EPOCH + 10**13, ("late",), (1,))
    for _ in range(3):
        assert not engine.advance(), "nothing while one is pending"
        assert path.read_bytes()[: len(before)] == before
    assert len(everything(store)["variables"]) == len(expected["variables"]) + 1
    assert engine.settle(escalate=True)
    assert path.stat().st_ino != inode
    assert len(notebook["variables"]) == 0, "it sees what it opened"
    engine.advance()
    engine.close()
    with h5py.File(path) as h5:
        assert h5["variables/T/value"].shape == (30,)
        assert h5["variables/late/value"].shape == (1,)
    notebook.close()
    finish(store)
    assert side_files(path) == []


def killed_before_the_redo_was_void(path):
    """A session whose last transaction was carried out, by a process that died right after."""
    finish(fill(path, 0))
    die(fill(path, 1))

    class Sudden(Files):
        def open_side(self, path, flags):
            if flags & os.O_ACCMODE == os.O_WRONLY and path.suffix == ".redo":
                raise Killed
            return super().open_side(path, flags)

    with pytest.raises(Killed):
        Checkpoint(Sudden(), SessionPaths(path)).advance()
    assert read_redo(SYSTEM_FILES, SessionPaths(path).redo) is not None


def test_an_applied_redo_is_made_durable_before_it_may_be_overwritten(path):
    killed_before_the_redo_was_void(path)

    class Logging(Files):
        def __init__(self):
            self.log = []

        def fdatasync(self, fd):
            self.log.append(os.fstat(fd).st_ino)
            super().fdatasync(fd)

    files = Logging()
    Checkpoint(files, SessionPaths(path)).close()
    assert files.log == [path.stat().st_ino]
