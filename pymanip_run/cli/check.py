"""``pymanip-run check``: is an experiment file valid, and what will a run of it take."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import sys
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pymanip_run.cli.arguments import ExperimentFile, Overrides, experiment_file, seconds_of
from pymanip_run.cli.outcome import leave_now
from pymanip_run.cli.streams import data_only
from pymanip_run.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pymanip_run.experiment.build.plan import Plan
    from pymanip_run.experiment.model.experiment import Experiment
    from pymanip_run.experiment.rehearsal.forecast import FileForecast, Forecast, SweepForecast
    from pymanip_run.experiment.rehearsal.ports import PortForecast

__all__ = ["check"]

INDENT = "  "
NAME_WIDTH = 14
NARROWEST = 40


def check(
    file: ExperimentFile,
    *,
    overrides: Overrides = None,
    duration: Annotated[
        str | None,
        typer.Option("--for", metavar="DURATION", help="The time that the run is to last."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Check an experiment file and its module, and forecast a run; nothing is opened or created."""
    from pymanip_run.experiment.build.plan import prepare
    from pymanip_run.experiment.rehearsal.alarm_tests import failed_tests
    from pymanip_run.experiment.rehearsal.forecast import forecast
    from pymanip_run.livetable.text import inert

    seconds = seconds_of(duration, "--for")
    try:
        with data_only(json), prepare(experiment_file(file), tuple(overrides or ())) as plan:
            found = forecast(plan, seconds)
            failures = failed_tests(plan)
    except ConfigError as error:
        if json:
            _print_json({"file": file, "valid": False, "problems": str(error).splitlines()})
        raise
    if json:
        _print_json({**_described(plan, found), "failed_alarm_tests": failures})
    else:
        _print("\n".join([*_lines(plan, found, len(failures)), *map(inert, failures)]))
    if failures:
        leave_now(1)


def _lines(plan: Plan, found: Forecast, failures: int) -> Iterator[str]:
    from pymanip_run.livetable.text import inert

    model, server = plan.loaded.model, _server(found.port)
    head = f"{inert(plan.loaded.path)} is valid: {', '.join(_contents(model, failures))}"
    yield from _fitted("", head)
    rows = [(name, _sweep(sweep)) for name, sweep in found.sweeps.items()]
    rows += [("file", _file(found.file, found.duration)), ("server", server)]
    for name, text in rows:
        yield from _fitted(f"{INDENT}{inert(name):<{NAME_WIDTH}} ", text)
    for warning in _warnings(plan, found):
        yield from _fitted("warning: ", inert(warning))


def _fitted(start: str, text: str) -> list[str]:
    """Return a line, on a terminal in pieces that fit and stand below each other."""
    from textwrap import wrap

    if not sys.stdout.isatty():
        return [start + text]
    width = max(NARROWEST, get_terminal_size().columns)
    rest = " " * (len(start) or len(INDENT))
    return wrap(
        text, width, initial_indent=start, subsequent_indent=rest,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _warnings(plan: Plan, found: Forecast) -> list[str]:
    return [*plan.loaded.warnings, *plan.loaded.inactive, *found.warnings]


# -- what is in the file ------------------------------------------------------------------------


def _contents(model: Experiment, failures: int) -> Iterator[str]:
    if model.devices:
        yield _counted(len(model.devices), "device") + f" ({_simulated(model)})"
    yield _counted(len(model.tasks), "task")
    if model.alarms:
        yield _counted(len(model.alarms), "alarm") + _tests(len(model.alarm_tests), failures)


def _tests(number: int, failures: int) -> str:
    if not number:
        return ""
    passed = f"{_counted(number - failures, 'test')} passed"
    return f" ({passed}, {failures} failed)" if failures else f" ({passed})"


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _simulated(model: Experiment) -> str:
    real = [name for name, device in model.devices.items() if device.simulate is None]
    if not real:
        many = {1: "it", 2: "both"}.get(len(model.devices), "all")
        return f"{many} can be simulated"
    if len(real) == len(model.devices):
        return "without simulation"
    return f"no simulation of {', '.join(real)}"


# -- what a run will take -----------------------------------------------------------------------


def _sweep(sweep: SweepForecast) -> str:
    from pymanip_run.livetable.text import grouped
    from pymanip_run.units import format_duration

    settle = f"settle {format_duration(sweep.settle)}, " if sweep.settle else ""
    if sweep.points is None:
        return f"points from a generator, {settle}how many is not known beforehand"
    points = f"{grouped(sweep.points)} point{'s' * (sweep.points != 1)}"
    if sweep.seconds is None:
        return f"{points}, how long a step takes is not known before a first run"
    total = format_duration(sweep.seconds)
    if sweep.measured is None:
        return f"{points}, at least {total} ({settle}how long a step takes is not known)"
    longer = settle if sweep.settle > sweep.measured else ""
    pace = format_duration(sweep.measured)
    return f"{points}, about {total} ({longer}{pace} a point in the last run)"


def _file(file: FileForecast, duration: float | None) -> str:
    from pymanip_run.units import format_duration, format_size

    free = "" if file.free is None else f"; {format_size(file.free)} free"
    if file.bytes_per_day is None:
        return f"size not known before a first run (variables have no period){free}"
    text = f"about {format_size(file.bytes_per_day)} a day"
    if file.total is not None and duration is not None:
        text += f", {format_size(file.total)} in {format_duration(duration)}"
    if file.measured:
        return f"{text}, as in the last run{free}"
    only = "variable" if file.declared == 1 else f"{file.declared} variables"
    return f"{text} for the {only} with a period (more is not known before a first run){free}"


def _server(port: PortForecast) -> str:
    if not port.enabled:
        return "none (server.enabled is false)"
    who = "the whole network" if port.share else "this computer only"
    if port.port is None:
        return f"any free port, {who}"
    text = f"http://localhost:{port.port}, {who}"
    if port.free:
        return f"{text}, port free"
    return f"{text}, port taken by {port.taken_by or 'another program'}"


def _described(plan: Plan, found: Forecast) -> Mapping[str, Any]:
    model, file = plan.loaded.model, found.file
    return {
        "file": str(plan.loaded.path),
        "valid": True,
        "title": plan.title,
        "devices": {
            name: {"simulated": device.simulate is not None, "required": device.required}
            for name, device in model.devices.items()
        },
        "tasks": {name: {"every": task.every} for name, task in model.tasks.items()},
        "sweeps": {
            name: {"points": s.points, "seconds": s.seconds, "settle": s.settle, "step": s.measured}
            for name, s in found.sweeps.items()
        },
        "alarms": list(model.alarms),
        "duration": found.duration,
        "session": None if file.path is None else str(file.path),
        "exists": file.exists,
        "bytes_per_day": file.bytes_per_day,
        "bytes": file.total,
        "from_last_run": file.measured,
        "free": file.free,
        "server": {
            "enabled": found.port.enabled,
            "port": found.port.port,
            "share": found.port.share,
            "free": found.port.free,
            "taken_by": found.port.taken_by,
        },
        "warnings": _warnings(plan, found),
    }


def _print_json(content: Mapping[str, Any] | Sequence[Any]) -> None:
    from json import dumps

    print(dumps(content, indent=2, allow_nan=False))


def _print(text: str) -> None:
    from pymanip_run.livetable.text import glyphs_for

    print(glyphs_for(sys.stdout.encoding).encodable(text))
