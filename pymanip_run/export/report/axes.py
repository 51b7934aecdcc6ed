"""Axes of charts: round values, decades, and times as a calendar has them."""

from __future__ import annotations

import itertools
import math
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from pymanip_run.records import FloatArray

__all__ = ["Axis", "Tick", "linear_axis", "log_axis", "time_axis"]

MAX = sys.float_info.max
ROOM = 0.05
#: Half of a span that is no span any more, as a part of the values and altogether.
FINEST, LEAST = 1e-12, 1e-290
TICKS = 6
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
#: Steps that divide the next larger unit.
SECONDS = (
    1, 2, 5, 10, 15, 30, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
    HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR,
)  # fmt: skip
DAYS, MONTHS = (1, 2, 7, 14), (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 2400, 6000)
MONTH = 30.44 * DAY
#: What a calendar of four digits for the year holds, a day away from its ends.
CALENDAR = (-62_135_510_400.0, 253_402_214_400.0)


class Tick(NamedTuple):
    """A value at which there is a line and a label."""

    value: float
    label: str


@dataclass(frozen=True)
class Axis:
    """From values to places, 0 to 1.

    Parameters
    ----------
    low, high
        The values at its ends, `low` below `high`.
    ticks
        Within these.
    remark
        What belongs to all labels: a power of ten, a date, a time zone.
    """

    low: float
    high: float
    ticks: Sequence[Tick]
    remark: str = ""
    is_log: bool = False

    def places(self, values: FloatArray) -> FloatArray:
        """Return the place of each value, shape (n,); NaN for what the axis cannot show."""
        low, high = self.low, self.high
        with np.errstate(all="ignore"):
            if self.is_log:
                values = np.where(values > 0, np.log10(values), np.nan)
                low, high = math.log10(low), math.log10(high)
            # Halves, so that ±1e308 has no infinite span.
            return (values / 2 - low / 2) / (high / 2 - low / 2)

    def place(self, value: float) -> float:
        """Return the place of one value."""
        return float(self.places(np.array([value]))[0])


# -- numbers ------------------------------------------------------------------------------------


def linear_axis(low: float, high: float) -> Axis:
    """Return an axis with some room around what is to be seen; a constant is in its middle."""
    span = high / 2 - low / 2
    size = max(abs(low), abs(high))
    # What differs in the last digits of float64 only is a constant to the eye, and in labels.
    is_constant = span <= size * FINEST or span < LEAST
    room = (size * 0.01 if size > LEAST else 1.0) if is_constant else span * 2 * ROOM
    low, high = max(low - room, -MAX), min(high + room, MAX)
    step = _round_up((high / 2 - low / 2) / TICKS * 2)
    first, last = math.ceil(low / step), math.floor(high / step)
    values = [i * step for i in range(first, min(last, first + 20) + 1)]
    return Axis(low, high, *_labelled(values, step))


def _round_up(step: float) -> float:
    """Return 1, 2 or 5 times a power of ten, `step` or more."""
    power = 10.0 ** math.floor(math.log10(step)) if step > 1e-300 else 1e-300
    return next((f * power for f in (1.0, 2.0, 5.0) if f * power >= step * 0.999), 10.0 * power)


def _labelled(values: Sequence[float], step: float) -> tuple[list[Tick], str]:
    largest = max(map(abs, values), default=0.0)
    power = math.floor(math.log10(largest)) if largest > 0 else 0
    power = 0 if -3 <= power < 6 else power
    decimals = max(0, power - math.floor(math.log10(step) + 1e-9))
    if decimals > 12:  # the digits of float64 end
        return [Tick(v, f"{v:.15g}") for v in values], ""
    unit = 10.0**power if power > -300 else 1e-300
    ticks = [Tick(v, _minus(f"{v / unit + 0.0:.{decimals}f}")) for v in values]
    return ticks, f"×10{str(power).translate(SUPERSCRIPTS)}" if power else ""


def _minus(text: str) -> str:
    return text.replace("-", "−") if float(text) else text.removeprefix("-")


def log_axis(low: float, high: float) -> Axis:
    """Return a logarithmic axis around values above 0."""
    a, b = math.log10(low), math.log10(high)
    room = max((b - a) * ROOM, 0.05)
    a, b = max(a - room, -307.0), min(b + room, 308.0)
    few = b - a <= 2.5
    step = max(1, math.ceil((b - a) / TICKS))
    ticks = [
        Tick(float(f"{factor}e{power}"), _power_label(factor, power))
        for power in range(math.floor(a / step) * step, math.ceil(b) + 1, step)
        for factor in ((1, 2, 5) if few else (1,))
        if a <= power + math.log10(factor) <= b
    ]
    return Axis(10.0**a, 10.0**b, ticks, is_log=True)


