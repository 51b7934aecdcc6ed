"""What the last run of an experiment has shown: how often it logs, how long a point takes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from pymanip_run.core.context import POINT_PREFIX
from pymanip_run.errors import PymanipError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pymanip_run.core.view import SessionView
    from pymanip_run.records import FloatArray

__all__ = ["Earlier", "earlier_run"]

#: So many of the last values tell a rate; the rest of a long series need not be read.
LOOKED_AT = 2000


@dataclass(frozen=True)
class Earlier:
    """Rates of an earlier run; empty where there was none."""

    known: bool = False
    #: Values per second of each variable, internal ones too.
    rates: dict[str, float] = field(default_factory=dict)
    array_bytes_per_second: float = 0.0
    #: Of each sweep.
    seconds_per_point: dict[str, float] = field(default_factory=dict)
    #: Why sessions that are there cannot be read.
    unreadable: dict[Path, str] = field(default_factory=dict)


def earlier_run(candidates: Iterable[Path], tasks: Iterable[str]) -> Earlier:
    """Return what the last run in the first of these sessions that can be read has shown."""
    unreadable: dict[Path, str] = {}
    for path in dict.fromkeys(candidates):
        if not path.is_file():
            continue
        # Only here: it takes as long to import as all else of a check.
        from pymanip_run.core.view import SessionView  # noqa: PLC0415
        from pymanip_run.storage.snapshot import SnapshotStore  # noqa: PLC0415

        try:
            store = SnapshotStore(path)
            try:
                earlier = _measured(SessionView(store, path.stem), tasks)
            finally:
                store.close()
        except PymanipError as error:
            unreadable[path] = str(error)
            continue
        if earlier.known:
            return replace(earlier, unreadable=unreadable)
    return Earlier(unreadable=unreadable)


def _measured(view: SessionView, tasks: Iterable[str]) -> Earlier:
    runs = view.runs()
    if not runs:
        return Earlier()
    start = runs[-1].start
    points = {task: f"{POINT_PREFIX}{task}" for task in tasks if f"{POINT_PREFIX}{task}" in view}
    rates, seconds = {}, {}
    for name in (*view.variables(), *points.values()):
        rate = _rate(view.logged_variable(name).tail(LOOKED_AT).timestamps, start)
        if rate is not None:
            rates[name] = rate
    for task, name in points.items():
        series = view.logged_variable(name).tail(LOOKED_AT)
        pace = _pace(series.timestamps, series.values, start)
        if pace is not None:
            seconds[task] = pace
    arrays = sum(_array_bytes(view, start))
    return Earlier(bool(rates or arrays), rates, arrays, seconds)


def _rate(times: FloatArray, start: float) -> float | None:
    """Return values per second since `start`; None where two cannot tell it."""
    times = times[times >= start]
    span = float(times[-1] - times[0]) if len(times) > 1 else 0.0
    return (len(times) - 1) / span if span > 0 else None


def _pace(times: FloatArray, points: FloatArray, start: float) -> float | None:
    """Return the seconds from one point to the next, from the number of the point of each entry."""
    import numpy as np  # noqa: PLC0415 - as above

    times, points = times[times >= start], points[times >= start]
    _, firsts = np.unique(points, return_index=True)
    if len(firsts) < 2:
        return None
    steps = float(points[firsts[-1]] - points[firsts[0]])
    span = float(times[firsts[-1]] - times[firsts[0]])
    return span / steps if span > 0 else None


def _array_bytes(view: SessionView, start: float) -> Iterator[float]:
    """Yield the bytes per second of each dataset."""
    for name, info in view.datasets_info().items():
        rate = _rate(view.dataset_times(name)[-LOOKED_AT:], start)
        if rate is not None and info.n:
            yield rate * info.nbytes / info.n
