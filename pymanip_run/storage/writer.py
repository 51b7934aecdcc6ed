"""The writing half of a session: every call is one record at the end of the journal when it returns."""

from __future__ import annotations

import errno
import logging
import os
import threading
from binascii import crc32
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np

from pymanip_run.clock import SYSTEM
from pymanip_run.errors import PymanipError, StorageError, UsageError
from pymanip_run.storage import journal
from pymanip_run.storage.decode import encode_dtype
from pymanip_run.storage.journal import BLOCK, HEAD, MAGIC, PART, PART_HEAD, Kind
from pymanip_run.storage.resync import end_of_records
from pymanip_run.storage.syncing import Syncing

if TYPE_CHECKING:
    import struct
    from collections.abc import Callable, Mapping, Sequence
    from uuid import UUID

    from numpy.typing import NDArray

    from pymanip_run.records import Event
    from pymanip_run.storage.files import Files, SessionPaths

__all__ = ["JournalWriter", "refuse_closed", "refuse_forked"]

logger = logging.getLogger(__name__)

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


class JournalWriter:
    """Appends to the journal, with one system call a record. Calls come one at a time.

    Parameters
    ----------
    files
        The seam to the operating system.
    paths
        The session's files.
    uuid
        The session's.
    segment
        Number of the first segment, which is created.
    segment_size
        Bytes after which a new segment is begun.
    """

    def __init__(
        self, files: Files, paths: SessionPaths, uuid: UUID, segment: int, segment_size: int
    ) -> None:
        self._files = files
        self._paths = paths
        self._uuid = uuid
        self._segment = segment - 1
        self._segment_size = segment_size
        self.lock = threading.RLock()
        self._closed = False
        self._fd = -1
        self._end = 0
        self._sequence = 0
        self._syncing = Syncing(files, paths)
        self._writing: dict[tuple[str, ...], _RowSet] = {}
        self._given_up: list[int] = []
        self._write: Callable[[int, Any], int] = files.write
        self._next_look = 0
        self._rotate()

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
        content: dict[str, Any] = {"ns": ns, "name": name, "python_type": python_type}
        if isinstance(array, str):
            raw = memoryview(array.encode("utf-8", "surrogatepass"))
            content |= {"dtype": "text", "shape": []}
        else:
            raw = _raw_bytes(array)
            content |= {"dtype": encode_dtype(array.dtype), "shape": list(array.shape)}
        if len(raw) > PART:
            self._append_large(content, raw)
        else:
            self._append(journal.array_head(content), raw)

    def put_parameter(
        self, ns: int, name: str, value: float | bool | str, unit: str | None
    ) -> None:
        """Set a parameter."""
        self._append(journal.json_body(Kind.PARAMETER, ns=ns, name=name, value=value, unit=unit))

    def put_metadata(self, ns: int, name: str, value: Any) -> None:
        """Set a metadata item: text, or anything that JSON can hold."""
        self._append(journal.json_body(Kind.METADATA, ns=ns, name=name, value=value))

    def put_attributes(self, ns: int, name: str, attributes: Mapping[str, Any]) -> None:
        """Set unit, label, format or period of a variable."""
        self._append(
            journal.json_body(Kind.ATTRIBUTES, ns=ns, name=name, attributes=dict(attributes))
        )

    def append_event(self, event: Event) -> None:
        """Add an event."""
        ns, kind, source, text = event
        body = journal.dump_json({"ns": ns, "kind": kind, "source": source, "text": text})
        self._append(bytes((Kind.EVENT,)) + body)

    def put_run(
        self, ns: int, index: int, attributes: Mapping[str, Any], texts: Mapping[str, str]
    ) -> None:
        """Set attributes and texts of a run."""
        self._append(
            journal.json_body(
                Kind.RUN, ns=ns, index=index, attributes=dict(attributes), texts=dict(texts)
            )
        )

    def sync(self) -> None:
        """Return when everything recorded is on disk.

        Raises
        ------
        StorageError
            If a part of it may not be, also after a failure that an earlier call or the checkpointer
            met: until a checkpoint has brought that part into the session file.
        """
        with self.lock:
            self._check_open()
            descriptors = self._syncing.descriptors()
            waiting = set(descriptors)
            descriptors[self._segment] = self._files.dup(self._fd)
        failed = self._syncing.sync(descriptors)
        try:
            self._files.sync_directory(self._paths.main)
        except OSError as error:
            failed.setdefault(max(descriptors), error.strerror or str(error))
        with self.lock:
            self._syncing.done(waiting - failed.keys())
            if failed and not self._closed:
                self._doubt(failed)
            doubtful = self._syncing.doubtful()
        if doubtful:
            raise StorageError(
                f"{self._paths.main}: could not be synced to disk: {next(iter(doubtful.values()))}. What was recorded "
                "so far survives a kill, but perhaps no power cut before a checkpoint has brought it into the file"
            )

    def _doubt(self, failed: Mapping[int, str]) -> None:
        """Note segments that may not be on disk; what is recorded from now on goes into another one."""
        self._syncing.doubt(dict(failed))
        if self._segment in failed:
            try:
                self._rotate()
            except StorageError as error:
                logger.warning("%s", error)
                self._end = self._segment_size  # the next record tries again

    def _close_journal(self, refuse: Callable[[int, Any], NoReturn]) -> None:
        """Close the segment; what is recorded from now on is refused."""
        self._closed = True
        self._write = refuse
        fd, self._fd, self._end = self._fd, -1, 0
        for rows in self._writing.values():
            rows.limit = 0
        if fd >= 0:
            self._files.close(fd)
        self._syncing.close()

    def _look_after(self, ns: int) -> None:
        """Do what is to be done now and then, and say in `_next_look` when again."""
        self._next_look = ns + 1_000_000_000
        self._syncing.tidy()

    # -- the journal's file ---------------------------------------------------------------------

    def _append(self, *parts: bytes | memoryview) -> None:
        with self.lock:
            self._check_open()
            if self._end >= self._segment_size:
                self._rotate()
            self._append_record(*parts)

    def _append_record(self, *parts: bytes | memoryview) -> None:
        sequence = self._sequence + 1
        head = journal.frame_head(sequence, parts)
        size = len(head) + sum(len(part) for part in parts)
        try:
            # One call, so that a reader or a crash finds all of it or a cut end.
            written = (
                self._files.writev(self._fd, [head, *parts])
                if len(parts) > 1
                else self._write(self._fd, head + parts[0])
            )
        except OSError as error:
            self._failed(error)
        if written != size:
            self._cut_short()
        self._end += written
        self._sequence = sequence

    def _append_large(self, content: dict[str, Any], raw: memoryview) -> None:
        """Append the parts of an array, and then the record that makes one of them."""
        array_id = int.from_bytes(os.urandom(8), "little")
        try:
            parts = [
                self._append_part(array_id, number, raw[start : start + PART])
                for number, start in enumerate(range(0, len(raw), PART))
            ]
            self._append(journal.array_head(content | {"id": array_id, "parts": parts}))
        except BaseException:
            self._given_up.append(array_id)
            raise
        finally:
            self._tell_given_up()

    def _append_part(self, array_id: int, number: int, raw: memoryview) -> tuple[int, int, int]:
        """Append a part of an array; return its place."""
        with self.lock:
            self._check_open()
            # The file knows better than we do when an interrupt came between a write and its note.
            self._end = max(self._end, self._files.size(self._fd))
            if self._end >= self._segment_size:
                self._rotate()
            place = self._segment, self._end, len(raw)
            self._append_record(PART_HEAD.pack(Kind.ARRAY_PART, array_id, number), raw)
        # The lock is not fair: without a pause this thread takes it again before one that waits wakes up.
        SYSTEM.pause(HAND_OVER)
        return place

    def _tell_given_up(self) -> None:
        """Note which arrays will not be finished, so that their parts need not be kept."""
        while self._given_up:
            try:
                self._append(journal.array_head({"id": self._given_up[-1]}))
            except PymanipError:
                return  # the disk is still full; the next array brings it up again
            self._given_up.pop()

    def _define(self, rows: _RowSet, names: tuple[str, ...]) -> None:
        """Write the definition of a row-set into the block in which the next row begins."""
        body = journal.row_set_body(rows.number, names)
        self._check_open()
        if self._end >= self._segment_size:
            self._rotate()
        for _ in range(2):  # the first definition may have filled its block
            block = self._end // BLOCK
            self._append_record(body)
            rows.limit = min((block + 1) * BLOCK, self._segment_size)
            if self._end < rows.limit:
                break

    def _rotate(self) -> None:
        """Begin the next segment."""
        number, fd = self._segment, -1
        while fd < 0:
            number += 1
            path = self._paths.segment(number)
            try:
                fd = self._files.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL)
            except FileExistsError:
                continue  # begun before, but an interrupt kept us from noting it
            except OSError as error:
                self._failed(error)
        header = journal.frame(self._sequence + 1, journal.header_body(str(self._uuid), number))
        try:
            written = self._files.write(fd, header)
            if written != len(header):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._files.close(fd)
            self._files.unlink(path)
            self._failed(error)
        old, self._fd = self._fd, fd
        if old >= 0:
            self._syncing.add(self._segment, old)
        self._segment = number
        self._sequence += 1
        self._end = len(header)
        for rows in self._writing.values():
            rows.limit = 0

    def _cut_short(self) -> NoReturn:
        self._failed(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def _failed(self, error: OSError) -> NoReturn:
        """Cut the segment back to its last good record, and say what this means."""
        if self._fd >= 0 and not self._closed:
            try:
                self._files.truncate(self._fd, self._good_end())
            except OSError:
                logger.exception(
                    "the journal could not be cut back; its reader skips the broken record"
                )
                self._end = self._segment_size  # the next record begins a new segment
        if isinstance(error, StorageError):
            raise error
        raise StorageError(
            error.errno or 0,
            f"{self._paths.main}: {error.strerror}: this call was not stored; everything before it is safe, "
            "and recording goes on as soon as writing is possible again",
        ) from error

    def _good_end(self) -> int:
        """Return the end of the last whole record: known, unless an interrupt came between write and note."""
        fd = self._files.open(self._paths.segment(self._segment), os.O_RDONLY)
        try:
            self._end, sequence = end_of_records(self._files, fd, self._end)
            self._sequence = max(self._sequence, sequence)
            return self._end
        finally:
            self._files.close(fd)

    def _check_open(self) -> None:
        if self._closed:
            self._write(-1, b"")  # says why


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


def refuse_closed(_fd: int, _data: bytes) -> NoReturn:
    """Stand in for `write` after the session was closed."""
    raise UsageError("the session is closed; nothing can be recorded any more")


def refuse_forked(_fd: int, _data: bytes) -> NoReturn:
    """Stand in for `write` in a forked process."""
    raise UsageError(
        "this session belongs to the parent process; record there, or open another session file here"
    )
