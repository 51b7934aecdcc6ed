"""Drawing with matplotlib. Imported by the child of a run, and by commands that write a figure."""

from __future__ import annotations

import io
import math
import warnings
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import matplotlib.dates
import numpy as np
from dateutil import tz
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from pymanip_run.plotting.plot import About
from pymanip_run.plotting.undated import without_dates
from pymanip_run.wording import inert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

    from pymanip_run.plotting.plot import Plot
    from pymanip_run.plotting.sheets import Curve, Sheet
    from pymanip_run.records import FloatArray

__all__ = ["SIZE", "STYLE", "Drawing", "kinds", "panels", "picture"]

#: What of the user's own style would only break: TeX takes seconds, and fails on names.
STYLE: Any = {"text.usetex": False, "figure.raise_window": False, "figure.max_open_warning": 0}
SIZE = (8.0, 4.5)  # inches
PANEL_HEIGHT = 2.6
DPI = 100
#: Okabe & Ito (2008), as on the dashboard: told apart with any kind of colour vision.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#9a6b00", "#3f8fc4", "#6b6b6b")
DASHES = ("-", "--", ":", "-.")
#: Single values are marked while there are not more.
MARKED = 100
#: Larger values cannot be drawn: the length of the axis would overflow.
LARGEST = 1e300
MARGIN = 0.05
NOTHING = "no values yet"
LEGEND_ROWS, LONGEST_LABEL = 26, 28
DAY = 86400.0
LEAST_SPAN = 15 / DAY  # to both sides of a single time


