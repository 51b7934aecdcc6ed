"""One transaction: how the session file goes from one complete state to the next.

::

    flushed ──► appended bytes synced ──► redo written and synced ══ COMMITTED
                                                                        │
                     lock not free: PENDING, tried again later  ◄───────┤
                     lock held too long: a changed copy replaces the file
                                                                        ▼
            changed bytes written in place, superblock last, under the exclusive lock, synced ══ APPLIED

Until *committed* the file is the old state and the journal holds the rest; from then on the redo
file is the new state. A redo file tells by two checksums of the bytes in place whether it was
applied, not yet applied, or cut in between, so that a reader needs no more than a look.

Redo file, little endian: magic (8) | crc32 of the rest | u32 number of changes | u64 transaction |
16 bytes session uuid | u64 committed length before, u64 after | u32 crc32 of the bytes in place before |
u32 crc32 of those after | u64 length of the payload | crc32 of the payload | payload: all (u64 offset, u64 length), then all data.
"""

from __future__ import annotations

import os
import struct
from binascii import crc32
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from pymanip_run.errors import DamagedFileError, StorageError
from pymanip_run.storage.overlay import Change

if TYPE_CHECKING:
    from pathlib import Path

    from pymanip_run.storage.files import Files, SessionPaths
    from pymanip_run.storage.overlay import Overlay

__all__ = [
    "Applied",
    "Redo",
    "apply",
    "belongs",
    "commit",
    "make_durable",
    "read_redo",
    "replace_with_copy",
    "superblock_length",
    "write_redo",
]

_MAGIC = b"PMREDO1\n"
_HEAD = struct.Struct("<IQ16sQQIIQI")
_RUN = struct.Struct("<QQ")

LOCK_WAIT = 0.05
#: One transaction takes 64 MiB of journal and at most one more record, which is shorter than 4 GiB.
MAX_GROWTH = 16 << 30
SUPERBLOCK_SIZE = 48
_IDENTITY_BYTES = 1 << 20
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


class Applied(Enum):
    """How far a redo was carried into the session file."""

    NOT_YET = "not yet"
    PARTLY = "partly"
    WHOLLY = "wholly"


class Redo(NamedTuple):
    """A committed transaction."""

    number: int
    uuid: UUID
    length_before: int
    length_after: int
    crc_before: int
    crc_after: int
    changes: list[Change]

    def state(self, files: Files, fd: int) -> Applied:
        """Tell how far the session file `fd` has these changes."""
        crc = _crc_in_place(files, fd, self.changes)
        if crc == self.crc_after:
            return Applied.WHOLLY
        return Applied.NOT_YET if crc == self.crc_before else Applied.PARTLY


def belongs(files: Files, fd: int, redo: Redo) -> bool:
    """Tell whether a redo is for this file, which may be cut in the middle of it and not open as HDF5.

    The session's uuid stands in clear among the first things that were ever written.
    """
    return str(redo.uuid).encode() in files.pread(fd, _IDENTITY_BYTES, 0)


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
        raise DamagedFileError("HDF5 would leave the file marked as open for writing")
    return int(struct.unpack_from("<Q", superblock, 28)[0])


