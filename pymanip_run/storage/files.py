"""The seam between the storage engine and the operating system.

Every file operation of the engine is a method here, so that a test can pass an object that records
each operation, fails one of them, or ends the process at it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pymanip_run.clock import SYSTEM
from pymanip_run.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["SYSTEM_FILES", "Files", "SessionPaths"]

#: errno of a file system without locks (some network file systems).
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL}
_COPY = 4 << 20


class Files:
    """System calls on files. Paths are `Path`, open files are descriptors (int)."""

    # Static and unwrapped: `write` is called once per entry.
    write = staticmethod(os.write)
    writev = staticmethod(os.writev)
    pwrite = staticmethod(os.pwrite)
    pread = staticmethod(os.pread)
    preadv = staticmethod(os.preadv)
    close = staticmethod(os.close)
    truncate = staticmethod(os.ftruncate)
    fdatasync = staticmethod(os.fdatasync)
    stat = staticmethod(os.fstat)
    dup = staticmethod(os.dup)

    def open(self, path: Path, flags: int) -> int:
        """Open a regular file; created with mode 0666 less the umask.

        What might be created is never a symbolic link: it would be written to, whatever it points at.
        """
        if flags & os.O_CREAT:
            flags |= os.O_NOFOLLOW
        # Without waiting for the other end of a pipe, if it should be one.
        fd = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY, 0o666)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise OSError(errno.EINVAL, "it is no regular file", str(path))
        return fd

    def open_side(self, path: Path, flags: int) -> int:
        """Open a side file, which is not followed if it is a symbolic link."""
        try:
            return self.open(path, flags | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.EINVAL}:
                raise StorageError(
                    f"{path} is no regular file, so it is none of a session; move it elsewhere"
                ) from error
            raise

    def resemble(self, fd: int, model: os.stat_result | None) -> None:
        """Give a file that was just created the group and the permissions of another, as far as that is allowed.

        Who may not read a session must not read its journal, and who may write it must be able to recover it.
        """
        if model is None:
            return
        mode, own = stat.S_IMODE(model.st_mode), os.fstat(fd)
        if stat.S_IMODE(own.st_mode) == mode and (own.st_uid, own.st_gid) == model[4:6]:
            return
        for user in (model.st_uid, -1):
            with suppress(OSError):
                os.fchown(fd, user, model.st_gid)
                break
        else:
            mode &= ~stat.S_IRWXG  # of a group that is another one
        with suppress(OSError):
            os.fchmod(fd, mode)

    def free(self, path: Path) -> int:
        """Return the bytes that may still be written to the file system that a path is on."""
        status = os.statvfs(path.parent)
        return status.f_bavail * status.f_frsize

    def size(self, fd: int) -> int:
        """Return the length of an open file in bytes."""
        return self.stat(fd).st_size

    def write_all(self, fd: int, data: bytes | memoryview, offset: int) -> None:
        """Write all of `data` at `offset`.

        Raises
        ------
        OSError
            If the system wrote nothing.
        """
        view = memoryview(data).cast("B")
        while view:
            written = self.pwrite(fd, view, offset)
            if not written:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            view = view[written:]
            offset += written

    def read_whole(self, path: Path) -> bytes:
        """Return the content of a file."""
        fd = self.open_side(path, os.O_RDONLY)
        try:
            return self.pread(fd, self.size(fd), 0)
        finally:
            self.close(fd)

    def copy(
        self, source: int, target: int, length: int, between: Callable[[], object] = lambda: None
    ) -> None:
        """Copy the first `length` bytes of an open file to another, which is empty."""
        for offset in range(0, length, _COPY):
            part = self.pread(source, min(_COPY, length - offset), offset)
            self.write_all(target, part, offset)
            between()

    def path_stat(self, path: Path) -> os.stat_result | None:
        """Return the status of a file, None where there is none of that name."""
        try:
            return path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def exists(self, path: Path) -> bool:
        """Tell whether there is a file of that name."""
        return self.path_stat(path) is not None

    def is_at(self, fd: int, path: Path) -> bool:
        """Tell whether an open file is the one that has this name now."""
        status = self.path_stat(path)
        return status is not None and os.path.samestat(self.stat(fd), status)

    def temporary(self) -> tuple[int, Path]:
        """Create a file in the system's folder for temporary ones; return descriptor and path."""
        fd, name = tempfile.mkstemp(suffix=".h5")
        return fd, Path(name)

    def replace(self, source: Path, target: Path) -> None:
        """Rename `source` to `target` in one step, in place of an existing one."""
        source.replace(target)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name; where file systems have no such thing, it is renamed."""
        try:
            target.hardlink_to(source)
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}:
                raise
            self.replace(source, target)

    def unlink(self, path: Path) -> None:
        """Remove a file; one that is not there is no error."""
        path.unlink(missing_ok=True)

    def sync_directory(self, path: Path) -> None:
        """Make creations, renames and removals in the folder of `path` durable."""
        fd = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def segments(self, path: Path) -> list[tuple[int, Path]]:
        """Return the journal segments of a session as (number, path), in order."""
        prefix = f"{path.name}.wal."
        with os.scandir(path.parent) as entries:
            names = [e.name for e in entries if e.name.startswith(prefix)]
        numbers = sorted(int(n[len(prefix) :]) for n in names if n[len(prefix) :].isdecimal())
        return [(number, path.parent / f"{prefix}{number}") for number in numbers]

    def try_lock(self, fd: int, *, exclusive: bool) -> bool:
        """Take the advisory lock of an open file description if it is free; True where locks do not exist.

        HDF5 uses the same kind of lock (flock): shared for its readers.
        """
        kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        try:
            fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return True
            raise
        return True

    def lock(self, fd: int, *, exclusive: bool, timeout: float) -> bool:
        """Take the lock, trying again for `timeout` seconds; return whether it was obtained."""
        deadline = SYSTEM.monotonic() + timeout
        while not self.try_lock(fd, exclusive=exclusive):
            if SYSTEM.monotonic() >= deadline:
                return False
            SYSTEM.pause(0.002)
        return True

    def unlock(self, fd: int) -> None:
        """Release the lock; no error where locks do not exist."""
        try:
            fcntl.flock(fd, fcntl.LOCK_UN)
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise


SYSTEM_FILES = Files()


@dataclass(frozen=True, slots=True)
class SessionPaths:
    """The session file and the names of its side files, which are beside the file that a symbolic link means."""

    main: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "main", Path(os.path.realpath(self.main)))

    def segment(self, number: int) -> Path:
        """Journal segment `number`."""
        return self._side(f".wal.{number}")

    @property
    def redo(self) -> Path:
        """The committed transaction that is being applied to the session file."""
        return self._side(".redo")

    @property
    def lock(self) -> Path:
        """Locked while somebody writes the session; says who."""
        return self._side(".lock")

    @property
    def temporary(self) -> Path:
        """A new session file before it takes its name."""
        return self._side(".tmp")

    def aside(self, number: int) -> Path:
        """Return the name for a file that somebody put in the session's place, the `number`-th one."""
        return self._side(f".other{number or ''}")

    def damaged(self, segment: int, number: int) -> Path:
        """Return the name under which a damaged copy of a segment is kept, the `number`-th one."""
        return self._side(f".wal.{segment}.damaged{number or ''}")

    def _side(self, suffix: str) -> Path:
        return self.main.with_name(self.main.name + suffix)
