"""The writer of a session file: every call is in the journal when it returns.

HDF5 is left to the checkpointer, a child process; this process only appends to the journal, with
one system call an entry.
"""

from __future__ import annotations

import logging
import math
import os
import threading
import weakref
from typing import TYPE_CHECKING

from pymanip_run.clock import SYSTEM, as_seconds
from pymanip_run.records import Event
from pymanip_run.storage.child import Child
from pymanip_run.storage.files import SYSTEM_FILES, Files, SessionPaths
from pymanip_run.storage.journal import SEGMENT
from pymanip_run.storage.opening import open_for_writing
from pymanip_run.storage.segments import refuse_closed, refuse_forked
from pymanip_run.storage.snapshot import SnapshotStore
from pymanip_run.storage.writer import JournalWriter

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FileStore"]

logger = logging.getLogger(__name__)

#: Between two events about the same trouble.
ALARM_SECONDS = 60.0


class FileStore(JournalWriter, SnapshotStore):
    """A session file open for writing; reads are those of any other reader.

    Parameters
    ----------
    path
        The session file; created where there is none.
    title
        Kept in a new file.
    checkpoint_period, sync_period
        Seconds between two checkpoints, and between two syncs of the journal; with an infinite
        checkpoint period there is no checkpoint, and no sync, before the session is closed.
    files
        The seam to the operating system.
    segment_size
        Bytes after which a new segment of the journal is begun.

    Raises
    ------
    SessionLockedError
        If another process writes this session.
    DamagedFileError, NewerFormatError
        If the file is not a session that can be continued.
    """

    def __init__(
        self,
        path: Path,
        title: str = "",
        checkpoint_period: float = 5.0,
        sync_period: float = 0.2,
        *,
        files: Files = SYSTEM_FILES,
        segment_size: int = SEGMENT,
    ) -> None:
        paths = SessionPaths(path)
        opened = open_for_writing(files, paths, title)
        self._lock_fd = opened.lock_fd
        #: What the recovery of an unclean end did, "" after a clean one.
        self.report = opened.report
        try:
            SnapshotStore.__init__(self, path, files)
            self._before = SnapshotStore.last_values(self)
            JournalWriter.__init__(
                self, files, paths, opened.uuid, opened.next_segment, segment_size
            )
        except BaseException:
            files.unlink(paths.lock)
            files.close(opened.lock_fd)
            raise
        self._alarmed = -math.inf
        self._child = Child(paths, opened.lock_fd, checkpoint_period, sync_period)
        self._child.start()
        _OPEN_STORES.add(self)

    def last_values(self) -> dict[str, tuple[float, float]]:
        """Return the last (timestamp, value) of every variable, what this process wrote from memory."""
        result: dict[str, tuple[float, float]] = dict(self._before)
        for names, rows in list(self._writing.items()):
            ns, values = rows.last
            time = as_seconds(ns)
            for name, value in zip(names, values, strict=False):
                if name not in result or result[name][0] <= time:
                    result[name] = (time, float(value))
        return result

    def close(self) -> None:
        """Bring everything into the session file and remove the side files. Reading goes on to work."""
        with self.lock:
            if self._closed:
                SnapshotStore.close(self)
                return
            self._close_journal(refuse_closed)
        _OPEN_STORES.discard(self)
        SnapshotStore.close(self)
        try:
            self._child.finish()
        finally:
            self._files.close(self._lock_fd)

    def abandon(self) -> None:
        """Let go of all descriptors without a word: for a forked process, where they are the parent's."""
        if self._closed:
            return  # the numbers of its descriptors may be those of other files by now
        # The old locks may be held by threads that are not here.
        self.lock = threading.RLock()
        self._reading = threading.RLock()
        self._close_journal(refuse_forked)
        self._child.abandon()
        self._files.close(self._lock_fd)

    def _look_after(self, ns: int) -> None:
        # The entry is stored already: nothing here may make its call fail.
        try:
            super()._look_after(ns)
            self._child.keep_alive()
            self._hear_of_failed_syncs()
            self._hear_of_trouble()
        except Exception:
            logger.exception("%s: the checkpointer could not be looked after", self._paths.main)

    def sync(self) -> None:
        """Return when everything recorded is on disk.

        Raises
        ------
        StorageError
            If a part of it may not be.
        """
        with self.lock:
            self._check_open()
            self._hear_of_failed_syncs()
        super().sync()

    def _hear_of_failed_syncs(self) -> None:
        """Go on in another segment when the checkpointer could not sync this one, and raise the alarm."""
        failed = self._child.failed_syncs()
        if not failed:
            return
        reason = next(iter(failed.values()))
        text = (
            f"the journal could not be synced to disk ({reason}): what was recorded in the last seconds survives a "
            "kill, but perhaps no power cut; recording goes on in a new segment. Look after the disk"
        )
        logger.error("%s: %s", self._paths.main, text)
        self._doubt(failed)
        self._alarm(text)

    def _hear_of_trouble(self) -> None:
        """Raise the alarm when no checkpointer gets anything done: then nothing is synced either."""
        if trouble := self._child.trouble():
            self._alarm(
                f"the session file cannot be brought up to date ({trouble}): what is recorded is kept in the journal "
                "beside it, which grows; it survives a kill, but perhaps no power cut. Look after the disk"
            )

    def _alarm(self, text: str) -> None:
        now = SYSTEM.time()
        if now - self._alarmed >= ALARM_SECONDS:
            self._alarmed = now
            self.append_event(Event(int(now * 1e6) * 1000, "error", "storage", text))


_OPEN_STORES: weakref.WeakSet[FileStore] = weakref.WeakSet()


def _abandon_all() -> None:
    for store in list(_OPEN_STORES):
        store.abandon()
    _OPEN_STORES.clear()


os.register_at_fork(after_in_child=_abandon_all)