def commit(files: Files, paths: SessionPaths, overlay: Overlay, number: int, uuid: UUID) -> Redo:
    """Make what HDF5 flushed into `overlay` the committed state; return what is still to be applied.

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
        crc_before=_crc_in_place(files, overlay.fd, changes),
        crc_after=crc32(b"".join(c.data for c in changes)),
        changes=changes,
    )  # fmt: skip
    write_redo(files, paths.redo, redo)
    return redo


def apply(files: Files, fd: int, redo: Redo) -> bool:
    """Write a committed transaction in place, unless a reader holds the file; return whether it was done."""
    if not files.lock(fd, exclusive=True, timeout=LOCK_WAIT):
        return False
    try:
        _write_changes(files, fd, redo)
    finally:
        files.unlock(fd)
    files.fdatasync(fd)
    return True


def make_durable(files: Files, paths: SessionPaths, fd: int, redo: Redo) -> None:
    """Sync a session file that has the transaction, perhaps not on disk and perhaps under a name that is not.

    The bytes that are there are written once more, which no reader can see and needs no lock.
    """
    _write_changes(files, fd, redo)
    files.fdatasync(fd)
    files.sync_directory(paths.main)


def replace_with_copy(files: Files, paths: SessionPaths, fd: int, redo: Redo) -> int:
    """Apply a transaction to a copy and put that in the file's place; readers keep the old one.

    Returns
    -------
    int
        The descriptor of the new file; `fd` is closed.
    """
    new = files.open(paths.temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        copy_applied(files, fd, new, redo)
        files.fdatasync(new)
        files.replace(paths.temporary, paths.main)
    except BaseException:
        files.close(new)
        files.unlink(paths.temporary)
        raise
    files.sync_directory(paths.main)
    files.close(fd)
    return new


def copy_applied(files: Files, fd: int, target: int, redo: Redo) -> None:
    """Write to the empty file `target` what `fd` becomes when the transaction is carried out."""
    files.copy(fd, target, redo.length_after)
    _write_changes(files, target, redo)


def read_redo(files: Files, path: Path) -> Redo | None:
    """Return the transaction in a redo file, None when there is none or it was not completed."""
    try:
        fd = files.open_side(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        # The head says how long the rest is; what is no redo file may have any length.
        start = files.pread(fd, len(_MAGIC) + 4 + _HEAD.size, 0)
        size = _payload_size(start)
        if size is None or size > files.size(fd) - len(start):
            return None
        return _parse_redo(start, files.pread(fd, size, len(start)))
    finally:
        files.close(fd)


def _payload_size(data: bytes) -> int | None:
    """Return the length that a valid head states, None where there is no valid head."""
    start = len(_MAGIC) + 4
    if len(data) < start + _HEAD.size or not data.startswith(_MAGIC):
        return None
    if crc32(data[start:]) != int.from_bytes(data[len(_MAGIC) : start], "little"):
        return None
    return int(_HEAD.unpack(data[start:])[7])


def _parse_redo(head: bytes, payload: bytes) -> Redo | None:
    count, number, uuid, before, after, crc_before, crc_after, size, crc = _HEAD.unpack(
        head[len(_MAGIC) + 4 :]
    )
    if len(payload) != size or crc32(payload) != crc:
        return None
    changes, offset = [], count * _RUN.size
    if offset > size:
        raise DamagedFileError("the redo file is damaged: it has no room for its changes")
    for i in range(count):
        place, length = _RUN.unpack_from(payload, i * _RUN.size)
        changes.append(Change(place, payload[offset : offset + length]))
        offset += length
    _check_changes(changes, before, after, whole=offset == size)
    return Redo(number, UUID(bytes=uuid), before, after, crc_before, crc_after, changes)


def _check_changes(changes: list[Change], before: int, after: int, *, whole: bool) -> None:
    """Refuse changes with a right checksum that no transaction of ours makes.

    Raises
    ------
    DamagedFileError
        If they are not inside what was committed before, overlap, or make the file much longer than it was.
    """
    end = 0
    for change in sorted(changes):
        if change.offset < end:
            raise DamagedFileError("the redo file is damaged: two changes overlap")
        end = change.offset + len(change.data)
    if not whole or end > before:
        raise DamagedFileError("the redo file is damaged: a change is outside of the file")
    if after > before + MAX_GROWTH:
        raise DamagedFileError(f"the redo file is damaged: {after} bytes cannot be committed")


def write_redo(files: Files, path: Path, redo: Redo) -> None:
    """Write a transaction and sync it; the same one over itself is safe at every instant."""
    table = b"".join(_RUN.pack(c.offset, len(c.data)) for c in redo.changes)
    payload = table + b"".join(c.data for c in redo.changes)
    head = _HEAD.pack(
        len(redo.changes), redo.number, redo.uuid.bytes, redo.length_before, redo.length_after,
        redo.crc_before, redo.crc_after, len(payload), crc32(payload),
    )  # fmt: skip
    new = not files.exists(path)
    fd = files.open(path, os.O_RDWR | os.O_CREAT)
    try:
        files.write_all(fd, _MAGIC + crc32(head).to_bytes(4, "little") + head + payload, 0)
        files.fdatasync(fd)
    finally:
        files.close(fd)
    if new:
        files.sync_directory(path)


def _write_changes(files: Files, fd: int, redo: Redo) -> None:
    if files.size(fd) < redo.length_after:
        files.truncate(fd, redo.length_after)
    for change in redo.changes:
        files.write_all(fd, change.data, change.offset)
    if redo.length_after < redo.length_before:
        files.truncate(fd, redo.length_after)


def _crc_in_place(files: Files, fd: int, changes: list[Change]) -> int:
    crc = 0
    for change in changes:
        data = files.pread(fd, len(change.data), change.offset)
        if len(data) != len(change.data):
            raise StorageError("the session file is shorter than its committed state")
        crc = crc32(data, crc)
    return crc
