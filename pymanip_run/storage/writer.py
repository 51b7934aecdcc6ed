"""The writing half of a session: every call is one record at the end of the journal when it returns."""

from __future__ import annotations

import os
from binascii import crc32
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from pymanip_run.clock import SYSTEM
from pymanip_run.errors import PymanipError
from pymanip_run.storage import journal
from pymanip_run.storage.decode import encode_dtype
from pymanip_run.storage.journal import BLOCK, HEAD, MAGIC, PART, PART_HEAD, Kind
from pymanip_run.storage.segments import SegmentWriter

if TYPE_CHECKING:
    import struct
    from collections.abc import Iterable, Mapping, Sequence
    from uuid import UUID

    from numpy.typing import NDArray

    from pymanip_run.records import Event, SweepPoint
    from pymanip_run.storage.files import Files, SessionPaths

__all__ = ["JournalWriter"]

#: Name, content, python_type.
ArrayToStore: TypeAlias = "tuple[str, NDArray[np.generic] | str, str | None]"

#: Bytes of arrays that are written by one call; of those of one `append_arrays`, the others come in parts.
TOGETHER = 4 * PART
#: Seconds between the parts of a large array, for entries of other threads.
HAND_OVER = 1e-4


class _RowSet:
    """What is needed to write a row of the same names again."""

    __slots__ = ("last", "limit", "number", "pack")

    def __init__(self, number: int, layout: struct.Struct) -> None:
        self.number = number
        self.pack = layout.pack
        #: The end of the journal's block in which it was last defined, 0 for none.
        self.limit = 0
        #: Time and values of the last row; together, for readers in other threads.
        self.last: tuple[int, Sequence[float]] = (0, ())


