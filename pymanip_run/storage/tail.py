"""Decode the journal: from a position to its present end, past damage, into a batch.

What is found wrong is never removed or repaired here; :class:`Findings` counts it.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.errors import DamagedFileError, NewerFormatError
from pymanip_run.records import Event, Parameter
from pymanip_run.storage import journal
from pymanip_run.storage.batch import ArrayRecord, Batch
from pymanip_run.storage.journal import BLOCK, HEAD, MAGIC, ROW_HEAD, Kind, Position

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pymanip_run.storage.files import Files, SessionPaths

__all__ = ["Findings", "JournalReader", "Piece"]

READ = 4 << 20
_ID = struct.Struct("<I")
PART_HEAD = struct.Struct("<BQI")


@dataclass(slots=True)
class Findings:
    """What a reading of the journal found besides good records."""

    records: int = 0
    #: Records known to be missing, from the gaps in the sequence.
    lost: int = 0
    #: (segment, offset, length) of bytes that are no record but have records behind them.
    damaged: list[tuple[int, int, int]] = field(default_factory=list)
    #: Bytes after the last record of all: a call that was cut short, never acknowledged.
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
        self._orphans: dict[int, list[bytes]] = {}
        self._parts: dict[int, list[tuple[int, Piece]]] = {}
        self._sequence: int | None = None
        self._learnt: dict[int, int] = {}
        self.position = start
        self.findings = Findings()

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
                    self._open[number] = self._files.open(path, os.O_RDONLY)
                except FileNotFoundError:
                    continue  # checkpointed and removed since the listing

    def segment_numbers(self) -> list[int]:
        """Return the numbers of the open segments, in order."""
        return sorted(self._open)

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
        for number in self.segment_numbers():
            if number < self.position.segment:
                continue
            if number > self.position.segment:
                self.position = Position(number, 0)
            before = self.position.offset
            is_last = number == max(self._open)
            if self._read_segment(batch, number, budget, is_last=is_last):
                return True
            if budget is not None:
                budget -= self.position.offset - before
                if budget <= 0:
                    return True
        return False

    # -- one segment ----------------------------------------------------------------------------

    def _read_segment(
        self, batch: Batch, number: int, budget: int | None, *, is_last: bool
    ) -> bool:
        fd = self._open[number]
        offset = start = self.position.offset
        if number not in self._learnt:
            self._learn(fd, number, offset - offset % BLOCK, offset)
        while True:
            data = self._files.pread(fd, READ, offset)
            used = self._decode(batch, data, fd, offset)
            if self._orphans:
                if self._learnt[number]:
                    self._learn(fd, number, 0, self._learnt[number])
                self._adopt_orphans(batch)
            if not used:
                used = self._decode_long(batch, fd, offset, len(data))
            if not used:
                used = self._skip_damage(fd, number, offset, is_last=is_last)
                if not used:
                    return False
            offset += used
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
            if body[0] == Kind.ROW:
                row_id = _ID.unpack_from(body, 1)[0]
                if row_id != current_id:
                    names = self._row_sets.get(row_id)
                    current_id, current = row_id, None if names is None else batch.row_set(names)
                if current is not None and len(body) == 13 + 8 * len(current.names):
                    current.data += body[5:]
                elif current is None:
                    self._orphans.setdefault(row_id, []).append(bytes(body))
            else:
                current_id = -1
                self._apply(batch, body, Piece(fd, base + offset + HEAD.size, len(body)))
            offset = stop
        return offset

    def _decode_long(self, batch: Batch, fd: int, offset: int, available: int) -> int:
        """Decode a record that is longer than one read; 0 when there is none."""
        if available < READ:
            return 0
        data = self._files.pread(fd, HEAD.size, offset)
        magic, length, _, _ = HEAD.unpack(data)
        if magic != MAGIC or offset + HEAD.size + length > self._files.size(fd):
            return 0
        return self._decode(batch, self._files.pread(fd, HEAD.size + length, offset), fd, offset)

    def _count(self, sequence: int) -> None:
        if self._sequence is not None and sequence > self._sequence + 1:
            self.findings.lost += sequence - self._sequence - 1
        self._sequence = sequence
        self.findings.records += 1

    def _skip_damage(self, fd: int, number: int, offset: int, *, is_last: bool) -> int:
        """Return the distance to the next valid record behind bytes that are none; 0 at the end."""
        following = self._find_record(fd, offset + 1)
        if following is None:
            rest = self._files.size(fd) - offset
            if is_last:
                self.findings.torn = rest
            return 0
        self.findings.damaged.append((number, offset, following - offset))
        return following - offset

    def _find_record(self, fd: int, offset: int) -> int | None:
        size = self._files.size(fd)
        while offset + HEAD.size <= size:
            data = self._files.pread(fd, READ, offset)
            found = data.find(MAGIC)
            while found >= 0:
                if self._is_record(fd, offset + found, size):
                    return offset + found
                found = data.find(MAGIC, found + 1)
            offset += max(1, len(data) - len(MAGIC) + 1)
        return None

    def _is_record(self, fd: int, offset: int, size: int) -> bool:
        data = self._files.pread(fd, HEAD.size, offset)
        if len(data) < HEAD.size:
            return False
        head = HEAD.unpack(data)
        if offset + HEAD.size + head[1] > size:
            return False
        # Sequences never go back: an old record inside an array's bytes is not taken for one.
        if self._sequence is not None and head[2] < self._sequence:
            return False
        return journal.valid_body(head, self._files.pread(fd, head[1], offset + HEAD.size))

    def _learn(self, fd: int, number: int, start: int, stop: int) -> None:
        """Learn the row-sets that are defined before the position; see the journal's format."""
        self._learnt[number] = start
        data = self._files.pread(fd, stop - start, start)
        found = data.find(MAGIC)
        while found >= 0:
            body_at = found + HEAD.size
            if body_at < len(data) and data[body_at] == Kind.ROW_SET:
                head = HEAD.unpack_from(data, found)
                body = data[body_at : body_at + head[1]]
                if journal.valid_body(head, body):
                    self._define(memoryview(body))
            found = data.find(MAGIC, found + 1)

    # -- one record -----------------------------------------------------------------------------

    def _apply(self, batch: Batch, body: memoryview, where: Piece) -> None:
        kind = body[0]
        if kind == Kind.ROW_SET:
            self._define(body)
        elif kind == Kind.ARRAY:
            self._array(batch, body, where)
        elif kind == Kind.ARRAY_PART:
            _, array_id, part = PART_HEAD.unpack_from(body)
            piece = Piece(where.fd, where.offset + PART_HEAD.size, where.length - PART_HEAD.size)
            self._parts.setdefault(array_id, []).append((part, piece))
        else:
            apply_content(batch, kind, journal.load_json(body[1:]), self._uuid)

    def _define(self, body: memoryview) -> None:
        self._row_sets[_ID.unpack_from(body, 1)[0]] = tuple(journal.load_json(body[5:]))

    def _adopt_orphans(self, batch: Batch) -> None:
        """Place the rows whose definition was found later than they were."""
        for row_id in self._orphans.keys() & self._row_sets.keys():
            names = self._row_sets[row_id]
            for orphan in self._orphans.pop(row_id):
                if len(orphan) == 13 + 8 * len(names):
                    batch.row_set(names).data += orphan[5:]

    def _array(self, batch: Batch, body: memoryview, where: Piece) -> None:
        size = _ID.unpack_from(body, 1)[0]
        content = journal.load_json(body[5 : 5 + size])
        if "parts" in content:
            found = dict(self._parts.pop(content["id"], []))
            if len(found) != content["parts"]:
                self.findings.lost += 1
                return
            pieces = [found[i] for i in sorted(found)]
        else:
            pieces = [Piece(where.fd, where.offset + 5 + size, where.length - 5 - size)]
        add_array(batch, content, lambda: self._load(pieces, content["dtype"], content["shape"]),
                  sum(piece.length for piece in pieces))  # fmt: skip

    def _load(self, pieces: list[Piece], dtype: Any, shape: list[int]) -> NDArray[Any] | str:
        raw = bytearray(sum(piece.length for piece in pieces))
        view, offset = memoryview(raw), 0
        for piece in pieces:
            got = self._files.preadv(piece.fd, [view[offset : offset + piece.length]], piece.offset)
            if got != piece.length:
                raise OSError(f"the journal ends inside an array at {piece.offset}")
            offset += piece.length
        if dtype == "text":
            return bytes(raw).decode("utf-8", "surrogatepass")
        return np.frombuffer(raw, decode_dtype(dtype)).reshape(shape)


