"""Decode the journal: from a position to its present end, past damage, into a batch.

What is found wrong is never removed or repaired here; :class:`Findings` counts it.
"""

from __future__ import annotations

import os
import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymanip_run.errors import PymanipError
from pymanip_run.storage import journal
from pymanip_run.storage.decode import (
    add_array,
    apply_content,
    array_content,
    as_array,
    bodies,
    check_kind,
    check_row_set,
)
from pymanip_run.storage.journal import BLOCK, HEAD, MAGIC, PART_HEAD, Kind, Position
from pymanip_run.storage.resync import READ, find_record

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pymanip_run.storage.batch import Batch
    from pymanip_run.storage.files import Files, SessionPaths

__all__ = ["Findings", "JournalReader", "Piece"]

#: The number of a segment may be anything in a file from elsewhere.
MOST_MISSING = 1000
_ID = struct.Struct("<I")
#: One without values has 13 bytes; a shorter one cannot even be looked into.
_SHORTEST_ROW = 12
#: What the content of a record that was made up may raise.
_MEANINGLESS = (ValueError, TypeError, AttributeError, LookupError, RecursionError, struct.error)


@dataclass(slots=True)
class Findings:
    """What a reading of the journal found besides good records."""

    records: int = 0
    #: Records known to be missing: gaps in the sequence, rows whose names are lost, arrays without a part.
    lost: int = 0
    #: (segment, offset, length) of bytes that are no record but have records behind them; (segment, 0, 0) for
    #: a segment that is gone.
    damaged: list[tuple[int, int, int]] = field(default_factory=list)
    #: Bytes after the last record of all: a call under way, or cut short and never acknowledged.
    torn: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """Raw bytes of an array in a segment."""

    fd: int
    offset: int
    length: int


