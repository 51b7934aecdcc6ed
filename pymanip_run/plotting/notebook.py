"""Series drawn where one looks at them: in a notebook, or in a script."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.core.decimate import decimated
from pymanip_run.core.pages import reader
from pymanip_run.errors import UsageError
from pymanip_run.lazily import need
from pymanip_run.plotting.undated import without_dates

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from pymanip_run.records import FloatArray, Series

__all__ = ["draw"]

DAY = 86400.0


def draw(
    series: Sequence[Series], ax: Axes | None = None, points: int = 2000, **style: Any
) -> Axes:
    """Draw series over local time, each as a line; a long one as the envelope of its values.

    Parameters
    ----------
    ax
        The axes to draw on; those of a new figure by default.
    points
        The most stretches of an envelope.
    style
        What ``Axes.plot`` takes.

    Raises
    ------
    UsageError
        If there is nothing to draw, or matplotlib is not installed.
    """
    if not series:
        raise UsageError("there is no logged variable to plot yet")
    if ax is None:
        _, ax = need("matplotlib.pyplot", "plot").subplots()
    first, latest = math.inf, -math.inf
    for one in series:
        times, values = _line(one, points)
        ax.plot(times / DAY, values, **({"label": one.name} | style))
        if len(times):
            first, latest = min(first, float(times[0])), max(latest, float(times[-1]))
    if first > latest or not without_dates(ax, first, latest):
        _over_time(ax, latest)
    ax.set_ylabel(_value_label(series))
    if len(series) > 1 or ax.get_legend() is not None or "label" in style:
        ax.legend()
    return ax


def _line(series: Series, points: int) -> tuple[FloatArray, FloatArray]:
    """Return the points of a line, which in a long series goes between least and largest values."""
    times, low, high = decimated(reader(series), points)
    if low is high:
        return times, low
    return np.repeat(times, 2), np.column_stack((low, high)).ravel()


def _over_time(ax: Axes, latest: float) -> None:
    """Make the horizontal axis one of local times; the offset is that of the latest time."""
    dates = need("matplotlib.dates", "plot")
    moment = latest if math.isfinite(latest) else 0.0
    zone = datetime.fromtimestamp(moment).astimezone().tzinfo
    ax.xaxis_date(tz=zone)
    locator = dates.AutoDateLocator(tz=zone)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=zone))


def _value_label(series: Sequence[Series]) -> str:
    units = {one.unit or "" for one in series}
    unit = f" ({units.pop()})" if len(units) == 1 and any(units) else ""
    if len(series) == 1:
        return f"{series[0].label or series[0].name}{unit}"
    return unit.strip(" ()")
