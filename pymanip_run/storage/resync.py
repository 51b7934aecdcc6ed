"""Find the next record behind bytes that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.storage import journal
from pymanip_run.storage.decode import RESYNC
from pymanip_run.storage.journal import HEAD, MAGIC

if TYPE_CHECKING:
    from pymanip_run.storage.files import Files

__all__ = ["READ", "find_record"]

READ = 4 << 20


def find_record(files: Files, fd: int, offset: int, sequence: int | None) -> int | None:
    """Return where the next valid record of a segment begins, at or after `offset`; None for none.

    Parameters
    ----------
    files, fd
        The seam, and the open segment.
    offset
        Where to begin.
    sequence
        The number of the last record. Numbers never go back: an old record inside an array's
        bytes is not taken for one.
    """
    size = files.size(fd)
    # Where everything looks like the head of a long record, checking them all would never end.
    budget = RESYNC * size
    while offset + HEAD.size <= size and budget > 0:
        data = files.pread(fd, READ, offset)
        found = data.find(MAGIC)
        while found >= 0 and budget > 0:
            right, cost = _is_record(files, fd, offset + found, size, sequence)
            if right:
                return offset + found
            budget -= cost
            found = data.find(MAGIC, found + 1)
        offset += max(1, len(data) - len(MAGIC) + 1)
    return None


def _is_record(
    files: Files, fd: int, offset: int, size: int, sequence: int | None
) -> tuple[bool, int]:
    """Tell whether a record is here, and how many bytes had to be looked at for that."""
    data = files.pread(fd, HEAD.size, offset)
    if len(data) < HEAD.size:
        return False, HEAD.size
    head = HEAD.unpack(data)
    if offset + HEAD.size + head[1] > size or (sequence is not None and head[2] < sequence):
        return False, HEAD.size
    body = files.pread(fd, head[1], offset + HEAD.size)
    return journal.valid_body(head, body), HEAD.size + head[1]
