"""What others do to the file of a session: hold it, write to it, move it, replace it, add to it."""

import os
import shutil
import subprocess
import sys
import time

import h5py
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
    wait_until,
)

from pymanip_run.errors import DamagedFileError, StorageError
from pymanip_run.records import Event, Window
from pymanip_run.storage import base, checkpointer
from pymanip_run.storage.checkpoint import Checkpoint
from pymanip_run.storage.compact import compact
from pymanip_run.storage.files import SYSTEM_FILES, Files, SessionPaths
from pymanip_run.storage.redo import read_redo
from pymanip_run.storage.snapshot import SnapshotStore
from pymanip_run.storage.store import FileStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s.h5"


def rows(store, count, start=0):
    for i in range(start, start + count):
        store.append_row(EPOCH + i * MS, ("T",), [i])


def values(path):
    reader = SnapshotStore(path)
    try:
        return reader.read_series("T", Window())[1].tolist()
    finally:
        reader.close()


def with_more_attributes(path):
    """More than HDF5 keeps in the root group itself: it moves all of them."""
    with h5py.File(path, "r+", libver=("v110", "v110")) as h5:
        h5.attrs["operator"] = "Ada"
        h5.attrs["sample"] = "K 7"


# -- programs that write ----------------------------------------------------------------------------


def refused_elsewhere(path, mode):
    """Whether another process does not get the file for writing."""
    code = (
        "import sys, h5py\ntry: h5py.File(*sys.argv[1:])\nexcept BlockingIOError: print('refused')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path, mode], capture_output=True, text=True, check=True
    )
    return done.stdout == "refused\n"


@pytest.mark.parametrize("mode", ["r+", "a"])
def test_during_a_run_no_other_program_gets_the_file_for_writing(path, mode):
    store = quiet_store(path)
    engine = Checkpoint(SYSTEM_FILES, SessionPaths(path))
    for count in range(3):  # before a transaction, and after one
        assert refused_elsewhere(path, mode)
        with h5py.File(path) as plain:  # who only reads is welcome, and puts the next one off
            rows(store, 10, 10 * count)
            engine.advance()
            assert engine.pending is not None
            assert refused_elsewhere(path, mode)
            assert plain.attrs["format"] == "pymanip-run"
        assert engine.settle()
    assert engine.pending is None
    engine.close()
    finish(store)
    with h5py.File(path, mode) as h5:  # after the run it is theirs
        assert h5["variables/T/value"].shape == (30,)


def test_a_copy_that_takes_the_place_of_a_held_file_is_no_other_programs_either(path):
    store = quiet_store(path)
    rows(store, 10)
    engine = Checkpoint(SYSTEM_FILES, SessionPaths(path))
    with h5py.File(path):
        engine.advance()
        assert engine.settle(escalate=True)
    with pytest.raises(BlockingIOError):
        h5py.File(path, "r+")
    engine.close()
    finish(store)


def test_a_file_that_another_program_has_for_writing_is_refused_and_told_how_to_go_on(path):
    finish(quiet_store(path))
    with h5py.File(path, "r+"):
        for opener in (FileStore, SnapshotStore):
            with pytest.raises(DamagedFileError, match="open for writing by another program"):
                opener(path)
    finish(quiet_store(path))


def test_what_another_program_adds_after_a_crash_is_not_undone_by_the_recovery(path):
    store = quiet_store(path)
    rows(store, 10)
    checkpoint(path)
    rows(store, 10, 10)
    die(store)
    assert "s.h5.redo" in side_files(path)
    with h5py.File(path, "a") as h5:
        h5.attrs["operator"] = "Ada"
        h5["mine"] = np.arange(10_000)
    finish(quiet_store(path))
    with h5py.File(path) as h5:
        assert h5.attrs["operator"] == "Ada"
        assert np.array_equal(h5["mine"], np.arange(10_000))
        assert h5["variables/T/value"][:].tolist() == list(range(20))


def test_a_reader_sees_what_is_new_whatever_attributes_others_have_added(path):
    store = quiet_store(path)
    rows(store, 10)
    finish(store)
    with_more_attributes(path)
    reader = SnapshotStore(path)
    for count in range(1, 4):
        store = quiet_store(path)
        rows(store, 10, 10 * count)
        expected = list(range(10 * count + 10))
        assert reader.read_series("T", Window())[1].tolist() == expected
        finish(store)
        assert reader.read_series("T", Window())[1].tolist() == expected
    reader.close()


