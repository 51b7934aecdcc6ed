"""The session file, held for the moment of a read: what it is then, and which of its states that is."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pymanip_run.errors import StorageError
from pymanip_run.storage.overlay import PAGE
from pymanip_run.storage.redo import Applied, Redo, belongs, read_redo, redo_head
from pymanip_run.storage.transaction import copy_applied

if TYPE_CHECKING:
    from pymanip_run.storage.files import Files, SessionPaths

__all__ = ["Key", "hold", "key_of", "let_go", "repaired", "same_file", "state_of"]

LOCK_SECONDS = 10.0
TRIES = 50


class Key(NamedTuple):
    """Changes when the file does, and not with what is appended before a transaction is committed."""

    inode: int
    #: Superblock and root group, where the number of the transaction mostly stands.
    head: bytes


def hold(files: Files, path: Path) -> int:
    """Open the present session file under a shared lock; return its descriptor.

    Raises
    ------
    FileNotFoundError, StorageError
        If there is none, or it cannot be held.
    """
    for _ in range(TRIES):
        try:
            fd = files.open(path, os.O_RDONLY)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageError(f"{path} cannot be read: {error.strerror}") from error
        if not files.lock(fd, exclusive=False, timeout=LOCK_SECONDS):
            files.close(fd)
            raise StorageError(f"{path} is locked by a program that changes it; try again later")
        if files.is_at(fd, path):
            return fd
        files.close(fd)  # replaced meanwhile
    raise StorageError(f"{path} is being replaced all the time; try again later")


def let_go(files: Files, fd: int) -> None:
    """Close a file that was held."""
    files.unlock(fd)
    files.close(fd)


def key_of(files: Files, fd: int) -> Key:
    """Return the key of an open session file."""
    return Key(files.stat(fd).st_ino, files.pread(fd, PAGE, 0))


def state_of(files: Files, paths: SessionPaths, fd: int) -> bytes:
    """Return what differs between two transactions whose file may have the same key.

    That is where another program gave the file so many attributes that HDF5 keeps them elsewhere, and where
    a crash has cut the last transaction in the middle since.
    """
    redo = redo_head(files, paths.redo)
    if redo is None:
        return str(files.stat(fd).st_mtime_ns).encode()
    pending = _pending(files, paths, fd)
    return redo if pending is None else redo + pending.state(files, fd).value.encode()


def _pending(files: Files, paths: SessionPaths, fd: int) -> Redo | None:
    redo = read_redo(files, paths.redo)
    return redo if redo is not None and belongs(files, fd, redo) else None


def repaired(files: Files, paths: SessionPaths, fd: int) -> Path | None:
    """Return a changed copy to read where a crash cut a transaction in the middle, else None.

    In all other cases the file is whole by itself: before a transaction is carried out, the
    journal it came from is still there.
    """
    redo = _pending(files, paths, fd)
    if redo is None or redo.state(files, fd) is not Applied.PARTLY:
        return None
    copy, target = files.temporary()
    try:
        copy_applied(files, fd, copy, redo)
    except BaseException:
        files.unlink(target)
        raise
    finally:
        files.close(copy)
    return target


def same_file(fd: int, path: Path) -> Path:
    """Return a path under which the file that is open as `fd` is found, whatever has its name by now."""
    descriptor = Path(f"/proc/self/fd/{fd}")
    return descriptor if descriptor.exists() else path
