"""What is written along the axes of a plot of text, and where."""

from __future__ import annotations

import math

from pymanip_run.clock import iso_local
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

__all__ = ["time_label", "time_ticks", "value_labels", "value_ticks"]

GAP = 3  # characters between two labels
#: Labels have milliseconds.
FINEST = 0.0009


def value_ticks(low: float, high: float, count: int, *, log: bool = False) -> list[float]:
    """Return about `count` round values between two.

    Parameters
    ----------
    log
        Whether they are powers of ten, where there are at least two of them.
    """
    if log:
        powers = decades(math.log10(low), math.log10(high), count)
        return [10.0**power for power in powers] if len(powers) >= 2 else [low, high]
    rough = (high / 2 - low / 2) / count * 2
    if not 0 < rough < math.inf:
        return [low, high]
    step = round_step(rough)
    # Beyond the digits of float64 there is nothing round.
    if not abs(low / step) <= 1e15:
        return [low, high]
    ticks = multiples(low, high, step, slack=1e-9)
    return ticks if len(ticks) > 1 else [low, high]


def value_labels(ticks: list[float], *, log: bool = False) -> list[str]:
    """Return what is written at these values: as many digits as tell them apart."""
    if log:
        labels = [f"{tick:.4g}" for tick in ticks]
        return labels if len(set(labels)) == len(labels) else [f"{tick:.10g}" for tick in ticks]
    step, largest = abs(ticks[1] - ticks[0]), max(map(abs, ticks))
    exponent = math.floor(math.log10(step)) if 0 < step < math.inf else 0
    if largest < 1e7 and exponent >= -6:
        return [f"{tick:.{max(0, -exponent)}f}" for tick in ticks]
    digits = max(1, math.floor(math.log10(largest)) - exponent) if 0 < largest < math.inf else 1
    return [f"{tick:.{min(digits, 15)}e}" for tick in ticks]


def time_ticks(first: float, last: float, columns: int) -> tuple[list[float], list[str]]:
    """Return round local times between two, and what is written there; plain numbers where no calendar has them.

    Parameters
    ----------
    columns
        Characters of the axis, in which all labels must have their places.
    """
    if not has_dates(first, last):
        return _number_ticks(first, last, columns)
    span = last - first
    steps = [step for step in TIME_STEPS if step.seconds > FINEST]
    step = next((s for s in steps if span / s.seconds * (len(time_label(first, s.seconds, span)) + GAP) <= columns), steps[-1])  # fmt: skip
    ticks = [*round_times(first, last, step)]
    return ticks, [time_label(tick, step.seconds, span) for tick in ticks]


def _number_ticks(first: float, last: float, columns: int) -> tuple[list[float], list[str]]:
    if first == last:
        return [first], [f"{first:.15g}"]
    for count in range(8, 1, -1):
        ticks = value_ticks(first, last, count)
        labels = value_labels(ticks)
        if sum(map(len, labels)) + GAP * len(labels) <= columns:
            break
    return ticks, labels


def time_label(time: float, step: float, span: float) -> str:
    """Return a time as finely as the step asks for, with the date where the span does."""
    if step < 1:
        return iso_local(time, "milliseconds")[14:23]
    text = iso_local(time)
    if step >= DAY:
        return text[:10] if span > 300 * DAY else text[5:10]
    clock = text[11:19] if step < MINUTE else text[11:16]
    return f"{text[5:10]} {clock}" if span >= DAY else clock
