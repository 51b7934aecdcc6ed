"""The redo file: a committed transaction, until it is carried out.

A redo tells by two checksums of the bytes in place whether it was carried out, not yet, or cut in between.

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

__all__ = [
    "Applied",
    "Redo",
    "belongs",
    "crc_in_place",
    "no_change",
    "put_redo",
    "read_redo",
    "redo_head",
    "retire",
]

_MAGIC = b"PMREDO1\n"
_HEAD = struct.Struct("<IQ16sQQIIQI")
_RUN = struct.Struct("<QQ")

#: One transaction takes 64 MiB of journal and at most one more record, which is shorter than 4 GiB.
MAX_GROWTH = 16 << 30
_IDENTITY_BYTES = 1 << 20


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
        crc = crc_in_place(files, fd, self.changes)
        if crc == self.crc_after:
            return Applied.WHOLLY
        return Applied.NOT_YET if crc == self.crc_before else Applied.PARTLY


def no_change(uuid: UUID, number: int, length: int) -> Redo:
    """Return the transaction that changes nothing of a file of this length."""
    return Redo(number, uuid, length, length, 0, 0, [])


def belongs(files: Files, fd: int, redo: Redo) -> bool:
    """Tell whether a redo is for this file, which may be cut in the middle of it and not open as HDF5.

    The session's uuid stands in clear among the first things that were ever written; where HDF5 has moved it,
    for somebody gave the file more attributes, it stands anywhere.
    """
    uuid = str(redo.uuid).encode()
    starts = range(0, max(1, files.size(fd)), _IDENTITY_BYTES)
    return any(uuid in files.pread(fd, _IDENTITY_BYTES + len(uuid), start) for start in starts)


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


def redo_head(files: Files, path: Path) -> bytes | None:
    """Return the first bytes of a redo file, which tell it from all others, and whether it is void; None for none."""
    try:
        fd = files.open_side(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return files.pread(fd, len(_MAGIC) + 4 + _HEAD.size, 0)
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


def put_redo(files: Files, path: Path, redo: Redo, model: os.stat_result | None) -> None:
    """Write a transaction to the redo file; nothing is synced but its name. A new file resembles `model`."""
    table = b"".join(_RUN.pack(c.offset, len(c.data)) for c in redo.changes)
    payload = table + b"".join(c.data for c in redo.changes)
    head = _HEAD.pack(
        len(redo.changes), redo.number, redo.uuid.bytes, redo.length_before, redo.length_after,
        redo.crc_before, redo.crc_after, len(payload), crc32(payload),
    )  # fmt: skip
    new = not files.exists(path)
    fd = files.open(path, os.O_RDWR | os.O_CREAT)
    try:
        if new:
            files.resemble(fd, model)
        files.write_all(fd, _MAGIC + crc32(head).to_bytes(4, "little") + head + payload, 0)
    finally:
        files.close(fd)
    if new:
        files.sync_directory(path)


def retire(files: Files, paths: SessionPaths) -> None:
    """Make the redo void, which was applied and is on disk; where a power cut takes that back it does no harm."""
    try:
        fd = files.open_side(paths.redo, os.O_WRONLY)
    except FileNotFoundError:
        return
    try:
        files.write_all(fd, bytes(len(_MAGIC)), 0)
    finally:
        files.close(fd)


def crc_in_place(files: Files, fd: int, changes: list[Change]) -> int:
    """Return the checksum of the bytes where the changes belong."""
    crc = 0
    for change in changes:
        data = files.pread(fd, len(change.data), change.offset)
        if len(data) != len(change.data):
            raise StorageError("the session file is shorter than its committed state")
        crc = crc32(data, crc)
    return crc
