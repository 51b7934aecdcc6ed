"""A session file that is written: its checkpointer, forks, a full disk, other programs that look."""

import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers_storage import (
    EPOCH,
    MS,
    checkpoint,
    die,
    differences,
    everything,
    finish,
    in_a_fork,
    kill,
    put,
    quiet_store,
    side_files,
    wait_until,
)

from pymanip_run.errors import StorageError, UsageError
from pymanip_run.records import Event, Window
from pymanip_run.storage.checkpoint import Checkpoint
from pymanip_run.storage.files import SYSTEM_FILES, Files, SessionPaths
from pymanip_run.storage.overlay import Overlay
from pymanip_run.storage.snapshot import SnapshotStore
from pymanip_run.storage.store import FileStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s.h5"


def rows(store, count, start=0):
    for i in range(start, start + count):
        store.append_row(EPOCH + i * MS, ("T", "p"), (i, -i))


def values(store):
    return store.read_series("T", Window())[1].tolist()


def now():
    """The time as sessions stamp: in whole microseconds."""
    return time.time_ns() // 1000 * 1000


def plain(path):
    """What a plain HDF5 program sees; tried again while the file is being changed."""
    for _ in range(1000):
        try:
            with h5py.File(path) as h5:
                return h5["variables/T/value"][:].tolist() if "T" in h5["variables"] else []
        except BlockingIOError:
            time.sleep(0.001)
    raise AssertionError("locked all the time")


def test_checkpoints_happen_while_it_is_written_and_one_file_is_left(path):
    store = FileStore(path, checkpoint_period=0.05)
    rows(store, 100)
    wait_until(lambda: plain(path) == list(range(100)))
    rows(store, 100, 100)
    assert values(store) == list(range(200))
    store.close()
    assert side_files(path) == []
    assert plain(path) == values(store) == list(range(200))
    store.close()


def test_a_killed_checkpointer_is_replaced_and_nothing_is_lost(path, caplog):
    store = FileStore(path, checkpoint_period=0.05)
    rows(store, 10)
    first = store._child.pid
    kill(first)
    store._child._process.wait()
    rows(store, 10, 5000)  # the session's time goes on: the checkpointer is looked after
    assert store._child.pid != first
    assert "starting another" in caplog.text
    wait_until(lambda: len(plain(path)) == 20)
    store.close()
    assert side_files(path) == []


def test_closing_with_a_dead_checkpointer_brings_the_file_up_to_date(path):
    store = FileStore(path, checkpoint_period=100)
    rows(store, 10)
    kill(store._child.pid)
    store._child._process.wait()
    store.close()
    assert side_files(path) == []
    assert plain(path) == list(range(10))


def test_no_room_for_temporary_files_does_not_stop_recording(path, monkeypatch, caplog):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(path.parent / "missing"))
    store = FileStore(path, checkpoint_period=100)
    rows(store, 10)
    assert "could not be started" in caplog.text
    monkeypatch.undo()
    store.close()
    assert side_files(path) == []
    assert plain(path) == list(range(10))


def refusals_in_a_fork(store):
    """How many of five calls are refused in a forked process; reading goes on to work."""
    refused = 0
    for call in (
        lambda: rows(store, 200, 10),
        lambda: put(store, EPOCH, "a", np.zeros(3)),
        lambda: put(store, EPOCH, "a", np.zeros(300_000)),
        lambda: store.put_parameter(EPOCH, "x", 1, None),
        store.sync,
    ):
        try:
            call()
        except UsageError as error:
            refused += "belongs to the parent" in str(error)
    store.close()
    assert values(store) == list(range(10))
    return refused


def test_a_forked_process_cannot_write_and_harms_nothing(path):
    store = FileStore(path, checkpoint_period=100, segment_size=2000)
    rows(store, 10)
    store.last_values()

    assert in_a_fork(lambda: refusals_in_a_fork(store)) == 5
    process = multiprocessing.get_context("fork").Process(
        target=lambda: os._exit(refusals_in_a_fork(store))
    )
    process.start()
    process.join()
    assert process.exitcode == 5
    with pytest.raises(OSError):
        FileStore(path)  # the lock is still ours
    rows(store, 10, 10)
    assert store._child._process.poll() is None
    store.close()
    assert side_files(path) == []
    assert plain(path) == list(range(20))


def test_a_fork_that_lives_on_does_not_keep_the_session_open(path):
    store = FileStore(path, checkpoint_period=100)
    rows(store, 10)
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    store.close()
    again = quiet_store(path)
    assert values(again) == list(range(10))
    finish(again)
    os.close(write)
    os.close(read)
    os.waitpid(pid, 0)


def test_no_descriptor_is_leaked(path):
    def count():
        return len(list(Path("/proc/self/fd").iterdir()))

    before = count()
    for _ in range(3):
        store = FileStore(path, checkpoint_period=0.05)
        rows(store, 10)
        put(store, EPOCH, "a", np.zeros(300_000))
        store.sync()
        everything(store)
        reader = SnapshotStore(path)
        everything(reader)
        reader.close()
        store.close()
        assert count() == before


