"""Charts as SVG that stretch to the width there is, while their text keeps its size.

The lines are in an inner picture that is stretched as it needs (``preserveAspectRatio="none"``); lines, ticks
and labels around them are placed in percent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pymanip_run.export.report.markup import element, text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pymanip_run.export.report.axes import Axis
    from pymanip_run.export.report.curves import Curve
    from pymanip_run.records import FloatArray

__all__ = ["COLOURS", "DASHES", "Line", "Mark", "chart", "percent", "swatch", "x_ticks"]

#: The inner picture; whole numbers are finer than what a screen shows.
WIDTH, HEIGHT = 4000, 1000
COLOURS = 7
DASHES = ("", "7 3", "2 3", "9 3 2 3")
#: Width of a digit, in pixels.
DIGIT = 7.0
MARGIN = 52.0


class Line(NamedTuple):
    """A curve and how it is told from others."""

    name: str
    curve: Curve
    number: int


class Mark(NamedTuple):
    """A moment that is marked: an event, or the start of a run."""

    time: float
    kind: str
    label: str


def chart(
    lines: Sequence[Line],
    x: Axis,
    y: Axis,
    *,
    title: str,
    marks: Iterable[Mark] = (),
    is_cloud: bool = False,
    has_dots: bool = False,
) -> str:
    """Return a chart of lines, of lines through dots, or with `is_cloud` of points only.

    Parameters
    ----------
    title
        What the chart is to those who cannot see it.
    """
    inner = element(
        "svg",
        *(
            shape
            for line in lines
            for shape in _shapes(line, x, y, is_cloud=is_cloud, has_dots=has_dots)
        ),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        preserveAspectRatio="none",
        width="100%",
        height="100%",
    )
    outer = element(
        "svg",
        element("title", text(title)),
        *_grid(x, y),
        inner,
        *_marks(marks, x),
        element("rect", width="100%", height="100%", class_="frame"),
        role="img",
        width="100%",
        height="100%",
    )
    # The same for most, so that plots below each other have their times in the same place.
    margin = max(MARGIN, max((len(tick.label) for tick in y.ticks), default=1) * DIGIT + 10)
    return element("div", outer, class_="chart", style=f"margin-left:{margin:.0f}px")


# -- axes ---------------------------------------------------------------------------------------


def _grid(x: Axis, y: Axis) -> Iterator[str]:
    for tick in y.ticks:
        at = percent(1 - y.place(tick.value))
        yield element("line", x1="0", x2="100%", y1=at, y2=at, class_="grid")
        yield element("text", text(tick.label), x="-6", y=at, dy="0.35em", class_="y")
    yield from x_ticks(x)
    if y.remark:
        yield element("text", text(y.remark), x="0", y="0", dy="-6", class_="remark")


def x_ticks(x: Axis) -> Iterator[str]:
    """Yield the lines and labels of a horizontal axis."""
    # On a narrow screen every second label is left out, but never the first, which has the date.
    for number, tick in enumerate(x.ticks):
        at = percent(x.place(tick.value))
        kind = "x odd" if number % 2 else "x"
        first, *more = tick.label.split("\n")
        yield element("line", x1=at, x2=at, y1="0", y2="100%", class_="grid")
        yield element("text", text(first), x=at, y="100%", dy="16", class_=kind)
        for line in more:
            yield element("text", text(line), x=at, y="100%", dy="30", class_=f"{kind} date")
    if x.remark:
        yield element("text", text(x.remark), x="100%", y="100%", dy="30", class_="y remark")


def _marks(marks: Iterable[Mark], x: Axis) -> Iterator[str]:
    for mark in marks:
        place = x.place(mark.time)
        if 0 <= place <= 1:
            at = percent(place)
            shape = element("line", x1=at, x2=at, y1="0", y2="100%", class_=f"mark {mark.kind}")
            yield element("g", element("title", text(mark.label)), shape)


def percent(place: float) -> str:
    """Return a place from 0 to 1 as SVG has it."""
    return f"{100 * place:.2f}%"


# -- lines --------------------------------------------------------------------------------------


def _shapes(line: Line, x: Axis, y: Axis, *, is_cloud: bool, has_dots: bool) -> Iterator[str]:
    curve = line.curve
    across = _whole(x.places(curve.times), WIDTH)
    low, mean, high = (_whole(1 - y.places(a), HEIGHT) for a in (curve.low, curve.mean, curve.high))
    look = f"c{line.number % COLOURS}"
    if is_cloud or has_dots:
        there = np.flatnonzero(np.isfinite(curve.times) & np.isfinite(curve.mean))
        yield _stroke(_dots(across[there], mean[there]), f"dot {look}{' cloud' * is_cloud}")
    if is_cloud:
        return
    pieces = list(curve.pieces())
    alone = [piece.start for piece in pieces if piece.stop - piece.start == 1]
    if curve.is_envelope:
        area = "".join(_area(across[p], low[p], high[p]) for p in pieces)
        yield _stroke(area, f"area {look}")
    longer = [piece for piece in pieces if piece.stop - piece.start > 1]
    path = "".join(_path(across[piece], mean[piece]) for piece in longer)
    dash = DASHES[(line.number + line.number // COLOURS) % len(DASHES)]
    yield _stroke(path, f"line {look}", dash)
    yield _stroke(_dots(across[alone], mean[alone]), f"dot {look}")


def _stroke(path: str, look: str, dash: str = "") -> str:
    if not path:
        return ""
    return element("path", d=path, class_=look, stroke_dasharray=dash or None)


def _whole(places: FloatArray, size: int) -> FloatArray:
    # Beyond the frame only so far that the line keeps its direction.
    return np.rint(np.clip(np.nan_to_num(places, nan=-10.0), -10, 10) * size).astype(np.int64)


def _path(across: FloatArray, up: FloatArray) -> str:
    """Return a line through points, in steps from each to the next, which are short to write."""
    steps = zip(np.diff(across).tolist(), np.diff(up).tolist(), strict=True)
    return f"M{across[0]} {up[0]}l" + " ".join(f"{dx} {dy}" for dx, dy in steps)


def _area(across: FloatArray, low: FloatArray, high: FloatArray) -> str:
    return _path(np.r_[across, across[::-1]], np.r_[high, low[::-1]]) + "z"


def _dots(across: FloatArray, up: FloatArray) -> str:
    # A line without length is drawn as its round ends.
    return "".join(f"M{a} {b}h0" for a, b in zip(across.tolist(), up.tolist(), strict=True))


def swatch(number: int) -> str:
    """Return a short piece of the line with this number, for a legend."""
    dash = DASHES[(number + number // COLOURS) % len(DASHES)]
    stroke = element(
        "line", x1="0", x2="26", y1="5", y2="5", class_=f"line c{number % COLOURS}",
        stroke_dasharray=dash or None,
    )  # fmt: skip
    return element("svg", stroke, width="26", height="10", aria_hidden="true")
