"""Sweeps: a step for each of many values, which may depend on what the steps before returned."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeVar

from pymanip_run.core.context import POINT_PREFIX, current_point
from pymanip_run.errors import UsageError
from pymanip_run.records import check_name
from pymanip_run.runtime.calls import NotATaskError, bind_value, call_with, name_of
from pymanip_run.runtime.points import END, count, is_iterable, open_points
from pymanip_run.runtime.stop import TURN
from pymanip_run.runtime.work import FAILED, Work

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Generator, Iterable

    from pymanip_run.runtime.calls import ValueStep
    from pymanip_run.runtime.points import Points
    from pymanip_run.runtime.status import TaskStatus
    from pymanip_run.runtime.stop import StopSignal

    G = TypeVar("G", bound=ValueStep)

__all__ = ["Sweep", "SweepWork"]


class Sweep:
    """Awaits ``task(session, value)`` for each value. Awaitable, once; also a task for ``monitor``.

    Parameters
    ----------
    task
        The coroutine function of one point. A method of the session is called with the value only.
    values
        Any iterable, asynchronous iterable, or generator, which is sent what the task returned; or
        a function that returns one of these, called with the session if it takes an argument.
    name
        How it is shown and stored; the name of the task if left out.
    stop
        No point is started after it was asked.
    argument
        The session.
    spread
        Whether the values are tuples, passed to the task as several arguments (a grid).
    first
        The number of the first of the values: a sweep that is resumed begins with a later one.

    Attributes
    ----------
    name : str
        Its name.
    done : int
        Points that are over, those before `first` and those that failed for good included.
    failed : int
        Points that failed for good, where the rules of the task say that it goes on.
    total : int or None
        How many there will be, those before `first` included; None if that is not known.
    value : object
        The present or last value; None before the first.
    """

    def __init__(
        self,
        task: Callable[..., Any],
        values: Iterable[Any] | AsyncIterable[Any] | Callable[..., Any],
        name: str | None = None,
        *,
        stop: StopSignal,
        argument: object = None,
        spread: bool = False,
        first: int = 0,
    ) -> None:
        self._step = bind_value(task, argument, spread=spread)
        self._values: Any = _values_of(values, argument)
        self._stop = stop
        self.name = name_of(task) if name is None else name
        self._first = first
        self.done = first
        self.failed = 0
        expected = count(self._values)
        self.total = None if expected is None else first + expected
        self.value: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._began = self._progressed = 0.0

    def guard(self, around: Callable[[ValueStep], G]) -> G:
        """Have each point's step called through what `around(step)` returns, and return that."""
        self._step = guard = around(self._step)
        return guard

    def __repr__(self) -> str:
        total = "" if self.total is None else f" of {self.total}"
        return f"<Sweep {self.name!r}, {self.done}{total} points>"

    def __await__(self) -> Generator[Any, None, None]:
        return self.run().__await__()

    @property
    def name(self) -> str:
        """How it is shown; with a prefix, the variable that holds the number of the point."""
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = check_name(name, "sweep", POINT_PREFIX)

    @property
    def eta(self) -> float | None:
        """Seconds left at the pace of the points so far; None where that cannot be told."""
        if self.total is not None and self.done >= self.total:
            return 0.0
        if self.total is None or self._loop is None or self.done == self._first:
            return None
        pace = (self._progressed - self._began) / (self.done - self._first)
        left = pace * (self.total - self.done) - (self._loop.time() - self._progressed)
        return max(0.0, left)

    @property
    def seconds(self) -> float:
        """Seconds from its start to the end of its last finished point."""
        return self._progressed - self._began

    @property
    def finished(self) -> bool:
        """Whether all points are done."""
        return self.done == self.total

    async def run(self, status: TaskStatus | None = None) -> None:
        """Go through the values.

        Parameters
        ----------
        status
            Is told what is done.

        Raises
        ------
        UsageError
            If it has already been run.
        """
        if self._loop is not None:
            raise UsageError(f"sweep {self.name!r} can be awaited only once: make a new one")
        self._loop = asyncio.get_running_loop()
        self._began = self._progressed = self._loop.time()
        result = None
        async with open_points(self._values, self._stop) as points:
            while (value := await self._next(points, result)) is not END:
                result = await self._point(value, status)
                await TURN

    async def _next(self, points: Points, result: object) -> Any:
        value = END if self._stop.is_set else await points.next(result)
        if self._stop.is_set:  # perhaps only while we waited for the value
            return END
        if value is END:
            self.total = self.done
        return value

    async def _point(self, value: Any, status: TaskStatus | None) -> Any:
        self.value = value
        if status is not None:
            status.last_start = asyncio.get_running_loop().time()
        token = current_point.set((self.name, self.done))
        try:
            result = await self._step(value)
        except Exception as error:
            error.add_note(f"at point {self.done} of sweep {self.name!r}, value {value!r:.200}")
            raise
        finally:
            current_point.reset(token)
        if result is FAILED:
            if self._stop.is_set:  # not for good: it could not be tried again
                return None
            self.failed += 1
        elif status is not None:
            status.runs += 1
        self.done += 1
        self._progressed = asyncio.get_running_loop().time()
        return None if result is FAILED else result


class SweepWork(Work):
    """A sweep as a task of a run."""

    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep

    async def run(self, stop: StopSignal, status: TaskStatus) -> None:
        """Go through the values until the end or the stop."""
        status.state = "running"
        await self.sweep.run(status)


def _values_of(values: Any, argument: object) -> Any:
    if callable(values) and not is_iterable(values):
        values = call_with(values, argument)
    if not is_iterable(values):
        raise NotATaskError(f"a sweep needs values to go through, not {values!r:.60}")
    return values
