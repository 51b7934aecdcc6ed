"""One transaction: how the session file goes from one complete state to the next.

::

    flushed ──► appended bytes synced ──► redo written and synced ══ COMMITTED
                                                                        │
                     lock not free: PENDING, tried again later  ◄───────┤
                     lock held too long: a changed copy replaces the file
                                                                        ▼
            changed bytes written in place, superblock last, under the exclusive lock, synced ══ APPLIED
                                                                        │
                                     the redo is made void ◄────────────┘

Until *committed* the file is the old state and the journal holds the rest; from then on the redo
file is the new state. A redo file tells by two checksums of the bytes in place whether it was
applied, not yet applied, or cut in between, so that a reader needs no more than a look. Once it is applied it
is void: what another program changes in the file after a crash is not undone by it.

The lock: whoever keeps the file open for transactions holds it shared, as HDF5's readers do, so that no
other program gets the file for writing; only to write in place it is made exclusive.
"""

from __future__ import annotations

import errno
import os
import struct
from binascii import crc32
from contextlib import suppress
from typing import TYPE_CHECKING

from pymanip_run.errors import DamagedFileError, StorageError
from pymanip_run.storage.overlay import UNSYNCED
from pymanip_run.storage.redo import Redo, crc_in_place, put_redo, retire

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from pymanip_run.storage.files import Files, SessionPaths
    from pymanip_run.storage.overlay import Overlay

__all__ = [
    "apply",
    "commit",
    "has_room",
    "is_marked",
    "make_durable",
    "prepare",
    "replace_with_copy",
    "superblock_length",
    "write_redo",
]

LOCK_WAIT = 0.05
SUPERBLOCK_SIZE = 48
_SIGNATURE = b"\x89HDF\r\n\x1a\n"
#: What a copy of the file leaves free for the journal, which goes on.
_SPARE = 64 << 20


def superblock_length(superblock: bytes) -> int:
    """Return the end-of-file address of an HDF5 superblock of version 3 (HDF5 File Format 3.0, II.A).

    Raises
    ------
    DamagedFileError
        If it is another version, not HDF5, or marked as open for writing.
    """
    if len(superblock) < SUPERBLOCK_SIZE or not superblock.startswith(_SIGNATURE):
        raise DamagedFileError("this is not an HDF5 file")
    if superblock[8] != 3 or superblock[9:11] != b"\x08\x08":
        raise DamagedFileError(
            f"this HDF5 file has a superblock of version {superblock[8]}, a session has version 3"
        )
    if superblock[11]:
        raise DamagedFileError(
            "it is marked as open for writing by another program; close it there, "
            "or, if that was killed, clear the mark with h5clear -s"
        )
    return int(struct.unpack_from("<Q", superblock, 28)[0])


def is_marked(superblock: bytes) -> bool:
    """Tell whether a superblock is that of a session which another program has open for writing, or had at its death."""
    return superblock.startswith(_SIGNATURE + b"\x03\x08\x08") and superblock[11:12] != b"\0"


def prepare(files: Files, paths: SessionPaths, overlay: Overlay, number: int, uuid: UUID) -> Redo:
    """Write to the redo file what HDF5 flushed into `overlay`, and return it; it is not committed yet.

    Raises
    ------
    OSError
        If something could not be written; the old state is then still the committed one.
    """
    if overlay.failed is not None:
        raise overlay.failed
    length = superblock_length(overlay.peek(0, SUPERBLOCK_SIZE))
    if overlay.appended:
        files.fdatasync(overlay.fd)
    changes = overlay.changes()
    redo = Redo(
        number, uuid, overlay.committed, length,
        crc_before=crc_in_place(files, overlay.fd, changes),
        crc_after=crc32(b"".join(c.data for c in changes)),
        changes=changes,
    )  # fmt: skip
    try:
        put_redo(files, paths.redo, redo, files.stat(overlay.fd))
    except OSError:
        with suppress(OSError):
            retire(files, paths)
        raise
    return redo


def commit(files: Files, paths: SessionPaths) -> None:
    """Sync the redo file. From here on it is the new state, even if this fails: on disk it may be whole."""
    fd = files.open_side(paths.redo, os.O_RDWR)
    try:
        files.fdatasync(fd)
    finally:
        files.close(fd)


def apply(files: Files, fd: int, redo: Redo) -> bool:
    """Write a committed transaction in place, unless a reader holds the file; return whether it was done."""
    try:
        if not files.lock(fd, exclusive=True, timeout=LOCK_WAIT):
            return False
        _write_changes(files, fd, redo)
    finally:
        files.try_lock(fd, exclusive=False)
    files.fdatasync(fd)
    return True


def make_durable(files: Files, paths: SessionPaths, fd: int, redo: Redo) -> None:
    """Sync a session file that has the transaction, perhaps not on disk and perhaps under a name that is not.

    The bytes that are there are written once more, which no reader can see and needs no lock.
    """
    _write_changes(files, fd, redo)
    files.fdatasync(fd)
    files.sync_directory(paths.main)


def has_room(files: Files, paths: SessionPaths, redo: Redo) -> bool:
    """Tell whether there is room for a copy, and for the journal besides."""
    size = redo.length_after
    return files.free(paths.main) >= size + min(size, _SPARE)


def replace_with_copy(
    files: Files,
    paths: SessionPaths,
    fd: int,
    redo: Redo,
    between: Callable[[], object] = lambda: None,
) -> int:
    """Apply a transaction to a copy and put that in the file's place; readers keep the old one.

    Parameters
    ----------
    between
        Is called between the steps of a long copy.

    Returns
    -------
    int
        The descriptor of the new file; `fd` is closed.

    Raises
    ------
    StorageError
        If there is no room for a copy.
    """
    if not has_room(files, paths, redo):
        raise StorageError(
            errno.ENOSPC,
            f"{paths.main}: another program keeps it open, and there is no room for a copy of "
            f"{redo.length_after} bytes; close it there, or make room",
        )
    new = files.open(paths.temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        files.resemble(new, files.stat(fd))
        files.try_lock(new, exclusive=False)
        copy_applied(files, fd, new, redo, _syncing(files, new, between))
        files.fdatasync(new)
        files.replace(paths.temporary, paths.main)
    except BaseException:
        files.close(new)
        files.unlink(paths.temporary)
        raise
    files.sync_directory(paths.main)
    files.close(fd)
    return new


def _syncing(files: Files, fd: int, between: Callable[[], object]) -> Callable[[], None]:
    """Return what is to be called after each part that is written to a file: it is synced bit by bit."""
    synced = 0

    def step() -> None:
        nonlocal synced
        if (size := files.size(fd)) - synced >= UNSYNCED:
            files.fdatasync(fd)
            synced = size
        between()

    return step


def copy_applied(
    files: Files,
    fd: int,
    target: int,
    redo: Redo,
    between: Callable[[], object] = lambda: None,
) -> None:
    """Write to the empty file `target` what `fd` becomes when the transaction is carried out."""
    files.copy(fd, target, redo.length_after, between)
    _write_changes(files, target, redo)


def write_redo(files: Files, paths: SessionPaths, redo: Redo) -> None:
    """Write a transaction and sync it; the same one over itself is safe at every instant."""
    put_redo(files, paths.redo, redo, None)
    commit(files, paths)


def _write_changes(files: Files, fd: int, redo: Redo) -> None:
    if files.size(fd) < redo.length_after:
        files.truncate(fd, redo.length_after)
    for change in redo.changes:
        files.write_all(fd, change.data, change.offset)
    if redo.length_after < redo.length_before:
        files.truncate(fd, redo.length_after)
