"""A series drawn with characters: for terminals, also those far away.

With braille patterns (Unicode 2800 to 28FF) a character has 2 × 4 dots, in ASCII 1 × 2.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pymanip_run.clock import iso_local
from pymanip_run.core.ticks import has_dates
from pymanip_run.plotting.ticks import time_ticks, value_labels, value_ticks
from pymanip_run.units import format_clock, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pymanip_run.plotting.sheets import Curve
    from pymanip_run.records import FloatArray

    Dots = NDArray[np.bool_]

__all__ = ["ASCII", "BRAILLE", "Pen", "panel"]

#: The bits of the dots of a braille pattern, by row and column.
_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
LEAST, LARGEST = 1e-300, 1e300  # on a logarithmic axis
_LEAST_WIDTH, _LEAST_HEIGHT = 10, 2
#: Rows between two ticks, about.
_TICK_ROWS = 4


class Pen(NamedTuple):
    """What is drawn with: dots of a character across and down, and the characters of axes."""

    across: int
    down: int
    tick: str
    side: str
    corner: str
    floor: str
    mark: str
    arrow: str


BRAILLE = Pen(2, 4, "┤", "│", "└", "─", "┬", "→")
ASCII = Pen(1, 2, "+", "|", "+", "-", "+", "to")


def panel(
    curve: Curve, *, width: int, height: int, pen: Pen = BRAILLE, log: bool = False
) -> list[str]:
    """Return a series as lines of text: the values with their axis, the times below.

    Parameters
    ----------
    curve
        Times in Unix seconds, and from where to where the values go; NaN is a gap.
    width, height
        Characters of a line; lines, without the two of the time axis.
    pen
        `BRAILLE` or `ASCII`.
    log
        Whether the values have a logarithmic axis.
    """
    times, low, high = curve
    shown = np.isfinite(low) & np.isfinite(high)
    if log:
        shown &= high > 0
    if not shown.any():
        return [f"  no values{' above 0' if log else ''}"]
    bottom, top = _limits(low[shown], high[shown], log=log)
    ticks = value_ticks(bottom, top, max(2, height // _TICK_ROWS + 1), log=log)
    labels = value_labels(ticks, log=log)
    margin = max(map(len, labels))
    columns = max(_LEAST_WIDTH, width - margin - 2)
    rows = max(_LEAST_HEIGHT, height)
    frame = _Frame(
        (rows * pen.down, columns * pen.across), (float(times[0]), float(times[-1])), (bottom, top),
        log=log,
    )  # fmt: skip
    dots = frame.drawn(times, low, high, shown)
    at = {frame.row(tick) // pen.down: label for tick, label in zip(ticks, labels, strict=True)}
    lines = [
        f"{at.get(row, ''):>{margin}} {pen.tick if row in at else pen.side}{text}".rstrip()
        for row, text in enumerate(_characters(dots, pen))
    ]
    return [*lines, *_time_axis(frame.first, frame.last, columns, " " * (margin + 1), pen)]


def _limits(low: FloatArray, high: FloatArray, *, log: bool) -> tuple[float, float]:
    """Return what the axis of the values shows; a single value is in its middle."""
    bottom, top = float(low.min()), float(high.max())
    if log:
        positive = low[low > 0]
        bottom = max(min(float(positive.min()) if len(positive) else top, top), LEAST)
        top = min(top, LARGEST)
        return (bottom, top) if top > bottom else (max(bottom / 2, LEAST), min(top * 2, LARGEST))
    if top - bottom > 1e-12 * max(abs(bottom), abs(top)):
        return bottom, top
    half = 1e-3 * abs(top) or 1.0
    return bottom - half, top + half


class _Frame:
    """The dots of a panel, and which of them a time and a value are."""

    def __init__(
        self,
        shape: tuple[int, int],
        times: tuple[float, float],
        values: tuple[float, float],
        *,
        log: bool,
    ) -> None:
        self.first, self.last = times
        self._down, self._across = shape
        self._log = log
        # Halves, so that the range of ±1e308 does not overflow.
        self._bottom, self._top = map(self._scaled, values)

    def _scaled(self, value: float) -> float:
        return math.log10(value) if self._log else value / 2

    def row(self, value: float) -> int:
        """Return the row of dots of a value, from the top."""
        if self._log and value <= 0:
            return self._down - 1
        share = (self._scaled(value) - self._bottom) / (self._top - self._bottom)
        return self._down - 1 - round(min(1.0, max(0.0, share)) * (self._down - 1))

    def column(self, time: float) -> int:
        """Return the column of dots of a time."""
        return round(_share(time, self.first, self.last) * (self._across - 1))

    def drawn(self, times: FloatArray, low: FloatArray, high: FloatArray, shown: Dots) -> Dots:
        """Return the dots of a series, of shape (down, across)."""
        dots = np.zeros((self._down, self._across), np.bool_)
        before: tuple[int, int, int] | None = None
        rows = zip(times.tolist(), low.tolist(), high.tolist(), shown.tolist(), strict=True)
        for time, least, most, is_shown in rows:
            if not is_shown:
                before = None
                continue
            here = self.column(time), self.row(most), self.row(least)
            dots[here[1] : here[2] + 1, here[0]] = True
            if before is not None:
                _connect(dots, before, here)
            before = here
        return dots


def _connect(dots: Dots, a: tuple[int, int, int], b: tuple[int, int, int]) -> None:
    """Draw the line between two stretches, from the end of one that is nearest to the other."""
    start = min(max(b[1], a[1]), a[2])
    stop = min(max(start, b[1]), b[2])
    steps = max(abs(b[0] - a[0]), abs(stop - start))
    if steps > 1:
        columns = np.rint(np.linspace(a[0], b[0], steps + 1)).astype(int)
        rows = np.rint(np.linspace(start, stop, steps + 1)).astype(int)
        dots[rows, columns] = True


def _characters(dots: Dots, pen: Pen) -> Iterator[str]:
    """Yield the lines of text of the dots."""
    if pen.across == 2:
        bits = np.zeros((dots.shape[0] // 4, dots.shape[1] // 2), int)
        for row, pair in enumerate(_BITS):
            for column, bit in enumerate(pair):
                bits += bit * dots[row::4, column::2]
        for line in bits.tolist():
            yield "".join(chr(0x2800 + code) if code else " " for code in line)
        return
    for upper, lower in zip(dots[::2].tolist(), dots[1::2].tolist(), strict=True):
        yield "".join(" .':"[a * 2 + b] for a, b in zip(upper, lower, strict=True))


def _share(time: float, first: float, last: float) -> float:
    """Return where a time is between two, 0 to 1."""
    half = last / 2 - first / 2  # so that ±1e308 has no infinite span
    return (time / 2 - first / 2) / half if half > 0 else 0.0


def _time_axis(first: float, last: float, columns: int, margin: str, pen: Pen) -> list[str]:
    ticks, texts = time_ticks(first, last, columns)
    line, labels = [pen.floor] * columns, [" "] * (columns + 1)
    for tick, text in zip(ticks, texts, strict=True):
        column = round(_share(tick, first, last) * (columns - 1))
        # Each label begins below its mark; one that has no place is left out.
        if column + len(text) <= columns:
            line[column] = pen.mark
            labels[column : column + len(text)] = text
    return [
        f"{margin}{pen.corner}{''.join(line)}",
        f"{margin} {''.join(labels)}".rstrip(),
        f"{margin} {_when(first, last, pen)}",
    ]


def _when(first: float, last: float, pen: Pen) -> str:
    """Return from when to when the axis goes; in seconds where a calendar does not have it."""
    if not has_dates(first, last):
        ends = [f"{time:.15g}" for time in dict.fromkeys((first, last))]
        return f"{f' {pen.arrow} '.join(ends)} s after 1970, which are no dates"
    span = last - first
    lasted = f" ({format_clock(span) if span >= 60 else format_duration(span)})"
    begin, end = (iso_local(t)[:19].replace("T", " ") for t in (first, last))
    end = end[11:] if begin[:10] == end[:10] else end
    return f"{begin} {pen.arrow} {end}{lasted}" if span else begin
