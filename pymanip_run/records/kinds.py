"""What is recorded, and what is known of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from pymanip_run.clock import as_seconds, iso_local
from pymanip_run.records.html import small_table

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "DatasetInfo",
    "Description",
    "Entry",
    "Event",
    "FloatArray",
    "Parameter",
    "Run",
    "SessionInfo",
    "Statistics",
    "VariableInfo",
    "least_gap",
]

FloatArray: TypeAlias = NDArray[np.float64]

STALE_PERIODS = 3
STALE_SECONDS = 2.0
#: A pause this many times longer than the usual step is a gap, a short one never.
GAP_STEPS = 5.0
GAP_SECONDS = 2.0


class Entry(NamedTuple):
    """The scalars logged by one ``add_entry``, under one timestamp."""

    ns: int
    names: tuple[str, ...]
    values: tuple[float, ...]

    @property
    def time(self) -> float:
        """Timestamp in Unix seconds."""
        return as_seconds(self.ns)


class Event(NamedTuple):
    """A timestamped text: a note, alarm, error, clock step, start or stop."""

    ns: int
    kind: str
    source: str
    text: str

    @property
    def time(self) -> float:
        """Timestamp in Unix seconds."""
        return as_seconds(self.ns)


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

    @property
    def stale_after(self) -> float | None:
        """Age in seconds at which a value is stale; None without a period.

        Below `STALE_SECONDS` a missing value is a hiccup, whatever the period.
        """
        return max(STALE_PERIODS * self.period, STALE_SECONDS) if self.period else None

    def updated(self, changes: Mapping[str, Any]) -> Description:
        """Return a copy with the items of `changes` that are not None."""
        known = {k: v for k, v in changes.items() if v is not None and k in self.__slots__}
        return replace(self, **known)


def least_gap(step: float) -> float:
    """Return from how many seconds without a value on a pause is a gap, from the usual step."""
    return max(GAP_STEPS * step, GAP_SECONDS)


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
        with np.errstate(over="ignore"):  # between ±1e308
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

    @property
    def least_gap(self) -> float:
        """Seconds without a value from which on that is a gap; infinite for fewer than three values."""
        if self.n < 3:
            return math.inf
        # The mean step of all but the longest pause, which may be the gap itself.
        step = (self.last_time - self.first_time - self.longest_gap) / (self.n - 2)
        return least_gap(step)

    @property
    def gap(self) -> float | None:
        """The longest pause in seconds where it is a gap, much longer than the usual step."""
        return self.longest_gap if self.longest_gap > self.least_gap else None

    def expected(self, since: float | None = None, until: float | None = None) -> int:
        """Return about how many values lie within limits of time, as if they came at a steady rate."""
        # Halves, so that ±1e308 has no infinite span.
        half = self.last_time / 2 - self.first_time / 2
        if not half > 0:
            return self.n
        low = self.first_time if since is None else max(since, self.first_time)
        high = self.last_time if until is None else min(until, self.last_time)
        return int(self.n * max(0.0, (high / 2 - low / 2) / half))


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

    def _repr_html_(self) -> str:
        ended = None if self.stop is None else iso_local(self.stop)
        reason = (
            self.exit_reason
            if self.exit_code in {None, 0}
            else f"{self.exit_reason} ({self.exit_code})"
        )
        return small_table(
            f"run {self.index}",
            {
                "start": iso_local(self.start) if math.isfinite(self.start) else None,
                "stop": ended or "not ended, or killed",
                "ended by": reason,
                "host": self.host,
                "user": self.user,
            },
        )


class SessionInfo(NamedTuple):
    """The identity of a session file."""

    uuid: str
    #: 1; of sessions of pymanip the version of their database, up to 4.1.
    format_version: float
    created: float
    title: str
    #: How much of the journal is already in the HDF5 file: "segment:offset", "" in memory.
    checkpointed: str
    #: Whose format it is.
    program: str = "pymanip-run"
