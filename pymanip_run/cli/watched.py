"""What a display is told about a run: read from its session and supervisor."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING

from pymanip_run.alarms.actions import STOPPED_BY_ALARM
from pymanip_run.cli.files import as_typed
from pymanip_run.errors import causes
from pymanip_run.livetable.farewell import Ending
from pymanip_run.livetable.state import AlarmState, SweepProgress, TaskProgress
from pymanip_run.masking import starred
from pymanip_run.runtime.troubles import one_line
from pymanip_run.session import AsyncSession, internals
from pymanip_run.wording import is_by_hand

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from typing import Any

    from pymanip_run.livetable import Display
    from pymanip_run.records import DatasetInfo
    from pymanip_run.runtime.status import TaskStatus
    from pymanip_run.runtime.stop import StopSignal
    from pymanip_run.runtime.supervise import Supervisor

__all__ = ["WatchedRun", "ending_of", "shown_path"]

SIZE_INTERVAL = 2.0


def shown_path(session: AsyncSession) -> str | None:
    """Return the session file as one would type it here."""
    path = session.session_path
    return None if path is None else as_typed(path)


class WatchedRun:
    """A `RunState` of a run in this process.

    Parameters
    ----------
    session
        The session.
    title
        What is measured.
    duration
        Seconds after which the run ends, None without a limit.
    """

    def __init__(self, session: AsyncSession, title: str, duration: float | None) -> None:
        self._session = session
        self._inside = internals(session)
        self.name = session.session_name or "session in memory"
        self.title = title
        self.path = shown_path(session)
        self.duration = duration
        self.started = session.now()
        self.safety = "all safe"
        self._loop: asyncio.AbstractEventLoop | None = None
        self._supervisor: Supervisor | None = None
        self._size: int | None = None
        self._size_read = -SIZE_INTERVAL

    def observed_by(self, display: Display) -> Callable[[Supervisor], Coroutine[Any, Any, None]]:
        """Return what starts the display when the run starts, as `RunOptions.observers` wants it."""

        def observer(supervisor: Supervisor) -> Coroutine[Any, Any, None]:
            self._supervisor = supervisor
            self._loop = asyncio.get_running_loop()  # by its clock the tasks are due
            self.started = self.now()
            display.start()
            return _idle()

        return observer

    @property
    def stopping(self) -> str | None:
        """Why the run is stopping, None while it is not."""
        stop = self._inside.stop
        return (stop.reason or "") if stop.is_set else None

    @property
    def entries(self) -> int:
        """Entries recorded by this process."""
        return self._inside.recorder.entries

    @property
    def file_size(self) -> int | None:
        """Bytes of the session with its journal."""
        path, now = self._session.session_path, self.now()
        if path is not None and abs(now - self._size_read) >= SIZE_INTERVAL:
            self._size_read = now
            with contextlib.suppress(OSError):
                names = [e for e in os.scandir(path.parent) if _belongs(e.name, path.name)]
                self._size = sum(entry.stat().st_size for entry in names)
        return self._size

    @property
    def address(self) -> str | None:
        """Where the dashboard is."""
        return self._inside.address

    def now(self) -> float:
        """Return the session's time."""
        return self._session.now()

    def tasks(self) -> Sequence[TaskProgress]:
        """Return the state of every task."""
        supervisor, loop = self._inside.supervisor, self._loop
        if supervisor is None or loop is None:
            return ()
        here, there = self.now(), loop.time()
        return [
            TaskProgress(
                s.name,
                s.state,
                None if (due := s.due_in(there)) is None else here + due,
                s.period,
                s.failures,
                s.missed_by(there),
                s.hung,
            )
            for s in supervisor.statuses
            if not s.is_over
        ]

    @property
    def statuses(self) -> Sequence[TaskStatus]:
        """How the tasks did, also when the run is over."""
        return self._supervisor.statuses if self._supervisor is not None else ()

    def sweeps(self) -> Sequence[SweepProgress]:
        """Return the progress of every sweep, also when the run is over."""
        supervisor = self._inside.supervisor or self._supervisor
        if supervisor is None:
            return ()
        return [SweepProgress(s.name, s.done, s.total, s.eta, s.failed) for s in supervisor.sweeps]

    def alarms(self) -> Mapping[str, AlarmState]:
        """Return the worst alarm of each variable that has one."""
        board = self._inside.alarms
        if board is None:
            return {}
        worst = board.worst().items()
        return {name: AlarmState(line.level, line.short, line.name) for name, line in worst}


def _belongs(name: str, session: str) -> bool:
    return name == session or name.startswith(f"{session}.wal.")


async def _idle() -> None:
    """Wait to be cancelled: the display has a thread of its own."""
    await asyncio.get_running_loop().create_future()


def ending_of(
    session: AsyncSession, state: WatchedRun, code: int, failure: BaseException | None
) -> Ending:
    """Return how a run ended and what it left in the session."""
    elapsed = state.now() - state.started
    datasets = session.datasets_info().values()
    images = sum(info.n for info in datasets if _is_image(info))
    events = [e for e in session.events(after=state.started) if e.kind not in ("start", "stop")]
    return Ending(
        reason=starred(_reason(internals(session).stop, code, failure)),
        elapsed=elapsed,
        entries=state.entries,
        variables=len(session.logged_variables()),
        images=images,
        records=sum(info.n for info in datasets) - images,
        events=len(events),
        devices=internals(session).closed_devices,
        troubles=[text for s in state.statuses if (text := s.troubles)],
        path=state.path,
    )


def _is_image(info: DatasetInfo) -> bool:
    return len(info.shape) >= 2 and min(info.shape[:2]) > 8


def _reason(stop: StopSignal, code: int, failure: BaseException | None) -> str:
    asked = stop.reason
    if isinstance(failure, KeyboardInterrupt):
        return f"cancelled {stop.cut}" if stop.cut else f"stopped: {asked or 'Ctrl-C'}"
    if isinstance(failure, SystemExit):
        return f"{'failed' if code else 'finished'}: {asked or one_line(failure)}"
    if failure is not None:
        return f"failed ({type(causes(failure)[0]).__name__})"
    if asked is None:
        return "finished: all tasks ended"
    if is_by_hand(asked):
        return f"stopped by {asked}"
    if asked.startswith("task "):  # it failed, and its rules say that this is no failure
        return f"{'failed' if code else 'stopped'}: {asked}"
    if code == STOPPED_BY_ALARM:
        return f"stopped by {asked}"
    return f"{'failed' if code else 'finished'}: {asked}"
