"""The values that travel through a session, and the rules for their names and contents.

An :class:`Entry` is the scalars of one ``add_entry``; a :class:`Series` is what comes back for one
name. Times inside are int64 nanoseconds since the Unix epoch, at the surface float64 seconds.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pymanip_run.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

FloatArray: TypeAlias = NDArray[np.float64]
When: TypeAlias = float | datetime | str

MAX_NAME_BYTES = 255


class Entry(NamedTuple):
    """The scalars logged by one ``add_entry``, under one timestamp."""

    ns: int
    names: tuple[str, ...]
    values: tuple[float, ...]

    @property
    def time(self) -> float:
        """Timestamp in Unix seconds."""
        return self.ns / 1e9


class Event(NamedTuple):
    """A timestamped text: a note, alarm, error, clock step, start or stop."""

    ns: int
    kind: str
    source: str
    text: str

    @property
    def time(self) -> float:
        """Timestamp in Unix seconds."""
        return self.ns / 1e9


class Parameter(NamedTuple):
    """A scalar that is saved once: float, int, bool or text, and when it was last changed."""

    value: float | int | bool | str
    ns: int
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """How a variable is shown and exported."""

    unit: str | None = None
    label: str | None = None
    format: str | None = None
    #: Expected seconds between two values; a value older than a few of them is stale.
    period: float | None = None

    def updated(self, changes: Mapping[str, Any]) -> Description:
        """Return a copy with the items of `changes` that are not None."""
        known = {k: v for k, v in changes.items() if v is not None and k in self.__slots__}
        return replace(self, **known)


@dataclass(frozen=True, slots=True)
class Statistics:
    """A running summary of one variable, exact over its whole length.

    `mean` and `m2` (the sum of squared deviations) cover the finite values and are merged as in
    Chan, Golub & LeVeque, *Updating formulae and a pairwise algorithm* (1979).
    """

    n: int = 0
    nonfinite: int = 0
    first_time: float = math.nan
    first_value: float = math.nan
    last_time: float = math.nan
    last_value: float = math.nan
    min: float = math.nan
    max: float = math.nan
    mean: float = math.nan
    m2: float = 0.0
    longest_gap: float = 0.0

    def extended(self, times: FloatArray, values: FloatArray) -> Statistics:
        """Return the summary after `values` at `times`, float64 arrays of shape (n,), were added."""
        if not len(times):
            return self
        gap = float(np.max(np.diff(times))) if len(times) > 1 else 0.0
        if self.n:
            gap = max(gap, self.longest_gap, float(times[0]) - self.last_time)
        finite = values[np.isfinite(values)]
        low, high, mean, m2 = self._moments(finite)
        return Statistics(
            n=self.n + len(times),
            nonfinite=self.nonfinite + len(values) - len(finite),
            first_time=self.first_time if self.n else float(times[0]),
            first_value=self.first_value if self.n else float(values[0]),
            last_time=float(times[-1]),
            last_value=float(values[-1]),
            min=low, max=high, mean=mean, m2=m2, longest_gap=gap,
        )  # fmt: skip

    def _moments(self, finite: FloatArray) -> tuple[float, float, float, float]:
        if not len(finite):
            return self.min, self.max, self.mean, self.m2
        with np.errstate(over="ignore", invalid="ignore"):
            mean = float(np.mean(finite))
            m2 = float(np.sum(np.square(finite - mean)))
        low, high = float(np.min(finite)), float(np.max(finite))
        before = self.n - self.nonfinite
        if not before:
            return low, high, mean, m2
        total = before + len(finite)
        delta = mean - self.mean
        merged_m2 = self.m2 + m2 + delta * delta * before * len(finite) / total
        merged_mean = self.mean + delta * len(finite) / total
        return min(low, self.min), max(high, self.max), merged_mean, merged_m2

    @property
    def std(self) -> float:
        """Standard deviation of the finite values (population)."""
        finite = self.n - self.nonfinite
        return math.sqrt(self.m2 / finite) if finite else math.nan

    @property
    def rate(self) -> float:
        """Values per second from the first to the last one; NaN for fewer than two."""
        span = self.last_time - self.first_time
        return (self.n - 1) / span if self.n > 1 and span > 0 else math.nan


@dataclass(frozen=True, slots=True)
class VariableInfo:
    """What is known of a logged variable without reading its series."""

    name: str
    description: Description = field(default_factory=Description)
    statistics: Statistics = field(default_factory=Statistics)


class DatasetInfo(NamedTuple):
    """What is known of a dataset without reading its records; shape and dtype are the last one's."""

    name: str
    n: int
    shape: tuple[int, ...]
    dtype: str
    nbytes: int
    unit: str | None
    first_time: float
    last_time: float


