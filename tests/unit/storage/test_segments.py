"""The files of the journal: calls of several records, segments that are left, and what goes wrong between them."""

import errno
import os
import threading
from contextlib import suppress

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
    put,
    quiet_store,
)

from pymanip_run.clock import SYSTEM
from pymanip_run.core.feed import Feed
from pymanip_run.core.recorder import Recorder
from pymanip_run.errors import StorageError, UsageError
from pymanip_run.records import Event, Window
from pymanip_run.storage.files import SYSTEM_FILES, Files, SessionPaths


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s.h5"


class Full(Files):
    """Has room for so many more calls of write and writev."""

    left = 1 << 40

    def _use(self):
        self.left -= 1
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def write(self, fd, data):
        self._use()
        return super().write(fd, data)

    def writev(self, fd, parts):
        self._use()
        return super().writev(fd, parts)


CALLS = {
    "datasets": lambda r: r.add_dataset(a=np.zeros(3), b=np.ones(3), c="text"),
    "small and large datasets": lambda r: r.add_dataset(a=np.zeros(3), b=np.ones(300_000)),
    "large datasets": lambda r: r.add_dataset(a=np.zeros(300_000), b=np.ones(300_000)),
    "many datasets": lambda r: r.add_dataset({f"d{i}": np.arange(2) for i in range(350)}),
    "parameters": lambda r: r.save_parameter(p=2, q=3),
    "a changed parameter": lambda r: r.put_parameter("p", 2),
    "metadata": lambda r: r.save_metadata(m="two", n=[3]),
}


@pytest.mark.parametrize("what", CALLS)
def test_a_call_that_fails_for_lack_of_room_is_not_half_stored(path, what):
    files, feed = Full(), Feed()
    store = quiet_store(path, files=files, segment_size=1 << 20)
    recorder = Recorder(store, feed)
    recorder.save_parameter(p=1)
    recorder.save_metadata(m="one")
    queue = feed.subscribe()
    before = repr(everything(store))
    for room in range(50):
        files.left = room
        try:
            CALLS[what](recorder)
        except StorageError:
            files.left = 1 << 40
            assert repr(everything(store)) == before
            assert queue.drain() == []
        else:
            break
    files.left = 1 << 40
    assert repr(everything(store)) != before
    recorder.add_entry(T=1)
    after = everything(store)
    die(store)
    again = quiet_store(path)
    assert differences(everything(again), after) == []
    assert "lost" not in again.report
    finish(again)


def test_a_change_is_announced_after_it_was_stored_with_all_of_its_call(path):
    store, feed = quiet_store(path), Feed()
    recorder = Recorder(store, feed)
    recorder.save_parameter(p=1, q=1)
    seen = []
    feed.call(lambda item: seen.append((item.text, store.parameters()["q"].value)))
    recorder.save_parameter(p=2, q=2)
    assert seen == [("p: 1 → 2", 2), ("q: 1 → 2", 2)]
    finish(store)


def test_what_is_put_together_is_of_one_thread_and_may_be_nested(path):
    store = quiet_store(path)
    inside, done = threading.Event(), threading.Event()

    def other():
        inside.wait()
        store.append_event(Event(EPOCH + 9, "note", "", "other"))
        done.set()

    thread = threading.Thread(target=other)
    thread.start()
    with store.together():
        store.put_parameter(EPOCH + 1, "p", 1, None)
        with store.together():
            store.append_event(Event(EPOCH + 2, "note", "", "first"))
        inside.set()
        assert not done.wait(0.05)
        assert store.events() == []
    thread.join()
    assert [e.text for e in store.events()] == ["first", "other"]
    with suppress(ZeroDivisionError), store.together():
        store.put_parameter(EPOCH + 3, "p", 1 / 1, None)
        store.put_parameter(EPOCH + 3, "p", 1 / 0, None)
    assert store.parameters()["p"].ns == EPOCH + 1
    finish(store)
    with pytest.raises(UsageError, match="closed"), store.together():
        store.put_parameter(EPOCH + 3, "p", 2, None)


def test_a_session_that_only_records_arrays_looks_after_its_checkpointer(path):
    store = quiet_store(path)
    looks = []
    store._child.keep_alive = lambda: looks.append(1)
    for second in range(5):
        put(store, EPOCH + second * 2000 * MS, "a", np.zeros(3))
    assert len(looks) == 5
    store.append_event(Event(EPOCH + 20_000 * MS, "note", "", "look"))
    store.put_parameter(EPOCH + 30_000 * MS, "p", 1, None)
    assert len(looks) == 7
    finish(store)


def test_a_segment_that_was_left_is_not_written_to_whatever_fails_then(path):
    """A second fault, when the next segment cannot be begun, must not lengthen the one before."""

    class Stuck(Files):
        now = False

        def write(self, fd, data):
            if self.now:
                return super().write(fd, data[:20])
            return super().write(fd, data)

        def truncate(self, fd, size):
            if self.now:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            super().truncate(fd, size)

        def open(self, path, flags):
            if self.now and flags & os.O_CREAT:
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return super().open(path, flags)

    files = Stuck()
    store = quiet_store(path, files=files)
    store.append_row(EPOCH, ("T",), (1,))
    segment = SessionPaths(path).segment(1)
    files.now = True
    with pytest.raises(StorageError, match="not stored"):
        store.append_row(EPOCH + MS, ("T",), (2,))
    size = segment.stat().st_size
    for _ in range(3):  # no descriptor for the next segment
        with pytest.raises(StorageError, match="not stored"):
            store.append_row(EPOCH + MS, ("T",), (2,))
    assert segment.stat().st_size == size
    files.now = False
    store.append_row(EPOCH + 2 * MS, ("T",), (3,))
    assert store.read_series("T", Window())[1].tolist() == [1, 3]
    assert [n for n, _ in SYSTEM_FILES.segments(path)] == [1, 2]
    finish(store)


def test_where_there_can_be_no_more_threads_old_segments_are_closed_all_the_same(path, monkeypatch):
    store = quiet_store(path, segment_size=1000)

    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    for i in range(100):
        store.append_row(EPOCH + i * 100 * MS, ("T",), (i,))
        if i % 30 == 29:
            checkpoint(path)
    assert len(store._syncing._waiting) < 3
    assert store.read_series("T", Window())[1].tolist() == list(range(100))
    finish(store)


def test_a_fork_that_holds_the_pipe_does_not_keep_the_session_from_closing(path):
    """One that was forked in the instant before the session was known to be open."""
    from pymanip_run.storage import store as store_module
    from pymanip_run.storage.store import FileStore

    store = FileStore(path, checkpoint_period=100)
    store.append_row(EPOCH, ("T",), (1,))
    store_module._OPEN_STORES.discard(store)
    read, write = os.pipe()
    if not (pid := os.fork()):
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    began = SYSTEM.monotonic()
    store.close()
    assert SYSTEM.monotonic() - began < 20
    os.close(write)
    os.close(read)
    os.waitpid(pid, 0)
    again = quiet_store(path)
    assert again.last_values()["T"][1] == 1
    finish(again)


def test_segments_that_are_missing_are_said(path):
    store = quiet_store(path, segment_size=1000)
    for i in range(100):
        store.append_row(EPOCH + i * MS, ("T",), (i,))
    die(store)
    for number in (1, 3):
        SessionPaths(path).segment(number).unlink()
    again = quiet_store(path)
    assert "records lost" in again.report
    (event,) = again.events()
    assert event.text == "segments of the journal are missing: 1, 3"
    finish(again)
