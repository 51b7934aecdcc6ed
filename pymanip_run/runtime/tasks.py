"""From what users pass to ``monitor`` to what the supervisor runs."""

from __future__ import annotations

import asyncio
import inspect
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pymanip_run.errors import did_you_mean
from pymanip_run.runtime.calls import NotATaskError, bind, name_of
from pymanip_run.runtime.policy import DEFAULT, Guard, Policy
from pymanip_run.runtime.repeat import Repeat
from pymanip_run.runtime.schedule import Every, Periodic
from pymanip_run.runtime.start import Gate, Start
from pymanip_run.runtime.status import TaskStatus
from pymanip_run.runtime.sweep import Sweep, SweepWork
from pymanip_run.runtime.work import FAILED, Work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from pymanip_run.runtime.calls import Step
    from pymanip_run.runtime.stop import StopSignal
    from pymanip_run.runtime.threads import Worker
    from pymanip_run.runtime.work import Tell

__all__ = ["Once", "Ruled", "TaskSpec", "normalise"]


@dataclass(frozen=True, slots=True)
class Ruled:
    """A task with the rules that an experiment file gives it.

    Attributes
    ----------
    task : callable, Every or Sweep
        What is run: a function again and again, or once.
    once : bool
        Whether a function is called only once.
    policy : Policy
        What happens when a step takes too long, or fails.
    worker : Worker or None
        The thread of a plain function.
    approach : callable or None
        Goes to a point of a sweep before its step; see `Guard`.
    start_after : float
        Seconds before it begins.
    before : tuple of str
        Names of the tasks that begin only when this one is through.
    """

    task: Any
    once: bool = False
    policy: Policy = DEFAULT
    worker: Worker | None = None
    approach: Callable[[Any], Awaitable[bool]] | None = None
    start_after: float = 0.0
    before: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class TaskSpec:
    """A task of a run: what is to be done, and how it is doing."""

    status: TaskStatus
    work: Work
    guard: Guard | None = None
    start: Start = field(default_factory=Start)
    before: tuple[str, ...] = ()
    gate: Gate | None = None

    async def run(self, stop: StopSignal, tell: Tell) -> None:
        """Run it from its beginning to its end."""
        self.work.tell = tell
        if self.guard is not None:
            self.guard.begin(stop, tell)
        try:
            if await self.start.come(stop, self.status):
                await self.work.run(stop, self.status)
        finally:
            if self.gate is not None:
                self.gate.open()

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


class Single(Work):
    """A step that is run once."""

    def __init__(self, step: Step) -> None:
        self._step = step

    async def run(self, stop: StopSignal, status: TaskStatus) -> None:
        """Run the step, unless the stop was asked before."""
        if stop.is_set:
            return
        status.state = "running"
        status.last_start = asyncio.get_running_loop().time()
        if await self._step() is FAILED:
            status.state = "failed"
        else:
            status.runs += 1


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
    _connect(specs)
    _number_duplicates(specs)
    return specs


def _spec(task: Any, argument: object) -> TaskSpec:
    rules = task if isinstance(task, Ruled) else Ruled(task)
    spec = _bare(rules.task, rules, argument)
    spec.start.delay += rules.start_after
    spec.before = rules.before
    return spec


def _bare(task: Any, rules: Ruled, argument: object) -> TaskSpec:
    if isinstance(task, Every):
        policy = rules.policy if task.policy.is_plain else task.policy
        status = TaskStatus(name_of(task.task), "every", task.period)
        step, guard = _guarded(bind(task.task, argument), status, replace(rules, policy=policy))
        return TaskSpec(status, Periodic(task.period, step), guard, Start(task.start_after))
    if isinstance(task, Sweep):
        status = TaskStatus(task.name, "sweep")
        spec = TaskSpec(status, SweepWork(task))
        if not (rules.policy.is_plain and rules.approach is None):
            spec.guard = task.guard(
                lambda step: Guard(
                    step,
                    rules.policy,
                    status,
                    worker=rules.worker,
                    approach=rules.approach,
                    at=lambda: f"point {task.done}",
                )
            )
        return spec
    if inspect.isawaitable(task):
        return TaskSpec(TaskStatus(name_of(task), "once"), Once(task))
    if callable(task):
        status = TaskStatus(name_of(task), "once" if rules.once else "repeat")
        step, guard = _guarded(bind(task, argument), status, rules)
        return TaskSpec(status, Single(step) if rules.once else Repeat(step), guard)
    if isinstance(task, (list, tuple)):
        raise NotATaskError("the tasks come one by one, not as a list: write monitor(*tasks)")
    raise NotATaskError(f"monitor() runs coroutine functions and awaitables, not {task!r:.60}")


def _guarded(step: Step, status: TaskStatus, rules: Ruled) -> tuple[Step, Guard | None]:
    if rules.policy.is_plain:
        return step, None
    again = status.kind == "repeat"
    guard = Guard(step, rules.policy, status, worker=rules.worker, again=again)
    return guard, guard


def _connect(specs: list[TaskSpec]) -> None:
    """Have the tasks wait that begin only when another one is through."""
    by_name = {spec.name: spec for spec in specs}
    for spec in specs:
        for name in spec.before:
            if name not in by_name:
                raise NotATaskError(
                    f"task {spec.name!r} is to come before {name!r}, which is none of the tasks"
                    f"{did_you_mean(name, by_name)}"
                )
            spec.gate = spec.gate or Gate(spec.name)
            by_name[name].start.gates.append(spec.gate)
    waiting = {spec.name: {gate.name for gate in spec.start.gates} for spec in specs}
    while ready := [name for name, gates in waiting.items() if not gates & waiting.keys()]:
        for name in ready:
            del waiting[name]
    if waiting:
        raise NotATaskError(f"these tasks wait for each other: {', '.join(map(repr, waiting))}")


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
