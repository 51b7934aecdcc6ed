"""Runs the tasks of one run together, and ends them together.

- Tasks run until they are through, or until the stop is asked: then each finishes its present step.
- The first task that fails asks for the stop; its own exception is raised when the others are done.
- Forced (the second Ctrl-C), the steps are cancelled instead.
- Observers run beside the tasks. Whatever happens to them, the run goes on.
"""

from __future__ import annotations

import asyncio
import logging
import math
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from pymanip_run.core.context import current_task
from pymanip_run.errors import TaskError, UsageError
from pymanip_run.runtime.cancelling import LAST_PATIENCE, cancel
from pymanip_run.runtime.endings import (
    exit_code_of_failure,
    how_to_force,
    signal_name,
    who_cut,
)
from pymanip_run.runtime.observers import Observers
from pymanip_run.runtime.places import place_of
from pymanip_run.runtime.stop import FORCED
from pymanip_run.runtime.stuck import Pulse, leave_threads_behind
from pymanip_run.runtime.troubles import AS_EVENT, one_line, tell_of_task
from pymanip_run.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator

    from pymanip_run.runtime.status import TaskStatus
    from pymanip_run.runtime.stop import StopSignal
    from pymanip_run.runtime.sweep import Sweep
    from pymanip_run.runtime.tasks import TaskSpec
    from pymanip_run.runtime.work import Tell

__all__ = ["Supervisor"]

logger = logging.getLogger(__name__)

DEFAULT_GRACE = 30.0  # seconds
DEFAULT_PATIENCE = 10.0  # seconds


