"""Which plots a report has, and how they are drawn: as the experiment asks, then all other variables by unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.export.report.axes import finite_range, linear_axis, log_axis, time_axis
from pymanip_run.export.report.curves import Curve, read_curve
from pymanip_run.export.report.markup import element, text
from pymanip_run.export.report.svg import Line, chart, swatch
from pymanip_run.units import format_duration
from pymanip_run.wording import grouped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from pymanip_run.core.view import SessionView
    from pymanip_run.export.report.axes import Axis
    from pymanip_run.export.report.svg import Mark
    from pymanip_run.records import FloatArray, VariableInfo

__all__ = ["Figure", "figures_of", "plots"]

#: Curves in one plot, variables in all plots of a report, and points of a curve: few where there are many.
TOGETHER, MOST, POINTS, FEW_POINTS = 7, 60, 900, 400
MANY = 20
#: Points of y over x.
CLOUD = 2000


@dataclass(frozen=True)
class Figure:
    """A plot: `variables` over time, or `y` over `x`."""

    variables: tuple[str, ...]
    title: str | None = None
    x: str | None = None
    y: str | None = None
    is_log: bool = False
    limits: tuple[float | None, float | None] = (None, None)


def figures_of(view: SessionView, infos: Mapping[str, VariableInfo]) -> list[Figure]:
    """Return the plots that the session knows of, and then plots of what is in none of them."""
    asked = [figure for one in view.figures() if (figure := _figure(one, infos)) is not None]
    found = list(dict.fromkeys(asked))
    shown = {name for figure in found for name in figure.variables}
    by_unit: dict[str, list[str]] = {}
    for name, info in infos.items():
        if name not in shown and info.statistics.n:
            by_unit.setdefault(info.description.unit or f"\0{name}", []).append(name)
    for names in by_unit.values():
        found += [Figure(tuple(names[i : i + TOGETHER])) for i in range(0, len(names), TOGETHER)]
    return found


def _figure(told: Any, infos: Mapping[str, VariableInfo]) -> Figure | None:
    """Return a recorded plot; None where it makes no sense, or none of its variables has a value."""
    if not isinstance(told, dict) or not isinstance(told.get("variables"), list):
        return None

    def known(name: Any) -> bool:
        return isinstance(name, str) and name in infos and infos[name].statistics.n > 0

    x, y = told.get("x"), told.get("y")
    names = tuple(dict.fromkeys(filter(known, told["variables"])))
    if (x is not None and not (known(x) and known(y))) or not names:
        return None
    title = told.get("title")
    return Figure(
        names,
        title if isinstance(title, str) else None,
        x,
        y,
        told.get("yscale") == "log",
        (_number(told.get("ymin")), _number(told.get("ymax"))),
    )


def _number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def plots(
    view: SessionView,
    infos: Mapping[str, VariableInfo],
    marks: Sequence[Mark] = (),
    progress: Callable[[float], None] | None = None,
) -> Iterator[str]:
    """Yield the plots of a session as markup."""
    figures = figures_of(view, infos)
    chosen = _within(figures)
    points = POINTS if sum(len(f.variables) for f in chosen) <= MANY else FEW_POINTS
    total = sum(infos[name].statistics.n for f in chosen for name in f.variables)
    times = [
        t for i in infos.values() if (s := i.statistics).n for t in (s.first_time, s.last_time)
    ]
    span = min(times, default=0.0), max(times, default=0.0)
    done = 0

    def seen(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done / total)

    for figure in chosen:
        if figure.x is not None:
            yield _cloud(view, infos, figure)
        else:
            curves = {
                name: read_curve(view, infos[name], points, seen) for name in figure.variables
            }
            yield _over_time(infos, figure, curves, time_axis(*span), marks)
    left = sum(len(f.variables) for f in figures) - sum(len(f.variables) for f in chosen)
    if left:
        yield element("p", f"{left} more variables are in the table of statistics.", class_="quiet")


def _within(figures: Sequence[Figure]) -> list[Figure]:
    """Return as many plots as a report has."""
    chosen, count = [], 0
    for figure in figures:
        count += len(figure.variables)
        if count > MOST:
            break
        chosen.append(figure)
    return chosen


# -- over time ----------------------------------------------------------------------------------


def _over_time(
    infos: Mapping[str, VariableInfo],
    figure: Figure,
    curves: Mapping[str, Curve],
    x: Axis,
    marks: Sequence[Mark],
) -> str:
    y = _vertical(figure, list(curves.values()))
    lines = [Line(name, curve, i) for i, (name, curve) in enumerate(curves.items())]
    names = [_called(infos[name]) for name in curves]
    heading = figure.title or ", ".join(names)
    if y is None:
        return _framed(heading, element("p", "no finite value", class_="quiet"), lines, infos)
    drawing = chart(lines, x, y, title=f"{heading} over time", marks=marks)
    return _framed(heading, drawing, lines, infos, _remarks(curves, infos, is_log=y.is_log))


def _vertical(figure: Figure, curves: Sequence[Curve]) -> Axis | None:
    found = finite_range([a for c in curves for a in (c.low, c.high)], positive=figure.is_log)
    is_log = figure.is_log and found is not None
    if found is None:  # a log scale was asked for, and nothing is above 0
        found = finite_range([a for c in curves for a in (c.low, c.high)])
    if found is None:
        return None
    low, high = (
        asked if asked is not None else seen
        for asked, seen in zip(figure.limits, found, strict=True)
    )
    if not low <= high or (is_log and low <= 0):
        low, high = found
    return log_axis(low, high) if is_log else linear_axis(low, high)


def _remarks(
    curves: Mapping[str, Curve], infos: Mapping[str, VariableInfo], *, is_log: bool
) -> list[str]:
    remarks = []
    if any(curve.is_envelope for curve in curves.values()):
        widths = [
            float(np.diff(c.times).min())
            for c in curves.values()
            if c.is_envelope and len(c.times) > 1
        ]
        about = f" of about {format_duration(min(widths))}" if widths else ""
        remarks.append(f"lines are means, areas minimum to maximum, of stretches{about}")
    lost = sum(infos[name].statistics.nonfinite for name in curves)
    if lost:
        remarks.append(f"{grouped(lost)} value{'s are' if lost > 1 else ' is'} not finite")
    if is_log and any((c.low[np.isfinite(c.low)] <= 0).any() for c in curves.values()):
        remarks.append("values of 0 and below cannot be shown on a logarithmic scale")
    return remarks


# -- one over another ---------------------------------------------------------------------------


def _cloud(view: SessionView, infos: Mapping[str, VariableInfo], figure: Figure) -> str:
    across_name, up_name = figure.x or "", figure.y or ""
    across, up, is_thinned = _paired(view, infos, across_name, up_name)
    heading = figure.title or f"{up_name} over {across_name}"
    ranges = finite_range([across]), finite_range([up], positive=figure.is_log)
    if ranges[0] is None or ranges[1] is None:
        return _framed(heading, element("p", "no pair of finite values", class_="quiet"), [], infos)
    x = linear_axis(*ranges[0])
    y = log_axis(*ranges[1]) if figure.is_log else linear_axis(*ranges[1])
    line = Line(up_name, Curve(across, up, up, up, math.inf), 0)
    drawing = chart([line], x, y, title=heading, is_cloud=True)
    remarks = [f"across: {_called(infos[across_name])}{_unit(infos[across_name])}"]
    if is_thinned:
        remarks.append("each point is the mean of a stretch of time")
    return _framed(heading, drawing, [line], infos, remarks)


def _paired(
    view: SessionView, infos: Mapping[str, VariableInfo], x: str, y: str
) -> tuple[FloatArray, FloatArray, bool]:
    """Return pairs: each value of y with the nearest earlier one of x, or the means of stretches."""
    a, b = (read_curve(view, infos[name], CLOUD) for name in (x, y))
    place = np.searchsorted(a.times, b.times, "right") - 1
    found = place >= 0
    return a.mean[place[found]], b.mean[found], a.is_envelope or b.is_envelope


# -- around it ----------------------------------------------------------------------------------


def _framed(
    heading: str,
    drawing: str,
    lines: Sequence[Line],
    infos: Mapping[str, VariableInfo],
    remarks: Sequence[str] = (),
) -> str:
    entries = [
        element(
            "span", swatch(line.number), text(_called(infos[line.name]) + _unit(infos[line.name]))
        )
        for line in lines
    ]
    legend = element("div", *entries, class_="legend") if entries else ""
    notes = element("p", text("; ".join(remarks)), class_="quiet") if remarks else ""
    caption = element("figcaption", element("h3", text(heading)), legend)
    return element("figure", caption, drawing, notes) + "\n"


def _called(info: VariableInfo) -> str:
    return info.description.label or info.name


def _unit(info: VariableInfo) -> str:
    return f" ({info.description.unit})" if info.description.unit else ""