class JournalReader:
    """Reads the records of a session from a position on, and again when more have come.

    Keeps the segments open: an open descriptor outlives the deletion of its file.
    """

    def __init__(self, files: Files, paths: SessionPaths, start: Position, uuid: str) -> None:
        self._files = files
        self._paths = paths
        self._uuid = uuid
        self._open: dict[int, int] = {}
        self._row_sets: dict[int, tuple[str, ...]] = {}
        self._begun = False
        self._sequence: int | None = None
        #: Up to where a segment was searched for definitions, once one was missing.
        self._searched: dict[int, int] = {}
        #: Parts of arrays whose own record did not come yet: id → {number: segment}.
        self._unfinished: dict[int, dict[int, int]] = {}
        self.position = start
        #: The last segment that was looked into: nothing of one at whose beginning we are.
        self._reached = start.segment if start.offset else start.segment - 1
        self.findings = Findings()
        #: Bytes between the first position and the present one.
        self.bytes_read = 0

    def close(self) -> None:
        """Close the segments."""
        for fd in self._open.values():
            self._files.close(fd)
        self._open.clear()

    def open_segments(self) -> None:
        """Open every segment from the position on that there is."""
        for number, path in self._files.segments(self._paths.main):
            if number >= self.position.segment and number not in self._open:
                try:
                    self._open[number] = self._files.open_side(path, os.O_RDONLY)
                except FileNotFoundError:
                    continue  # checkpointed and removed since the listing

    def look_back(self) -> None:
        """Find the arrays that are under way at the position, from what is left of the journal before it."""
        for number, path in self._files.segments(self._paths.main):
            if number <= self.position.segment:
                stop = self.position.offset if number == self.position.segment else None
                for kind, body in bodies(self._files.read_whole(path)[:stop]):
                    with suppress(*_MEANINGLESS):  # which the reading of it has told
                        self._see_array(kind, body, number)

    def _see_array(self, kind: int, body: memoryview, segment: int) -> None:
        if kind == Kind.ARRAY_PART:
            _, array_id, part = PART_HEAD.unpack_from(body)
            self._unfinished.setdefault(array_id, {})[part] = segment
        elif kind == Kind.ARRAY:
            self._unfinished.pop(array_content(body)[0].get("id", -1), None)

    def segments_in_use(self) -> set[int]:
        """Return the segments with parts of arrays that are under way."""
        return {number for parts in self._unfinished.values() for number in parts.values()}

    def release(self, before: int) -> None:
        """Close the segments with smaller numbers; array pieces in them can no longer be read."""
        for number in [n for n in self._open if n < before]:
            self._files.close(self._open.pop(number))

    def read(self, batch: Batch, limit: int | None = None) -> bool:
        """Add the records that follow to `batch`, and move the position behind them.

        Parameters
        ----------
        batch
            Receives the records.
        limit
            Stop after about so many bytes.

        Returns
        -------
        bool
            Whether the limit ended the reading, so that there may be more.
        """
        self.open_segments()
        budget = limit
        for number in sorted(self._open):
            if number < self.position.segment:
                continue
            if number > self.position.segment:
                self._note_missing(number)
                self.position = Position(number, 0)
            self._reached = number
            before = self.position.offset
            is_last = number == max(self._open)
            if self._read_segment(batch, number, budget, is_last=is_last):
                return True
            if budget is not None:
                budget -= self.position.offset - before
                if budget <= 0:
                    return True
        return False

    def _note_missing(self, number: int) -> None:
        """Count the segments that should be before a segment and are not; what they held nobody knows."""
        for gone in range(max(self._reached + 1, number - MOST_MISSING), number):
            self.findings.damaged.append((gone, 0, 0))
            self.findings.lost += 1

    # -- one segment ----------------------------------------------------------------------------

    def _read_segment(
        self, batch: Batch, number: int, budget: int | None, *, is_last: bool
    ) -> bool:
        fd = self._open[number]
        offset = start = self.position.offset
        if not self._begun:
            # The row-sets in use were defined in this block of the journal.
            self._learn(fd, offset - offset % BLOCK, offset)
            self._begun = True
        while True:
            used = (
                self._decode(batch, self._files.pread(fd, READ, offset), fd, offset)
                or self._decode_one(batch, fd, offset)
                or self._skip_damage(batch, fd, number, offset, is_last=is_last)
            )
            if not used:
                return False
            offset += used
            self.bytes_read += used
            self.position = Position(number, offset)
            if budget is not None and offset - start >= budget:
                return True

    def _decode(self, batch: Batch, data: bytes, fd: int, base: int) -> int:
        """Decode the whole records at the start of `data`; return how many bytes they are."""
        offset, end = 0, len(data)
        unpack = HEAD.unpack_from
        view = memoryview(data)
        current_id, current = -1, None
        while offset + HEAD.size <= end:
            head = unpack(data, offset)
            stop = offset + HEAD.size + head[1]
            if head[0] != MAGIC or stop > end:
                break
            body = view[offset + HEAD.size : stop]
            if not journal.valid_body(head, body):
                break
            self._count(head[2])
            if body[0] == Kind.ROW and len(body) > _SHORTEST_ROW:
                row_id = _ID.unpack_from(body, 1)[0]
                if row_id != current_id:
                    names = self._row_sets.get(row_id) or self._search(fd, row_id)
                    current_id, current = row_id, None if names is None else batch.row_set(names)
                if current is not None and len(body) == 13 + 8 * len(current.names):
                    current.data += body[5:]
                else:
                    self.findings.lost += 1
            else:
                current_id = -1
                if body[0] == Kind.HEADER and head[2] == 1:
                    # Another run: its row-sets are numbered anew, and nothing of the last one is under way.
                    self._row_sets.clear()
                    self._unfinished.clear()
                self._try(batch, body, Piece(fd, base + offset + HEAD.size, len(body)))
            offset = stop
        return offset

    def _decode_one(self, batch: Batch, fd: int, offset: int) -> int:
        """Decode the one record at `offset`, which may be longer than a read; 0 when there is none."""
        head = self._files.pread(fd, HEAD.size, offset)
        if len(head) < HEAD.size:
            return 0
        magic, length, _, _ = HEAD.unpack(head)
        if magic != MAGIC or offset + HEAD.size + length > self._files.size(fd):
            return 0
        return self._decode(batch, self._files.pread(fd, HEAD.size + length, offset), fd, offset)

    def _count(self, sequence: int) -> None:
        if self._sequence is not None and sequence > self._sequence + 1:
            self.findings.lost += sequence - self._sequence - 1
        self._sequence = sequence
        self.findings.records += 1

    def _skip_damage(
        self, batch: Batch, fd: int, number: int, offset: int, *, is_last: bool
    ) -> int:
        """Return the distance to the next valid record behind bytes that are none; 0 at the end."""
        following = find_record(self._files, fd, offset + 1, self._sequence)
        if following is not None:
            # A record that was being written when it was looked at is whole once another follows it.
            if used := self._decode_one(batch, fd, offset):
                return used
            self.findings.damaged.append((number, offset, following - offset))
            return following - offset
        # Shorter than what the HDF5 file has of it, where a power cut took what nobody needs.
        rest = max(0, self._files.size(fd) - offset)
        if is_last:
            self.findings.torn = rest
        elif rest:
            self.findings.damaged.append((number, offset, rest))
        return 0

    def ends_damaged(self) -> bool:
        """Tell whether the last bytes are more than a record that was cut short. Only when nobody writes."""
        if not self.findings.torn:
            return False
        fd = self._open[self.position.segment]
        data = self._files.pread(fd, HEAD.size, self.position.offset)
        if len(data) < HEAD.size:
            return not MAGIC.startswith(data[: len(MAGIC)])
        magic, length, _, _ = HEAD.unpack(data)
        return bool(magic != MAGIC or length <= self.findings.torn - HEAD.size)

    def _learn(self, fd: int, start: int, stop: int) -> None:
        """Learn the row-sets that are defined in a stretch."""
        for kind, body in bodies(self._files.pread(fd, stop - start, start)):
            if kind == Kind.ROW_SET:
                with suppress(*_MEANINGLESS):
                    self._define(body)

    def _search(self, fd: int, row_id: int) -> tuple[str, ...] | None:
        """Return the names of a row-set whose definition was lost, from another one in the segment."""
        known, size = self._searched.get(fd, 0), self._files.size(fd)
        if size > known:
            before = dict(self._row_sets)
            self._learn(fd, known, size)
            self._row_sets |= before
            self._searched[fd] = size
        return self._row_sets.get(row_id)

    # -- one record -----------------------------------------------------------------------------

    def _try(self, batch: Batch, body: memoryview, where: Piece) -> None:
        """Apply a record; one whose checksum is right and whose content means nothing is damage like any other."""
        try:
            self._apply(batch, body, where)
        except (PymanipError, MemoryError):
            raise
        except OSError as error:
            if error.errno:
                raise
            self._meaningless(where)
        except Exception:  # noqa: BLE001 - whatever numpy and json say of what was made up
            self._meaningless(where)

    def _meaningless(self, where: Piece) -> None:
        self.findings.lost += 1
        self.findings.damaged.append((self.position.segment, where.offset, where.length))

    def _apply(self, batch: Batch, body: memoryview, where: Piece) -> None:
        kind = body[0]
        if kind == Kind.ROW_SET:
            self._define(body)
        elif kind == Kind.ARRAY:
            self._array(batch, body, where)
        elif kind == Kind.ARRAY_PART:
            _, array_id, part = PART_HEAD.unpack_from(body)
            self._unfinished.setdefault(array_id, {})[part] = self.position.segment
        elif kind == Kind.POINT and (self.findings.lost or self.findings.damaged):
            return  # some of its data may be among what is missing: it will be measured again
        else:
            check_kind(kind)
            apply_content(batch, kind, journal.load_json(body[1:]), self._uuid)

    def _define(self, body: memoryview) -> None:
        self._row_sets[_ID.unpack_from(body, 1)[0]] = check_row_set(journal.load_json(body[5:]))

    def _array(self, batch: Batch, body: memoryview, where: Piece) -> None:
        content, size = array_content(body)
        if "id" in content:
            found = self._unfinished.pop(content["id"], {})
            if "parts" not in content:
                return  # given up
            pieces = self._pieces(content["id"], content["parts"], found)
            if pieces is None:
                self.findings.lost += 1
                return
        else:
            pieces = [Piece(where.fd, where.offset + 5 + size, where.length - 5 - size)]
        add_array(batch, content, lambda: self._load(pieces, content["dtype"], content["shape"]),
                  sum(piece.length for piece in pieces))  # fmt: skip

    def _pieces(
        self, array_id: int, places: list[list[int]], found: dict[int, int]
    ) -> list[Piece] | None:
        """Return where the parts of an array are; None when one is lost."""
        pieces, end = [], (0, 0)
        for number, (segment, offset, length) in enumerate(places):
            if not end <= (segment, offset) or length < 0:
                return None  # parts come one after the other, none twice
            end = segment, offset + HEAD.size + PART_HEAD.size + length
            fd = self._segment(segment)
            if fd is not None and end[1] > self._files.size(fd):
                return None
            # Parts before the position where we began were not looked at yet.
            if fd is None or not (number in found or self._is_part(fd, offset, array_id, number)):
                return None
            pieces.append(Piece(fd, offset + HEAD.size + PART_HEAD.size, length))
        return pieces

    def _is_part(self, fd: int, offset: int, array_id: int, number: int) -> bool:
        head = self._files.pread(fd, HEAD.size, offset)
        if len(head) < HEAD.size:
            return False
        fields = HEAD.unpack(head)
        body = self._files.pread(fd, fields[1], offset + HEAD.size)
        wanted = PART_HEAD.pack(Kind.ARRAY_PART, array_id, number)
        return body.startswith(wanted) and journal.valid_body(fields, body)

    def _segment(self, number: int) -> int | None:
        """Return an open segment, also one before the position."""
        if number not in self._open:
            try:
                self._open[number] = self._files.open_side(self._paths.segment(number), os.O_RDONLY)
            except FileNotFoundError:
                return None
        return self._open[number]

    def _load(self, pieces: list[Piece], dtype: Any, shape: list[int]) -> NDArray[Any] | str:
        raw = bytearray(sum(piece.length for piece in pieces))
        view, offset = memoryview(raw), 0
        for piece in pieces:
            got = self._files.preadv(piece.fd, [view[offset : offset + piece.length]], piece.offset)
            if got != piece.length:
                raise OSError(f"the journal ends inside an array at {piece.offset}")
            offset += piece.length
        return as_array(raw, dtype, shape)
