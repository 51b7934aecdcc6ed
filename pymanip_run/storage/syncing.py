"""Which part of the journal is on disk, and which may never get there.

After a failed sync the kernel takes the pages for written: the next sync of the same file succeeds
over what is lost (https://wiki.postgresql.org/wiki/Fsync_Errors). So a failure is remembered with
its segment until a checkpoint has brought the segment's records into the session file.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from pymanip_run.storage.files import Files, SessionPaths

__all__ = ["Syncing", "sync_path"]


class Syncing:
    """The closed segments of a journal that were not synced yet. One thread at a time, but for `sync`."""

    def __init__(self, files: Files, paths: SessionPaths) -> None:
        self._files = files
        self._paths = paths
        # Kept open: the kernel tells a descriptor only of the failures since its opening.
        self._waiting: dict[int, int] = {}
        self._doubtful: dict[int, str] = {}
        self._closing: threading.Thread | None = None

    def add(self, number: int, fd: int) -> None:
        """Take over the descriptor of a segment that is not written any more; twice is as good as once."""
        self._waiting[number] = fd

    def tidy(self) -> None:
        """Forget the segments that are gone, which are wholly in the session file."""
        if gone := [self._waiting.pop(n) for n in list(self._waiting) if self._is_gone(n)]:
            # To free 64 MB of a file that is gone takes tens of milliseconds, in which nothing is recorded.
            closing = threading.Thread(target=self._close, args=(gone,), daemon=True)
            try:
                closing.start()
                self._closing = closing
            except RuntimeError:  # there can be no more threads
                self._close(gone)
        for number in [n for n in self._doubtful if self._is_gone(n)]:
            del self._doubtful[number]

    def _is_gone(self, number: int) -> bool:
        return not self._files.exists(self._paths.segment(number))

    def _close(self, descriptors: list[int]) -> None:
        for fd in descriptors:
            self._files.close(fd)

    def close(self) -> None:
        """Let go of all descriptors."""
        while self._waiting:
            self._files.close(self._waiting.popitem()[1])
        if self._closing is not None:
            self._closing.join()
            self._closing = None

    def descriptors(self) -> dict[int, int]:
        """Return duplicates of the descriptors to be synced, by segment; they are the caller's."""
        return {number: self._files.dup(fd) for number, fd in self._waiting.items()}

    def sync(self, descriptors: dict[int, int]) -> dict[int, str]:
        """Sync and close descriptors, the oldest segment first; return what failed, by segment."""
        failed: dict[int, str] = {}
        try:
            for number, fd in sorted(descriptors.items()):
                try:
                    self._files.fdatasync(fd)
                except OSError as error:
                    failed[number] = error.strerror or str(error)
        finally:
            for fd in descriptors.values():
                self._files.close(fd)
        return failed

    def done(self, numbers: set[int]) -> None:
        """Note that segments are on disk, as far as a sync can tell."""
        for number in numbers & self._waiting.keys():
            self._files.close(self._waiting.pop(number))

    def doubt(self, failed: dict[int, str]) -> None:
        """Note segments of which a sync failed."""
        self._doubtful |= failed

    def doubtful(self) -> dict[int, str]:
        """Return why segments that are still needed may not be on disk."""
        self.tidy()
        return dict(self._doubtful)


def sync_path(files: Files, path: Path) -> None:
    """Make the data of a file durable; one that is gone needs no sync."""
    try:
        fd = files.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        files.fdatasync(fd)
    finally:
        files.close(fd)
