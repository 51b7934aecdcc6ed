"""Sweeps as tables: each point with its value, how long it took, and the means of what was logged there."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.core.context import POINT_PREFIX
from pymanip_run.core.origin import Origin
from pymanip_run.core.plainly import from_text, shown
from pymanip_run.export.report.axes import finite_range, linear_axis
from pymanip_run.export.report.curves import Curve
from pymanip_run.export.report.markup import element, table, text
from pymanip_run.export.report.svg import Line, chart
from pymanip_run.export.report.timeline import dated
from pymanip_run.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pymanip_run.core.view import SessionView
    from pymanip_run.records import Run, Series, SweepPoint, VariableInfo

__all__ = ["sweeps"]

#: Points of a sweep in its table, and variables beside them.
MOST_POINTS, MOST_COLUMNS, MOST_CHARTS, MOST_SWEEPS = 200, 8, 2, 40
#: A variable with more values is read point by point.
AT_ONCE = 2_000_000


def sweeps(
    view: SessionView, runs: Sequence[Run], infos: Mapping[str, VariableInfo]
) -> Iterator[str]:
    """Yield a table for each sweep of each run, the last ones of very many."""
    found = [
        (run, name, points)
        for run in runs
        for name, points in _by_name(view.sweep_points(run.index)).items()
    ]
    if len(found) > MOST_SWEEPS:
        left = len(found) - MOST_SWEEPS
        yield element("p", f"{left} earlier sweeps are in the session.", class_="quiet")
    for run, name, points in found[-MOST_SWEEPS:]:
        yield _sweep(view, infos, run, name, points)


def _by_name(points: Sequence[SweepPoint]) -> dict[str, list[SweepPoint]]:
    found: dict[str, list[SweepPoint]] = {}
    for point in points:
        if point.state != "end":
            found.setdefault(point.sweep, []).append(point)
    return found


def _sweep(
    view: SessionView,
    infos: Mapping[str, VariableInfo],
    run: Run,
    name: str,
    points: Sequence[SweepPoint],
) -> str:
    last = points[-MOST_POINTS:]
    names = _logged_at(view, name, last, infos)
    columns = [_means(view.logged_variable(one), infos[one], last) for one in names]
    rows = [
        [
            text(point.number),
            text(shown(point.value) if point.value else "–"),
            dated(point.start),
            text(format_duration(point.time - point.start)),
            *(
                f"{column[i]:.6g}".replace("-", "−") if math.isfinite(column[i]) else "–"
                for column in columns
            ),
            "" if point.state == "done" else element("span", text(point.state), class_="bad"),
        ]
        for i, point in enumerate(last)
    ]
    head = ["point", "value", "begun", "took", *map(_titled(infos), names), "state"]
    if not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    left = len(points) - len(last)
    earlier = (
        element("p", f"{left} earlier points are in the session.", class_="quiet") if left else ""
    )
    heading = element("h3", text(f"{name}, run {run.index}: {_progress(run, name, points)}"))
    numbers = (0, 1, 3, *range(4, 4 + len(names)))
    drawn = _drawn(infos, dict(zip(names, columns, strict=True)), last)
    return element(
        "article",
        heading,
        drawn,
        earlier,
        table(head, rows, name=f"points of {name} in run {run.index}", numbers=numbers),
    )


def _drawn(
    infos: Mapping[str, VariableInfo],
    columns: Mapping[str, Sequence[float]],
    points: Sequence[SweepPoint],
) -> str:
    """Return the means over the values of a sweep of one number, in the order of these."""
    across = np.array([_as_number(point.value) for point in points])
    found = finite_range([across])
    if len(points) < 3 or found is None or found[0] == found[1]:
        return ""
    order, charts = np.argsort(across, kind="stable"), []
    for name in [*columns][:MOST_CHARTS]:
        up = np.array(columns[name])[order]
        seen = finite_range([up])
        if seen is not None:
            title = f"{_titled(infos)(name)} over the value of the sweep"
            line = Line(name, Curve(across[order], up, up, up, math.inf), 0)
            drawing = chart(
                [line], linear_axis(*found), linear_axis(*seen), title=title, has_dots=True
            )
            charts.append(element("figure", drawing, element("figcaption", text(title))))
    return element("div", *charts, class_="records") if charts else ""


def _as_number(value: str) -> float:
    try:
        found = from_text(value)
    except ValueError:
        return math.nan
    return float(found) if isinstance(found, (int, float)) else math.nan


def _titled(infos: Mapping[str, VariableInfo]) -> Callable[[str], str]:
    def title(name: str) -> str:
        unit = infos[name].description.unit
        return f"{name} ({unit})" if unit else name

    return title


def _progress(run: Run, name: str, points: Sequence[SweepPoint]) -> str:
    total: Any = None
    told = Origin(run).json("sweeps")
    if isinstance(told, dict) and isinstance(told.get("sweeps"), dict):
        plan = told["sweeps"].get(name)
        total = plan.get("points") if isinstance(plan, dict) else None
    return f"{len(points)} of {total} points" if type(total) is int else f"{len(points)} points"


# -- what was logged at the points --------------------------------------------------------------


def _logged_at(
    view: SessionView, sweep: str, points: Sequence[SweepPoint], infos: Mapping[str, VariableInfo]
) -> list[str]:
    """Return the variables that the task of a sweep logged, as its entries of the first points tell."""
    mark = POINT_PREFIX + sweep
    if mark not in view:
        return []
    for point in points[:3]:
        times = _within(view.logged_variable(mark), point).timestamps.tolist()
        names = [
            name
            for name, info in infos.items()
            if info.statistics.n and _has_one_of(_within(view.logged_variable(name), point), times)
        ]
        if names:
            return names[:MOST_COLUMNS]
    return []


def _within(series: Series, point: SweepPoint) -> Series:
    return series.between(point.start, math.nextafter(point.time, math.inf))


def _has_one_of(series: Series, times: Sequence[float]) -> bool:
    return bool(np.isin(series.timestamps, times).any())


def _means(series: Series, info: VariableInfo, points: Sequence[SweepPoint]) -> list[float]:
    """Return the mean of the finite values at each point, NaN where there is none."""
    if info.statistics.n > AT_ONCE:
        return [_mean(_within(series, point).values) for point in points]
    begin = min(point.start for point in points)
    end = max(point.time for point in points)
    times, values = series.between(begin, math.nextafter(end, math.inf))
    return [
        _mean(values[np.searchsorted(times, p.start) : np.searchsorted(times, p.time, "right")])
        for p in points
    ]


def _mean(values: Any) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else math.nan
