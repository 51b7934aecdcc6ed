"""What a run of an experiment will take, as far as that can be told without running it.

Nothing is invented: what neither the file says nor an earlier run has shown is None.
"""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymanip_run.errors import UsageError
from pymanip_run.experiment.rehearsal.earlier import Earlier, earlier_run
from pymanip_run.experiment.rehearsal.ports import PortForecast, forecast_port
from pymanip_run.registry import registered_runs
from pymanip_run.units import format_duration, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pymanip_run.experiment.build.plan import Plan
    from pymanip_run.experiment.model.experiment import Experiment
    from pymanip_run.experiment.model.tasks import Axis, Sweep
    from pymanip_run.registry import RegisteredRun

__all__ = ["FileForecast", "Forecast", "SweepForecast", "forecast"]

#: A float64 value with its time while the file grows; tests/benchmarks/size.py measures it.
BYTES_PER_VALUE = 16.1
DAY = 86400.0
#: A disk that would be full sooner is worth a word, where the run has no end.
SOON = 60 * DAY


@dataclass(frozen=True)
class SweepForecast:
    """How long a sweep will take."""

    #: None where a generator gives them.
    points: int | None
    settle: float
    #: Seconds from point to point in an earlier run.
    measured: float | None
    #: Seconds of all points; at least, where the time of a step is not known.
    seconds: float | None


@dataclass(frozen=True)
class FileForecast:
    """Where the data will go, and how much."""

    #: None where it must not be continued and is there.
    path: Path | None
    exists: bool
    #: Of the values whose rate is known.
    bytes_per_day: float | None
    #: Variables with a declared period, and whether an earlier run has shown the others.
    declared: int
    measured: bool
    #: Bytes in the whole duration.
    total: float | None
    free: int | None


@dataclass(frozen=True)
class Forecast:
    """What is known before a run."""

    duration: float | None
    sweeps: dict[str, SweepForecast]
    file: FileForecast
    port: PortForecast
    warnings: tuple[str, ...]


def forecast(plan: Plan, duration: float | None = None) -> Forecast:
    """Return what a run of the plan will take; `duration` takes the place of the file's.

    The session of an earlier run is read for its rates, if it is there; nothing is written.
    """
    model = plan.loaded.model
    limit = model.limits.duration if duration is None else duration
    runs = registered_runs()
    where, refused = _where(plan)
    earlier = earlier_run(_candidates(plan, where, runs), list(model.tasks))
    sweeps = {
        name: _sweep(task.sweep, task.start_after, earlier.seconds_per_point.get(name))
        for name, task in model.tasks.items()
        if task.sweep is not None
    }
    file = _file(model, where, plan.loaded.folder, earlier, limit)
    port = forecast_port(model.server, runs)
    warnings = (
        *refused,
        *_locked(where, runs),
        *_unusable(where, earlier),
        *_warnings(model, file, sweeps, limit),
    )
    return Forecast(limit, sweeps, file, port, warnings)


# -- the session --------------------------------------------------------------------------------


def _where(plan: Plan) -> tuple[Path | None, tuple[str, ...]]:
    try:
        return plan.session_path().resolve(), ()
    except UsageError as error:
        return None, (str(error),)


def _candidates(plan: Plan, where: Path | None, runs: Sequence[RegisteredRun]) -> Iterator[Path]:
    """Yield sessions that an earlier run of this experiment may have written, the best first."""
    path = plan.loaded.path.absolute()
    if where is not None:
        yield where
    for run in runs:
        if run.experiment == str(path) and run.session:
            yield type(path)(run.session)


def _locked(where: Path | None, runs: Sequence[RegisteredRun]) -> Iterator[str]:
    for run in runs:
        if run.is_running and where is not None and run.session == str(where):
            yield (
                f"{where.name} is being written by process {run.pid} now; a second run of it is refused"
            )


def _unusable(where: Path | None, earlier: Earlier) -> Iterator[str]:
    """Yield why the session could not be written where it is to be."""
    if where is None:
        return
    refused = "a run would be refused, with exit code 4"
    if where in earlier.unreadable:
        yield f"{earlier.unreadable[where]}: {refused}"
    elif where.exists() and not os.access(where, os.W_OK):
        yield f"{where} is not writable: {refused}"
    folder = _existing(where.parent)
    if not os.access(folder, os.W_OK | os.X_OK):
        yield f"the folder {folder} is not writable: {refused}; another place:  --session PATH"


def _existing(folder: Path) -> Path:
    """Return a folder, or the nearest above it that is there."""
    while not _is_there(folder) and folder != folder.parent:
        folder = folder.parent
    return folder


def _is_there(folder: Path) -> bool:
    try:
        return folder.exists()
    except OSError:  # a folder above it is closed to us
        return False


def _file(
    model: Experiment, where: Path | None, folder: Path, earlier: Earlier, limit: float | None
) -> FileForecast:
    declared = {n: 1 / v.period for n, v in model.variables.items() if v.period is not None}
    rates = {**earlier.rates, **declared}
    known = bool(declared) or earlier.known
    per_second = sum(rates.values()) * BYTES_PER_VALUE + earlier.array_bytes_per_second
    return FileForecast(
        path=where,
        exists=where is not None and where.exists(),
        bytes_per_day=per_second * DAY if known else None,
        declared=len(declared),
        measured=earlier.known,
        total=per_second * limit if known and limit is not None else None,
        free=_free(where.parent if where else folder),
    )


def _free(folder: Path) -> int | None:
    """Return the bytes free where a folder is, or will be made."""
    try:
        return shutil.disk_usage(_existing(folder)).free
    except OSError:
        return None


# -- sweeps -------------------------------------------------------------------------------------


def _sweep(sweep: Sweep, start_after: float, measured: float | None) -> SweepForecast:
    points = _points(sweep)
    step = None if measured is None else max(measured, sweep.settle)
    seconds = None
    if points is not None and (step is not None or sweep.settle):
        seconds = start_after + points * (sweep.settle if step is None else step)
    return SweepForecast(points, sweep.settle, measured, seconds)


def _points(sweep: Sweep) -> int | None:
    if sweep.grid is not None:
        return math.prod(map(_length, sweep.grid.values()))
    return None if sweep.use is not None else _length(sweep)


def _length(axis: Axis) -> int:
    if axis.values is not None:
        return len(axis.values)
    return axis.log.num if axis.log is not None else axis.num or 0


# -- warnings -----------------------------------------------------------------------------------


def _warnings(
    model: Experiment, file: FileForecast, sweeps: dict[str, SweepForecast], limit: float | None
) -> Iterator[str]:
    for name, sweep in sweeps.items():
        if limit is not None and sweep.seconds is not None and sweep.seconds > limit:
            yield (
                f"the sweep {name} needs {_least(sweep)} {format_duration(sweep.seconds)}, "
                f"and the run ends after {format_duration(limit)}"
            )
    if file.free is None:
        return
    reserve = model.limits.min_free_disk or 0
    free = format_size(file.free)
    if file.free < reserve:
        yield (
            f"{free} are free, less than limits.min_free_disk ({format_size(reserve)}): "
            "the run would end at once, with exit code 4"
        )
    elif file.total is not None and file.total > file.free - reserve:
        yield f"the run needs about {format_size(file.total)}, and {free} are free"
    elif limit is None and file.bytes_per_day:
        lasts = (file.free - reserve) / file.bytes_per_day * DAY
        if lasts < SOON:
            yield f"{free} are free: full after about {format_duration(lasts)}"


def _least(sweep: SweepForecast) -> str:
    return "at least" if sweep.measured is None else "about"
