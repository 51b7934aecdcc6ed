"""The writer of a session file: every call is in the journal when it returns.

HDF5 is left to the checkpointer, a child process; this process only appends to the journal, with
one system call an entry.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
import weakref
from binascii import crc32
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np

from pymanip_run.errors import StorageError, UsageError
from pymanip_run.storage import journal, tail
from pymanip_run.storage.child import Child
from pymanip_run.storage.files import SYSTEM_FILES, Files, SessionPaths
from pymanip_run.storage.journal import BLOCK, HEAD, MAGIC, PART, SEGMENT, Kind
from pymanip_run.storage.opening import Opened, open_for_writing
from pymanip_run.storage.snapshot import SnapshotStore

if TYPE_CHECKING:
    import struct
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pymanip_run.records import Event

__all__ = ["FileStore"]

logger = logging.getLogger(__name__)

CHILD_CHECK_NS: Final = 1_000_000_000


class _RowSet:
    """What is needed to write a row of the same names again."""

    __slots__ = ("block", "last_ns", "last_values", "number", "pack")

    def __init__(self, number: int, layout: struct.Struct) -> None:
        self.number = number
        self.pack = layout.pack
        #: The block of the journal in which it was last defined, -1 for none.
        self.block = -1
        self.last_ns = 0
        self.last_values: Sequence[float] = ()


class FileStore(SnapshotStore):
    """A session file open for writing; reads are those of any other reader.

    Parameters
    ----------
    path
        The session file; created where there is none.
    title
        Kept in a new file.
    checkpoint_period, sync_period
        Seconds between two checkpoints, and between two syncs of the journal.
    files
        The seam to the operating system.

    Raises
    ------
    SessionLockedError
        If another process writes this session.
    DamagedFileError, NewerFormatError
        If the file is not a session that can be continued.
    """

    def __init__(
        self,
        path: Path,
        title: str = "",
        checkpoint_period: float = 5.0,
        sync_period: float = 0.2,
        files: Files = SYSTEM_FILES,
    ) -> None:
        self._paths = SessionPaths(path)
        opened = open_for_writing(files, self._paths, title)
        super().__init__(path, files)
        self._adopt(opened)
        self._before = SnapshotStore.last_values(self)
        self._lock = threading.Lock()
        self._child = Child(self._paths, opened.lock_fd, checkpoint_period, sync_period)
        self._next_child_check = 0
        self._closed = False
        self._rotate()
        self._child.start()
        _OPEN_STORES.add(self)

    def _adopt(self, opened: Opened) -> None:
        self._lock_fd = opened.lock_fd
        self._uuid = opened.uuid
        self._segment = opened.next_segment - 1
        self.report = opened.report
        self._fd = -1
        self._end = 0
        self._sequence = 0
        self._unsynced: list[int] = []
        self._writing: dict[tuple[str, ...], _RowSet] = {}
        self._write: Callable[[int, Any], int] = self._files.write

    # -- what is recorded -----------------------------------------------------------------------

    def append_row(self, ns: int, names: tuple[str, ...], values: Sequence[float]) -> None:
        """Add one value to each of the variables."""
        rows = self._writing.get(names)
        if rows is None:
            rows = self._writing[names] = _RowSet(
                len(self._writing), journal.row_struct(len(names))
            )
        body = rows.pack(Kind.ROW, rows.number, ns, *values)
        with self._lock:
            if self._end >= SEGMENT:
                self._rotate()
            if rows.block != self._end // BLOCK:
                self._define(rows, names)
            # journal.frame, inlined: this runs for every entry.
            sequence = self._sequence + 1
            length = len(body)
            check = crc32(body, crc32(_checked(length, sequence)))
            record = _head(MAGIC, length, sequence, check) + body
            try:
                written = self._write(self._fd, record)
            except OSError as error:
                self._failed(error)
            if written != len(record):
                self._cut_short()
            self._end += written
            self._sequence = sequence
        rows.last_values = values
        rows.last_ns = ns
        if ns >= self._next_child_check:
            self._check_child(ns)

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
            content |= {"dtype": tail.encode_dtype(array.dtype), "shape": list(array.shape)}
        if len(raw) > PART:
            content |= self._append_parts(raw)
            raw = memoryview(b"")
        described = journal.dump_json(content)
        head = bytes((Kind.ARRAY,)) + len(described).to_bytes(4, "little") + described
        self._append(head, raw)

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

    def last_values(self) -> dict[str, tuple[float, float]]:
        """Return the last (timestamp, value) of every variable, what this process wrote from memory."""
        result: dict[str, tuple[float, float]] = dict(self._before)
        for names, rows in list(self._writing.items()):
            time = rows.last_ns / 1e9
            for name, value in zip(names, rows.last_values, strict=False):
                if name not in result or result[name][0] <= time:
                    result[name] = (time, float(value))
        return result

    # -- durability -----------------------------------------------------------------------------

    def sync(self) -> None:
        """Return when everything recorded is on disk."""
        with self._lock:
            self._check_open()
            pending, current = self._unsynced[:], os.dup(self._fd)
        try:
            for number in pending:
                self._sync_segment(number)
            self._files.fdatasync(current)
            self._files.sync_directory(self._paths.main)
        except OSError as error:
            raise StorageError(
                f"{self._paths.main}: could not be synced to disk: {error.strerror}"
            ) from error
        finally:
            os.close(current)
        with self._lock:
            self._unsynced = [n for n in self._unsynced if n not in pending]

    def close(self) -> None:
        """Bring everything into the session file and remove the side files."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._write = _refuse_closed
            _OPEN_STORES.discard(self)
            self._files.close(self._fd)
        super().close()
        self._child.finish()
        self._files.close(self._lock_fd)

    def abandon(self) -> None:
        """Let go of all descriptors without a word: for a forked process, where they are the parent's."""
        if self._closed:
            return
        self._closed = True
        self._write = _refuse_forked
        self._lock = threading.Lock()
        self._child.abandon()
        for fd in (self._fd, self._lock_fd):
            os.close(fd)

    def _sync_segment(self, number: int) -> None:
        try:
            fd = self._files.open(self._paths.segment(number), os.O_RDONLY)
        except FileNotFoundError:
            return  # checkpointed meanwhile, which is more than synced
        try:
            self._files.fdatasync(fd)
        finally:
            self._files.close(fd)

    # -- the journal's file ---------------------------------------------------------------------

    def _append(self, *parts: bytes | memoryview) -> None:
        with self._lock:
            if self._end >= SEGMENT:
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

    def _append_parts(self, raw: memoryview) -> dict[str, Any]:
        array_id = int.from_bytes(os.urandom(8), "little")
        count = -(-len(raw) // PART)
        for part in range(count):
            head = tail.PART_HEAD.pack(Kind.ARRAY_PART, array_id, part)
            self._append(head, raw[part * PART : (part + 1) * PART])
        return {"id": array_id, "parts": count}

    def _define(self, rows: _RowSet, names: tuple[str, ...]) -> None:
        """Write the definition of a row-set into the block in which the next row begins."""
        body = journal.row_set_body(rows.number, names)
        for _ in range(2):  # the first definition may have filled its block
            block = self._end // BLOCK
            self._append_record(body)
            rows.block = block
            if self._end // BLOCK == block:
                break

    def _rotate(self) -> None:
        """Begin the next segment."""
        number = self._segment + 1
        path = self._paths.segment(number)
        try:
            fd = self._files.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL)
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
            self._unsynced.append(self._segment)
            self._files.close(old)
        self._segment = number
        self._sequence += 1
        self._end = len(header)
        for rows in self._writing.values():
            rows.block = -1

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
                self._end = SEGMENT  # the next record begins a new segment
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
            end = self._end
            while True:
                head = self._files.pread(fd, HEAD.size, end)
                if len(head) < HEAD.size:
                    break
                fields = HEAD.unpack(head)
                if fields[0] != MAGIC or not journal.valid_body(
                    fields, self._files.pread(fd, fields[1], end + HEAD.size)
                ):
                    break
                end += HEAD.size + fields[1]
                self._sequence = max(self._sequence, fields[2])
        finally:
            self._files.close(fd)
        self._end = end
        return end

    def _check_child(self, ns: int) -> None:
        self._next_child_check = ns + CHILD_CHECK_NS
        self._child.keep_alive()

    def _check_open(self) -> None:
        if self._closed:
            _refuse_closed(0, b"")


_checked = journal.CHECKED.pack
_head = HEAD.pack


def _raw_bytes(array: NDArray[np.generic]) -> memoryview:
    contiguous = np.ascontiguousarray(array)
    return (
        memoryview(contiguous.reshape(-1).view(np.uint8).data)
        if contiguous.size
        else memoryview(b"")
    )


def _refuse_closed(_fd: int, _data: bytes) -> NoReturn:
    raise UsageError("the session is closed; nothing can be recorded any more")


def _refuse_forked(_fd: int, _data: bytes) -> NoReturn:
    raise UsageError(
        "this session belongs to the parent process; record there, or open another session file here"
    )


_OPEN_STORES: weakref.WeakSet[FileStore] = weakref.WeakSet()


def _abandon_all() -> None:
    for store in list(_OPEN_STORES):
        store.abandon()


os.register_at_fork(after_in_child=_abandon_all)
