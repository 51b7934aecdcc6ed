"""Tasks on a fixed time grid: ``every(10, task)``.

A tick that cannot be kept, because the step before it or something else in the loop takes longer
than the period, is counted as missed; the steps stay on the grid and are never made up for in a
burst. Every tick of the grid between start and end is either run or missed.
"""

from __future__ import annotations

import asyncio
import inspect
import math
from typing import TYPE_CHECKING, Any, NamedTuple

from pymanip_run.runtime.calls import NotATaskError, name_of
from pymanip_run.runtime.policy import DEFAULT, Policy, policy_of
from pymanip_run.runtime.troubles import Misses
from pymanip_run.runtime.work import FAILED, Work
from pymanip_run.units import format_duration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pymanip_run.runtime.calls import Step
    from pymanip_run.runtime.status import TaskStatus
    from pymanip_run.runtime.stop import StopSignal

__all__ = ["Every", "Grid", "Periodic", "every"]

SLACK = 1e-6  # in periods: a tick so recently due is now, it is only the rounding of the clock


class Every:
    """A task and the grid on which it is to run; made by :func:`every`."""

    def __init__(
        self,
        period: float,
        task: Callable[..., Any],
        *,
        start_after: float = 0.0,
        policy: Policy = DEFAULT,
    ) -> None:
        self.period = period
        self.task = task
        self.start_after = start_after
        self.policy = policy

    def __repr__(self) -> str:
        late = f", start_after={self.start_after:g}" if self.start_after else ""
        return f"every({self.period:g}, {name_of(self.task)}{late})"


def every(
    period: float | str,
    task: Callable[..., Any],
    *,
    start_after: float | str = 0.0,
    timeout: float | str | None = None,
    on_error: Mapping[str, Any] | None = None,
) -> Every:
    """Run a task on a fixed time grid: ``sesn.monitor(every("10s", read_temperatures))``.

    The first tick is at the start of the run, or `start_after` later, the last before its end.
    Steps do not drift: their own duration does not add to the period. Ticks that come while the
    task still works are skipped and counted.

    Parameters
    ----------
    period
        Seconds, or a duration such as ``"250ms"``, ``"10s"`` or ``"2h30m"``.
    task
        A coroutine function, as for ``monitor``.
    start_after
        When the grid begins: seconds, or a duration, from the start of the run.
    timeout
        How long one call may take: seconds, or a duration. Then it is cancelled and has failed.
    on_error
        What happens when a call fails, as in the experiment file:
        ``{"retry": 5, "wait": "2s", "max_wait": "1min", "then": "continue"}``.

    Raises
    ------
    ValueError
        If a duration is none, the period or the timeout is zero, or `on_error` is not as said.
    NotATaskError
        If `task` is not a function; also a `TypeError`.
    """
    seconds = _seconds(period)
    if seconds <= 0:
        raise ValueError(f"every({period!r}, …): the period must be longer than zero")
    _check_function(task)
    policy = policy_of(timeout, on_error or {})
    return Every(seconds, task, start_after=_seconds(start_after), policy=policy)


def _seconds(duration: float | str) -> float:
    # Numbers of numpy too.
    return parse_duration(duration if isinstance(duration, (str, bool)) else float(duration))


def _check_function(task: object) -> None:
    if inspect.iscoroutine(task):
        name = task.__name__
        task.close()
        raise NotATaskError(
            f"every() needs the function itself, to call it again and again: "
            f"write `{name}` without parentheses, or functools.partial({name}, …)"
        )
    if not callable(task):
        raise NotATaskError(f"every() needs a coroutine function, not {task!r:.60}")


class Grid(NamedTuple):
    """Instants ``start + k·period``, with k = 0, 1, 2 and so on."""

    start: float
    period: float

    def time(self, tick: int) -> float:
        """Return when a tick is due."""
        return self.start + tick * self.period

    def latest(self, now: float) -> int:
        """Return the last tick that is due at `now`."""
        return math.floor((now - self.start) / self.period + SLACK)

    def next(self, now: float) -> int:
        """Return the first tick that is not yet over at `now`."""
        return math.ceil((now - self.start) / self.period - SLACK)


class Periodic(Work):
    """Runs a step at each tick of a grid that begins when the task does."""

    def __init__(self, period: float, step: Step) -> None:
        self._period = period
        self._step = step

    async def run(self, stop: StopSignal, status: TaskStatus) -> None:
        """Run the steps until the stop."""
        now = asyncio.get_running_loop().time
        grid = Grid(status.started, self._period)
        misses = Misses(status.name, self.tell)
        tick = 0
        while not await self._wait(grid.time(tick), stop, status):
            began = now()
            # Something else may have held the loop while we waited, for several ticks.
            due = max(tick, grid.latest(began))
            if due > tick:
                status.missed += due - tick
                misses.add(due - tick, began, "something else held the loop")
            status.late = max(0.0, began - grid.time(due))
            status.last_start = began
            if await self._step() is not FAILED:
                status.runs += 1
            ended = now()
            tick = max(due + 1, grid.next(ended))
            if tick > due + 1:
                status.missed += tick - due - 1
                took = format_duration(ended - began)
                misses.add(tick - due - 1, ended, f"the step took {took}")

    @staticmethod
    async def _wait(when: float, stop: StopSignal, status: TaskStatus) -> bool:
        status.next_due = when
        status.state = "waiting"
        stopped = await stop.sleep_until(when)
        status.state = "running"
        return stopped