@dataclass(frozen=True, slots=True)
class Run:
    """One ``monitor()`` from start to stop; `stop` is None while it runs or when it was killed."""

    index: int
    start: float
    stop: float | None = None
    exit_code: int | None = None
    exit_reason: str | None = None
    host: str | None = None
    user: str | None = None
    pid: int | None = None
    boot_id: str | None = None
    config_sha256: str | None = None
    #: Longer texts kept with the run: experiment, overrides, module, packages, argv, …
    texts: Mapping[str, str] = field(default_factory=dict)


class SessionInfo(NamedTuple):
    """The identity of a session file."""

    uuid: str
    format_version: int
    created: float
    title: str
    #: How much of the journal is already in the HDF5 file: "segment:offset", "" in memory.
    checkpointed: str


# -- names and values ---------------------------------------------------------------------------


def check_name(name: object, what: str = "variable") -> str:
    """Return `name` if it is one: 1 to 255 UTF-8 bytes, no control characters, not ``.`` or ``..``.

    Raises
    ------
    TypeError
        If it is not a text.
    ValueError
        If it is empty, too long, ``.`` or ``..``, or has control characters.
    """
    if not isinstance(name, str):
        raise TypeError(f"a {what} name must be a text, not {type(name).__name__}: {name!r}")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{what} name {name!r} cannot be written as UTF-8") from None
    if not 1 <= size <= MAX_NAME_BYTES:
        raise ValueError(
            f"a {what} name has 1 to {MAX_NAME_BYTES} bytes in UTF-8, this one has {size}: {name[:40]!r}"
        )
    if name in {".", ".."}:
        raise ValueError(f"{name!r} cannot be a {what} name")
    if any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or ord(c) in (0x2028, 0x2029) for c in name):
        raise ValueError(f"{what} name {name!r} has a control character")
    return name


#: Types whose float() is exact enough and cannot fail, but for integers beyond float64.
PLAIN_SCALARS: frozenset[type] = frozenset(
    {float, int, bool, np.float64, np.float32, np.float16, np.bool_,
     np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64}
)  # fmt: skip


def as_float(name: str, value: object) -> float:
    """Return a value of an entry as float64.

    Parameters
    ----------
    name
        The variable, for the message.
    value
        float, int, bool, a numpy real scalar or a 0-d real array.

    Raises
    ------
    TypeError
        If it is anything else.
    OverflowError
        If it is an integer that float64 cannot hold.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if not isinstance(value, (float, int, np.floating, np.integer, np.bool_)):
        hint = ""
        if isinstance(value, (np.ndarray, list, tuple, dict)):
            hint = "; use add_dataset for arrays"
        elif isinstance(value, str):
            hint = "; use save_parameter, save_metadata or note for text"
        raise TypeError(
            f"{name}: a value must be a number, not {type(value).__name__} {_short(value)}{hint}"
        )
    try:
        return float(value)
    except OverflowError:
        raise OverflowError(
            f"{name}: the integer {_short(value)} is too large for float64"
        ) from None


def as_parameter(name: str, value: object) -> float | int | bool | str:
    """Return a parameter's value as float, int, bool or str.

    Raises
    ------
    TypeError
        If it is anything else.
    OverflowError
        If it is an integer beyond 64 bits.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        number = operator.index(value)
        if not -(2**63) <= number < 2**63:
            raise OverflowError(f"{name}: the integer {_short(value)} does not fit into 64 bits")
        return number
    if isinstance(value, (float, np.floating)):
        return float(value)
    if isinstance(value, str):
        return str(value)
    raise TypeError(
        f"{name}: a parameter is a number, a truth value or a text, not {type(value).__name__} "
        f"{_short(value)}; use save_metadata for structured values"
    )


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a user's __repr__ may raise anything
        return "(unprintable)"
    return text if len(text) <= 60 else text[:57] + "..."


# -- windows and series -------------------------------------------------------------------------


class Window(NamedTuple):
    """A part of a series: ``since <= time < until``, of that the last `tail` values."""

    since: float | None = None
    until: float | None = None
    tail: int | None = None


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

    __slots__ = ("_loaded", "_source", "_window", "name")

    def __init__(self, name: str, source: SeriesSource, window: Window | None = None) -> None:
        self.name = name
        self._source = source
        self._window = window or Window()
        self._loaded: tuple[FloatArray, FloatArray] | None = None

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

    def _narrowed(self, **changes: Any) -> Series:
        if self._window.tail is not None and "tail" not in changes:
            # A time limit on "the last n" cannot be said in one window: cut what was read.
            return _cut(self, changes)
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


def _cut(series: Series, limits: Mapping[str, float]) -> Series:
    t, v = series._arrays()  # noqa: SLF001 - a helper of the class above
    low = np.searchsorted(t, limits.get("since", -math.inf))
    high = np.searchsorted(t, limits.get("until", math.inf))
    part = Series(series.name, series._source, series._window)  # noqa: SLF001
    part._loaded = (t[low:high], v[low:high])  # noqa: SLF001
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