def test_a_reader_from_before_a_crash_in_the_middle_of_a_transaction_reads_what_is_whole(path):
    class Cut(Files):
        writes = 0
        armed = False

        def try_lock(self, fd, *, exclusive):
            self.armed = exclusive
            return super().try_lock(fd, exclusive=exclusive)

        def pwrite(self, fd, data, offset):
            if self.armed:
                self.writes += 1
                if self.writes > 3:
                    os._exit(0)
            return super().pwrite(fd, data, offset)

    store = quiet_store(path)
    rows(store, 10)
    put(store, EPOCH, "a", np.arange(5))
    checkpoint(path)
    reader = SnapshotStore(path)
    store.append_event(Event(EPOCH + 50 * MS, "note", "", "look"))
    rows(store, 10, 100)
    assert len(reader.read_series("T", Window())[0]) == 20
    assert in_a_fork(lambda: Checkpoint(Cut(), SessionPaths(path)).advance()) == 0
    assert read_redo(SYSTEM_FILES, SessionPaths(path).redo) is not None
    assert len(reader.read_series("T", Window())[0]) == 20
    assert [e.text for e in reader.events()] == ["look"]
    assert reader.dataset_record("a", 0).tolist() == list(range(5))
    reader.close()
    die(store)


def test_a_file_that_is_replaced_while_it_is_read_is_read_to_the_end(path):
    store = quiet_store(path)
    store.append_event(Event(EPOCH, "note", "", "one"))
    rows(store, 1)
    engine = Checkpoint(SYSTEM_FILES, SessionPaths(path))
    engine.advance()
    store.append_event(Event(EPOCH + MS, "note", "", "two"))
    reader = SnapshotStore(path)
    with reader._view() as view:  # it has looked at the journal, and not yet opened the file
        engine.advance()
        engine.settle(escalate=True)
        rows(store, 1, 5)
        engine.advance()
        assert [e.text for e in base.read_events(view.h5) + view.batch.events] == ["one", "two"]
    reader.close()
    engine.close()
    finish(store)


# -- a name that is taken away ------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["removed", "moved", "replaced", "removed with its journal"])
def test_a_session_whose_file_is_taken_away_during_the_run_is_whole_at_its_end(path, what):
    store = FileStore(path, checkpoint_period=0.05)
    redo = SessionPaths(path).redo
    rows(store, 10)
    wait_until(lambda: len(plain_values(path)) == 10)
    older = path.with_name("older.h5")
    shutil.copy(path, older)
    rows(store, 10, 10)
    wait_until(lambda: len(plain_values(path)) == 20 and redo.read_bytes()[:8] == bytes(8))
    if what == "removed":
        path.unlink()
    elif what == "moved":
        path.rename(path.with_name("moved.h5"))
    elif what == "replaced":
        older.replace(path)
    else:
        for name in (path.name, *side_files(path)):
            if name != older.name:
                path.with_name(name).unlink()
    rows(store, 10, 20)
    store.close()
    assert values(path) == list(range(30))
    reader = SnapshotStore(path)
    (event,) = reader.events()
    reader.close()
    assert "during the run" in event.text
    if what == "replaced":
        assert values(path.with_name("s.h5.other")) == list(range(10))
        assert "s.h5.other" in event.text
    if what == "moved":
        assert values(path.with_name("moved.h5")) == list(range(20))


def plain_values(path):
    try:
        with h5py.File(path) as h5:
            return h5["variables/T/value"][:].tolist() if "T" in h5["variables"] else []
    except BlockingIOError:
        return []


# -- room ---------------------------------------------------------------------------------------------


class Narrow(Files):
    """A disk with little room."""

    def __init__(self, room):
        self.room = room

    def free(self, path):
        return self.room


def test_a_held_file_is_not_copied_where_that_would_take_the_room_of_the_journal(path):
    store = quiet_store(path)
    rows(store, 10)
    files = Narrow(10_000)
    engine = Checkpoint(files, SessionPaths(path))
    watch = checkpointer.Escalation(engine, seconds=-1)
    inode = path.stat().st_ino
    with h5py.File(path):
        engine.advance()
        watch.look()
        watch.look()
        assert engine.pending is not None
        assert path.stat().st_ino == inode
        with pytest.raises(StorageError, match=r"keeps it open, and there is no room for a copy"):
            engine.catch_up(patience=0.05)
        assert values(path) == list(range(10))
        files.room = 1 << 40
        watch.look()
        assert engine.pending is None
    engine.close()
    finish(store)


