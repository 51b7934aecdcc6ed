"""What concerns several keys of a sweep at once."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pymanip_run.core.context import POINT_PREFIX
from pymanip_run.errors import did_you_mean, nearest
from pymanip_run.experiment.checks.finding import Finding, choice, given, mapping, number
from pymanip_run.experiment.model.fields import MAX_POINTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pymanip_run.experiment.text.nodes import Part

__all__ = ["check_sweep"]

_LINE = ("start", "stop", "num")


def check_sweep(name: str, sweep: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong with the sweep of a task."""
    path = ("tasks", name, "sweep")
    yield from _name(name)
    yield from _points(path, sweep, ("grid", "use"))
    grid = mapping(sweep, "grid")
    for axis_name, axis in grid.items():
        if isinstance(axis, dict):
            yield from _points((*path, "grid", axis_name), axis, ())
    yield from _parameters(path, sweep, grid, mapping(data, "parameters"))
    yield from _set(path, sweep, mapping(data, "devices"))
    points = math.prod(map(_length, grid.values()))
    if points > MAX_POINTS:
        text = f"{points:_} points are more than the {MAX_POINTS:_} that a sweep may have"
        yield Finding((*path, "grid"), text)
    if sweep.get("snake") is True and not grid:
        yield Finding((*path, "snake"), "'snake' is for a grid")


def _name(name: str) -> Iterator[Finding]:
    if len(name) < 60:  # short in any encoding; the check imports numpy
        return
    from pymanip_run.records import check_name  # noqa: PLC0415

    with suppress(ValueError):  # the model tells what is wrong with any name
        check_name(name)
        try:
            check_name(name, "sweep", POINT_PREFIX)
        except ValueError as error:
            yield Finding(("tasks", name), str(error))


def _length(axis: object) -> int:
    """Return the number of points along an axis of a grid, 1 where something else is wrong with it."""
    if isinstance(axis, list):
        return max(1, len(axis))
    values = mapping(axis).get("values")
    if isinstance(values, list):
        return max(1, len(values))
    num = number(mapping(axis, "log").get("num", mapping(axis).get("num")))
    return max(1, int(num)) if num is not None and math.isfinite(num) else 1


def _parameters(
    path: tuple[Part, ...],
    sweep: Mapping[str, Any],
    grid: Mapping[str, Any],
    declared: Mapping[str, Any],
) -> Iterator[Finding]:
    parameter = sweep.get("parameter")
    if isinstance(parameter, str):
        if grid:
            yield Finding(
                (*path, "parameter"), "the axes of a grid are its parameters; leave 'parameter' out"
            )
        elif parameter not in declared:
            yield Finding((*path, "parameter"), _undeclared(parameter, declared), value=True)
    for name in grid:
        if name not in declared:
            yield Finding((*path, "grid", name), _undeclared(name, declared), warning=True)
    if isinstance(parameter, str) and not grid:
        yield from _within_limits(path, sweep, parameter, declared)
    for name, axis in grid.items():
        axis_path = (*path, "grid", name)
        values = axis if isinstance(axis, dict) else {"values": axis}
        yield from _within_limits(axis_path, values, name, declared)


def _undeclared(name: str, declared: Mapping[str, Any]) -> str:
    return f"{name!r} is not declared under 'parameters'{did_you_mean(name, declared)}"


def _within_limits(
    path: tuple[Part, ...], axis: Mapping[str, Any], name: str, declared: Mapping[str, Any]
) -> Iterator[Finding]:
    """Check the ends of an axis against the limits of its parameter."""
    tunable = mapping(mapping(declared, name), "tunable")
    low, high = number(tunable.get("min")), number(tunable.get("max"))
    values = axis.get("values")
    line = mapping(axis, "log") or axis
    ends = values if isinstance(values, list) else [line.get("start"), line.get("stop")]
    numbers = [value for value in map(number, ends) if value is not None]
    outside = [
        value
        for value in numbers
        if (low is not None and value < low) or (high is not None and value > high)
    ]
    if outside:
        text = f"goes to {outside[0]:g}, outside of the limits of {name!r} under 'tunable'"
        yield Finding(path, text, warning=True)


def _set(
    path: tuple[Part, ...], sweep: Mapping[str, Any], devices: Mapping[str, Any]
) -> Iterator[Finding]:
    method = sweep.get("set")
    if not isinstance(method, str) or not method:
        return
    device, dot, name = method.partition(".")
    if device not in devices:
        known = did_you_mean(device, devices)
        text = f"{device!r} is not a device{known or '; devices are declared under devices'}"
        yield Finding((*path, "set"), text, value=True)
    elif not dot or not all(part.isidentifier() for part in name.split(".")):
        text = f"the method of the device is missing; write for example {device}.set_voltage"
        yield Finding((*path, "set"), text, value=True)


def _points(
    path: tuple[Part, ...], axis: Mapping[str, Any], more: tuple[str, ...]
) -> Iterator[Finding]:
    """Check that exactly one way of giving points is used, and completely."""
    line = given(axis, _LINE)
    ways = [*given(axis, ("values", "log", *more)), *(["start, stop, num"] if line else [])]
    if not ways:
        unknown = [key for key in axis if nearest(key, ("values", "log", *_LINE, *more))]
        if not unknown:
            forms = ("values", "start, stop, num", "log", *more)
            yield Finding(path, f"the points are missing: give {choice(forms)}")
    elif len(ways) > 1:
        yield Finding(
            path, f"points are given by {' and by '.join(ways)}; only one of these is possible"
        )
    elif line and len(line) < len(_LINE):
        missing = [key for key in _LINE if key not in line]
        told = "step" in axis or any(nearest(key, missing) for key in axis if key not in _LINE)
        if not told:
            are = "are" if len(missing) > 1 else "is"
            yield Finding(path, f"{choice([repr(key) for key in missing], 'and')} {are} missing")
