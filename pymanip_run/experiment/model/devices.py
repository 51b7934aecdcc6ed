"""Devices in the experiment file: what is opened, how it is closed and made safe."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from pymanip_run.experiment.model.fields import (
    ALSO_ONE,
    ONE_OR_MANY,
    AlsoAccepts,
    Duration,
    Period,
    Strict,
)

__all__ = ["Device", "Reconnect", "SafeAction", "Simulate"]


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
    return {"call": value} if isinstance(value, str) else value


AnySafeAction = Annotated[SafeAction, BeforeValidator(_safe), AlsoAccepts({"type": "string"})]


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
    safe: Annotated[list[AnySafeAction], ONE_OR_MANY, ALSO_ONE] = Field(
        default=[],
        description="What leaves it in a safe state, on every way out: one call or a list.",
    )
    required: bool = Field(
        default=True, description="Whether the run ends if it cannot be opened; else it is None."
    )