class Supervisor:
    """Runs tasks once, from start to end.

    Parameters
    ----------
    stop
        Ends the run when it is asked, and is asked when the run has to end.
    grace
        Seconds after which tasks that still run although the stop was asked are named in a warning
        with the line where they are.
    force_after_grace
        Whether these tasks are then cancelled, as by a second Ctrl-C.
    patience
        Seconds that a cancelled task gets to clean up.
    on_fault
        Is called with the name of an observer and its exception.
    tell
        Is told what shall be kept as an event: tasks that are tried again, missed ticks.
    break_in
        Is called, in another thread, when the time of grace is over and something holds the loop:
        makes a signal call :meth:`force` in the thread of the loop.

    Attributes
    ----------
    statuses : tuple of TaskStatus
        How the tasks are doing, in the order in which they were given.
    sweeps : tuple of Sweep
        The sweeps among them.
    failures : list of (str, BaseException)
        What failed, by task, in the order in which it happened. The first is raised.
    started : float or None
        When the tasks began, loop time.
    """

    def __init__(
        self,
        stop: StopSignal,
        *,
        grace: float = DEFAULT_GRACE,
        force_after_grace: bool = False,
        patience: float = DEFAULT_PATIENCE,
        on_fault: Callable[[str, BaseException], object] | None = None,
        tell: Tell | None = None,
        break_in: Callable[[], object] | None = None,
    ) -> None:
        self.stop = stop
        self.statuses: tuple[TaskStatus, ...] = ()
        self.sweeps: tuple[Sweep, ...] = ()
        self.failures: list[tuple[str, BaseException]] = []
        self.started: float | None = None
        self._grace = grace
        self._force_after_grace = force_after_grace
        self._patience = patience
        self._tell: Tell = tell or (lambda *_: None)
        self._break_in = break_in if force_after_grace else None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._main: asyncio.Task[Any] | None = None
        self._over: asyncio.Future[None] | None = None
        self._jobs: dict[asyncio.Task[None], TaskSpec] = {}
        self._specs: tuple[TaskSpec, ...] = ()
        self._observers = Observers(on_fault, self._fail)
        self._timers: list[asyncio.TimerHandle] = []
        self._sweeps_left = 0
        self._cancelling = False
        self._signum: int | None = None
        self._forced = False
        self._hung: list[str] = []
        self._pulse: Pulse | None = None
        self._told = False

    async def run(self, specs: Iterable[TaskSpec], *, duration: float = math.inf) -> None:
        """Run the tasks until all are through, all sweeps are, or the stop was asked.

        Parameters
        ----------
        specs
            From :func:`~pymanip_run.runtime.tasks.normalise`.
        duration
            Seconds after which the stop is asked. The end is exclusive: a tick due then is not run.

        Raises
        ------
        KeyboardInterrupt
            If it was forced to end.
        TaskError
            If tasks hung for the time of grace, were cancelled, and no signal had asked for it.
        BaseException
            What the first failing task raised, with a note that names the task.
        """
        if self._over is not None:
            raise UsageError("a Supervisor runs once: make a new one")
        with nullcontext() if self._pulse else self.taking_signals():
            over = self._begin(list(specs), duration)
            self.stop.on_request(self._stop_asked)  # it is asked in any case, at the end
            try:
                await self._until(over)
            except asyncio.CancelledError:
                self._log_failures(self.failures)
                raise
            self._raise_outcome()

    @contextmanager
    def taking_signals(self) -> Iterator[None]:
        """Take signals in the running loop; also before and after :meth:`run`, which does so itself."""
        self._loop = loop = asyncio.get_running_loop()
        self._pulse = Pulse(loop, self._tell_how_to_force, self._grace, self._held_too_long)
        if self._signum is not None:
            self._take(self._signum)
        try:
            yield
        finally:
            self._pulse.stop()
            if self._forced or self._force_after_grace or self._has_cut():
                code = self.stop.exit_code or int(self._forced)
                leave_threads_behind(loop, code, pools=self._forced)

    def overdue(self, now: float, least: float) -> list[tuple[TaskStatus, str]]:
        """Return the tasks on a grid whose present call takes very long, and where it is. Any thread.

        Parameters
        ----------
        now
            Loop time.
        least
            Seconds; a call is named that takes as long, and three periods.
        """
        calls = [(spec.status, job) for job, spec in tuple(self._jobs.items())]
        return [
            (status, place_of(job))
            for status, job in calls
            if status.state == "running" and status.period and status.last_start is not None
            if now - status.last_start > max(least, 3 * status.period)
        ]

    def _has_cut(self) -> bool:
        return any(spec.guard is not None and spec.guard.has_cut for spec in self._specs)

    def background(self, observer: Coroutine[Any, Any, object], name: str) -> asyncio.Task[None]:
        """Start an observer: it is cancelled when the run is over, and its faults do not end it.

        Call it in the event loop, before or during the run.
        """
        return self._observers.start(observer, name)

    # Called in signal handlers

    def interrupt(self, signum: int) -> None:
        """Take the first signal: the tasks finish their present steps."""
        self._signum = signum
        self._take(signum)
        self.stop.request(signal_name(signum))

    def force(self, signum: int | None) -> None:
        """Take the second signal: the tasks are cancelled and :meth:`run` raises KeyboardInterrupt.

        Parameters
        ----------
        signum
            The signal; None: none came, the time of grace is over.

        Raises
        ------
        KeyboardInterrupt
            In the task that holds the loop, since before the first signal or for some time. A
            blocking driver or an endless loop cannot be cancelled; without this its user could only
            end the process, past all safe states. While the loop turns nothing is raised: an
            exception at a random place of it would help nobody.
        """
        self._signum = self._signum if signum is None else signum
        self._forced = True
        if self._signum is None:
            self._hung += [spec.name for spec in self._jobs.values()]
        else:
            self.stop.cut = self.stop.cut or who_cut(signum, self.stop.reason, self._grace)
            self.stop.request(signal_name(self._signum), FORCED + self._signum)
        self._call_soon(self._finish)
        if self._is_blocked():
            raise KeyboardInterrupt

    def _is_blocked(self) -> bool:
        held = self._pulse is not None and self._pulse.is_held
        return held and asyncio.current_task(self._loop) is not None

    def _take(self, signum: int) -> None:
        if self._pulse is not None:
            self._pulse.start()
            self._call_soon(self._tell_how_to_force)

    def _call_soon(self, callback: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(callback)

    def _tell_how_to_force(self, place: str = "") -> None:
        if self._signum is not None and not (self._told or self._forced):
            self._told = True
            name = signal_name(self._signum)
            held = f", which holds all others at {place}" if place else ""
            logger.warning("%s: finishing the present step%s; %s", name, held, how_to_force(name))

    # The beginning

    def _begin(self, specs: list[TaskSpec], duration: float) -> asyncio.Future[None]:
        self._loop = loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        self._specs = tuple(specs)
        self.statuses = tuple(spec.status for spec in specs)
        self.sweeps = tuple(spec.sweep for spec in specs if spec.sweep is not None)
        self._sweeps_left = len(self.sweeps)
        self._main = asyncio.current_task()
        self.started = started = loop.time()
        if duration < math.inf:
            reason = f"time limit of {format_duration(duration)} reached"
            self._timers.append(loop.call_at(started + duration, self.stop.request, reason))
        for spec in specs:
            spec.status.started = started
            job = loop.create_task(self._job(spec), name=spec.name)
            self._jobs[job] = spec
            job.add_done_callback(self._job_ended)
        if self._forced or not specs:
            self._finish()
        return self._over

    async def _job(self, spec: TaskSpec) -> None:
        status = spec.status
        current_task.set(spec.name)
        try:
            await spec.run(self.stop, self._tell)
        except asyncio.CancelledError:
            status.state = "cancelled"
            if not self._is_cancelling():
                text = "was cancelled by something that it awaited, and does not run any more"
                logger.warning("task %r %s", spec.name, text, extra=AS_EVENT)
                tell_of_task(self._tell, "error", spec.name, text)
        except GeneratorExit:  # the loop itself is thrown away
            raise
        except BaseException as error:  # noqa: BLE001 - raised when the others have ended
            if self._forced and isinstance(error, KeyboardInterrupt):  # see force()
                status.state = "cancelled"
                return
            status.state = "failed"
            status.errors += isinstance(error, Exception)
            error.add_note(f"in task {spec.name!r}")
            self._fail(spec.name, error)
        else:
            status.state = "failed" if status.state == "failed" else "ended"

    def _job_ended(self, job: asyncio.Task[None]) -> None:
        spec = self._jobs.pop(job)
        spec.work.close()
        if spec.sweep is not None:
            self._sweeps_left -= 1
            if not self._sweeps_left:
                self.stop.request("all sweeps done")
        if not self._jobs:
            self._finish()

    def _is_cancelling(self) -> bool:
        return self._cancelling or (self._main is not None and self._main.cancelling() > 0)

    def _fail(self, name: str, error: BaseException) -> None:
        self.failures.append((name, error))
        verb = "ended the run" if isinstance(error, (SystemExit, KeyboardInterrupt)) else "failed"
        reason = f"task {name!r} {verb}: {one_line(error)}"
        self.stop.request(reason, exit_code_of_failure(error))

    # The end

    def _stop_asked(self) -> None:
        if self._pulse is not None and self._break_in is not None:
            self._pulse.start()
        self._call_soon(self._start_grace)

    def _start_grace(self) -> None:
        if self._loop is not None and self._jobs and self._grace < math.inf:
            self._timers.append(self._loop.call_later(self._grace, self._grace_over))

    def _grace_over(self) -> None:
        if self._forced:
            return
        for job, spec in self._jobs.items():
            self._hung.append(spec.name)
            logger.warning(
                "task %r still runs %s after the stop was asked (%s), at %s",
                spec.name,
                format_duration(self._grace),
                self.stop.reason,
                place_of(job),
            )
        if self._force_after_grace and self._jobs:
            self.grace_is_over()

    def grace_is_over(self) -> None:
        """End the run as by a second signal, if there was a first one."""
        if self._signum is not None:
            self.stop.cut = who_cut(None, self.stop.reason, self._grace)
            self.stop.request(None, FORCED + self._signum)
        self._forced = True
        self._finish()

    def _held_too_long(self, place: str) -> None:
        """Interrupt what holds the loop, in another thread; but not what comes after the tasks."""
        if self._break_in is not None and (self._over is None or self._jobs):
            logger.warning("the present step does not end, at %s; it is cut off", place)
            self._break_in()

    def _finish(self) -> None:
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    async def _until(self, over: asyncio.Future[None]) -> None:
        """Wait for the end, and leave no task behind whichever way it comes."""
        try:
            await over
        finally:
            self._cancelling = True
            self.stop.request("cancelled" if over.cancelled() else "all tasks ended")
            for timer in self._timers:
                timer.cancel()
            try:
                await cancel(set(self._jobs), self._patience)
                left = {left for s in self._specs if s.guard and (left := s.guard.left)}
                await cancel(left, LAST_PATIENCE)
            finally:
                await cancel(set(self._observers.tasks), self._patience)

    def _raise_outcome(self) -> None:
        first = self.failures[0][1] if self.failures else None
        if self._forced and self._signum is not None:
            self._log_failures(self.failures)
            raise KeyboardInterrupt from first
        self._log_failures(self.failures[1:])
        if first is not None:
            raise first
        if self._forced:
            hung = ", ".join(map(repr, self._hung))
            raise TaskError(
                f"cancelled {format_duration(self._grace)} after the stop was asked "
                f"({self.stop.reason}), because still running: {hung}"
            )

    def _log_failures(self, failures: list[tuple[str, BaseException]]) -> None:
        for name, error in failures:
            logger.error("task %r failed too: %s", name, one_line(error), exc_info=error)
