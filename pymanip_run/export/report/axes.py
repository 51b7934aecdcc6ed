"""Axes of charts: round values, decades, and times as a calendar has them."""

from __future__ import annotations

import itertools
import math
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pymanip_run.core.ticks import (
    DAY,
    MINUTE,
    TIME_STEPS,
    decades,
    has_dates,
    multiples,
    round_step,
    round_times,
)

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
    step = round_step((high / 2 - low / 2) / TICKS * 2)
    return Axis(low, high, *_labelled(multiples(low, high, step), step))


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
    if b - a > 2.5:
        chosen = [(1, power) for power in decades(a, b, TICKS)]
    else:
        powers = range(math.floor(a), math.ceil(b) + 1)
        chosen = [(f, p) for p in powers for f in (1, 2, 5) if a <= p + math.log10(f) <= b]
    ticks = [Tick(float(f"{f}e{p}"), _power_label(f, p)) for f, p in chosen]
    return Axis(10.0**a, 10.0**b, ticks, is_log=True)


def _power_label(factor: int, power: int) -> str:
    if -3 <= power <= 4:
        return f"{factor * 10.0**power:g}"
    exponent = f"10{str(power).translate(SUPERSCRIPTS)}"
    return exponent if factor == 1 else f"{factor}×{exponent}"


# -- times --------------------------------------------------------------------------------------


def time_axis(low: float, high: float) -> Axis:
    """Return an axis of local time around Unix seconds; of plain numbers where no calendar has them."""
    if not has_dates(low, high):
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


def _times(low: float, high: float) -> Iterator[float]:
    """Yield round times, about half a dozen."""
    wanted = (high - low) / TICKS
    step = next((s for s in TIME_STEPS if s.seconds >= wanted * 0.999), TIME_STEPS[-1])
    return round_times(low, high, step)


def _local(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC).astimezone()


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
