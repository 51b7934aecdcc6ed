"""What the conditions of alarms look at: the last value of a variable, its age, its rate."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymanip_run.alarms.grammar import Condition

    #: Returns when ages begin to count, in nanoseconds; None while they do not.
    AgesFrom: TypeAlias = Callable[[], int | None]

__all__ = ["Age", "Gauge", "Rate", "Subject", "Value", "gauge_of"]

MOMENT = 1_000  # ns, the resolution of a session's time
POINTS = 500  # of a variable's history, for each rate
#: After this many times the last interval without a value, the change is taken to be over.
SILENT_INTERVALS = 3


class Subject:
    """What is known of one variable: the last value, when it came, and its history for rates.

    NaN is no value: it shows that the sensor answers, and nothing else.

    Attributes
    ----------
    name : str
        The variable.
    seen : int or None
        Nanoseconds of the last entry, NaN included; None before the first of the run.
    value : float
        The last value that was none of NaN; NaN before the first.
    slopes : tuple of Slope
        Its rates. All three are kept by who takes in the values.
    """

    __slots__ = ("name", "seen", "slopes", "value")

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: int | None = None
        self.value = math.nan
        self.slopes: tuple[Slope, ...] = ()

    def slope(self, seconds: float) -> Slope:
        """Return the rate of the variable over some time."""
        window = max(MOMENT, round(seconds * 1e9))
        for slope in self.slopes:
            if slope.window == window:
                return slope
        self.slopes = (*self.slopes, Slope(window))
        return self.slopes[-1]


class Slope:
    """The rate of a variable: its change within a time, per second.

    From the last value that is at least `window` older than the newest one. While the history is
    shorter than that, the change so far counts as that of the whole window: two noisy values that
    follow each other quickly are no fast change.
    """

    __slots__ = ("_points", "_spacing", "latest", "over", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self._spacing = window // POINTS
        self._points: deque[tuple[int, float]] = deque()
        #: The rate per second as the last value left it; NaN before the second one.
        self.latest = math.nan
        #: When the change counts as over if no value comes; None before the second value.
        self.over: int | None = None

    def take(self, ns: int, value: float) -> None:
        """Take in a value."""
        points = self._points
        if not points:
            points.append((ns, value))
            return
        last = points[-1][0]
        if len(points) > 1 and ns - points[-2][0] < self._spacing:
            points.pop()
        points.append((ns, value))
        window = self.window
        while len(points) > 2 and points[1][0] <= ns - window:
            points.popleft()
        first, before = points[0]
        self.latest = (value - before) * 1e9 / max(window, ns - first)
        over = ns + max(window, SILENT_INTERVALS * (ns - last)) + MOMENT
        # Never earlier than was said before: who waits for it need not be told of each value.
        self.over = over if self.over is None else max(over, self.over)

    def at(self, now: int) -> float:
        """Return the rate per second; NaN before the second value, 0 when no value came for long."""
        return 0.0 if self.over is not None and now >= self.over else self.latest


class Gauge(ABC):
    """The quantity of a condition.

    Parameters
    ----------
    condition
        What it is compared with.
    subject
        Whose quantity it is.
    """

    #: Whether it changes with time alone.
    ages = False

    def __init__(self, condition: Condition, subject: Subject) -> None:
        self.condition = condition
        self.subject = subject
        self.test = condition.compiled()

    @abstractmethod
    def value(self, now: int) -> float:
        """Return the quantity at a time in nanoseconds; NaN where it is not known."""

    def holds(self, now: int) -> bool | None:
        """Tell whether the condition holds; None where that is not known."""
        value = self.value(now)
        return None if value != value else self.test(value)  # noqa: PLR0124 - NaN

    def next_change(self, now: int) -> int | None:
        """Return when, at the earliest, the answer may change without a new value; None: never."""
        del now
        return None


class Value(Gauge):
    """The last value."""

    def value(self, now: int) -> float:
        """Return the last value."""
        del now
        return self.subject.value


class Age(Gauge):
    """The age of the last value, or the time since ages count where there is none."""

    ages = True

    def __init__(self, condition: Condition, subject: Subject, ages_from: AgesFrom) -> None:
        super().__init__(condition, subject)
        self._from = ages_from
        self._limit = round(condition.limit * 1e9)

    def value(self, now: int) -> float:
        """Return the age in seconds."""
        since = self._since()
        return math.nan if since is None else max(0, now - since) / 1e9

    def next_change(self, now: int) -> int | None:
        """Return when the age reaches its limit."""
        since = self._since()
        if since is None:
            return None
        crossing = since + self._limit
        return next((t for t in (crossing, crossing + MOMENT) if t > now), None)

    def _since(self) -> int | None:
        start, seen = self._from(), self.subject.seen
        if start is None or seen is None:
            return start
        return max(start, seen)


class Rate(Gauge):
    """The change within a time, per second."""

    ages = True

    def __init__(self, condition: Condition, subject: Subject) -> None:
        super().__init__(condition, subject)
        self._slope = subject.slope(condition.per)

    def value(self, now: int) -> float:
        """Return the rate per second."""
        return self._slope.at(now)

    def last_holds(self, _: float) -> bool:
        """Tell whether the condition holds of the rate as the last value left it."""
        return self.test(self._slope.latest)

    def next_change(self, now: int) -> int | None:
        """Return when the change counts as over."""
        over = self._slope.over
        return over if over is not None and over > now else None


def gauge_of(condition: Condition, subject: Subject, ages_from: AgesFrom) -> Gauge:
    """Return the gauge of a condition."""
    if condition.quantity == "age":
        return Age(condition, subject, ages_from)
    if condition.quantity == "rate":
        return Rate(condition, subject)
    return Value(condition, subject)
