"""The files of the journal: records are added to the end of one segment, and when it is full to another.

What must hold whenever a call returned, failed, or was interrupted anywhere in it:

- nothing is written to a segment once a later one is there, for readers are past it then;
- a segment that was not synced is known to `sync`;
- where the file ends is asked of the file: what is remembered of it may lag behind.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NoReturn

from pymanip_run.errors import StorageError, UsageError
from pymanip_run.storage import journal
from pymanip_run.storage.resync import end_of_records
from pymanip_run.storage.syncing import Syncing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from uuid import UUID

    from pymanip_run.storage.files import Files, SessionPaths

__all__ = ["SegmentWriter", "refuse_closed", "refuse_forked"]

logger = logging.getLogger(__name__)

Parts = tuple["bytes | memoryview", ...]

#: Most buffers that the system takes in one call (IOV_MAX).
BUFFERS = 1024
SECOND = 1_000_000_000


class SegmentWriter:
    """Adds records to the journal, each by one system call. Calls come one at a time.

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
        #: Whether the segment must not be continued, whatever room it has.
        self._is_done = False
        #: The segment before this one, while it was not handed over to be synced.
        self._previous: tuple[int, int] | None = None
        self._syncing = Syncing(files, paths)
        self._gathered: list[tuple[int, Parts]] | None = None
        self._write: Callable[[int, Any], int] = files.write
        self._next_look = 0
        self._rotate()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Store the records of all calls within, or none of them. Rows of values are not among them."""
        with self.lock:
            if self._gathered is not None:
                yield
                return
            gathered = self._gathered = []
            try:
                yield
            finally:
                self._gathered = None
            if gathered:
                self._write_now(gathered[-1][0], [parts for _, parts in gathered])

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
            self._hand_over()
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
            self._leave()
            try:
                self._rotate()
            except StorageError as error:  # the next record tries again
                logger.warning("%s", error)

    def _close_journal(self, refuse: Callable[[int, Any], NoReturn]) -> None:
        """Close the segment; what is recorded from now on is refused."""
        self._closed = True
        self._write = refuse
        self._hand_over()
        fd, self._fd, self._end = self._fd, -1, 0
        self._forget_definitions()
        if fd >= 0:
            self._files.close(fd)
        self._syncing.close()

    def _look_after(self, ns: int) -> None:
        """Do what is to be done now and then, and say in `_next_look` when again."""
        self._next_look = ns + SECOND
        self._hand_over()
        self._syncing.tidy()

    # -- records --------------------------------------------------------------------------------

    def _append(self, ns: int, *parts: bytes | memoryview) -> None:
        """Add the record of something that happened at `ns`, whose body is `parts`."""
        with self.lock:
            self._check_open()
            if self._gathered is not None:
                self._gathered.append((ns, parts))
            else:
                self._write_now(ns, [parts])

    def _write_now(self, ns: int, records: Sequence[Parts]) -> None:
        self._make_room()
        self._append_records(records)
        if ns >= self._next_look:
            self._look_after(ns)

    def _append_records(self, records: Sequence[Parts]) -> None:
        """Add records by one system call, so that a reader or a crash finds a cut end at most."""
        sequence, buffers = self._sequence, []
        for parts in records:
            sequence += 1
            buffers += [journal.frame_head(sequence, parts), *parts]
        size = sum(map(len, buffers))
        if len(buffers) > BUFFERS:
            buffers = [b"".join(buffers)]
        try:
            if len(buffers) > 2:
                written = self._files.writev(self._fd, buffers)
            else:
                written = self._write(self._fd, b"".join(buffers))
        except OSError as error:
            self._failed(error)
        if written != size:
            self._cut_short()
        self._end += written
        self._sequence = sequence

    def _cut_short(self) -> NoReturn:
        self._failed(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))

    def _failed(self, error: OSError) -> NoReturn:
        """Cut the segment back to its last good record, and say what this means."""
        if not self._closed:
            try:
                self._files.truncate(self._fd, self._good_end())
            except OSError:
                logger.exception(
                    "the journal could not be cut back; its reader skips the broken record"
                )
                self._leave()
        self._refuse(error)

    def _good_end(self) -> int:
        """Return the end of the last whole record: known, unless an interrupt came between write and note."""
        fd = self._files.open(self._paths.segment(self._segment), os.O_RDONLY)
        try:
            self._end, sequence = end_of_records(self._files, fd, self._end)
            self._sequence = max(self._sequence, sequence)
            return self._end
        finally:
            self._files.close(fd)

    def _refuse(self, error: OSError) -> NoReturn:
        if isinstance(error, StorageError):
            raise error
        raise StorageError(
            error.errno or 0,
            f"{self._paths.main}: {error.strerror}: this call was not stored; everything before it is safe, "
            "and recording goes on as soon as writing is possible again",
        ) from error

    def _check_open(self) -> None:
        if self._closed:
            self._write(-1, b"")  # says why

    # -- segments -------------------------------------------------------------------------------

    def _make_room(self) -> None:
        if self._is_done or self._end >= self._segment_size:
            self._rotate()

    def _leave(self) -> None:
        """Make the next record begin a new segment, whatever comes between."""
        self._is_done = True
        self._forget_definitions()

    def _rotate(self) -> None:
        """Begin the next segment."""
        self._leave()
        self._hand_over()
        number, fd = self._new_segment()
        body = journal.header_body(str(self._uuid), number)
        header = journal.frame(self._sequence + 1, body)
        size = len(header)
        try:
            if self._files.write(fd, header) != size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError as error:
            self._files.close(fd)
            with suppress(OSError):  # the next one gets another number
                self._files.unlink(self._paths.segment(number))
            self._refuse(error)
        # Nothing is called from here on: an interrupt comes before all of it or after.
        if self._fd >= 0:
            self._previous = self._segment, self._fd
        self._fd = fd
        self._segment = number
        self._sequence += 1
        self._end = size
        self._is_done = False
        self._hand_over()

    def _new_segment(self) -> tuple[int, int]:
        """Create the file of the next segment; return its number and its descriptor."""
        number = self._segment
        while True:
            number += 1
            try:
                fd = self._files.open(
                    self._paths.segment(number),
                    os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL,
                )
            except FileExistsError:
                continue  # begun before, but an interrupt kept us from noting it
            except OSError as error:
                self._refuse(error)
            self._files.resemble(fd, self._files.path_stat(self._paths.main))
            return number, fd

    def _hand_over(self) -> None:
        """Give the segment before this one to those that are to be synced."""
        if self._previous is not None:
            self._syncing.add(*self._previous)
            self._previous = None

    def _forget_definitions(self) -> None:
        """Make what a segment must tell of itself to be written again, where it is needed next."""


def refuse_closed(_fd: int, _data: bytes) -> NoReturn:
    """Stand in for `write` after the session was closed."""
    raise UsageError("the session is closed; nothing can be recorded any more")


def refuse_forked(_fd: int, _data: bytes) -> NoReturn:
    """Stand in for `write` in a forked process."""
    raise UsageError(
        "this session belongs to the parent process; record there, or open another session file here"
    )
