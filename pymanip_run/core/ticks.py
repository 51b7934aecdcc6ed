"""Where an axis is marked: round values, powers of ten, and times as clock and calendar have them."""

from __future__ import annotations

import math
from datetime import MAXYEAR, UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from pymanip_run.clock import CALENDAR

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["DAY", "MINUTE", "TIME_STEPS", "TimeStep", "decades", "has_dates", "multiples", "round_step", "round_times"]  # fmt: skip

MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0
MONTH = 30.44 * DAY
MOST = 20


class TimeStep(NamedTuple):
    """From one round time to the next."""

    #: How long it is, of months about.
    seconds: float
    days: int = 0
    months: int = 0


#: Steps that divide the next larger unit.
TIME_STEPS = (
    *(TimeStep(10.0**power * digit) for power in (-4, -3, -2, -1) for digit in (1, 2, 5)),
    *(TimeStep(float(seconds)) for seconds in (1, 2, 5, 10, 15, 30)),
    *(TimeStep(minutes * MINUTE) for minutes in (1, 2, 5, 10, 15, 30)),
    *(TimeStep(hours * HOUR) for hours in (1, 2, 3, 6, 12)),
    *(TimeStep(days * DAY, days=days) for days in (1, 2, 7, 14)),
    *(TimeStep(months * MONTH, months=months)
      for months in (1, 2, 3, 6, 12, 24, 60, 120, 240, 600, 1200, 2400, 6000, 12_000)),
)  # fmt: skip


def round_step(least: float) -> float:
    """Return 1, 2 or 5 times a power of ten, `least` or more."""
    power = 10.0 ** math.floor(math.log10(least)) if least > 1e-300 else 1e-300
    return next((f * power for f in (1.0, 2.0, 5.0) if f * power >= least * 0.999), 10.0 * power)


def multiples(low: float, high: float, step: float, *, slack: float = 0.0) -> list[float]:
    """Return the multiples of `step` between two values, some more than twenty at most.

    Parameters
    ----------
    slack
        How far they may be outside, in steps.
    """
    first, last = math.ceil(low / step - slack), math.floor(high / step + slack)
    numbers = range(first, min(last, first + MOST) + 1)
    # 303 × 0.005 is a bit more than 1.515.
    return [min(max(number * step, low), high) for number in numbers]


def decades(low: float, high: float, count: int) -> list[int]:
    """Return the powers of ten between two powers, about `count` of them: as many as possible, multiples of the step first.

    The step is smaller where there would be less than two of them.
    """
    found: list[int] = []
    for step in range(max(1, math.ceil((high - low) / count)), 0, -1):
        begin, end = math.ceil(low), math.floor(high) + 1
        tried = [range(first, end, step) for first in range(begin, begin + step)]
        found = [*max(tried, key=lambda powers: (len(powers), powers.start % powers.step == 0))]
        if len(found) >= 2:
            break
    return found


def has_dates(low: float, high: float) -> bool:
    """Tell whether a calendar has these Unix seconds; sessions of other programs may hold any."""
    return CALENDAR[0] < low <= high < CALENDAR[1]


def round_times(low: float, high: float, step: TimeStep) -> Iterator[float]:
    """Yield the round times between two that have dates, in Unix seconds: round on a clock that shows local time."""
    if step.days or step.months:
        midnights = _months(low, step.months) if step.months else _days(low, step.days)
        for time in midnights:
            if time > high:
                return
            if time >= low:
                yield time
        return
    offset = _local(low).utcoffset() or timedelta()
    ahead = offset.total_seconds() if step.seconds >= 1 else 0.0
    first = math.ceil((low + ahead) / step.seconds)
    last = math.floor((high + ahead) / step.seconds)
    yield from (number * step.seconds - ahead for number in range(first, last + 1))


def _local(time: float) -> datetime:
    return datetime.fromtimestamp(time, UTC).astimezone()


def _days(low: float, days: int) -> Iterator[float]:
    """Yield local midnights, from that before `low` on to the end of the calendar."""
    day = _local(low).replace(tzinfo=None, hour=0, minute=0, second=0, microsecond=0)
    while day.year < MAXYEAR:
        yield day.astimezone().timestamp()
        day += timedelta(days=days)


def _months(low: float, months: int) -> Iterator[float]:
    """Yield the local midnights at which months begin, from before `low` on."""
    day = _local(low)
    number = (day.year * 12 + day.month - 1) // months * months
    while number // 12 < MAXYEAR:
        yield datetime(max(1, number // 12), number % 12 + 1, 1).astimezone().timestamp()
        number += months
