"""What a chart shows of a variable: all values of a short series, minimum, mean and maximum of stretches of a long one.

Stretches are equally long in time, so that a pause stays one. They are read in blocks, in memory that
does not grow with the series.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pymanip_run.core.pages import pages, reader
from pymanip_run.records.kinds import least_gap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymanip_run.core.view import SessionView
    from pymanip_run.records import FloatArray, VariableInfo

__all__ = ["Curve", "read_curve"]


class Curve(NamedTuple):
    """A variable as it is drawn; arrays of shape (n,), NaN where nothing finite is."""

    times: FloatArray
    low: FloatArray
    mean: FloatArray
    high: FloatArray
    #: A longer time than this between two points is a gap, in seconds.
    gap: float

    @property
    def is_envelope(self) -> bool:
        """Whether the points stand for several values each."""
        return self.low is not self.high

    def pieces(self) -> Iterator[slice]:
        """Yield the stretches without a gap or a missing value."""
        there = np.isfinite(self.low)
        with np.errstate(over="ignore"):
            joined = there[1:] & there[:-1] & (np.diff(self.times) <= self.gap)
        starts = np.flatnonzero(there & ~np.r_[False, joined])
        ends = np.flatnonzero(there & ~np.r_[joined, False]) + 1
        yield from map(slice, starts.tolist(), ends.tolist())


def read_curve(
    view: SessionView,
    info: VariableInfo,
    points: int,
    seen: Callable[[int], object] | None = None,
) -> Curve:
    """Return what is to be drawn of a variable, in about `points` points.

    Parameters
    ----------
    seen
        Is called with the number of values after each block of them.
    """
    known = info.statistics
    half = known.last_time / 2 - known.first_time / 2  # so that ±1e308 has no infinite span
    if known.n <= 2 * points or not half > 0:
        times, values = view.logged_variable(info.name).head(2 * points)
        values = np.where(np.isfinite(values), values, np.nan)
        return Curve(times, values, values, values, _gap(times))
    bins, gap = _Bins(known.first_time, half / points * 2, points), math.nan
    read = reader(view.logged_variable(info.name))
    # What comes in meanwhile is left out.
    for times, values in pages(read, until=math.nextafter(known.last_time, math.inf)):
        bins.add(times, values)
        if math.isnan(gap):
            gap = _gap(times)
        if seen is not None:
            seen(len(times))
    return bins.curve(gap)


def _gap(times: FloatArray) -> float:
    if len(times) < 3:
        return math.inf
    with np.errstate(over="ignore"):
        return least_gap(float(np.median(np.diff(times))))


class _Bins:
    """Minimum, maximum and mean of stretches of equal length."""

    def __init__(self, begin: float, width: float, number: int) -> None:
        self._begin, self._width, self._number = begin, width, number
        self._low = np.full(number, np.inf)
        self._high = np.full(number, -np.inf)
        self._sum = np.zeros(number)
        self._count = np.zeros(number)

    def add(self, times: FloatArray, values: FloatArray) -> None:
        """Take in more values, arrays of shape (n,) in the order of time; what is not finite is left out."""
        finite = np.isfinite(values)
        if not finite.all():
            times, values = times[finite], values[finite]
        if not len(times):
            return
        places = ((times / 2 - self._begin / 2) / (self._width / 2)).astype(np.int64)
        places = np.clip(places, 0, self._number - 1)
        starts = np.flatnonzero(np.r_[True, places[1:] != places[:-1]])
        # A clock that was set back makes places that come twice.
        at = places[starts]
        np.minimum.at(self._low, at, np.minimum.reduceat(values, starts))
        np.maximum.at(self._high, at, np.maximum.reduceat(values, starts))
        with np.errstate(over="ignore", invalid="ignore"):
            np.add.at(self._sum, at, np.add.reduceat(values, starts))
        np.add.at(self._count, at, np.diff([*starts.tolist(), len(values)]))

    def curve(self, gap: float) -> Curve:
        """Return the stretches in which there are values, each at its middle."""
        there = np.flatnonzero(self._count)
        low, high = self._low[there], self._high[there]
        mean = np.clip(self._sum[there] / self._count[there], low, high)
        # The sum may be too large for float64.
        mean = np.where(np.isfinite(mean), mean, low / 2 + high / 2).astype(np.float64)
        times = (self._begin / 2 + (there + 0.5) * (self._width / 2)) * 2
        return Curve(times.astype(np.float64), low, mean, high, max(gap, 1.5 * self._width))
