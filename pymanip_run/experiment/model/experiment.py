"""The experiment file as strict models: every key, its meaning, its default.

The models check one value at a time; what concerns several is in
:mod:`pymanip_run.experiment.checks.across_keys`. The JSON schema of the file is made from them
in :mod:`pymanip_run.experiment.model.schema`.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from pymanip_run.experiment.model.alarms import Action, Alarm, AlarmTest, Run
from pymanip_run.experiment.model.devices import Device, Reconnect, SafeAction, Simulate
from pymanip_run.experiment.model.fields import (
    AlsoAccepts,
    Count,
    Duration,
    Name,
    Number,
    NumberFormat,
    Period,
    PlainScalar,
    Size,
    Strict,
    Structured,
)
from pymanip_run.experiment.model.outputs import AnyPlot, Email, Plot, Server, Tls
from pymanip_run.experiment.model.tasks import (
    AnyTask,
    Axis,
    Log,
    OnError,
    Sweep,
    Task,
    named_tasks,
    task_settings,
)

__all__ = [
    "Action",
    "Alarm",
    "AlarmTest",
    "Axis",
    "Device",
    "Email",
    "Experiment",
    "Limits",
    "Log",
    "OnError",
    "Parameter",
    "Plot",
    "Reconnect",
    "Run",
    "SafeAction",
    "Server",
    "Session",
    "Simulate",
    "Sweep",
    "Task",
    "Tls",
    "Tunable",
    "UserSettings",
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
        examples=["tasks.py", "mylab.convection"],
    )
    devices: dict[Name, Device] = Field(
        default={}, description="Instruments: opened in this order, closed in reverse order."
    )
    parameters: dict[Name, AnyParameter] = Field(
        default={}, description="Values that are saved once: bare, or with unit, label and limits."
    )
    variables: dict[Name, Variable] = Field(
        default={}, description="How logged variables are shown and exported."
    )
    tasks: Annotated[
        dict[Name, AnyTask],
        BeforeValidator(named_tasks),
        AlsoAccepts(_NAMED, long_form_under="items"),
    ] = Field(
        min_length=1,
        description="What is run: a list of names, or a mapping from names to settings.",
        examples=[["read_temperatures"]],
    )
    plots: list[AnyPlot] = Field(
        default=[], description="Figures: lists of variables, or mappings for more."
    )
    alarms: dict[Name, Alarm] = Field(
        default={}, description="Conditions on logged variables, and what is done when they hold."
    )
    alarm_tests: list[AlarmTest] = Field(
        default=[], description="Made-up values with the alarms expected of them, for `check`."
    )
    email: Email | None = Field(
        default=None, description="Reports and alarms by mail; left out: none."
    )
    server: Server = Field(default=Server(), description="Whether and where there is a dashboard.")
    limits: Limits = Field(default=Limits(), description="When the run ends by itself.")


class UserSettings(Strict):
    """The user's own configuration: defaults of two keys of each experiment file."""

    email: Email | None = Field(default=None, description="Defaults of the key `email`.")
    server: Server = Field(default=Server(), description="Defaults of the key `server`.")
