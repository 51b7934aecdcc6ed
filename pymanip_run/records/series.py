"""The series of one variable, and parts of it."""

from __future__ import annotations

import math
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np

from pymanip_run.clock import iso_local
from pymanip_run.lazily import provided
from pymanip_run.records.html import small_table
from pymanip_run.records.kinds import Statistics
from pymanip_run.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymanip_run.records.kinds import FloatArray, VariableInfo

__all__ = ["Series", "SeriesSource", "When", "Window", "as_timestamp", "merge_series"]

When: TypeAlias = float | datetime | str


class Window(NamedTuple):
    """A part of a series: ``since <= time < until``, of that the last `tail` or the first `head` values."""

    since: float | None = None
    until: float | None = None
    tail: int | None = None
    head: int | None = None


class SeriesSource(Protocol):
    """Where a :class:`Series` reads from."""

    def read_series(self, name: str, window: Window) -> tuple[FloatArray, FloatArray]:
        """Return times and values of shape (n,) in the window."""
        ...

    def variable_info(self, name: str) -> VariableInfo:
        """Return the present description and statistics."""
        ...


def as_timestamp(when: When, now: float | None = None) -> float:
    """Return Unix seconds from a number, a datetime (naive: local time) or ISO 8601 text.

    A text such as ``"-1h"`` is that long before `now`.

    Raises
    ------
    ValueError
        If the text is neither.
    """
    if isinstance(when, datetime):
        return when.timestamp()
    if isinstance(when, str):
        text = when.strip()
        if text.startswith("-") and now is not None:
            return now - parse_duration(text[1:])
        try:
            return datetime.fromisoformat(text).timestamp()
        except ValueError:
            raise ValueError(
                f"{when!r} is not a time; write Unix seconds, 2026-11-22T15:00 or -1h"
            ) from None
    return float(when)


