"""What concerns several keys of an experiment file at once.

These look at the plain data, not at the models, so that they find their part also where
something else is wrong.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from pymanip_run.core.context import POINT_PREFIX
from pymanip_run.errors import did_you_mean, nearest
from pymanip_run.experiment.session_path import check_template

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pymanip_run.experiment.nodes import Part

__all__ = ["Finding", "check"]


class Finding(NamedTuple):
    """Something wrong at a path."""

    path: tuple[Part, ...]
    message: str
    #: It is the value, not the key, that is to be changed.
    value: bool = False
    #: The run can go on.
    warning: bool = False


def check(data: Mapping[str, Any], tasks: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield what is wrong across keys; `tasks` is a mapping from names to settings."""
    yield from _session(data)
    yield from _server(data)
    for name, parameter in _mapping(data, "parameters").items():
        yield from _tunable(("parameters", name), _mapping(parameter))
    for name in tasks:
        task = _mapping(tasks, name)
        yield from _exclusive(("tasks", name), task, ("every", "repeat", "once", "sweep"))
        sweep = task.get("sweep")
        if isinstance(sweep, dict):
            yield from _sweep_name(name)
            yield from _sweep(("tasks", name, "sweep"), sweep, data)


def _mapping(data: object, key: str | None = None) -> Mapping[str, Any]:
    """Return a mapping below a key; an empty one where there is something else."""
    if key is not None:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def _given(data: Mapping[str, Any], keys: tuple[str, ...]) -> list[str]:
    return [key for key in data if key in keys and data[key] is not None]


def _session(data: Mapping[str, Any]) -> Iterator[Finding]:
    session = data.get("session")
    path: tuple[Part, ...] = ("session",)
    if isinstance(session, dict):
        path, session = ("session", "file"), session.get("file")
    if isinstance(session, str) and session:
        message = check_template(session)
        if message:
            yield Finding(path, message, value=True)


def _server(data: Mapping[str, Any]) -> Iterator[Finding]:
    server = _mapping(data, "server")
    if server and server.get("enabled") is not False:
        yield Finding(
            ("server",),
            "the dashboard is not available in this version; the run goes on without",
            warning=True,
        )


def _tunable(path: tuple[Part, ...], parameter: Mapping[str, Any]) -> Iterator[Finding]:
    tunable, value = _mapping(parameter, "tunable"), parameter.get("value")
    low, high = (_number(tunable.get(key)) for key in ("min", "max"))
    if low is not None and high is not None and low > high:
        yield Finding(
            (*path, "tunable", "max"), f"max is less than min, which is {low:g}", value=True
        )
    if not tunable:
        return
    number = _number(value)
    if number is None:
        if value is not None:
            yield Finding((*path, "tunable"), "only a number is tunable")
    elif (low is not None and number < low) or (high is not None and number > high):
        yield Finding(
            (*path, "value"), f"{number:g} is outside of the limits under 'tunable'", value=True
        )


def _number(value: object) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _exclusive(
    path: tuple[Part, ...], data: Mapping[str, Any], keys: tuple[str, ...]
) -> Iterator[Finding]:
    for key in keys:
        if key in data and data[key] is None:
            # Taken for "not given", the task would run again and again without a pause.
            yield Finding((*path, key), f"{key!r} has no value")
    given = _given(data, keys)
    for key in given[1:]:
        *others, last = keys
        message = f"{key!r} does not go together with {given[0]!r}; give one of {', '.join(others)} or {last}"
        yield Finding((*path, key), message)


def _sweep_name(name: str) -> Iterator[Finding]:
    if len(name) < 60:  # short in any encoding; the check imports numpy
        return
    from pymanip_run.records import check_name  # noqa: PLC0415

    with suppress(ValueError):  # the model tells what is wrong with any name
        check_name(name)
        try:
            check_name(name, "sweep", POINT_PREFIX)
        except ValueError as error:
            yield Finding(("tasks", name), str(error))


_LINE = ("start", "stop", "num")


def _sweep(
    path: tuple[Part, ...], sweep: Mapping[str, Any], data: Mapping[str, Any]
) -> Iterator[Finding]:
    yield from _points(path, sweep, ("grid", "use"))
    grid = _mapping(sweep, "grid")
    for name, axis in grid.items():
        if isinstance(axis, dict):
            yield from _points((*path, "grid", name), axis, ())
    declared = _mapping(data, "parameters")
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
    if sweep.get("snake") is True and not grid:
        yield Finding((*path, "snake"), "'snake' is for a grid")


def _undeclared(name: str, declared: Mapping[str, Any]) -> str:
    return f"{name!r} is not declared under 'parameters'{did_you_mean(name, declared)}"


def _points(
    path: tuple[Part, ...], axis: Mapping[str, Any], more: tuple[str, ...]
) -> Iterator[Finding]:
    """Check that exactly one way of giving points is used, and completely."""
    line = _given(axis, _LINE)
    ways = [*_given(axis, ("values", "log", *more)), *(["start, stop, num"] if line else [])]
    if not ways:
        unknown = [key for key in axis if nearest(key, ("values", "log", *_LINE, *more))]
        if not unknown:
            yield Finding(
                path,
                f"the points are missing: give {_choice(('values', 'start, stop, num', 'log', *more))}",
            )
    elif len(ways) > 1:
        yield Finding(
            path, f"points are given by {' and by '.join(ways)}; only one of these is possible"
        )
    elif line and len(line) < len(_LINE):
        missing = [key for key in _LINE if key not in line]
        if not any(nearest(key, missing) for key in axis if key not in _LINE):
            yield Finding(
                path, f"{_choice([repr(key) for key in missing], 'and')} {_is(missing)} missing"
            )


def _choice(words: tuple[str, ...] | list[str], word: str = "or") -> str:
    *others, last = words
    return f"{', '.join(others)} {word} {last}" if others else last


def _is(words: list[str]) -> str:
    return "are" if len(words) > 1 else "is"
