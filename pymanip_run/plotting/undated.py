"""The axis of times that no calendar has, as sessions of other programs may hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.core.ticks import has_dates
from pymanip_run.lazily import need

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["without_dates"]


def without_dates(ax: Axes, first: float, last: float) -> bool:
    """Make the horizontal axis, which is in days, one of plain numbers where these Unix seconds are no dates.

    Returns
    -------
    bool
        Whether they are none.
    """
    if has_dates(first, last):
        return False
    ticker = need("matplotlib.ticker", "plot")
    ax.xaxis.set_major_locator(ticker.AutoLocator())
    ax.xaxis.set_major_formatter(ticker.ScalarFormatter())
    ax.set_xlabel("days after 1970")
    return True
