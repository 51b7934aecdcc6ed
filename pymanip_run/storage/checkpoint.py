"""Bring the HDF5 file up to date with the journal: one engine for the child process and for recovery."""

from __future__ import annotations

import logging
import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h5py

from pymanip_run.clock import SYSTEM
from pymanip_run.errors import DamagedFileError, StorageError
from pymanip_run.storage import layout, transaction
from pymanip_run.storage import redo as redo_file
from pymanip_run.storage.append import Appender
from pymanip_run.storage.batch import Batch
from pymanip_run.storage.keeping import damage_event, keep_segment, put_aside
from pymanip_run.storage.overlay import Overlay
from pymanip_run.storage.redo import Applied, Redo
from pymanip_run.storage.syncing import sync_path
from pymanip_run.storage.tail import JournalReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymanip_run.records import Event
    from pymanip_run.storage.files import Files, SessionPaths
    from pymanip_run.storage.journal import Position

__all__ = ["Checkpoint", "Report", "recover"]

logger = logging.getLogger(__name__)

#: Journal bytes decoded at a time: what bounds the memory of a checkpoint.
WINDOW = 16 << 20
#: Bytes appended before a transaction is committed even when there is more.
TRANSACTION = 64 << 20
#: Seconds after which a file that a reader holds is replaced instead of changed.
PATIENCE = 2.0


@dataclass(slots=True)
class Report:
    """What a recovery did."""

    records: int = 0
    lost: int = 0
    damaged_bytes: int = 0
    torn_bytes: int = 0

    @property
    def text(self) -> str:
        """The report as one line."""
        parts = [f"{self.records} records taken from the journal"]
        if self.damaged_bytes:
            parts.append(f"{self.damaged_bytes} damaged bytes kept in a copy of the journal")
        if self.lost:
            parts.append(f"{self.lost} records lost")
        return ", ".join(parts)


