"""Sweeps: a step for each of many values, which may depend on what the steps before returned."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pymanip_run.core.context import POINT_PREFIX, current_point, cut_sleeps
from pymanip_run.core.plainly import as_text
from pymanip_run.errors import UsageError
from pymanip_run.records import SweepPoint, check_name
from pymanip_run.runtime.calls import NotATaskError, bind_value, call_with, name_of
from pymanip_run.runtime.points import END, count, is_iterable, open_points
from pymanip_run.runtime.replay import is_sent_results, plan_of, refusal, replayed
from pymanip_run.runtime.stop import TURN
from pymanip_run.runtime.troubles import AS_EVENT
from pymanip_run.runtime.work import FAILED, Work

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable, Iterable, Mapping

    from pymanip_run.core.course import PastSweep
    from pymanip_run.core.recorder import Recorder
    from pymanip_run.records import PointState
    from pymanip_run.runtime.calls import ValueStep
    from pymanip_run.runtime.points import Points
    from pymanip_run.runtime.status import TaskStatus
    from pymanip_run.runtime.stop import StopSignal

    G = TypeVar("G", bound=ValueStep)

__all__ = ["Sweep", "SweepWork"]

logger = logging.getLogger(__name__)


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
    plan
        What its points are, as JSON has it; what can be told of the values if left out.
    resume
        Whether it is to go on where the session's last run left it; ``"anyway"``: also where its
        plan is another one now.

    Attributes
    ----------
    name : str
        Its name.
    done : int
        Points that are over, those of earlier runs and those that failed for good included.
    failed : int
        Points that failed for good, where the rules of the task say that it goes on.
    total : int or None
        How many there will be; None if that is not known.
    value : object
        The present or last value; None before the first.
    wants_resume : bool or 'anyway'
        As it was given.
    past : PastSweep or None
        What it goes on after.
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
        plan: Mapping[str, Any] | None = None,
        resume: bool | Literal["anyway"] = False,
    ) -> None:
        self._step = bind_value(task, argument, spread=spread)
        self._values: Any = _values_of(values, argument)
        self._stop = stop
        self.name = name_of(task) if name is None else name
        self.done = 0
        self.failed = 0
        self.total = count(self._values)
        self.value: Any = None
        self._plan, self._source = plan, values
        self.wants_resume = resume
        self.past: PastSweep | None = None
        self._lenient = False
        self._recorder: Recorder | None = None
        #: Whether results are kept for a resume; False once that one could not be was told.
        self._keeps_results = is_sent_results(self._values)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._began = self._progressed = 0.0

    def guard(self, around: Callable[[ValueStep], G]) -> G:
        """Have each point's step called through what `around(step)` returns, and return that."""
        self._step = guard = around(self._step)
        return guard

    @property
    def plan(self) -> Mapping[str, Any]:
        """What its points are, as JSON has it."""
        if self._plan is None:
            self._plan = plan_of(self._values, self._source)
        return self._plan

    def keep(self, recorder: Recorder) -> None:
        """Have each point that is over recorded."""
        self._recorder = recorder

    def go_on(self, past: PastSweep, *, lenient: bool = False) -> None:
        """Begin behind the points that are over.

        Parameters
        ----------
        past
            How far it came before.
        lenient
            Whether it goes on although its values are others than they were.
        """
        self.past, self._lenient = past, lenient
        self.done = past.done
        self.failed = sum(point.state == "failed" for point in past.points)
        if past.ended and not lenient:
            self.total = past.done

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
        first = 0 if self.past is None else self.past.done
        if self.total is None or self._loop is None or self.done == first:
            return None
        pace = (self._progressed - self._began) / (self.done - first)
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
            If it has already been run, or is to go on without being one of the tasks of a run.
        ReplayError
            If it cannot go on where it was.
        """
        if self._loop is not None:
            raise UsageError(f"sweep {self.name!r} can be awaited only once: make a new one")
        if self.wants_resume and self._recorder is None:
            raise UsageError(
                f"sweep {self.name!r} can only go on as a task of its own: give it to monitor()"
            )
        self._loop = asyncio.get_running_loop()
        self._began = self._progressed = self._loop.time()
        if self.finished and self.past is not None:
            self._discard_values()
            return
        async with open_points(self._values, self._stop) as points:
            result = await self._come_back(points)
            self._began = self._progressed = self._loop.time()
            while result is not END and (value := await self._next(points, result)) is not END:
                result = await self._point(value, status)
                await TURN

    async def _come_back(self, points: Points) -> Any:
        """Go through the points that are over; return the last result, `END` where that was the end."""
        if self.past is None:
            return None

        async def take(result: object) -> Any:
            return await self._taken(points, result)

        sent = is_sent_results(self._values)
        result = await replayed(self.past, take, sent=sent, lenient=self._lenient)
        if result is END and not self._stop.is_set:
            if not self._lenient:
                raise refusal(self.past, "there are fewer points now")
            self._have_ended()
        return result

    async def _next(self, points: Points, result: object) -> Any:
        value = await self._taken(points, result)
        if value is END and not self._stop.is_set:
            self._have_ended()
        return value

    async def _taken(self, points: Points, result: object) -> Any:
        value = END if self._stop.is_set else await points.next(result)
        # Perhaps it was asked only while we waited for the value.
        return END if self._stop.is_set else value

    def _have_ended(self) -> None:
        self.total = self.done
        self._keep(0 if self._recorder is None else self._recorder.instant(), "end")

    def _discard_values(self) -> None:
        """Close a generator that is not begun, if it is one."""
        if isinstance(self._values, Generator):
            self._values.close()

    def _keep(self, start_ns: int, state: PointState, value: str = "", result: str = "") -> None:
        if self._recorder is not None:
            self._recorder.end_point(
                SweepPoint(self.name, self.done, start_ns, start_ns, state, value, result)
            )

    def _kept(self, result: Any) -> str:
        """Return the result of a point as text; what cannot be written is told, once, and ends nothing."""
        if self._recorder is None or not is_sent_results(self._values):
            return ""
        try:
            return as_text(result)
        except (TypeError, ValueError) as error:
            if self._keeps_results:
                self._keeps_results = False
                text = (
                    f"the result of point {self.done} cannot be stored ({error}): the sweep could not go on here "
                    "after an interruption; return numbers, texts, arrays, or lists, tuples and dicts of them"
                )
                logger.warning("sweep %r: %s", self.name, text, extra=AS_EVENT)
                self._recorder.event("warning", self.name, text)
            return as_text(result, lenient=True)

    async def _point(self, value: Any, status: TaskStatus | None) -> Any:
        self.value = value
        # Before the step, which may change the value.
        place = "" if self._recorder is None else as_text(value, lenient=True)
        start_ns = 0 if self._recorder is None else self._recorder.instant()
        if status is not None:
            status.last_start = asyncio.get_running_loop().time()
        cut: list[float] = []
        tokens = current_point.set((self.name, self.done)), cut_sleeps.set(cut)
        try:
            result = await self._step(value)
        except Exception as error:
            error.add_note(f"at point {self.done} of sweep {self.name!r}, value {value!r:.200}")
            raise
        finally:
            current_point.reset(tokens[0])
            cut_sleeps.reset(tokens[1])
        if self._stop.is_set and (result is FAILED or cut):
            return None  # it could not be tried again, or what it waited for has not come
        if result is FAILED:
            result = None
            self.failed += 1
            self._keep(start_ns, "failed", place)
        else:
            if status is not None:
                status.runs += 1
            self._keep(start_ns, "done", place, self._kept(result))
        self.done += 1
        self._progressed = asyncio.get_running_loop().time()
        return result


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