class JournalWriter(SegmentWriter):
    """Writes what is recorded; a row of values by one system call. Calls come one at a time.

    Parameters
    ----------
    files, paths, uuid, segment, segment_size
        As of :class:`SegmentWriter`.
    """

    def __init__(
        self, files: Files, paths: SessionPaths, uuid: UUID, segment: int, segment_size: int
    ) -> None:
        self._writing: dict[tuple[str, ...], _RowSet] = {}
        self._given_up: list[int] = []
        super().__init__(files, paths, uuid, segment, segment_size)

    # -- what is recorded -----------------------------------------------------------------------

    def append_row(self, ns: int, names: tuple[str, ...], values: Sequence[float]) -> None:
        """Add one value to each of the variables."""
        rows = self._writing.get(names)
        if rows is None:
            rows = self._writing[names] = _RowSet(
                len(self._writing), journal.row_struct(len(names))
            )
        body = rows.pack(ROW, rows.number, ns, *values)
        if self._end >= rows.limit:
            self._define(rows, names)
        # journal.frame, inlined: this runs for every entry.
        sequence = self._sequence + 1
        length = len(body)
        record = (
            _head(MAGIC, length, sequence, crc32(body, crc32(_checked(length, sequence)))) + body
        )
        try:
            written = self._write(self._fd, record)
        except OSError as error:
            self._failed(error)
        if written != len(record):
            self._cut_short()
        self._end += written
        self._sequence = sequence
        rows.last = ns, values
        if ns >= self._next_look:
            self._look_after(ns)

    def append_array(
        self, ns: int, name: str, array: NDArray[np.generic] | str, python_type: str | None
    ) -> None:
        """Add a record to a dataset; a large one in parts, between which other calls proceed."""
        self.append_arrays(ns, [(name, array, python_type)])

    def append_arrays(self, ns: int, records: Iterable[ArrayToStore]) -> None:
        """Add records (name, array, python_type) to datasets, all of them or none."""
        ids: list[int] = []
        bodies: list[tuple[bytes | memoryview, ...]] = []
        room = TOGETHER
        try:
            for record in records:
                bodies.append(self._begun(ids, room, ns, record))
                room -= len(bodies[-1][-1])
            with self.together():
                for parts in bodies:
                    self._append(ns, *parts)
        except BaseException:
            self._given_up += ids
            raise
        finally:
            self._tell_given_up()

    def put_parameter(
        self, ns: int, name: str, value: float | bool | str, unit: str | None
    ) -> None:
        """Set a parameter."""
        self._append(
            ns, journal.json_body(Kind.PARAMETER, ns=ns, name=name, value=value, unit=unit)
        )

    def put_metadata(self, ns: int, name: str, value: Any) -> None:
        """Set a metadata item: text, or anything that JSON can hold."""
        self._append(ns, journal.json_body(Kind.METADATA, ns=ns, name=name, value=value))

    def put_attributes(self, ns: int, name: str, attributes: Mapping[str, Any]) -> None:
        """Set unit, label, format or period of a variable."""
        self._append(
            ns, journal.json_body(Kind.ATTRIBUTES, ns=ns, name=name, attributes=dict(attributes))
        )

    def append_event(self, event: Event) -> None:
        """Add an event."""
        ns, kind, source, text = event
        body = journal.dump_json({"ns": ns, "kind": kind, "source": source, "text": text})
        self._append(ns, bytes((Kind.EVENT,)) + body)

    def put_run(
        self, ns: int, index: int, attributes: Mapping[str, Any], texts: Mapping[str, str]
    ) -> None:
        """Set attributes and texts of a run."""
        self._append(
            ns,
            journal.json_body(
                Kind.RUN, ns=ns, index=index, attributes=dict(attributes), texts=dict(texts)
            ),
        )

    def append_point(self, run: int, point: SweepPoint) -> None:
        """Add a point of a sweep that is over."""
        self._append(point.ns, journal.json_body(Kind.POINT, run=run, **point._asdict()))

    # -- large arrays ---------------------------------------------------------------------------

    def _begun(
        self, ids: list[int], room: int, ns: int, record: ArrayToStore
    ) -> tuple[bytes | memoryview, ...]:
        """Return the body of an array's record; where there is no room for all of it, its parts are written now."""
        name, array, python_type = record
        content: dict[str, Any] = {"ns": ns, "name": name, "python_type": python_type}
        if isinstance(array, str):
            raw = memoryview(array.encode("utf-8", "surrogatepass"))
            content |= {"dtype": "text", "shape": []}
        else:
            raw = _raw_bytes(array)
            content |= {"dtype": encode_dtype(array.dtype), "shape": list(array.shape)}
        if len(raw) <= min(room, PART):
            return journal.array_head(content), raw
        array_id = int.from_bytes(os.urandom(8), "little")
        ids.append(array_id)
        parts = [
            self._append_part(array_id, number, raw[start : start + PART])
            for number, start in enumerate(range(0, len(raw), PART))
        ]
        return (journal.array_head(content | {"id": array_id, "parts": parts}),)

    def _append_part(self, array_id: int, number: int, raw: memoryview) -> tuple[int, int, int]:
        """Append a part of an array; return its place."""
        with self.lock:
            self._check_open()
            # The file knows better than we do when an interrupt came between a write and its note.
            self._end = max(self._end, self._files.size(self._fd))
            self._make_room()
            place = self._segment, self._end, len(raw)
            self._append_records([(PART_HEAD.pack(Kind.ARRAY_PART, array_id, number), raw)])
        # The lock is not fair: without a pause this thread takes it again before one that waits wakes up.
        SYSTEM.pause(HAND_OVER)
        return place

    def _tell_given_up(self) -> None:
        """Note which arrays will not be finished, so that their parts need not be kept."""
        while self._given_up:
            try:
                self._append(0, journal.array_head({"id": self._given_up[-1]}))
            except PymanipError:
                return  # the disk is still full; the next array brings it up again
            self._given_up.pop()

    # -- row-sets -------------------------------------------------------------------------------

    def _define(self, rows: _RowSet, names: tuple[str, ...]) -> None:
        """Write the definition of a row-set into the block in which the next row begins."""
        body = journal.row_set_body(rows.number, names)
        self._check_open()
        self._make_room()
        for _ in range(2):  # the first definition may have filled its block
            block = self._end // BLOCK
            self._append_records([(body,)])
            rows.limit = min((block + 1) * BLOCK, self._segment_size)
            if self._end < rows.limit:
                break

    def _forget_definitions(self) -> None:
        """Make each row-set be defined again where it occurs next."""
        for rows in self._writing.values():
            rows.limit = 0


ROW: Final = Kind.ROW  # a global, for append_row
_checked = journal.CHECKED.pack
_head = HEAD.pack


def _raw_bytes(array: NDArray[np.generic]) -> memoryview:
    contiguous = np.ascontiguousarray(array)
    return (
        memoryview(contiguous.reshape(-1).view(np.uint8).data)
        if contiguous.size
        else memoryview(b"")
    )
