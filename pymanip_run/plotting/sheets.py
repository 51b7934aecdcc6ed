"""What a plot is drawn from: of its variables as much as can be seen, in memory that is bounded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np

from pymanip_run.core.decimate import Decimator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymanip_run.plotting.plot import Plot
    from pymanip_run.records import FloatArray

__all__ = ["POINTS", "Curve", "Pair", "Sheet"]

#: Stretches of a curve over time: more than a screen has columns.
POINTS = 4000
#: Points of a curve of y over x.
CLOUD_POINTS = 20_000

#: Times and values, or abscissae and ordinates: two float64 arrays of shape (n,).
Pair: TypeAlias = "tuple[FloatArray, FloatArray]"


class Curve(NamedTuple):
    """What is drawn: abscissae, and from where to where each ordinate goes; float64 of shape (n,)."""

    x: FloatArray
    low: FloatArray
    high: FloatArray


class Sheet:
    """The data of one plot.

    Parameters
    ----------
    plot
        What it shows.
    """

    def __init__(self, plot: Plot) -> None:
        self.plot = plot
        #: Grows with everything that comes.
        self.version = 0
        self._last = dict.fromkeys(plot.names, -math.inf)
        self._cloud = _Cloud()
        points = POINTS
        if plot.maxvalues is not None and plot.maxvalues <= POINTS:
            points = 2 * POINTS  # they stay single values while others come
        self._tracks = {name: Decimator(points) for name in plot.variables}

    def last(self, name: str) -> float:
        """Return the time up to which a variable is here, -inf without any."""
        return self._last[name]

    @property
    def latest(self) -> float:
        """The time of the last value of any variable, -inf without any."""
        return max(self._last.values())

    def take(self, series: Mapping[str, Pair]) -> None:
        """Take in the next values; those that are here already are left out.

        Parameters
        ----------
        series
            Of each variable that has new ones its times, increasing, and values. All end at
            about the same time: what comes later is later for all of them.
        """
        fresh = {name: self._fresh(name, *series[name]) for name in self._last if name in series}
        fresh = {name: pair for name, pair in fresh.items() if len(pair[0])}
        if not fresh:
            return
        self.version += 1
        for name, (times, _) in fresh.items():
            self._last[name] = float(times[-1])
        if self.plot.is_cloud:
            none = np.empty(0), np.empty(0)
            x, y = (fresh.get(name or "", none) for name in (self.plot.x, self.plot.y))
            self._cloud.take(x, y)
            return
        for name, pair in fresh.items():
            self._add(self._tracks[name], *pair)
        self._forget()

    def _fresh(self, name: str, times: FloatArray, values: FloatArray) -> Pair:
        start = int(np.searchsorted(times, self._last[name], "right"))
        return times[start:], values[start:]

    def _add(self, track: Decimator, times: FloatArray, values: FloatArray) -> None:
        # What is not to be seen must not make the rest coarser.
        start = int(np.searchsorted(times, self._begin))
        if self.plot.maxvalues is not None:
            start = max(start, len(times) - self.plot.maxvalues)
        track.add(times[start:], values[start:])

    def _forget(self) -> None:
        for track in self._tracks.values():
            track.forget(self._begin, self.plot.maxvalues)

    @property
    def _begin(self) -> float:
        return -math.inf if self.plot.window is None else self.latest - self.plot.window

    def curves(self) -> dict[str, Curve]:
        """Return what is drawn of each variable; of y over x that of y."""
        if self.plot.is_cloud:
            x, y = self._cloud.points()
            return {self.plot.y or "": Curve(x, y, y)}
        return {name: Curve(*track.envelope()) for name, track in self._tracks.items()}


class _Cloud:
    """Points of y over x: each y with the nearest earlier x. Of very many only every n-th is kept."""

    def __init__(self) -> None:
        self._earlier: Pair = (np.empty(0), np.empty(0))
        self._parts: list[Pair] = []
        self._kept = self._seen = 0
        self._step = 1

    def take(self, x: Pair, y: Pair) -> None:
        """Take in the next values of both."""
        times, values = (np.concatenate(p) for p in zip(self._earlier, x, strict=True))
        self._earlier = times[-1:], values[-1:]
        place = np.searchsorted(times, y[0], "right") - 1
        found = place >= 0
        across, up = values[place[found]], y[1][found]
        first = -self._seen % self._step
        self._seen += len(up)
        self._parts.append((across[first :: self._step], up[first :: self._step]))
        self._kept += len(self._parts[-1][0])
        while self._kept > CLOUD_POINTS:
            across, up = self.points()
            self._step *= 2
            self._parts = [(across[::2], up[::2])]
            self._kept = len(self._parts[0][0])

    def points(self) -> Pair:
        """Return what is kept."""
        if len(self._parts) != 1:
            self._parts = [
                (
                    np.concatenate([p[0] for p in self._parts] or [np.empty(0)]),
                    np.concatenate([p[1] for p in self._parts] or [np.empty(0)]),
                )
            ]
        return self._parts[0]
