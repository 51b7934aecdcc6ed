"""What was recorded before a plot began, read from a session in parts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymanip_run.core.view import SessionView
    from pymanip_run.plotting.sheets import Pair, Sheet
    from pymanip_run.records import FloatArray

__all__ = ["missing", "tails"]

#: Values of one variable that are read at once.
PART = 1 << 17


def missing(sheet: Sheet, view: SessionView) -> Iterator[dict[str, Pair]]:
    """Yield what the session has of the variables of a plot, and its sheet has not, part by part.

    Parameters
    ----------
    sheet
        The data of the plot; it takes in each part before the next one is read.
    view
        The session. It is read in parts: memory does not grow with its length.
    """
    plot = sheet.plot
    if not plot.is_cloud and plot.maxvalues is not None and plot.maxvalues <= PART:
        yield tails(view, plot.names, plot.maxvalues)
        return
    since = min(map(sheet.last, plot.names))
    if plot.window is not None:
        known = view.logged_last_values()
        latest = max((known[name][0] for name in plot.names if name in known), default=-math.inf)
        since = max(since, latest - plot.window)
    yield from _parts(view, plot.names, since)


def tails(view: SessionView, names: Sequence[str], count: int) -> dict[str, Pair]:
    """Return the last values of some variables, times and values; those without any are left out."""
    series = {name: view.logged_variable(name).tail(count) for name in names if name in view}
    return {name: (one.timestamps, one.values) for name, one in series.items()}


def _parts(view: SessionView, names: Sequence[str], since: float) -> Iterator[dict[str, Pair]]:
    """Yield all values at and after a time, of all variables up to the same one in each part."""
    known = [name for name in names if name in view]
    while known:
        read = {name: view.logged_variable(name).since(since).head(PART) for name in known}
        pairs = {name: (one.timestamps, one.values) for name, one in read.items()}
        # Of those there is more.
        ends = [float(times[-1]) for times, _ in pairs.values() if len(times) == PART]
        if not ends:
            yield pairs
            return
        end = min(ends)
        yield {name: _up_to(end, *pair) for name, pair in pairs.items()}
        since = math.nextafter(end, math.inf)


def _up_to(end: float, times: FloatArray, values: FloatArray) -> Pair:
    stop = int(np.searchsorted(times, end, "right"))
    return times[:stop], values[:stop]
