"""Find the next record behind bytes that are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.storage import journal
from pymanip_run.storage.decode import RESYNC
from pymanip_run.storage.journal import HEAD, MAGIC

if TYPE_CHECKING:
    from pymanip_run.storage.files import Files

__all__ = ["READ", "end_of_records", "find_record"]

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


def end_of_records(files: Files, fd: int, start: int) -> tuple[int, int]:
    """Return the end of the whole records that follow `start` in a segment, and the last one's sequence."""
    end, sequence = start, 0
    while True:
        head = files.pread(fd, HEAD.size, end)
        if len(head) < HEAD.size:
            return end, sequence
        fields = HEAD.unpack(head)
        if fields[0] != MAGIC:
            return end, sequence
        if not journal.valid_body(fields, files.pread(fd, fields[1], end + HEAD.size)):
            return end, sequence
        end += HEAD.size + fields[1]
        sequence = fields[2]