class Drawing:
    """A plot on axes of a figure, which is brought up to date again and again.

    Parameters
    ----------
    axes
        Where it is drawn.
    plot
        What it shows.
    """

    def __init__(self, axes: Axes, plot: Plot) -> None:
        self._axes = axes
        self._plot = plot
        self._lines: dict[str, Line2D] = {}
        self._about: Mapping[str, About] | None = None
        axes.set_title(inert(plot.heading), parse_math=False)
        axes.grid(visible=True, alpha=0.3)
        axes.set_yscale(plot.scale, **({} if plot.scale in _PLAIN else {"nonpositive": "mask"}))
        self._remark = axes.text(
            0.5, 0.5, NOTHING, transform=axes.transAxes, ha="center", va="center", alpha=0.6
        )
        if not plot.is_cloud:
            zone = tz.tzlocal()
            dates: Any = mpl.dates
            locator = dates.AutoDateLocator(tz=zone)
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=zone))
        if plot.ylim is not None:
            axes.set_ylim(*plot.ylim)
        if plot.xlim is not None:
            axes.set_xlim(*plot.xlim)

    def show(self, curves: Mapping[str, Curve], about: Mapping[str, About]) -> None:
        """Draw what there is now.

        Parameters
        ----------
        curves
            By variable.
        about
            How the variables are called.
        """
        if about != self._about:
            self._about = dict(about)
            self._name(about)
        drawn = {
            name: _vertices(curve, self._plot) for name, curve in curves.items() if len(curve.x)
        }
        for name, (x, y, is_single) in drawn.items():
            line = self._line(name)
            line.set_data(x, y)
            line.set_marker("o" if is_single and len(x) <= MARKED else "")
        self._fit([(x, y) for x, y, _ in drawn.values()])

    def _line(self, name: str) -> Line2D:
        line = self._lines.get(name)
        if line is None:
            place = list(self._plot.variables).index(name) if self._plot.variables else 0
            (line,) = self._axes.plot(
                [], [], color=COLOURS[place % len(COLOURS)], markersize=3, linewidth=1.2,
                linestyle=DASHES[place % len(DASHES)],
            )  # fmt: skip
            self._lines[name] = line
            self._legend()
        return line

    def _name(self, about: Mapping[str, About]) -> None:
        plot, axes = self._plot, self._axes
        if plot.is_cloud:
            axes.set_xlabel(_titled(plot.x or "", about), parse_math=False)
            axes.set_ylabel(_titled(plot.y or "", about), parse_math=False)
            return
        units = {about.get(name, About()).unit for name in plot.variables}
        if len(plot.variables) == 1:
            axes.set_ylabel(_titled(plot.variables[0], about), parse_math=False)
        elif len(units) == 1:
            axes.set_ylabel(inert(units.pop() or ""), parse_math=False)
        else:
            axes.set_ylabel("")
        self._legend()

    def _legend(self) -> None:
        if self._plot.is_cloud or len(self._plot.variables) < 2 or not self._lines:
            return
        about = self._about or {}
        units = {about.get(name, About()).unit for name in self._plot.variables}
        # Set afterwards: matplotlib takes a "_" and a "$" for something else than letters.
        count = len(self._lines)
        legend = self._axes.legend(
            list(self._lines.values()), [str(i) for i in range(count)], fontsize="small",
            loc="upper left", bbox_to_anchor=(1.0, 1.0), ncols=-(-count // LEGEND_ROWS),
        )  # fmt: skip
        for text, name in zip(legend.get_texts(), self._lines, strict=True):
            text.set_parse_math(False)
            # A unit that all have stands at the axis.
            known = about.get(name, About())
            title = _titled(name, {name: known._replace(unit=None)} if len(units) == 1 else about)
            long = len(title) > LONGEST_LABEL
            text.set_text(f"{title[: LONGEST_LABEL - 1]}…" if long else title)

    def _fit(self, drawn: list[tuple[FloatArray, FloatArray]]) -> None:
        """Let the axes show all there is, unless the user has zoomed into it."""
        axes, plot = self._axes, self._plot
        x = _extent([x for x, _ in drawn])
        y = _extent([y for _, y in drawn], *_BETWEEN.get(plot.scale, ()))
        self._remark.set_text("" if x and y else _missing(plot.scale) if x else NOTHING)
        if x is not None and axes.get_autoscalex_on() and plot.xlim is None:
            share, least = (0.02, 0.5) if plot.is_cloud else (0.0, LEAST_SPAN)
            axes.set_xlim(*_widened(*x, share, least), auto=True)
        if y is not None and axes.get_autoscaley_on() and plot.ylim is None:
            axes.set_ylim(*_value_limits(plot.scale, *y), auto=True)


#: Of some scales, between which values they can show others.
_BETWEEN = {"log": (0.0,), "logit": (0.0, 1.0)}


def _missing(scale: str) -> str:
    limits = " and ".join(f"{limit:g}" for limit in _BETWEEN.get(scale, ()))
    return f"no values {'between' if 'and' in limits else 'above'} {limits}" if limits else NOTHING


def _value_limits(scale: str, low: float, high: float) -> tuple[float, float]:
    """Return what the axis of values shows of these."""
    if scale == "log":
        low, high = (min(300.0, max(-300.0, math.log10(value))) for value in (low, high))
        least, most = _widened(low, high, MARGIN, 0.5)
        return 10.0**least, 10.0**most
    if scale == "logit":
        return max(low / 2, 1e-12), 1 - max((1 - high) / 2, 1e-12)
    return _widened(low, high, MARGIN, 0.5)


_PLAIN = ("linear", "symlog")


def _titled(name: str, about: Mapping[str, About]) -> str:
    known = about.get(name, About())
    label = known.label or name
    return inert(f"{label} ({known.unit})" if known.unit else label)


def _vertices(curve: Curve, plot: Plot) -> tuple[FloatArray, FloatArray, bool]:
    """Return the line of a curve, and whether it goes from value to value; NaN interrupts it."""
    x, low, high = curve
    if not plot.is_cloud:
        x = x / DAY
    is_single = low is high or bool(np.array_equal(low, high, equal_nan=True))
    if not is_single:
        x = np.repeat(x, 2)
        low = np.column_stack((low, high)).ravel()
    return _drawable(x), _drawable(low), is_single


def _drawable(values: FloatArray) -> FloatArray:
    return np.where(np.isfinite(values), np.clip(values, -LARGEST, LARGEST), np.nan)


def _extent(
    columns: Sequence[FloatArray], above: float = -np.inf, below: float = np.inf
) -> tuple[float, float] | None:
    """Return the least and the largest of the numbers between two, None where there is none."""
    # NaN is not above anything.
    parts = [column[(column > above) & (column < below)] for column in columns]
    filled = [part for part in parts if len(part)]
    if not filled:
        return None
    return min(float(p.min()) for p in filled), max(float(p.max()) for p in filled)


def _widened(low: float, high: float, share: float, least: float) -> tuple[float, float]:
    """Return limits with a margin; a single value has its place in their middle."""
    if high - low <= 1e-12 * max(abs(low), abs(high)):
        half = max(least, 1e-3 * abs(low)) if share else least
        return low - half, high + half
    return low - share * (high - low), high + share * (high - low)


def picture(plot: Plot, curves: Mapping[str, Curve], about: Mapping[str, About]) -> bytes:
    """Return a plot as a PNG file."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        Drawing(figure.add_subplot(), plot).show(curves, about)
        return _written(figure, "png")


def panels(sheets: Sequence[Sheet], about: Mapping[str, About], kind: str) -> bytes:
    """Return several plots below each other as a file.

    Parameters
    ----------
    sheets
        Their data.
    about
        How the variables are called.
    kind
        What kind of file: what `kinds` has.
    """
    with mpl.rc_context(STYLE):
        height = max(SIZE[1], 0.6 + PANEL_HEIGHT * len(sheets))
        figure = Figure(figsize=(SIZE[0], height), dpi=DPI, layout="constrained")
        FigureCanvasAgg(figure)
        over_time = not any(sheet.plot.is_cloud for sheet in sheets)
        all_axes = figure.subplots(len(sheets), 1, squeeze=False, sharex=over_time)[:, 0]
        for axes, sheet in zip(all_axes, sheets, strict=True):
            Drawing(axes, sheet.plot).show(sheet.curves(), about)
        times = [c.x / DAY for s in sheets for c in s.curves().values() if len(c.x)]
        if over_time and (extent := _extent(times)) is not None:
            all_axes[0].set_xlim(*_widened(*extent, 0.0, LEAST_SPAN))
            for axes in all_axes:
                without_dates(axes, extent[0] * DAY, extent[1] * DAY)
        return _written(figure, kind)


def kinds() -> list[str]:
    """Return the kinds of files that can be written, such as ``png``, ``svg``, ``pdf``."""
    return sorted(FigureCanvasAgg.get_supported_filetypes())


def _written(figure: Any, kind: str) -> bytes:
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph")  # a sign that the font does not have
        figure.savefig(file, format=kind)
    return file.getvalue()
