"""Where an axis of text is marked, and what is written there."""

from __future__ import annotations

import math
from datetime import datetime

from pymanip_run.clock import iso_local

__all__ = ["time_label", "time_ticks", "value_labels", "value_ticks"]

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
STEPS = (
    0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30,
    MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
    HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 28 * DAY, 91 * DAY, 364 * DAY,
)  # fmt: skip
GAP = 3  # characters between two labels


def value_ticks(low: float, high: float, count: int, *, log: bool = False) -> list[float]:
    """Return about `count` round values between two.

    Parameters
    ----------
    log
        Whether they are powers of ten, where there are at least two of them.
    """
    if log:
        powers = range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)
        if len(powers) >= 2:
            return [10.0**power for power in powers[:: -(-len(powers) // count)]]
        return [low, high]
    rough = (high / 2 - low / 2) / count * 2
    if not 0 < rough < math.inf:
        return [low, high]
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * factor for factor in (1.0, 2.0, 5.0, 10.0) if size * factor >= rough * 0.999)
    if not math.isfinite(low / step) or abs(low / step) > 1e15:
        return [low, high]
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks: list[float] = [
        round(number * step, 12 - math.floor(math.log10(step))) for number in range(first, last + 1)
    ]
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


def time_ticks(first: float, last: float, columns: int) -> tuple[list[float], float]:
    """Return round local times between two, and the step between them, in seconds.

    Parameters
    ----------
    columns
        Characters of the axis, in which all labels must have their places.
    """
    span = last - first
    step = next(
        (s for s in STEPS if span / s * (len(time_label(first, s, span)) + GAP) <= columns),
        STEPS[-1] * max(1, math.ceil(span / STEPS[-1] / 10)),
    )
    offset = datetime.fromisoformat(iso_local(first)).utcoffset()
    ahead = offset.total_seconds() if offset is not None else 0.0
    begin = math.ceil((first + ahead) / step)
    count = math.floor((last + ahead) / step) - begin + 1
    return [(begin + n) * step - ahead for n in range(max(0, count))], step


def time_label(time: float, step: float, span: float) -> str:
    """Return a time as finely as the step asks for, with the date where the span does."""
    if step < 1:
        return iso_local(time, "milliseconds")[14:23]
    text = iso_local(time)
    if step >= DAY:
        return text[:10] if span > 300 * DAY else text[5:10]
    clock = text[11:19] if step < MINUTE else text[11:16]
    return f"{text[5:10]} {clock}" if span >= DAY else clock