def test_any_thread_may_record(path):
    store = FileStore(path, checkpoint_period=0.05, segment_size=300_000)

    def work(number):
        for i in range(200):
            with store.lock:
                store.append_row(now(), (f"t{number}", "all"), (i, number))
            if i % 50 == 0:
                put(store, now(), f"a{number}", np.full(200_000, i))
                store.append_event(Event(now(), "note", str(number), str(i)))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expected = everything(store)
    for n in range(4):
        assert expected["series"][f"t{n}"][1].tolist() == list(range(200))
        assert [int(a[0]) for a in expected["records"][f"a{n}"]] == [0, 50, 100, 150]
    store.close()
    reader = SnapshotStore(path)
    assert differences(everything(reader), expected) == []
    reader.close()


def test_a_reader_sees_every_returned_call_during_fast_checkpoints(path):
    store = FileStore(path, checkpoint_period=0.02, segment_size=50_000)
    reader = SnapshotStore(path)
    for n in range(0, 3000, 50):
        rows(store, 50, n)
        put(store, EPOCH, "a", n)
        assert len(values(reader)) == n + 50
        assert reader.last_values()["p"][1] == -(n + 49)
        assert reader.datasets()["a"].n == n // 50 + 1
        assert reader.variables()["T"].statistics.n == n + 50
    reader.close()
    store.close()


def test_a_script_may_have_the_file_open_itself(path):
    store = FileStore(path, checkpoint_period=0.05)
    rows(store, 10)
    wait_until(lambda: plain(path) != [])
    with h5py.File(path) as notebook:
        rows(store, 10, 10)
        assert values(store) == list(range(20))
        assert notebook["variables/T/value"].shape == (10,)
        started = time.monotonic()
        store.close()
        assert time.monotonic() - started < 5, "close never waits for a notebook"
        assert notebook["variables/T/value"][:].tolist() == list(range(10))
    assert side_files(path) == []
    assert plain(path) == list(range(20))


@pytest.mark.needs_system("h5dump")
def test_h5dump_reads_every_committed_file(path):
    store = FileStore(path, checkpoint_period=0.05)
    for part in range(3):
        rows(store, 100, part * 100)
        put(store, EPOCH, "a/b", np.ones((3, 4)))
        put(store, EPOCH, "text", "ü\0")
        store.put_parameter(EPOCH, "gain", part, "dB")
        store.append_event(Event(EPOCH, "note", "", "x"))
        wait_until(lambda n=part: len(plain(path)) == (n + 1) * 100)
        copy = path.with_name("copy.h5")
        with path.open("rb") as held:
            import fcntl

            fcntl.flock(held, fcntl.LOCK_SH)
            copy.write_bytes(held.read())
        dump = subprocess.run(["h5dump", copy], capture_output=True, check=False)
        assert dump.returncode == 0, dump.stderr
        copy.unlink()
    store.close()
    assert subprocess.run(["h5dump", "-H", path], capture_output=True, check=False).returncode == 0


def test_what_hdf5_refuses_keeps_nothing_else_out(path, monkeypatch, caplog):
    """The calls check what they take; should they miss something, the rest must reach the file."""
    store = quiet_store(path)
    rows(store, 5)
    store.append_array(EPOCH, "bad", np.ones((1,) * 40), None)
    store.put_parameter(EPOCH, "wide", 2**70, None)
    store.append_array(EPOCH + MS, "good", np.ones(3), None)
    rows(store, 5, 5)
    finish(store)
    reader = SnapshotStore(path)
    assert values(reader) == list(range(10))
    assert list(reader.datasets()) == ["good"]
    (event,) = reader.events()
    assert "dataset bad" in event.text
    assert "parameter wide" in event.text
    reader.close()
    assert side_files(path) == ["s.h5.wal.1.damaged"]


@pytest.mark.needs_system("mount", "umount")
def test_a_full_disk_raises_keeps_everything_before_and_goes_on_when_there_is_room(
    small_disk, caplog
):
    path = small_disk / "s.h5"
    store = FileStore(path, checkpoint_period=0.05)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(500_000))
    names = tuple(f"v{i}" for i in range(50))
    stored, refused, said = 0, 0, set()
    for i in range(20_000):
        try:
            store.append_row(EPOCH + i * MS, names, [i] * 50)
            stored += 1
        except StorageError as error:
            said.add((error.errno, "not stored" in str(error)))
            refused += 1
            if refused == 10:
                break
    assert refused == 10
    assert said == {(28, True)}
    with pytest.raises(StorageError, match="not stored"):
        put(store, EPOCH, "a", np.zeros(300_000))
    assert store.datasets() == {}
    seen = store.read_series("v7", Window())[1]
    assert len(seen) == stored
    assert store.last_values()["v7"][1] == seen[-1]
    ballast.unlink()

    def recorded():
        try:
            store.append_row(now(), names, [-1] * 50)
        except StorageError:
            return False
        return True

    wait_until(recorded)
    assert len(store.read_series("v7", Window())[1]) == stored + 1
    store.close()
    reader = SnapshotStore(path)
    assert len(reader.read_series("v7", Window())[1]) == stored + 1
    reader.close()


