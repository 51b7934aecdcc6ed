"""The experiment file as strict models: every key, its meaning, its default.

The models check one value at a time; what concerns several is in
:mod:`pymanip_run.experiment.checks`. The JSON schema of the file is
``Experiment.model_json_schema()``. Keys of type `Later` are of the format, but not yet done.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from pymanip_run.experiment.fields import (
    AlsoAccepts,
    Count,
    Duration,
    Later,
    Name,
    NaturalNumber,
    Number,
    NumberFormat,
    Period,
    PlainScalar,
    Port,
    Size,
    Strict,
    Structured,
)
from pymanip_run.experiment.scalars import as_written

__all__ = [
    "Axis",
    "Device",
    "Experiment",
    "Limits",
    "OnError",
    "Parameter",
    "Reconnect",
    "SafeAction",
    "Server",
    "Session",
    "Simulate",
    "Sweep",
    "Task",
    "Tunable",
    "Variable",
    "task_settings",
]


class Session(Strict):
    """Where the data go."""

    file: str | None = Field(
        default=None,
        min_length=1,
        description="The session file, relative to the experiment file; {date} {time} {n} {experiment} are filled in. "
        "Left out: the experiment file's name with .h5, beside it.",
    )
    title: str | None = Field(
        default=None,
        description="What the experiment is called on displays. Left out: its file's name.",
    )
    exists: Literal["append", "new", "fail"] = Field(
        default="append",
        description="If the file is there: continue it, take the next free number, or refuse to start.",
    )
    checkpoint: Period = Field(
        default=5.0,
        description="How often the HDF5 file is brought up to date; entries are safe before.",
    )


class Reconnect(Strict):
    """How a device is opened again after a failed call."""

    wait: Duration = Field(default=1.0, description="Time before the first attempt; then doubled.")
    max_wait: Period = Field(default=60.0, description="The longest time between two attempts.")


class SafeAction(Strict):
    """A call that leaves a device in its safe state."""

    call: str = Field(min_length=1, description="The method of the device.")
    args: list[Any] = Field(default=[], description="Its arguments.")
    kwargs: dict[str, Any] = Field(default={}, description="Its keyword arguments.")
    timeout: Period = Field(default=5.0, description="Time after which the next one is tried.")


class Simulate(Strict):
    """What stands for a device in a rehearsal."""

    use: str = Field(min_length=1, description="Any class or factory, `module:Name`.")
    args: list[Any] | None = Field(
        default=None, description="Its arguments. Left out, with kwargs: those of the device."
    )
    kwargs: dict[str, Any] | None = Field(
        default=None, description="Its keyword arguments. Left out, with args: those of the device."
    )


def _simulate(value: Any) -> Any:
    return {"use": value} if isinstance(value, str) else value


def _safe(value: Any) -> Any:
    actions = value if isinstance(value, list) else [value]
    return [{"call": action} if isinstance(action, str) else action for action in actions]


_SAFE_FORMS = {"anyOf": [{"type": "string"}, {"type": "object"}]}


class Device(Strict):
    """An instrument, opened for the run; it becomes ``sesn.name``."""

    use: str = Field(
        min_length=1, description="Any class or factory, `module:Name`, or `Name` of the module."
    )
    args: list[Any] = Field(default=[], description="Its arguments.")
    kwargs: dict[str, Any] = Field(default={}, description="Its keyword arguments.")
    blocking: bool = Field(
        default=False, description="A plain driver: its methods are called in a thread of its own."
    )
    simulate: (
        Annotated[Simulate, BeforeValidator(_simulate), AlsoAccepts({"type": "string"})] | None
    ) = Field(default=None, description="What stands for it in a rehearsal.")
    open_timeout: Period = Field(default=20.0, description="How long opening may take.")
    close_timeout: Period = Field(default=10.0, description="How long closing may take.")
    reconnect: Reconnect | None = Field(
        default=None, description="After a failed call: close, wait, open again."
    )
    safe: Annotated[list[SafeAction], BeforeValidator(_safe), AlsoAccepts(_SAFE_FORMS)] = Field(
        default=[],
        description="What leaves it in a safe state, on every way out: one call or a list.",
    )
    required: bool = Field(
        default=True, description="Whether the run ends if it cannot be opened; else it is None."
    )


class Tunable(Strict):
    """Within which limits a parameter may be changed during a run."""

    min: Number | None = Field(default=None, description="The smallest value.")
    max: Number | None = Field(default=None, description="The largest value.")
    max_step: Number | None = Field(default=None, gt=0, description="The largest change at once.")


class Parameter(Strict):
    """A value that is saved once."""

    value: PlainScalar = Field(description="A number, true, false or a text.")
    unit: str | None = Field(default=None, description="Its unit.")
    label: str | None = Field(default=None, description="What it is called on displays.")
    tunable: Tunable | None = Field(
        default=None, description="Limits within which it may be changed during a run."
    )


class Variable(Strict):
    """How a logged variable is shown and exported."""

    unit: str | None = Field(default=None, description="Its unit.")
    label: str | None = Field(default=None, description="What it is called on displays.")
    format: NumberFormat | None = Field(
        default=None, description="How its values are written, for example .3f"
    )
    period: Period | None = Field(
        default=None, description="Time between two values; a value much older counts as stale."
    )


class Log(Strict):
    """Numbers in geometric progression."""

    start: Number = Field(gt=0, description="The first number.")
    stop: Number = Field(gt=0, description="The last number.")
    num: Count = Field(description="How many numbers.")


class Axis(Strict):
    """The points of one parameter: a list, or evenly or geometrically spaced numbers."""

    values: list[PlainScalar] | None = Field(
        default=None, min_length=1, description="The points themselves."
    )
    start: Number | None = Field(default=None, description="The first of evenly spaced points.")
    stop: Number | None = Field(default=None, description="The last of evenly spaced points.")
    num: Count | None = Field(default=None, description="How many evenly spaced points.")
    log: Log | None = Field(default=None, description="Geometrically spaced points.")


def _axis(value: Any) -> Any:
    return {"values": value} if isinstance(value, list) else value


GridAxis = Annotated[Axis, BeforeValidator(_axis), AlsoAccepts({"type": "array", "minItems": 1})]


class Sweep(Axis):
    """The points at which a task is called, one after the other."""

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


def _names(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Task(Strict):
    """What is run, and when; at most one of every, repeat, once, sweep (none: repeat)."""

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
    before: Annotated[list[Name], BeforeValidator(_names), AlsoAccepts({"type": "string"})] = Field(
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


def _tasks(value: Any) -> Any:
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


class Server(Strict):
    """The dashboard in the browser."""

    enabled: bool = Field(default=True, description="Whether there is a server.")
    port: Port | None = Field(
        default=None, description="Its port; 0: any free one. Left out: 6913 or the next free one."
    )
    share: Later = None
    token: Later = None
    allowed_hosts: Later = None
    tls: Later = None
    control: Later = None


class Limits(Strict):
    """When a run ends by itself."""

    duration: Period | None = Field(default=None, description="How long the run lasts.")
    entries: Count | None = Field(
        default=None, description="How many entries the run logs at most."
    )
    min_free_disk: Size | None = Field(
        default=None, description="The run ends when less is free, with exit code 4."
    )
    grace: Duration = Field(
        default=30.0,
        description="Time that tasks have for their present step after a stop; then they are cancelled.",
    )


def _version(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value > 1:
        raise ValueError(
            f"version {value} of the format is newer than this program, which reads version 1"
        )
    return value


def _session(value: Any) -> Any:
    return {"file": value} if isinstance(value, str) else value


def _parameter(value: Any) -> Any:
    return value if isinstance(value, dict) else {"value": value}


_SCALAR = {"type": ["number", "boolean", "string"]}
_NAMED = {"type": "array", "minItems": 1}
AnyTask = Annotated[Task, AlsoAccepts({"type": "null"})]
AnyParameter = Annotated[Parameter, BeforeValidator(_parameter), AlsoAccepts(_SCALAR)]


class Experiment(Strict):
    """A whole experiment file."""

    version: Annotated[Literal[1], BeforeValidator(_version)] = Field(
        default=1, description="Version of the format."
    )
    session: Annotated[Session, BeforeValidator(_session), AlsoAccepts({"type": "string"})] = Field(
        default=Session(), description="Where the data go: a file name, or a mapping."
    )
    metadata: dict[Name, Structured] = Field(
        default={}, description="Free text and numbers, copied into the session."
    )
    module: str = Field(
        min_length=1,
        description="The Python module of the tasks: a file beside this one, or a dotted name.",
    )
    parameters: dict[Name, AnyParameter] = Field(
        default={}, description="Values that are saved once: bare, or with unit, label and limits."
    )
    variables: dict[Name, Variable] = Field(
        default={}, description="How logged variables are shown and exported."
    )
    tasks: Annotated[
        dict[Name, AnyTask], BeforeValidator(_tasks), AlsoAccepts(_NAMED, long_form_under="items")
    ] = Field(
        min_length=1,
        description="What is run: a list of names, or a mapping from names to settings.",
    )
    server: Server = Field(default=Server(), description="Whether and where there is a dashboard.")
    limits: Limits = Field(default=Limits(), description="When the run ends by itself.")
    devices: dict[Name, Device] = Field(
        default={}, description="Instruments: opened in this order, closed in reverse order."
    )
    plots: Later = None
    alarms: Later = None
    alarm_tests: Later = None
    email: Later = None
