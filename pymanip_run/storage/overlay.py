"""The file object that HDF5 writes to: appends go to the file, changes stay in memory.

Bytes beyond the end of the last committed state go straight to the file: nothing that is committed
points there. Bytes below it go to copy-on-write pages; :meth:`Overlay.changes` tells which of them
differ, and only a transaction writes them in place.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pymanip_run.storage.source import FileObject, check_heap

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymanip_run.storage.files import Files

__all__ = ["UNSYNCED", "Change", "Overlay"]

PAGE = 4096
#: Equal bytes between two changes that cost less than a change's own head.
_BRIDGE = 16
#: Appended bytes that are synced at once: a commit, or a change of name, finds little left to wait for.
UNSYNCED = 32 << 20


class Change(NamedTuple):
    """Bytes to be written in place."""

    offset: int
    data: bytes


class Overlay(FileObject):
    """A file whose committed part is never changed by writing.

    Parameters
    ----------
    files
        The seam.
    fd
        The session file, open for reading and writing. Belongs to the caller.
    committed
        Length of the committed state in bytes; the file may be longer.
    between
        Is called after each write to the file: HDF5 may be at one array for long.
    """

    def __init__(
        self,
        files: Files,
        fd: int,
        committed: int,
        between: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__()
        self._files = files
        self._between = between
        self._unsynced = 0
        self.fd = fd
        self.committed = committed
        self.length = committed
        self.appended = False
        self._is_dropped = False
        #: The error of a read or write: what HDF5 believes is then not what is there.
        self.failed: OSError | None = None
        self._pages: dict[int, bytearray] = {}

    # -- what h5py's file-like driver calls -----------------------------------------------------

    def writable(self) -> bool:
        """Return True."""
        return True

    def size(self) -> int:
        """Return the length as HDF5 sees it."""
        return self.length

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` from the position: the file under the changed pages; zeros in holes.

        Raises
        ------
        DamagedFileError
            If it gets a global heap that would send HDF5 round in circles.
        """
        start = self._position
        view = memoryview(buffer).cast("B")
        self._position = start + self._fill(view, start)
        check_heap(start, view[: self._position - start], self.peek)
        return self._position - start

    def _fill(self, view: memoryview, start: int) -> int:
        stop = max(start, min(start + len(view), self.length))
        data = self._read(stop - start, start)
        view[: len(data)] = data
        view[len(data) : stop - start] = bytes(stop - start - len(data))
        for number in self._touched(start, min(stop, self.committed)):
            page = self._pages.get(number)
            if page is not None:
                low, high = max(start, number * PAGE), min(stop, number * PAGE + len(page))
                view[low - start : high - start] = page[low - number * PAGE : high - number * PAGE]
        return stop - start

    def write(self, data: memoryview) -> int:  # type: ignore[override]
        """Write at the position: in memory below the committed end, to the file beyond it."""
        view = memoryview(data).cast("B")
        if self._is_dropped:
            return len(view)
        start, stop = self._position, self._position + len(view)
        inside = max(0, min(stop, self.committed) - start)
        for number in self._touched(start, start + inside):
            page = self._page(number)
            low, high = max(start, number * PAGE), min(start + inside, (number + 1) * PAGE)
            page[low - number * PAGE : high - number * PAGE] = view[low - start : high - start]
        if inside < len(view):
            self._append(view[inside:], start + inside)
        self._position = stop
        self.length = max(self.length, stop)
        return len(view)

    def truncate(self, size: int | None = None) -> int:
        """Set the logical length; the committed part of the file keeps its own."""
        size = self._position if size is None else size
        # What was appended behind the new end must not come back when the file grows again.
        kept = max(size, self.committed)
        if kept != self._files.size(self.fd) and not self._is_dropped:
            try:
                self._files.truncate(self.fd, kept)
            except OSError as error:
                self.failed = error
                raise
            self.appended = True
        self.length = size
        return size

    def flush(self) -> None:
        """Do nothing: only a transaction makes things durable."""

    def _read(self, size: int, offset: int) -> bytes:
        try:
            return self._files.pread(self.fd, size, offset)
        except OSError as error:
            self.failed = error
            raise

    def _append(self, view: memoryview, offset: int) -> None:
        try:
            self._files.write_all(self.fd, view, offset)
            self._unsynced += len(view)
            if self._unsynced >= UNSYNCED:
                self._files.fdatasync(self.fd)
                self._unsynced = 0
            self.appended = True
            self._between()
        except OSError as error:
            self.failed = error
            raise

    # -- what a transaction asks ----------------------------------------------------------------

    def peek(self, offset: int, size: int) -> bytes:
        """Return bytes as HDF5 sees them."""
        buffer = bytearray(max(0, min(size, self.length - offset)))
        return bytes(buffer[: self._fill(memoryview(buffer), offset)])

    def changes(self) -> list[Change]:
        """Return the runs of bytes below the committed end that differ from the file.

        By offset, but for the first page, which comes last and as one run: it has the superblock and
        the root group, so whoever opens a file that a kill left between two writes finds either
        the old pair or the new one.
        """
        runs: list[Change] = []
        for first, count in _stretches(sorted(self._pages.keys() - {0})):
            runs += self._changed(first, count, _BRIDGE)
        if 0 in self._pages:
            runs += self._changed(0, 1, PAGE)
        return runs

    def _changed(self, first: int, count: int, bridge: int) -> list[Change]:
        new = b"".join(bytes(self._pages[first + i]) for i in range(count))
        old = self._files.pread(self.fd, len(new), first * PAGE)
        return _differences(first * PAGE, old, new, bridge)

    def settle(self, committed: int) -> None:
        """Forget the changed pages: the file now holds them, and `committed` bytes are committed."""
        self._pages.clear()
        self.committed = committed
        self.appended = False
        self._unsynced = 0

    def drop(self) -> None:
        """Give back the room of what was appended; what HDF5 still writes, for it may, is thrown away."""
        self._is_dropped = True
        with suppress(OSError):
            self._files.truncate(self.fd, self.committed)

    def _page(self, number: int) -> bytearray:
        page = self._pages.get(number)
        if page is None:
            size = min(PAGE, self.committed - number * PAGE)
            page = bytearray(self._read(size, number * PAGE))
            self._pages[number] = page
        return page

    @staticmethod
    def _touched(start: int, stop: int) -> range:
        return range(start // PAGE, -(-stop // PAGE)) if stop > start else range(0)


def _stretches(numbers: list[int]) -> list[tuple[int, int]]:
    """Return runs of consecutive numbers as (first, count)."""
    result: list[tuple[int, int]] = []
    for number in numbers:
        if result and sum(result[-1]) == number:
            result[-1] = (result[-1][0], result[-1][1] + 1)
        else:
            result.append((number, 1))
    return result


def _differences(offset: int, old: bytes, new: bytes, bridge: int) -> list[Change]:
    where = np.flatnonzero(np.frombuffer(old, np.uint8) != np.frombuffer(new, np.uint8))
    if not len(where):
        return []
    breaks = np.flatnonzero(np.diff(where) > bridge)
    starts = where[np.concatenate(([0], breaks + 1))].tolist()
    stops = where[np.concatenate((breaks, [len(where) - 1]))].tolist()
    return [Change(offset + a, new[a : b + 1]) for a, b in zip(starts, stops, strict=True)]
