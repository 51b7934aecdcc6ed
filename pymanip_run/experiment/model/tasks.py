"""Tasks and sweeps in the experiment file: what is called, when, and at which points."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, JsonValue, model_validator

from pymanip_run.experiment.model.fields import (
    ALSO_ONE,
    FREE_KEYS,
    ONE_OR_MANY,
    AlsoAccepts,
    Duration,
    Name,
    NaturalNumber,
    Number,
    Period,
    PlainScalar,
    PointCount,
    Strict,
)
from pymanip_run.experiment.text.scalars import as_written

if TYPE_CHECKING:
    from pydantic.config import JsonDict

__all__ = ["AnyTask", "Axis", "Log", "OnError", "Sweep", "Task", "named_tasks", "task_settings"]


class Log(Strict):
    """Numbers in geometric progression."""

    start: Number = Field(gt=0, description="The first number.")
    stop: Number = Field(gt=0, description="The last number.")
    num: PointCount = Field(description="How many numbers.")


def _one_way(*ways: list[JsonValue]) -> JsonDict:
    """Return what a JSON schema says where points are given in one of several ways."""
    line: list[JsonValue] = ["start", "stop", "num"]
    others: JsonDict = {str(key): [one for one in line if one != key] for key in line}
    choices: list[JsonValue] = [{"required": way} for way in (*ways, line)]
    return {**FREE_KEYS, "oneOf": choices, "dependentRequired": others}


class Axis(Strict):
    """The points of one parameter: a list, or evenly or geometrically spaced numbers."""

    model_config = ConfigDict(json_schema_extra=_one_way(["values"], ["log"]))

    values: list[PlainScalar] | None = Field(
        default=None, min_length=1, description="The points themselves."
    )
    start: Number | None = Field(default=None, description="The first of evenly spaced points.")
    stop: Number | None = Field(default=None, description="The last of evenly spaced points.")
    num: PointCount | None = Field(default=None, description="How many evenly spaced points.")
    log: Log | None = Field(default=None, description="Geometrically spaced points.")


def _axis(value: Any) -> Any:
    return {"values": value} if isinstance(value, list) else value


GridAxis = Annotated[Axis, BeforeValidator(_axis), AlsoAccepts({"type": "array", "minItems": 1})]


class Sweep(Axis):
    """The points at which a task is called, one after the other."""

    model_config = ConfigDict(json_schema_extra=_one_way(["values"], ["log"], ["grid"], ["use"]))

    grid: dict[Name, GridAxis] | None = Field(
        default=None,
        min_length=1,
        description="Points of several parameters; the first one is outermost.",
    )
    snake: bool = Field(
        default=False, description="Go back and forth along the inner axes of a grid."
    )
    use: str | None = Field(
        default=None, min_length=1, description="A generator of points, `name` or `module:Name`."
    )
    parameter: Name | None = Field(
        default=None, description="The parameter that is saved with each point."
    )
    settle: Duration = Field(
        default=0.0, description="Time to wait before the task is called at a point."
    )
    set: str | None = Field(
        default=None, min_length=1, description="A device's method that is called with each point."
    )


class OnError(Strict):
    """What happens when a task fails."""

    retry: NaturalNumber = Field(default=0, description="How often it is tried again.")
    wait: Duration = Field(default=1.0, description="Time before the first retry; then doubled.")
    max_wait: Period = Field(default=60.0, description="The longest time between two retries.")
    then: Literal["continue", "stop", "fail"] = Field(
        default="fail",
        description="When the retries are used up: go on with the next one, end the run "
        "(exit code 0), or end it as failed (exit code 1).",
    )


_PAIRS = itertools.combinations(("every", "repeat", "once", "sweep"), 2)
_ONE_SCHEDULE: JsonDict = {
    **FREE_KEYS,
    "not": {"anyOf": [{"required": list(pair)} for pair in _PAIRS]},
    "dependentRequired": {"before": ["once"]},
}


class Task(Strict):
    """What is run, and when; at most one of every, repeat, once, sweep (none: repeat)."""

    model_config = ConfigDict(json_schema_extra=_ONE_SCHEDULE)

    use: str | None = Field(
        default=None,
        min_length=1,
        description="The function, `name` or `module:Name`. Left out: the task's name.",
    )
    every: Period | None = Field(
        default=None, description="Call it on a fixed time grid; the first time at the start."
    )
    repeat: Literal[True] | None = Field(default=None, description="Call it again and again.")
    once: Literal[True] | None = Field(default=None, description="Call it once.")
    sweep: Sweep | None = Field(default=None, description="Call it at each of these points.")
    start_after: Duration = Field(default=0.0, description="Time to wait before it begins.")
    kwargs: dict[str, Any] = Field(default={}, description="Keyword arguments of the function.")
    timeout: Period | None = Field(
        default=None, description="How long one call may take before it counts as failed."
    )
    on_error: OnError = Field(default=OnError(), description="What happens when it fails.")
    before: Annotated[list[Name], ONE_OR_MANY, ALSO_ONE] = Field(
        default=[], description="Tasks that begin only when this one, with `once`, is through."
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        if isinstance(data, Misplaced):
            raise ValueError(data.message)  # noqa: TRY004 - pydantic's contract
        return {} if data is None else data


class Misplaced:
    """An item of the list of tasks that is none; it is told where it stands."""

    def __init__(self, message: str) -> None:
        self.message = message


def task_settings(value: Any) -> dict[str, Any]:
    """Return a mapping from names to settings from any form of `tasks`; an empty one from anything else."""
    if not isinstance(value, list):
        return value if isinstance(value, dict) else {}
    tasks: dict[str, Any] = {}
    for index, item in enumerate(value):
        name, settings = _task_item(item)
        if name in tasks:
            name, settings = str(index), Misplaced(f"the task {name!r} is there twice")
        tasks[str(index) if name is None else name] = settings
    return tasks


def named_tasks(value: Any) -> Any:
    """Return a list of tasks as a mapping; everything else as it is."""
    return task_settings(value) if isinstance(value, list) else value


def _task_item(item: Any) -> tuple[str | None, Any]:
    if isinstance(item, str):
        return item, {}
    if isinstance(item, dict) and len(item) == 1:
        return next(iter(item.items()))
    if isinstance(item, dict) and len(item) > 1:
        first = next(iter(item))
        return None, Misplaced(
            f"several keys in one item; indent the settings of {first!r} further than its name"
        )
    return None, Misplaced(f"the name of a task is needed, not {as_written(item)}")


AnyTask = Annotated[Task, AlsoAccepts({"type": "null"})]