class Series:
    """The values of one logged variable, read when they are needed.

    It behaves as the pair ``(timestamps, values)``: ``t, v = sesn["T"]``, ``sesn["T"][1]``.
    """

    __slots__ = ("_is_cut", "_loaded", "_source", "_window", "name")

    def __init__(self, name: str, source: SeriesSource, window: Window | None = None) -> None:
        self.name = name
        self._source = source
        self._window = window or Window()
        self._loaded: tuple[FloatArray, FloatArray] | None = None
        self._is_cut = False

    def _arrays(self) -> tuple[FloatArray, FloatArray]:
        if self._loaded is None:
            self._loaded = self._source.read_series(self.name, self._window)
        return self._loaded

    @property
    def timestamps(self) -> FloatArray:
        """Unix seconds, float64 of shape (n,)."""
        return self._arrays()[0]

    @property
    def values(self) -> FloatArray:
        """Values, float64 of shape (n,), in `unit`."""
        return self._arrays()[1]

    @property
    def size(self) -> int:
        """Number of values."""
        if self._loaded is None and self._window == Window():
            return self._source.variable_info(self.name).statistics.n
        return len(self.timestamps)

    @property
    def unit(self) -> str | None:
        """Unit of the values, None when none was described."""
        return self._source.variable_info(self.name).description.unit

    @property
    def label(self) -> str | None:
        """What the variable is called on displays."""
        return self._source.variable_info(self.name).description.label

    @property
    def last(self) -> tuple[float, float]:
        """The last (timestamp, value) of the series.

        Raises
        ------
        IndexError
            If the part of the series is empty.
        """
        t, v = self if self._loaded else self.tail(1)
        if not len(t):
            raise IndexError(f"{self.name} has no value in this part of the series")
        return float(t[-1]), float(v[-1])

    def since(self, when: When) -> Series:
        """Return the part at and after `when`: Unix seconds, a datetime, or ``"-1h"`` before the last value."""
        since = self._timestamp(when)
        if self._window.since is not None:
            since = max(since, self._window.since)
        return self._narrowed(since=since)

    def between(self, a: When, b: When) -> Series:
        """Return the part with ``a <= time < b``."""
        until = self._timestamp(b)
        if self._window.until is not None:
            until = min(until, self._window.until)
        return self.since(a)._narrowed(until=until)  # noqa: SLF001 - another of this class

    def tail(self, n: int) -> Series:
        """Return the last `n` values.

        Raises
        ------
        ValueError
            If `n` is negative.
        """
        if n < 0:
            raise ValueError(f"tail needs a count of 0 or more, not {n}")
        return self._narrowed(tail=n if self._window.tail is None else min(n, self._window.tail))

    def head(self, n: int) -> Series:
        """Return the first `n` values.

        Raises
        ------
        ValueError
            If `n` is negative.
        """
        if n < 0:
            raise ValueError(f"head needs a count of 0 or more, not {n}")
        if self._is_cut or self._window.tail is not None:
            part = Series(self.name, self._source, self._window)
            part._loaded = (self.timestamps[:n], self.values[:n])
            part._is_cut = True
            return part
        known = self._window.head
        head = n if known is None else min(n, known)
        return Series(self.name, self._source, self._window._replace(head=head))

    def plot(self, ax: Any = None, points: int = 2000, **style: Any) -> Any:
        """Draw the series over local time, a long one as the envelope of its values.

        Parameters
        ----------
        ax
            The matplotlib axes to draw on; those of a new figure by default.
        points
            The most stretches of an envelope.
        style
            What ``Axes.plot`` takes: color, label, …

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        UsageError
            If matplotlib is not installed; the message says how to get it.
        """
        return provided("plot")([self], ax=ax, points=points, **style)

    def _narrowed(self, **changes: Any) -> Series:
        is_counted = self._window.tail is not None and "tail" not in changes
        if self._is_cut or is_counted or self._window.head is not None:
            # A time limit on "the last n" cannot be said in one window: cut what was read.
            return _cut(self, **changes)
        return Series(self.name, self._source, self._window._replace(**changes))

    def _timestamp(self, when: When) -> float:
        relative = isinstance(when, str) and when.strip().startswith("-")
        now = self._source.variable_info(self.name).statistics.last_time if relative else None
        return as_timestamp(when, now)

    def __len__(self) -> Literal[2]:
        return 2

    def __iter__(self) -> Iterator[FloatArray]:
        return iter(self._arrays())

    def __getitem__(self, index: int) -> FloatArray:
        return self._arrays()[index]

    def __repr__(self) -> str:
        unit = f" in {self.unit}" if self.unit else ""
        return f"<Series {self.name!r}: {self.size} values{unit}>"

    def _repr_html_(self) -> str:
        info = self._source.variable_info(self.name)
        s = info.statistics
        if self._is_cut or self._loaded is not None or self._window != Window():
            s = Statistics().extended(*self._arrays())
        unit = info.description.unit
        rows: dict[str, object] = {"values": s.n, "label": info.description.label}
        if s.n:
            rows["first"] = f"{_shown(s.first_value, unit)} at {iso_local(s.first_time)}"
            rows["last"] = f"{_shown(s.last_value, unit)} at {iso_local(s.last_time)}"
            rows["least, mean, largest"] = ", ".join(
                _shown(x, unit) for x in (s.min, s.mean, s.max)
            )
            rows["not finite"] = s.nonfinite or None
        return small_table(self.name, rows)


def _shown(value: float, unit: str | None) -> str:
    return f"{value:.6g} {unit}" if unit else f"{value:.6g}"


def _cut(
    series: Series, since: float = -math.inf, until: float = math.inf, tail: int | None = None
) -> Series:
    t, v = series._arrays()  # noqa: SLF001 - a helper of the class above
    low, high = int(np.searchsorted(t, since)), int(np.searchsorted(t, until))
    if tail is not None:
        low = max(low, high - tail)
    part = Series(series.name, series._source, series._window)  # noqa: SLF001
    part._loaded = (t[low:high], v[low:high])  # noqa: SLF001
    part._is_cut = True  # noqa: SLF001
    return part


def merge_series(parts: Sequence[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, FloatArray]:
    """Return several (times, values) pairs merged in time order."""
    filled = [part for part in parts if len(part[0])]
    if not filled:
        return np.empty(0), np.empty(0)
    if len(filled) == 1:
        return filled[0]
    times = np.concatenate([t for t, _ in filled])
    values = np.concatenate([v for _, v in filled])
    if np.any(times[1:] < times[:-1]):
        order = np.argsort(times, kind="stable")
        return times[order], values[order]
    return times, values