def _power_label(factor: int, power: int) -> str:
    if -3 <= power <= 4:
        return f"{factor * 10.0**power:g}"
    exponent = f"10{str(power).translate(SUPERSCRIPTS)}"
    return exponent if factor == 1 else f"{factor}×{exponent}"


# -- times --------------------------------------------------------------------------------------


def time_axis(low: float, high: float) -> Axis:
    """Return an axis of local time around Unix seconds; of plain numbers where no calendar has them."""
    if not CALENDAR[0] < low <= high < CALENDAR[1]:
        return linear_axis(low, high)
    if high - low < 1e-3:
        low, high = low - 0.5, high + 0.5
    zone = _local(low).strftime("%z")
    zones = {_local(time).strftime("%z") for time in (low, high)}
    ticks = [*_times(low, high)]
    labels = _time_labels(ticks)
    shown = [Tick(time, label) for time, label in zip(ticks, labels, strict=True)]
    remark = f"UTC{zone[:3]}:{zone[3:]}" if len(zones) == 1 else "local time"
    return Axis(low, high, shown, remark)


def _local(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC).astimezone()


def _times(low: float, high: float) -> Iterator[float]:
    """Yield round times, about half a dozen."""
    wanted = (high - low) / TICKS
    if wanted < 1:
        step = _round_up(wanted)
        yield from (i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1))
        return
    seconds = next((s for s in SECONDS if s >= wanted), None)
    if seconds is not None:
        offset = _local(low).utcoffset() or timedelta()
        shift = offset.total_seconds()
        first = math.ceil((low + shift) / seconds)
        yield from (
            i * seconds - shift for i in range(first, math.floor((high + shift) / seconds) + 1)
        )
        return
    yield from (t for t in _dates(low, high, wanted) if low <= t <= high)


def _dates(low: float, high: float, wanted: float) -> Iterator[float]:
    """Yield local midnights: of some days, or of the first days of months."""
    day = _local(low).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    days = next((d for d in DAYS if d * DAY >= wanted), None)
    if days is not None:
        while day.astimezone().timestamp() <= high:
            yield day.astimezone().timestamp()
            day += timedelta(days=days)
        return
    months = next((m for m in MONTHS if m * MONTH >= wanted), MONTHS[-1])
    number = (day.year * 12 + day.month - 1) // months * months
    while number // 12 <= 9999:
        time = datetime(max(1, number // 12), number % 12 + 1, 1).astimezone().timestamp()
        if time > high:
            return
        yield time
        number += months


def _time_labels(times: Sequence[float]) -> list[str]:
    """Return ``14:30``, with the date at the first of each day; dates where there are only these."""
    if not times:
        return []
    moments = [_local(time) for time in times]
    step = min((b - a for a, b in itertools.pairwise(times)), default=DAY)
    if step >= DAY * 0.9:
        return _date_labels(moments, step)
    clock = "%H:%M" if step >= MINUTE else "%H:%M:%S"
    labels, before = [], None
    for moment in moments:
        label = moment.strftime(clock)
        if step < 1:
            label += f"{moment.microsecond / 1e6:.3f}"[1:]
        date = moment.date()
        labels.append(label if date == before else f"{label}\n{moment.day} {moment:%b %Y}")
        before = date
    return labels


def _date_labels(moments: Sequence[datetime], step: float) -> list[str]:
    labels, before = [], None
    for moment in moments:
        label = f"{moment.day} {moment:%b}" if step < 28 * DAY else f"{moment:%b}"
        labels.append(label if moment.year == before else f"{label}\n{moment.year}")
        before = moment.year
    return labels


def finite_range(
    arrays: Sequence[FloatArray], *, positive: bool = False
) -> tuple[float, float] | None:
    """Return least and largest of the finite values, None where there is none."""
    kept: list[NDArray[np.float64]] = []
    for array in arrays:
        shown = array[np.isfinite(array) & ((array > 0) | (not positive))]
        if len(shown):
            kept.append(shown)
    if not kept:
        return None
    return min(float(a.min()) for a in kept), max(float(a.max()) for a in kept)
