"""From what users pass to ``monitor`` to what the supervisor runs."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pymanip_run.runtime.calls import NotATaskError, bind, name_of
from pymanip_run.runtime.repeat import Repeat
from pymanip_run.runtime.schedule import Every, Periodic
from pymanip_run.runtime.status import TaskStatus
from pymanip_run.runtime.sweep import Sweep, SweepWork
from pymanip_run.runtime.work import Work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable

    from pymanip_run.runtime.stop import StopSignal

__all__ = ["Once", "TaskSpec", "normalise"]


@dataclass(slots=True, eq=False)
class TaskSpec:
    """A task of a run: what is to be done, and how it is doing."""

    status: TaskStatus
    work: Work

    @property
    def name(self) -> str:
        """Unique in its run."""
        return self.status.name

    @property
    def sweep(self) -> Sweep | None:
        """The sweep, if it is one: the run ends with the last of them."""
        return self.work.sweep if isinstance(self.work, SweepWork) else None


class Once(Work):
    """Something to await once."""

    def __init__(self, awaitable: Awaitable[Any]) -> None:
        self._awaitable = awaitable

    async def run(self, stop: StopSignal, status: TaskStatus) -> None:
        """Await it. A coroutine that has not begun before the stop never begins."""
        if stop.is_set and not asyncio.isfuture(self._awaitable):
            return
        status.state = "running"
        status.last_start = asyncio.get_running_loop().time()
        await self._awaitable
        status.runs += 1

    def close(self) -> None:
        """Close a coroutine that was not begun; Python would warn about it."""
        if inspect.iscoroutine(self._awaitable):
            self._awaitable.close()


def normalise(tasks: Iterable[Any], argument: object) -> list[TaskSpec]:
    """Turn what was passed to ``monitor`` into tasks with unique names; none of them is begun.

    Parameters
    ----------
    tasks
        Each one a coroutine function, a method, a partial, an object with an asynchronous
        ``__call__`` (run again and again); an awaitable (awaited once); an :class:`Every`; or a
        :class:`Sweep`.
    argument
        What functions are called with if they take an argument: the session.

    Raises
    ------
    NotATaskError
        If one of them cannot be a task; also a `TypeError`.
    """
    tasks = list(tasks)
    try:
        specs = [_spec(task, argument) for task in tasks]
    except BaseException:
        for task in tasks:
            if inspect.iscoroutine(task):
                task.close()
        raise
    _number_duplicates(specs)
    return specs


def _spec(task: Any, argument: object) -> TaskSpec:
    if isinstance(task, Every):
        status = TaskStatus(name_of(task.task), "every", task.period)
        return TaskSpec(status, Periodic(task.period, bind(task.task, argument), task.start_after))
    if isinstance(task, Sweep):
        return TaskSpec(TaskStatus(task.name, "sweep"), SweepWork(task))
    if inspect.isawaitable(task):
        return TaskSpec(TaskStatus(name_of(task), "once"), Once(task))
    if callable(task):
        return TaskSpec(TaskStatus(name_of(task), "repeat"), Repeat(bind(task, argument)))
    if isinstance(task, (list, tuple)):
        raise NotATaskError("the tasks come one by one, not as a list: write monitor(*tasks)")
    raise NotATaskError(f"monitor() runs coroutine functions and awaitables, not {task!r:.60}")


def _number_duplicates(specs: list[TaskSpec]) -> None:
    taken = set[str]()
    for spec in specs:
        name, number = spec.name, 1
        while name in taken:
            number += 1
            name = f"{spec.name}_{number}"
        taken.add(name)
        spec.status.name = name
        if spec.sweep is not None:
            spec.sweep.name = name
