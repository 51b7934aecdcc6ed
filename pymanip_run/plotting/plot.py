"""What a plot shows: variables over time, or one over another."""

from __future__ import annotations

import logging
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pymanip_run.errors import UsageError, did_you_mean
from pymanip_run.records import check_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["SCALES", "About", "Limits", "Plot", "check_backend", "plot_of_call", "shown_again"]

logger = logging.getLogger(__name__)

#: The least and the largest value that an axis shows.
Limits: TypeAlias = tuple[float, float]

SCALES = ("linear", "log", "symlog", "logit")
#: Variables that a heading names.
LISTED = 5
#: Programs that pymanip draws with; here both mean: as is best.
PUBLISHED_BACKENDS = ("python", "manip")


class About(NamedTuple):
    """How a variable is called on a plot."""

    label: str | None = None
    unit: str | None = None


@dataclass(frozen=True)
class Plot:
    """A plot: either `variables` over time, or `y` over `x`.

    Parameters
    ----------
    variables
        Logged variables, drawn over time.
    x, y
        Logged variables; each value of `y` is drawn over the nearest earlier one of `x`.
    title
        What stands above it; made of the names by default.
    scale
        Of the vertical axis, one of `SCALES`.
    window
        How much of the past is shown, in seconds; None: all.
    maxvalues
        The most values of each variable over time; None: all.
    ylim, xlim
        What the axes show; None: what there is. `xlim` is for `y` over `x`.
    """

    variables: tuple[str, ...] = ()
    x: str | None = None
    y: str | None = None
    title: str | None = None
    scale: str = "linear"
    window: float | None = None
    maxvalues: int | None = None
    ylim: Limits | None = None
    xlim: Limits | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The variables that are needed for it."""
        if self.x is not None and self.y is not None:
            return tuple(dict.fromkeys((self.x, self.y)))
        return self.variables

    @property
    def is_cloud(self) -> bool:
        """Whether one variable is drawn over another."""
        return self.x is not None

    @property
    def heading(self) -> str:
        """What stands above it."""
        if self.title or self.is_cloud:
            return self.title or f"{self.y} over {self.x}"
        more = len(self.variables) - LISTED
        listed = ", ".join(self.variables[:LISTED])
        return f"{listed} and {more} more" if more > 0 else listed

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON holds it, for :meth:`from_json`."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Plot:
        """Return the plot that :meth:`as_json` gave."""
        tuples: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in content.items()
        }
        return cls(**tuples)

    def as_shown(self) -> dict[str, Any]:
        """Return it as the dashboard wants it."""
        return {
            "title": self.title,
            "variables": None if self.is_cloud else list(self.variables),
            "x": self.x,
            "y": self.y,
            "scale": "log" if self.scale == "log" else "linear",
            "window": self.window,
        }

    def as_recorded(self) -> dict[str, Any]:
        """Return it as the session keeps it: with pymanip's keys, and what else there is to know.

        `fignum`, which tells it from the others, is added by who keeps it.
        """
        low, high = self.ylim or (None, None)
        recorded = {
            "maxvalues": self.maxvalues,
            "yscale": None if self.scale == "linear" else self.scale,
            "ymin": low,
            "ymax": high,
            "variables": list(self.names),
        }
        more = {
            "title": self.title,
            "x": self.x,
            "y": self.y,
            "window": self.window,
            "xlim": None if self.xlim is None else list(self.xlim),
        }
        return recorded | {key: value for key, value in more.items() if value is not None}


def shown_again(recorded: Any) -> dict[str, Any] | None:
    """Return what a session kept of a plot as the dashboard wants it; None where that is no plot.

    Parameters
    ----------
    recorded
        From a session file, which may hold anything.
    """
    if not isinstance(recorded, dict):
        return None
    x, y, names = (recorded.get(key) for key in ("x", "y", "variables"))
    scale = "log" if recorded.get("yscale") == "log" else "linear"
    if isinstance(x, str) and isinstance(y, str):
        plot = Plot(x=x, y=y, scale=scale)
    elif isinstance(names, list) and names and all(isinstance(name, str) for name in names):
        plot = Plot(tuple(names), scale=scale)
    else:
        return None
    title = recorded.get("title")
    return plot.as_shown() | {"title": title if isinstance(title, str) else None}


def plot_of_call(
    varnames: str | Iterable[str] | None,
    maxvalues: int | None,
    yscale: str | Sequence[float] | None,
    *,
    x: str | None,
    y: str | None,
    fixed_ylim: Sequence[float] | None,
    fixed_xlim: Sequence[float] | None,
) -> Plot:
    """Return the plot that the parameters of ``sesn.plot`` describe.

    Raises
    ------
    TypeError
        If a name is no text.
    UsageError
        If they contradict each other.
    """
    ylim = _limits("fixed_ylim", fixed_ylim)
    if yscale is not None and not isinstance(yscale, str):
        # As the documentation of pymanip has it, though its code takes a name.
        ylim, yscale = ylim or _limits("yscale", yscale), None
    scale = yscale or "linear"
    if scale not in SCALES:
        raise UsageError(
            f"yscale={scale!r} is unknown; there are {', '.join(SCALES)}{did_you_mean(scale, SCALES)}"
        )
    if scale == "log" and ylim is not None and ylim[0] <= 0:
        raise UsageError(f"a log scale begins above 0, not at {ylim[0]:g}")
    if varnames is None:
        if not isinstance(x, str) or not isinstance(y, str):
            if x is None and y is None:
                raise UsageError(
                    'plot() needs variables, plot(["T"]), or two of them, plot(x="V", y="I")'
                )
            raise TypeError("x and y should be strings: the names of two logged variables")
        return Plot(
            x=check_name(x), y=check_name(y), scale=scale,
            ylim=ylim, xlim=_limits("fixed_xlim", fixed_xlim),
        )  # fmt: skip
    if x is not None or y is not None:
        raise UsageError("give either variables, drawn over time, or x and y")
    if fixed_xlim is not None:  # which pymanip does not heed
        logger.warning("fixed_xlim is for y over x: it is left out in a plot over time")
    return Plot(variables=_variables(varnames), maxvalues=_count(maxvalues), scale=scale, ylim=ylim)


def check_backend(backend: object) -> str | None:
    """Return the backend of matplotlib that was asked for, None where it is to be found.

    Raises
    ------
    TypeError
        If it is no text.
    """
    if backend is not None and not isinstance(backend, str):
        raise TypeError(f"backend is the name of one of matplotlib's, not {backend!r}")
    return None if backend in PUBLISHED_BACKENDS else backend


def _variables(varnames: str | Iterable[str]) -> tuple[str, ...]:
    names = (varnames,) if isinstance(varnames, str) else tuple(varnames)
    if not names:
        raise UsageError('plot() needs at least one variable: plot(["T"])')
    return tuple(dict.fromkeys(check_name(name) for name in names))


def _count(maxvalues: int | None) -> int | None:
    if maxvalues is None:
        return None
    if isinstance(maxvalues, bool) or maxvalues != maxvalues // 1 or maxvalues < 1:
        raise UsageError(f"maxvalues is a number of values above 0, not {maxvalues!r}")
    return int(maxvalues)


def _limits(name: str, given: Sequence[float] | None) -> Limits | None:
    if given is None:
        return None
    try:
        low, high = map(float, given)
    except (TypeError, ValueError):
        raise UsageError(f"{name} is a pair of numbers, (low, high), not {given!r}") from None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise UsageError(f"{name} is a pair of numbers, the lower one first, not {given!r}")
    return low, high