def test_a_session_on_a_full_disk_is_refused_and_leaves_nothing(small_disk):
    (small_disk / "ballast").write_bytes(bytes((2 << 20) - 8192))
    for _ in range(2):
        with pytest.raises(StorageError, match="No space left"):
            FileStore(small_disk / "s.h5")
        assert [p.name for p in small_disk.iterdir()] == ["ballast"]


def test_the_checkpointer_does_not_die_of_a_ctrl_c(path):
    store = FileStore(path, checkpoint_period=0.05)
    import signal

    for _ in range(5):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(store._child.pid, number)
        rows(store, 1)
    rows(store, 10)
    wait_until(lambda: len(plain(path)) == 15)
    assert store._child._process.poll() is None
    store.close()


def test_a_users_module_of_the_same_name_does_not_get_into_the_checkpointer(tmp_path):
    (tmp_path / "h5py.py").write_text("raise SystemExit('shadowed')")
    (tmp_path / "numpy.py").write_text("raise SystemExit('shadowed')")
    code = (
        "import sys; sys.path.pop(0)\nimport pathlib\nfrom pymanip_run.storage.store import FileStore\n"
        "sys.path.insert(0, '.')\ns = FileStore(pathlib.Path('s.h5'))\ns.append_row(5, ('T',), (1.0,))\n"
        "s.close(); print(sorted(p.name for p in pathlib.Path().iterdir()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.strip() == "['h5py.py', 'numpy.py', 's.h5']"


def test_a_base_that_was_read_in_the_middle_of_replacing_is_read_again(path):
    """The checkpointer replaces the file and drops the journal between two looks of a reader."""
    store = quiet_store(path)
    rows(store, 10)

    class Replacing(Files):
        busy = True

        def segments(self, main):
            if not self.busy:
                self.busy = True
                engine = Checkpoint(SYSTEM_FILES, SessionPaths(path))
                engine.advance()
                assert engine.pending is not None
                engine.settle(escalate=True)
                engine.close()
            return super().segments(main)

    number = store._segment
    with store.lock:
        store._end = store._segment_size
        store._writing[("T", "p")].limit = 0
        rows(store, 1, 10)
    assert store._segment == number + 1
    files = Replacing()
    reader = SnapshotStore(path, files)
    reader.close()  # it forgets what it saw
    files.busy = False
    assert values(reader) == list(range(11))
    reader.close()
    finish(store)


def test_a_forgotten_overlay_writes_nothing(path):
    store = quiet_store(path)
    rows(store, 10)
    before = path.read_bytes()
    engine = Checkpoint(SYSTEM_FILES, SessionPaths(path))
    assert isinstance(engine._overlay, Overlay)
    engine.close()
    assert path.read_bytes() == before
    checkpoint(path)
    logging.getLogger(__name__).debug("checkpointed")
    die(store)


def test_a_fork_closes_nothing_of_a_store_that_was_let_go(path):
    store = quiet_store(path)
    rows(store, 3)
    die(store)
    # The next file gets the number of one that the store had.
    fds = [os.open(os.devnull, os.O_RDONLY) for _ in range(3)]
    if (child := os.fork()) == 0:
        try:
            for fd in fds:
                os.fstat(fd)
        except OSError:
            os._exit(1)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    for fd in fds:
        os.close(fd)


def test_importing_the_checkpointer_leaves_the_signals_alone():
    code = (
        "import signal, pymanip_run.storage.checkpointer\n"
        "print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.getsignal(signal.SIGTERM).name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    assert done.stdout.split() == ["True", "SIG_DFL"]


def test_records_alike_share_one_block_over_checkpoints_and_runs(tmp_path):
    path = tmp_path / "s.h5"
    for run in range(2):
        store = quiet_store(path)
        for part in range(3):
            ns = EPOCH + (10 * run + part) * MS
            put(store, ns, "frame", np.full((4, 5), part, "u2"))
            put(store, ns, "text", f"run {run}, part {part}")
            put(store, ns, "pair", (run, part))
            checkpoint(path)
        finish(store)
    with h5py.File(path) as h5:
        for name in ("frame", "text", "pair"):
            assert [*h5["datasets"][name]] == ["000000"]
            assert h5["datasets"][name]["000000/time"].shape == (6,)


def test_an_alarm_is_raised_when_no_checkpointer_gets_anything_done(path):
    store = quiet_store(path)
    store._child._wanted = True
    store._child._arguments[1] = "not a period"  # it ends at once
    store._child.start()
    for second, alarms in enumerate([0, 1]):  # the first may be an accident
        store._child._process.wait()
        store._child._next_start = 0.0
        rows(store, 1, 2000 * second)
        assert len([e for e in store.events() if e.kind == "error"]) == alarms
    (event,) = store.events()
    assert "cannot be brought up to date" in event.text
    assert event.source == "storage"
    store._child._process.wait()
    die(store)
    store._child._forget()
    again = quiet_store(path)
    assert values(again) == [0, 2000]
    finish(again)