def test_a_checkpoint_for_which_there_is_no_room_gives_back_what_it_took(path):
    class Full(Files):
        left = 20

        def pwrite(self, fd, data, offset):
            self.left -= 1
            if self.left < 0:
                raise OSError(28, "No space left on device")
            return super().pwrite(fd, data, offset)

    store = quiet_store(path)
    put(store, EPOCH, "a", np.arange(100_000.0))
    size = path.stat().st_size

    def fail():
        with pytest.raises(OSError, match="No space"):
            Checkpoint(Full(), SessionPaths(path)).advance()

    assert in_a_fork(fail) == 0
    assert path.stat().st_size == size
    assert read_redo(SYSTEM_FILES, SessionPaths(path).redo) is None
    finish(store)


def test_a_redo_for_which_there_is_no_room_is_void(path):
    class Full(Files):
        redo = -1

        def open(self, path, flags):
            fd = super().open(path, flags)
            if path.suffix == ".redo":
                self.redo = fd
            return fd

        def pwrite(self, fd, data, offset):
            if fd == self.redo and len(data) > 8:
                super().pwrite(fd, data[: len(data) // 2], offset)
                raise OSError(28, "No space left on device")
            return super().pwrite(fd, data, offset)

    store = quiet_store(path)
    rows(store, 10)
    checkpoint(path)
    rows(store, 10, 10)
    size = path.stat().st_size

    def fail():
        with pytest.raises(OSError, match="No space"):
            Checkpoint(Full(), SessionPaths(path)).advance()

    assert in_a_fork(fail) == 0
    assert path.stat().st_size == size
    assert SessionPaths(path).redo.read_bytes().startswith(bytes(8))
    finish(store)
    assert values(path) == list(range(20))


@pytest.mark.needs_system("mount", "umount")
def test_on_a_small_disk_a_checkpoint_that_fails_does_not_end_the_recording(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], check=False
    ).returncode:
        pytest.skip("needs the right to mount")
    try:
        path = disk / "s.h5"
        store = FileStore(path, checkpoint_period=0.05)
        put(store, EPOCH, "a", np.zeros(200_000))  # 1.6 MB, for which there is no room twice
        first = store._child.pid
        deadline = time.monotonic() + 20
        stored = 0
        while (store._child.pid == first or stored < 200) and time.monotonic() < deadline:
            store.append_row(time.time_ns() // 1000 * 1000, ("n",), [stored])
            stored += 1
            time.sleep(0.005)
        assert store._child.pid != first
        store.close()
        reader = SnapshotStore(path)
        assert reader.read_series("n", Window())[1].tolist() == list(range(stored))
        assert reader.dataset_record("a", 0).shape == (200_000,)
        reader.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


# -- long steps ---------------------------------------------------------------------------------------


class Counter:
    """Counts its calls."""

    calls = 0

    def __call__(self):
        self.calls += 1


def test_the_journal_is_synced_in_the_midst_of_a_long_array_and_of_a_long_copy(path):
    store = quiet_store(path)
    put(store, EPOCH, "a", np.zeros(2_000_000))  # 16 MB: one call of HDF5
    between = Counter()
    engine = Checkpoint(SYSTEM_FILES, SessionPaths(path), between)
    with h5py.File(path):
        engine.advance()
        assert between.calls > 200  # after each of its chunks
        before = between.calls
        engine.settle(escalate=True)
    assert between.calls - before >= 4  # after each 4 MB
    engine.close()
    finish(store)


# -- permissions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o600, 0o664])
def test_whatever_is_made_beside_or_in_place_of_a_session_has_its_permissions(path, mode):
    finish(quiet_store(path))
    path.chmod(mode)
    umask = os.umask(0o022)
    try:
        store = quiet_store(path)
        rows(store, 10)
        engine = Checkpoint(SYSTEM_FILES, SessionPaths(path))
        with h5py.File(path):
            engine.advance()
            assert {
                p.name: p.stat().st_mode & 0o777 for p in path.parent.iterdir()
            } == dict.fromkeys(("s.h5", "s.h5.lock", "s.h5.redo", "s.h5.wal.2"), mode)
            engine.settle(escalate=True)
        assert path.stat().st_mode & 0o777 == mode
        engine.close()
        finish(store)
        compact(path)
        assert path.stat().st_mode & 0o777 == mode
    finally:
        os.umask(umask)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
def test_whatever_is_made_has_the_owner_of_the_session(path):
    finish(quiet_store(path))
    os.chown(path, 1234, 1235)
    store = quiet_store(path)
    rows(store, 10)
    assert {(p.stat().st_uid, p.stat().st_gid) for p in path.parent.iterdir()} == {(1234, 1235)}
    finish(store)
    compact(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (1234, 1235)
