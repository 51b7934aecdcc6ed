"""A series of any length page by page, from any store."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from pymanip_run.records import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymanip_run.records import FloatArray, Series

__all__ = ["PAGE", "pages", "reader"]

#: Values read at a time: 16 MB with their times.
PAGE = 1 << 20


def pages(
    read: Callable[[Window], tuple[FloatArray, FloatArray]],
    since: float | None = None,
    until: float | None = None,
    size: int = PAGE,
) -> Iterator[tuple[FloatArray, FloatArray]]:
    """Yield (times, values) of a series in time order, float64 arrays of at most about `size` values.

    Values of equal times, which sessions of other programs have, stay on one page.

    Parameters
    ----------
    read
        Reads the part of the series in a window.
    since, until
        Only ``since <= time < until``.
    """
    while True:
        times, values = read(Window(since, until, head=size))
        if len(times) < size:
            if len(times):
                yield times, values
            return
        last = float(times[-1])
        kept = int(np.searchsorted(times, last))
        if kept:
            yield times[:kept], values[:kept]
            since = last
        else:  # a page of one time
            since = math.nextafter(last, math.inf)
            yield read(Window(last, since))


def reader(series: Series) -> Callable[[Window], tuple[FloatArray, FloatArray]]:
    """Return what reads parts of a series, as `pages` needs it."""

    def read(window: Window) -> tuple[FloatArray, FloatArray]:
        since = -math.inf if window.since is None else window.since
        until = math.inf if window.until is None else window.until
        part = series.between(since, until)
        part = part if window.head is None else part.head(window.head)
        return part.timestamps, part.values

    return read