class Checkpoint:
    """The HDF5 file, open for transactions.

    The states: *clean* → :meth:`advance` appends what is new and commits → *pending* until
    :meth:`settle` could apply it → *clean*. No second transaction begins while one is pending.

    Parameters
    ----------
    files, paths
        The seam, and the session.
    between
        Is called between the steps of a long checkpoint.

    Raises
    ------
    DamagedFileError, NewerFormatError
        If the files are not a session; they are not touched.
    """

    def __init__(
        self, files: Files, paths: SessionPaths, between: Callable[[], object] = lambda: None
    ) -> None:
        self._between = between
        self._files = files
        self._paths = paths
        self._fd = files.open(paths.main, os.O_RDWR)
        # As a reader: who opens the file for writing, which HDF5 does under the exclusive lock, is refused.
        if not files.lock(self._fd, exclusive=False, timeout=PATIENCE):
            files.close(self._fd)
            raise StorageError(
                f"{paths.main} is open for writing in another program; close it there"
            )
        redo = redo_file.read_redo(files, paths.redo)
        if redo is not None:
            self._carry_out(redo)
        with layout.damage_is_said(paths.main):
            self._open()
        self.pending: Redo | None = None
        #: Whether the last checkpoint left something for another one.
        self.more = False
        self.reader = JournalReader(files, paths, self._identity.position, str(self._identity.uuid))
        self.reader.look_back()
        self._seen_damage = 0
        #: To be told as events, with the next transaction.
        self._untold: list[Event] = []

    def _carry_out(self, redo: Redo) -> None:
        """Finish a transaction that a crash interrupted."""
        if not redo_file.belongs(self._files, self._fd, redo):
            raise DamagedFileError(
                f"{self._paths.redo} belongs to another session; move it elsewhere"
            )
        # A sync that failed before leaves pages that the next one takes for written: all are written again.
        if redo.state(self._files, self._fd) is Applied.WHOLLY:
            transaction.make_durable(self._files, self._paths, self._fd, redo)
        else:
            transaction.write_redo(self._files, self._paths, redo)
            deadline = SYSTEM.monotonic() + PATIENCE
            while not transaction.apply(self._files, self._fd, redo):
                if SYSTEM.monotonic() >= deadline:
                    self._replace(redo)
                    break
                SYSTEM.pause(0.01)
        redo_file.retire(self._files, self._paths)

    def _replace(self, redo: Redo) -> None:
        """Put a copy that has a transaction in the file's place."""
        self._fd = transaction.replace_with_copy(
            self._files, self._paths, self._fd, redo, self._between
        )

    def _open(self) -> None:
        superblock = self._files.pread(self._fd, transaction.SUPERBLOCK_SIZE, 0)
        committed = transaction.superblock_length(superblock)
        if self._files.size(self._fd) < committed:
            # Zeros in place of what is missing would send HDF5 round in circles.
            raise DamagedFileError(f"{self._paths.main} is damaged: its end is missing")
        self._overlay = Overlay(self._files, self._fd, committed, self._between)
        # No chunk cache: an append then writes just its own bytes, and memory stays small.
        self._h5 = h5py.File(
            self._overlay, "r+", libver=layout.LIBVER, rdcc_nbytes=0, rdcc_nslots=1
        )
        self._identity = layout.read_identity(self._h5, self._paths.main)
        # What a crashed transaction appended belongs to nothing. Not before it is known to be ours.
        if self._files.size(self._fd) > committed:
            self._files.truncate(self._fd, committed)
        self._appender = Appender(self._h5, self._overlay)

    @property
    def position(self) -> Position:
        """Up to where the committed file is complete."""
        return self._identity.position

    def advance(self) -> bool:
        """Append what is new in the journal and commit it; return whether there was anything.

        A long journal is committed in several transactions: call again. A pending transaction is settled first; while that cannot be done nothing is appended.
        """
        if self.pending is not None and not self.settle():
            return False
        with self._dropped_at_error():
            is_told = not self._untold
            self._append_new()
            if is_told and self.reader.position == self._identity.position:
                return False
            redo = self._prepared()
        self._commit(redo)
        return True

    def _append_new(self) -> None:
        self.more, windows = True, TRANSACTION // WINDOW
        while self.more and windows:
            batch = Batch()
            self.more, windows = self.reader.read(batch, WINDOW), windows - 1
            self._keep_damage(batch)
            batch.events += self._untold
            self._untold.clear()
            self._append(batch)
            self._between()

    @contextmanager
    def _dropped_at_error(self) -> Iterator[None]:
        """Give back the room of what was appended, should that fail: on a full disk the journal needs it."""
        try:
            yield
        except BaseException:
            self._overlay.drop()
            raise

    def catch_up(self, patience: float = PATIENCE) -> None:
        """Commit everything that is in the journal; a file that is held for longer than `patience` is replaced."""
        while self.advance() or self.pending is not None:
            deadline = SYSTEM.monotonic() + patience
            while not self.settle(escalate=SYSTEM.monotonic() >= deadline):
                SYSTEM.pause(0.01)

    def settle(self, *, escalate: bool = False) -> bool:
        """Carry the pending transaction into the file; return whether nothing is pending any more.

        With `escalate` a file that a reader holds is replaced by a changed copy.

        Raises
        ------
        StorageError
            If there is no room for a copy that is needed.
        """
        if self.pending is None:
            return True
        if not self._has_its_name():
            self._take_name_back(self.pending)
        elif transaction.apply(self._files, self._fd, self.pending):
            pass
        elif escalate:
            self._replace(self.pending)
        else:
            return False
        redo_file.retire(self._files, self._paths)
        self._overlay.fd = self._fd
        self._overlay.settle(self.pending.length_after)
        self.pending = None
        self._drop_segments()
        return True

    def can_replace(self) -> bool:
        """Tell whether there is room to replace the file by a changed copy."""
        return self.pending is not None and transaction.has_room(
            self._files, self._paths, self.pending
        )

    def backlog(self) -> int:
        """Return the bytes of journal that the file does not have yet."""
        self.reader.open_segments()
        total = 0
        for number, path in self._files.segments(self._paths.main):
            if number >= self._identity.position.segment:
                status = self._files.path_stat(path)
                total += status.st_size if status else 0
        return max(0, total - self._identity.position.offset)

    def sync_journal(self) -> dict[int, str]:
        """Make every segment durable, the oldest first; return which could not be, and why.

        One that could not be is no reason to stop: its records are on disk once they are in the file.
        """
        failed: dict[int, str] = {}
        for number, path in self._files.segments(self._paths.main):
            if number >= self._identity.position.segment:
                try:
                    sync_path(self._files, path)
                except OSError as error:
                    failed[number] = error.strerror or str(error)
        return failed

    def close(self) -> None:
        """Close the file, which must have nothing pending or uncommitted."""
        self._h5.close()
        self.reader.close()
        self._files.close(self._fd)

    def finish(self) -> Report:
        """Bring everything into the file, close it and remove the side files, the lock last."""
        for number, reason in self.sync_journal().items():
            logger.warning("journal segment %s could not be synced: %s", number, reason)
        self.catch_up()
        self._keep_damaged_end()
        self._keep_name()
        report = self.report()
        self.close()
        for _, path in self._files.segments(self._paths.main):
            self._files.unlink(path)
        self._files.unlink(self._paths.redo)
        self._files.unlink(self._paths.temporary)
        self._files.sync_directory(self._paths.main)
        return report

    def report(self) -> Report:
        """Return what was read so far."""
        found = self.reader.findings
        damaged = sum(length for _, _, length in found.damaged)
        return Report(found.records, found.lost, damaged, found.torn)

    # -- steps ----------------------------------------------------------------------------------

    def _prepared(self) -> Redo:
        """Note in the file what it has now, make HDF5 write all of it, and return what is to be committed."""
        identity = self._identity
        identity.transaction += 1
        self._appender.finish(self.reader.position, identity.transaction)
        self._between()
        return transaction.prepare(
            self._files, self._paths, self._overlay, identity.transaction, identity.uuid
        )

    def _commit(self, redo: Redo) -> None:
        transaction.commit(self._files, self._paths)
        self._identity.position = self.reader.position
        self.pending = redo
        self.settle()

    def _drop_segments(self) -> None:
        """Remove the segments that are wholly in the file."""
        first, kept = self._identity.position.segment, self.reader.segments_in_use()
        for number, path in self._files.segments(self._paths.main):
            if number < first and number not in kept:
                self._files.unlink(path)
        self.reader.release(first)

    def _append(self, batch: Batch) -> None:
        """Append a batch; what HDF5 refuses for its content is told, and kept with its segment."""
        refused = self._appender.append(batch)
        if not refused:
            return
        segment = self.reader.position.segment
        keep_segment(self._files, self._paths, segment)
        text = f"could not be brought into the file: {'; '.join(refused)}; a copy of the journal is kept"
        logger.error("%s: %s", self._paths.main, text)
        told = Batch()
        told.events.append(damage_event(text))
        self._appender.append(told)

    def _keep_damage(self, batch: Batch) -> None:
        """Copy segments with damage beside the session, and note the loss as an event."""
        damaged = self.reader.findings.damaged
        if len(damaged) == self._seen_damage:
            return
        new, self._seen_damage = damaged[self._seen_damage :], len(damaged)
        for number in sorted({segment for segment, _, _ in new}):
            keep_segment(self._files, self._paths, number)
        if size := sum(n for _, _, n in new):
            batch.events.append(self._damage_event(size))
        if missing := [str(segment) for segment, _, length in new if not length]:
            text = f"segments of the journal are missing: {', '.join(missing)}"
            logger.error("%s: %s", self._paths.main, text)
            batch.events.append(damage_event(text))

    def _keep_damaged_end(self) -> None:
        """Do the same for a journal whose last bytes are no record and not just cut short."""
        if self.reader.ends_damaged():
            keep_segment(self._files, self._paths, self.reader.position.segment)
            self.reader.findings.damaged.append((*self.reader.position, self.reader.findings.torn))
            self._seen_damage += 1
            self._untold.append(self._damage_event(self.reader.findings.torn))
            self._tell()

    # -- the file's name ------------------------------------------------------------------------

    def _has_its_name(self) -> bool:
        return self._files.is_at(self._fd, self._paths.main)

    def _keep_name(self) -> None:
        """See to it that the file that is complete now is the one that has the session's name."""
        if not self._has_its_name():
            identity = self._identity
            self._take_name_back(
                redo_file.no_change(identity.uuid, identity.transaction, self._overlay.committed)
            )
            self._overlay.fd = self._fd
        if self._untold:
            self._tell()

    def _take_name_back(self, redo: Redo) -> None:
        """Put the session under its name again, from which somebody has moved, removed or replaced it."""
        text = "the session's file was moved or removed during the run; it was written anew"
        if (aside := put_aside(self._files, self._paths)) is not None:
            text = f"another file was put in the session's place during the run; that is {aside.name} now"
        self._replace(redo)
        logger.error("%s: %s", self._paths.main, text)
        self._untold.append(damage_event(text))

    def _tell(self) -> None:
        """Bring what is to be told into the file."""
        batch = Batch()
        batch.events, self._untold = self._untold, []
        self._append(batch)
        self._commit(self._prepared())
        self.catch_up()

    def _damage_event(self, size: int) -> Event:
        text = (
            f"the journal was damaged: {size} bytes could not be read "
            f"({self.reader.findings.lost} records lost so far); the damaged segment is kept beside the file"
        )
        logger.error("%s: %s", self._paths.main, text)
        return damage_event(text)


def recover(files: Files, paths: SessionPaths, *, remove_lock: bool) -> str:
    """Bring everything into the session file and remove the side files; return what was done.

    The caller holds the session's lock. It may be killed at any point and called again.
    """
    report = Checkpoint(files, paths).finish()
    if remove_lock:
        files.unlink(paths.lock)
    return report.text
