"""What concerns several keys of tasks and devices at once."""

from __future__ import annotations

from keyword import iskeyword
from typing import TYPE_CHECKING, Any

from pymanip_run.errors import did_you_mean
from pymanip_run.experiment.checks.finding import Finding, given, listed, mapping, seconds, texts
from pymanip_run.experiment.checks.sweeps import check_sweep
from pymanip_run.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pymanip_run.experiment.text.nodes import Part

__all__ = ["check_devices", "check_tasks"]

_SCHEDULES = ("every", "repeat", "once", "sweep")


def check_tasks(tasks: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with tasks; `tasks` is a mapping from names to settings."""
    for name in tasks:
        task = mapping(tasks, name)
        yield from _exclusive(("tasks", name), task)
        yield from _times(("tasks", name), task, data)
        yield from _before(name, task, tasks)
        if isinstance(task.get("sweep"), dict):
            yield from check_sweep(name, task["sweep"], data)
    yield from _cycles(tasks)


def check_devices(data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with devices, as far as that can be told without their modules."""
    for name, device in mapping(data, "devices").items():
        path = ("devices", name)
        if not name.isidentifier() or iskeyword(name):
            text = f"the device becomes sesn.{name}, which is no name in Python; use letters, digits and _"
            yield Finding(path, text)
        yield from _waits((*path, "reconnect"), mapping(device, "reconnect"))


def _exclusive(path: tuple[Part, ...], task: Mapping[str, Any]) -> Iterator[Finding]:
    for key in _SCHEDULES:
        if key in task and task[key] is None:
            # Taken for "not given", the task would run again and again without a pause.
            yield Finding((*path, key), f"{key!r} has no value")
    schedules = given(task, _SCHEDULES)
    for key in schedules[1:]:
        *others, last = _SCHEDULES
        text = f"{key!r} does not go together with {schedules[0]!r}; give one of {', '.join(others)} or {last}"
        yield Finding((*path, key), text)


def _times(
    path: tuple[Part, ...], task: Mapping[str, Any], data: Mapping[str, Any]
) -> Iterator[Finding]:
    period, timeout = seconds(task.get("every")), seconds(task.get("timeout"))
    if period and timeout and timeout > period:
        text = (
            f"longer than 'every', which is {format_duration(period)}: "
            "a call that takes so long makes the next ones be missed"
        )
        yield Finding((*path, "timeout"), text, value=True, warning=True)
    delay, end = seconds(task.get("start_after")), seconds(mapping(data, "limits").get("duration"))
    if delay and end and delay >= end:
        text = f"the task never begins: limits.duration is {format_duration(end)}"
        yield Finding((*path, "start_after"), text, value=True, warning=True)
    on_error = mapping(task, "on_error")
    waits = given(on_error, ("wait", "max_wait"))
    if waits and on_error.get("retry", 0) == 0:
        text = f"{waits[0]!r} has no effect without 'retry', the number of retries"
        yield Finding((*path, "on_error", waits[0]), text, warning=True)
    yield from _waits((*path, "on_error"), on_error)


def _waits(path: tuple[Part, ...], data: Mapping[str, Any]) -> Iterator[Finding]:
    wait, longest = seconds(data.get("wait")), seconds(data.get("max_wait"))
    limit = 60.0 if "max_wait" not in data else longest
    if wait is not None and limit is not None and wait > limit:
        text = f"longer than 'max_wait', which is {format_duration(limit)}"
        yield Finding((*path, "wait"), text, value=True)


def _before(name: str, task: Mapping[str, Any], tasks: Mapping[str, Any]) -> Iterator[Finding]:
    path = ("tasks", name, "before")
    others = texts(task, "before")
    if others and task.get("once") is not True:
        text = "only a task with 'once: true' is through at some time; another one comes before nothing"
        yield Finding(path, text)
    for index, other in enumerate(listed(task, "before")):
        if isinstance(other, str) and other not in tasks:
            text = f"there is no task {other!r}{did_you_mean(other, tasks)}"
            yield Finding((*path, index), text, value=True)


def _cycles(tasks: Mapping[str, Any]) -> Iterator[Finding]:
    """Find tasks that wait for themselves; each ring is told once, at its first task."""
    after = {
        name: [o for o in texts(mapping(tasks, name), "before") if o in tasks] for name in tasks
    }
    done: set[str] = set()
    for start in after:
        ring = _ring(start, after, done)
        if ring:
            text = f"these tasks wait for each other: {' before '.join([*ring, ring[0]])}"
            if len(ring) == 1:
                text = "a task cannot come before itself"
            yield Finding(("tasks", ring[0], "before"), text)
            done.update(ring)


def _ring(start: str, after: Mapping[str, list[str]], done: set[str]) -> list[str]:
    """Return the tasks of a ring that is met from `start` on, without recursion."""
    trail, waiting = [start], [iter(after[start])]
    while waiting:
        following = next(waiting[-1], None)
        if following is None:
            done.add(trail.pop())
            waiting.pop()
        elif following in trail:
            return trail[trail.index(following) :]
        elif following not in done:
            trail.append(following)
            waiting.append(iter(after[following]))
    return []
