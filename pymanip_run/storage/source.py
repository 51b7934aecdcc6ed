"""The file object that HDF5 reads from, and what is checked before HDF5 sees it.

All that HDF5 2.0 reads of a session's structure has a checksum but one thing: the global heaps, in
which texts are. It follows the sizes in them without looking; a size of nothing sends it round in
circles for ever, with the interpreter's lock held, so that not even Ctrl-C ends it.
"""

from __future__ import annotations

import atexit
import io
import os
from typing import TYPE_CHECKING, Any

import h5py
from h5py._objects import phil

from pymanip_run.errors import DamagedFileError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["FileObject", "Source", "check_heap", "open_to_read"]

#: How a global heap begins: signature, version and zeros (HDF5 File Format 3.0, III.E).
_HEAP = b"GCOL\x01\0\0\0"
_HEAD = 16  # bytes: of a heap, and of each object in it


def check_heap(start: int, view: memoryview, peek: Callable[[int, int], bytes]) -> None:
    """Refuse a global heap whose objects do not fill it one after the other.

    Parameters
    ----------
    start
        Offset of what was read.
    view
        What was read. HDF5 reads a heap by itself, from its beginning.
    peek
        Returns bytes of the file, called with offset and size.

    Raises
    ------
    DamagedFileError
        If it is so.
    """
    if view[: len(_HEAP)] != _HEAP:
        return
    size = int.from_bytes(view[8:_HEAD], "little")
    heap = view if size == len(view) else memoryview(peek(start, size))
    place = _HEAD
    while len(heap) == size and place + _HEAD <= size:
        index = int.from_bytes(heap[place : place + 2], "little")
        length = int.from_bytes(heap[place + 8 : place + _HEAD], "little")
        # The free room at the end is object 0, whose length is that of its head as well.
        taken = _HEAD + -(-length // 8) * 8 if index else length
        if taken < _HEAD or place + taken > size:
            break
        place += taken
    else:
        if len(heap) == size >= _HEAD:
            return
    raise DamagedFileError(f"the texts at byte {start} of the file are damaged")


class FileObject(io.RawIOBase):
    """What h5py's driver for file objects asks of a file besides reading and writing."""

    def __init__(self) -> None:
        self._position = 0

    def size(self) -> int:
        """Return the length in bytes."""
        raise NotImplementedError

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move the position."""
        origins = {io.SEEK_SET: lambda: 0, io.SEEK_CUR: self.tell, io.SEEK_END: self.size}
        self._position = origins[whence]() + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position


class Source(FileObject):
    """A session file, to be read.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    OSError
        If it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._fd: int | None = None
        self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))

    def size(self) -> int:
        """Return the length of the file in bytes."""
        return os.fstat(self._open_fd()).st_size

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill `buffer` from the position.

        Raises
        ------
        DamagedFileError
            If it gets a global heap that would send HDF5 round in circles.
        """
        view = memoryview(buffer).cast("B")
        start, count = self._position, 0
        while count < len(view):  # Linux reads 2 GiB at most at once
            got = os.preadv(self._open_fd(), [view[count:]], start + count)
            if not got:
                break
            count += got
        self._position = start + count
        check_heap(start, view[:count], self._peek)
        return count

    def close(self) -> None:
        """Close the file; again does nothing."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)
        super().close()

    def _peek(self, offset: int, size: int) -> bytes:
        there = max(0, self.size() - offset)
        return os.pread(self._open_fd(), size, offset) if size <= there else b""

    def _open_fd(self) -> int:
        if self._fd is None:
            raise ValueError("read of a closed file")
        return self._fd


def open_to_read(path: Path) -> Any:
    """Open a session file that the caller holds under a shared lock, as an `h5py.File`.

    HDF5 takes no lock, which it would refuse where there are none, and takes this for another file than
    those of the same name that a script has open: it would share them, and refuse unlike locking.

    Raises
    ------
    OSError
        If there is none, or it is no HDF5 file.
    """
    source = Source(path)
    try:
        # As one step: what is half made when the interpreter ends cannot be found, and closed, any more.
        with phil:
            return h5py.File(source, "r")
    except BaseException:
        source.close()
        raise


@atexit.register
def _leave_nothing_to_hdf5() -> None:
    """Close the files that HDF5 would close when there is no interpreter any more to do it.

    The lock of h5py is kept: a daemon thread that ended with it in its hands would let the main thread
    wait for ever.
    """
    phil.acquire()
    for file in h5py.h5f.get_obj_ids(types=h5py.h5f.OBJ_FILE):
        if file.get_access_plist().get_driver() == h5py.h5fd.fileobj_driver:
            h5py.File(file).close()
