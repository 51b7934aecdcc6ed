"""The child process that keeps the HDF5 file up to date while the run only writes its journal.

Started as ``python -P -m pymanip_run.storage.checkpointer PATH PERIOD SYNC_PERIOD`` (or ``PATH recover|close``)
with the session's lock held by an inherited descriptor. It needs nothing but the files. When its
standard input ends, or its parent is gone, it brings everything into the session file, removes the
side files and exits.
"""

import signal

if __name__ == "__main__":
    # The first instructions: a Ctrl-C or a terminal that closes is for the run, which will tell us.
    for _name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, _name), signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})

import logging
import os
import select
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from pymanip_run.clock import SYSTEM
from pymanip_run.errors import DamagedFileError, NewerFormatError
from pymanip_run.storage.checkpoint import Checkpoint, recover
from pymanip_run.storage.files import SYSTEM_FILES, SessionPaths
from pymanip_run.storage.journal import SEGMENT

__all__ = ["EXIT_FAULT", "EXIT_NEWER", "EXIT_REFUSED", "main"]

EXIT_FAULT = os.EX_IOERR  # the parent starts another one
EXIT_REFUSED = os.EX_DATAERR  # the file is not what it should be
EXIT_NEWER = os.EX_PROTOCOL

#: A file that is held is replaced after so long, sooner when it is small: then copying costs little.
DEFERRED_SECONDS = 60.0
DEFERRED_AT_LEAST = 0.2
#: Bytes for which a second of deferral is worth a copy.
DEFERRED_RATE = 16 << 20
DEFERRED_BYTES = 16 * SEGMENT

logger = logging.getLogger("pymanip_run.storage.checkpointer")


class Escalation:
    """Ends a deferral that costs too much: the file that a reader holds is replaced by a changed copy.

    Parameters
    ----------
    checkpoint
        Whose transaction may be pending.
    seconds, size
        How long it may be, and how many bytes of journal may wait for it. Without `seconds` that
        depends on what a copy costs: many readers in a loop leave no gap between them, and a
        small file is replaced soon.
    """

    def __init__(
        self, checkpoint: Checkpoint, seconds: float | None = None, size: int = DEFERRED_BYTES
    ) -> None:
        self._checkpoint = checkpoint
        self._seconds = seconds
        self._size = size
        self._pending_since: float | None = None

    def look(self) -> None:
        """Replace the file if it is time."""
        if self._checkpoint.pending is None:
            self._pending_since = None
            return
        now = SYSTEM.monotonic()
        if self._pending_since is None:
            self._pending_since = now
        patience = self._seconds
        if patience is None:
            seconds = self._checkpoint.pending.length_after / DEFERRED_RATE
            patience = min(DEFERRED_SECONDS, max(DEFERRED_AT_LEAST, seconds))
        if now - self._pending_since > patience or self._checkpoint.backlog() > self._size:
            # A copy must not take the room that the run needs for what it measures.
            self._checkpoint.settle(escalate=self._checkpoint.can_replace())


class Checkpointer:
    """Syncs the journal and checkpoints it, each with its period, until the parent is done."""

    def __init__(self, path: Path, period: float, sync_period: float) -> None:
        self._paths = SessionPaths(path)
        self._period = period
        self._sync_period = sync_period
        self._parent = os.getppid()
        self._synced = (0, 0)
        self._sync_due = 0.0
        self._urgent = False
        self._checkpoint = Checkpoint(SYSTEM_FILES, self._paths, self._sync_if_due)
        self._escalation = Escalation(self._checkpoint)

    def run(self) -> None:
        """Work until the parent closes its end of the pipe or is gone."""
        next_checkpoint = SYSTEM.monotonic() + self._period
        while not self._parent_done():
            self._sync()
            due, self._urgent = SYSTEM.monotonic() >= next_checkpoint or self._urgent, False
            if due or self._checkpoint.pending is not None:
                while self._checkpoint.advance() and self._checkpoint.more:
                    self._sync_if_due()
                self._escalation.look()
            if due:
                next_checkpoint = SYSTEM.monotonic() + self._period
        self._finish()

    def _parent_done(self) -> bool:
        readable, _, _ = select.select([0], [], [], min(self._sync_period, self._period))
        # A word or the end: another process that was forked meanwhile may hold the other end of the pipe.
        return bool(readable) or os.getppid() != self._parent

    def _sync_if_due(self) -> None:
        """Sync in the middle of a long checkpoint: a power cut must not cost more then."""
        if SYSTEM.monotonic() >= self._sync_due:
            self._sync()

    def _sync(self) -> None:
        self._sync_due = SYSTEM.monotonic() + self._sync_period
        segments = SYSTEM_FILES.segments(self._paths.main)
        if not segments:
            return
        status = SYSTEM_FILES.path_stat(segments[-1][1])
        state = (segments[-1][0], status.st_size if status else 0)
        if state == self._synced:
            return
        failed = self._checkpoint.sync_journal()
        if state[0] != self._synced[0]:
            try:
                SYSTEM_FILES.sync_directory(self._paths.main)
            except OSError as error:
                failed.setdefault(state[0], error.strerror or str(error))
        self._synced = state
        if failed:
            self._tell(failed)

    def _tell(self, failed: dict[int, str]) -> None:
        """Tell the parent which segments may be lost in a power cut, and save their records another way."""
        self._urgent = True
        lines = "".join(f"{number} {reason}\n" for number, reason in failed.items())
        with suppress(OSError):
            os.write(1, lines.encode())

    def _finish(self) -> None:
        self._checkpoint.finish()
        SYSTEM_FILES.unlink(self._paths.lock)


def _end(status: int, error: BaseException) -> NoReturn:
    """Exit without closing the HDF5 handle: a normal close would try to write again."""
    logger.error("%s", error)
    os._exit(status)


def main() -> None:
    """Run the checkpointer; see the module."""
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    path, *mode = sys.argv[1:]
    try:
        if mode in (["recover"], ["close"]):
            sys.stdout.write(
                recover(SYSTEM_FILES, SessionPaths(Path(path)), remove_lock=mode == ["close"])
                + "\n"
            )
        else:
            period, sync_period = map(float, mode)
            os.set_blocking(1, False)  # perhaps nobody reads any more
            Checkpointer(Path(path), period, sync_period).run()
    except NewerFormatError as error:
        _end(EXIT_NEWER, error)
    except DamagedFileError as error:
        _end(EXIT_REFUSED, error)
    except BaseException as error:  # noqa: BLE001 - whatever HDF5 raised, the handle must not be closed
        _end(EXIT_FAULT, error)


if __name__ == "__main__":
    main()