def encode_dtype(dtype: np.dtype[Any]) -> Any:
    """Return a dtype as JSON can hold it."""
    return np.lib.format.dtype_to_descr(dtype)


def decode_dtype(description: Any) -> np.dtype[Any]:
    """Return what :func:`encode_dtype` wrote."""

    def with_tuples(item: Any) -> Any:
        if isinstance(item, list):
            return [
                tuple(tuple(x) if i == 2 else with_tuples(x) for i, x in enumerate(f)) for f in item
            ]
        return item

    return np.lib.format.descr_to_dtype(with_tuples(description))


def add_array(batch: Batch, content: dict[str, Any], load: Any, nbytes: int) -> None:
    """Add a dataset's record to a batch."""
    dtype = content["dtype"]
    shown = "str" if dtype == "text" else str(decode_dtype(dtype))
    record = ArrayRecord(
        content["ns"], shown, tuple(content["shape"]), content["python_type"], nbytes, load
    )
    batch.arrays.setdefault(content["name"], []).append(record)


def apply_content(batch: Batch, kind: int, content: dict[str, Any], uuid: str = "") -> None:
    """Add a record whose body is JSON to a batch."""
    match kind:
        case Kind.HEADER:
            check_header(content, uuid)
        case Kind.PARAMETER:
            batch.parameters[content["name"]] = Parameter(
                content["value"], content["ns"], content.get("unit")
            )
        case Kind.METADATA:
            batch.metadata[content["name"]] = content["value"]
        case Kind.ATTRIBUTES:
            batch.put_attributes(content["name"], content["attributes"])
        case Kind.EVENT:
            batch.events.append(
                Event(content["ns"], content["kind"], content["source"], content["text"])
            )
        case Kind.RUN:
            batch.put_run(content["index"], content["attributes"], content["texts"])
        case _:
            raise NewerFormatError(
                f"the journal has records of kind {kind}, which this version does not know"
            )


def check_header(content: dict[str, Any], uuid: str) -> None:
    """Refuse a segment of a newer format.

    Raises
    ------
    NewerFormatError
        If a newer version wrote it.
    DamagedFileError
        If it belongs to another session.
    """
    if content.get("version", 0) > journal.JOURNAL_VERSION:
        raise NewerFormatError(
            f"the journal was written in format {content['version']}, this version reads up to {journal.JOURNAL_VERSION}"
        )
    if uuid and content.get("session_uuid") != uuid:
        raise DamagedFileError(
            "the journal beside the file belongs to another session; move it elsewhere"
        )


__all__ += ["ROW_HEAD", "add_array", "apply_content", "decode_dtype", "encode_dtype"]
