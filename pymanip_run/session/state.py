"""What is behind a session: its file, store, recorder and stop signal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pymanip_run.core.recorder import Recorder
from pymanip_run.core.view import SessionState
from pymanip_run.devices import DeviceCalls
from pymanip_run.errors import StorageError, UsageError
from pymanip_run.runtime.stop import StopSignal
from pymanip_run.runtime.threads import Worker
from pymanip_run.storage.store import FileStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pymanip_run.alarms.board import Board
    from pymanip_run.alarms.rules import Change
    from pymanip_run.core.feed import Feed
    from pymanip_run.mail.letter import Figure
    from pymanip_run.mail.outbox import ListedMail
    from pymanip_run.plotting.plot import Plot
    from pymanip_run.registry import Registration
    from pymanip_run.runtime.supervise import Supervisor
    from pymanip_run.session.live import AsyncSession
    from pymanip_run.storage.contract import ReadableStore

__all__ = ["LiveState", "internals", "open_for_writing"]


class LiveState(SessionState):
    """The private state of an `AsyncSession`."""

    def __init__(
        self, store: ReadableStore, name: str, recorder: Recorder | None, feed: Feed
    ) -> None:
        super().__init__(store, name)
        self.optional_recorder = recorder
        self.feed = feed
        self.stop = StopSignal()
        self.running = False
        self.supervisor: Supervisor | None = None
        #: The thread for what would hold the loop: large arrays.
        self.worker = Worker("session")
        #: Of the present run, None where it has none.
        self.registration: Registration | None = None
        self.device_calls = DeviceCalls()
        #: The states of the alarms of the present run, None where it has none.
        self.alarms: Board | None = None
        #: What became active and was cleared in this run, the latest of it.
        self.alarm_changes: Sequence[Change] = ()
        #: What a rehearsal would have sent.
        self.listed_mails: Sequence[ListedMail] = ()
        #: The link to the dashboard, None without one.
        self.address: str | None = None
        #: What the present run, or the last one, plots.
        self.plots: Sequence[Plot] = ()
        #: Returns these plots as pictures, for mails.
        self.figures: Callable[[], Sequence[Figure]] = tuple
        #: What became of the devices of the last run, in words.
        self.closed_devices: tuple[str, ...] = ()

    def release_worker(self) -> None:
        """Let its thread end; who comes later gets another."""
        released, self.worker = self.worker, Worker("session")
        released.shutdown(wait=False)

    @property
    def recorder(self) -> Recorder:
        """The recorder.

        Raises
        ------
        UsageError
            If the session is open for reading only.
        """
        if self.optional_recorder is None:
            raise UsageError(
                f"the session {self.name} is open for reading only; open it without readonly=True"
            )
        return self.optional_recorder


def open_for_writing(
    path: Path, feed: Feed, title: str | None, checkpoint_period: float, sync_period: float
) -> LiveState:
    """Open or create a session file, and record into it.

    Raises
    ------
    UsageError
        If a period is none.
    SessionLockedError, DamagedFileError, NewerFormatError, StorageError
        As `FileStore`.
    """
    for period in (checkpoint_period, sync_period):
        if not (isinstance(period, (int, float)) and 0 < period < math.inf):
            raise UsageError(f"a period is a number of seconds above 0, not {period!r}")
    store = FileStore(path, title or path.stem, checkpoint_period, sync_period)
    try:
        recorder = Recorder(store, feed)
        if store.report:
            recorder.event("recovery", "storage", f"the last run ended uncleanly: {store.report}")
    except OSError as error:
        store.close()
        if isinstance(error, StorageError):
            raise
        # Reading what is continued: too many open files, for example.
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    except BaseException:
        store.close()
        raise
    return LiveState(store, path.stem, recorder, feed)


def internals(session: AsyncSession) -> LiveState:
    """Return what the layers above need of a session besides its public face: feed, stop, recorder."""
    return session._session  # noqa: SLF001 - this is the door
