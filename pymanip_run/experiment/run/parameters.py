"""The parameters at the start of a run: as the experiment file has them, or as they were tuned before.

Half a sweep at one set-point and half of it at another is none: where sweeps go on, a tunable
parameter keeps what it was changed to, unless somebody says otherwise.
"""

from __future__ import annotations

import ast
import logging
import math
from typing import TYPE_CHECKING, TypeAlias

from pymanip_run.core.course import plainly
from pymanip_run.experiment.build.sweep_plan import swept_parameters
from pymanip_run.experiment.load.environment import PREFIX, path_of
from pymanip_run.experiment.text.redact import redacted_values
from pymanip_run.masking import starred
from pymanip_run.runtime.troubles import AT_START
from pymanip_run.session import internals
from pymanip_run.session.sweeping import called

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymanip_run.core.course import Course
    from pymanip_run.experiment.build.plan import Plan
    from pymanip_run.experiment.model.experiment import Parameter
    from pymanip_run.records import Event
    from pymanip_run.session import AsyncSession

    #: The value of a parameter.
    Scalar: TypeAlias = float | bool | str

__all__ = ["put_parameters", "tell_of_parameters"]

logger = logging.getLogger(__name__)

#: The source of a change that the start of a run makes.
FILE = "experiment file"


def put_parameters(plan: Plan, sesn: AsyncSession, course: Course | None) -> list[tuple[str, str]]:
    """Save the parameters of an experiment.

    Parameters
    ----------
    plan
        The experiment.
    sesn
        Where they are saved.
    course
        The earlier run whose sweeps go on; None: they begin anew.

    Returns
    -------
    list of (str, str)
        Names, and what is to be told of each.
    """
    model, told = plan.loaded.model, []
    values = redacted_values({name: one.value for name, one in model.parameters.items()})
    for name, value, text in [] if course is None else _tuned(plan, sesn, course):
        values[name] = value
        told.append((name, text))
    for name, parameter in model.parameters.items():
        internals(sesn).recorder.put_parameter(name, values[name], parameter.unit, FILE)
    return told


def tell_of_parameters(sesn: AsyncSession, told: Sequence[tuple[str, str]]) -> None:
    """Say on the screen, and as events, with what parameters a resumed run begins."""
    for name, text in told:
        logger.warning("parameter %r %s", name, text, extra=AT_START)
        internals(sesn).recorder.event("resume", name, text)


def _tuned(plan: Plan, sesn: AsyncSession, course: Course) -> Iterator[tuple[str, Scalar, str]]:
    """Yield the parameters that were changed in the earlier run: name, value from now on, and why."""
    before, swept = course.file.get("parameters"), swept_parameters(plan)
    for name, parameter in plan.loaded.model.parameters.items():
        if parameter.tunable is None or name in swept:
            continue
        if not isinstance(before, dict) or name not in before:
            continue
        left, value = _left_at(sesn, name, course.run.index), parameter.value
        if left is None or left == value:
            continue
        here, there = _shown(value, parameter), _shown(left, parameter)
        giver, is_new = _given(plan, name, course)
        if is_new:
            why = f"begins with {here}, as {giver} says; {called(course)} left it at {there}"
        elif not _is_same(before[name], value):
            why = f"begins with {here}, as was accepted; {called(course)} left it at {there}"
        elif not _is_within(left, parameter):
            why = f"begins with {here}: {called(course)} left it at {there}, which is now outside of its limits"
        else:
            value = left
            whose = f"of {giver}, which that run had too" if giver else "of the experiment file"
            why = f"goes on with {there}, as {called(course)} left it, not with {here} {whose}"
        yield name, value, why


def _left_at(sesn: AsyncSession, name: str, index: int) -> Scalar | None:
    """Return the value of a parameter at the end of a run; None if it is not known."""
    start = next(run.start for run in sesn.runs() if run.index == index)
    end = min((run.start for run in sesn.runs() if run.index > index), default=math.inf)
    for event in sesn.events(after=start):
        if _is_change(event, name) and (event.source == FILE or event.time >= end):
            return _old(event, name)  # what came after the run made it another one
    value: Scalar | None = sesn.parameter(name)
    return value


def _is_change(event: Event, name: str) -> bool:
    return event.kind == "parameter" and event.text.startswith(f"{name}: ")


def _old(event: Event, name: str) -> Scalar | None:
    """Return the value before a change, of which its event tells."""
    text = event.text.removeprefix(f"{name}: ").partition(" → ")[0]
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    return found if isinstance(found, (int, float, str)) else None


def _given(plan: Plan, name: str, course: Course) -> tuple[str, bool]:
    """Return what gives the value besides the file, "" if nothing does, and whether that is new.

    The command that is offered repeats what was set for the earlier run: that is no newer wish than
    what was tuned in it.
    """
    giver, is_new = "", False
    before = f"\n{course.run.texts.get('overrides', '')}\n"
    for text in map(starred, plan.loaded.overrides):
        is_of_environment = text.startswith(PREFIX)
        key = name.lower() if is_of_environment else name
        if path_of(text) in (["parameters"], ["parameters", key], ["parameters", key, "value"]):
            giver = text.partition("=")[0] if is_of_environment else "--set"
            is_new = f"\n{text}\n" not in before
    return giver, is_new


def _is_same(before: object, value: Scalar) -> bool:
    """Tell whether the experiment file had the value when the earlier run began."""
    had = before.get("value") if isinstance(before, dict) else before
    return bool(had == plainly(redacted_values({"value": value}))["value"])


def _is_within(value: Scalar, parameter: Parameter) -> bool:
    limits = parameter.tunable
    if limits is None or isinstance(value, (bool, str)):
        return type(value) is type(parameter.value)
    low, high = limits.min, limits.max
    return (low is None or value >= low) and (high is None or value <= high)


def _shown(value: Scalar, parameter: Parameter) -> str:
    return f"{value} {parameter.unit}" if parameter.unit else f"{value}"
