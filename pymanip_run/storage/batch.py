"""Records in memory: what a journal tail holds, what a session without a file holds.

One class serves the checkpointer (a batch is appended to HDF5), the reader (a batch is shown
behind the HDF5 file) and the memory store (a batch is all there is).
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.clock import as_ns, as_seconds
from pymanip_run.records import (
    DatasetInfo,
    Event,
    FloatArray,
    Parameter,
    Run,
    Statistics,
    SweepPoint,
    Window,
    merge_series,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = [
    "RUN_ATTRIBUTES",
    "ArrayRecord",
    "Batch",
    "RowSet",
    "RunRecord",
    "as_run",
    "cut_series",
    "dataset_info",
]

RUN_ATTRIBUTES = (
    "start",
    "stop",
    "exit_code",
    "exit_reason",
    "host",
    "user",
    "pid",
    "boot_id",
    "config_sha256",
)
#: Where calendars end, Unix seconds.
YEAR_10000 = 253_402_214_400

ALL = slice(None)
SPARE = 4
FAR_NS = 1 << 62


class RowSet:
    """All rows with the same names, packed as they are in the journal: i64 ns, one f64 a name."""

    __slots__ = ("_row", "data", "names")

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.data = bytearray()
        self._row = struct.Struct(f"<q{len(names)}d")

    def __len__(self) -> int:
        return len(self.data) // (8 + 8 * len(self.names))

    def times(self, part: slice = ALL) -> FloatArray:
        """Return Unix seconds, float64 of shape (n,)."""
        return self._words(np.dtype("<i8"))[part, 0] // 1000 / 1e6

    def column(self, name: str, part: slice = ALL) -> FloatArray:
        """Return the values of one name, float64 of shape (n,)."""
        return self._words(np.dtype("<f8"))[part, 1 + self.names.index(name)].astype(np.float64)

    def ns_at(self, index: int) -> int:
        """Return the time of a row in nanoseconds."""
        return int(self._words(np.dtype("<i8"))[index, 0])

    def take_until(self, ns: int) -> bytes:
        """Remove the rows up to a time, and return them."""
        older = int(np.searchsorted(self._words(np.dtype("<i8"))[:, 0], ns, "right"))
        cut = self._row.size * older
        taken = bytes(memoryview(self.data)[:cut])
        del self.data[:cut]
        return taken

    def stretch(self, window: Window) -> slice:
        """Return a stretch of rows that holds at least those of a window with finite bounds."""
        ns = self._words(np.dtype("<i8"))[:, 0]
        low, high = 0, len(ns)
        if window.since is not None:
            low = int(np.searchsorted(ns, _near_ns(window.since) - 1000))
        if window.until is not None:
            high = int(np.searchsorted(ns, _near_ns(window.until) + 1000))
        # At the bounds there may be rows too many, which must not take the place of others.
        if window.tail is not None:
            low = max(low, high - window.tail - SPARE)
        if window.head is not None:
            high = min(high, low + window.head + SPARE)
        return slice(low, high)

    def last(self) -> tuple[float, tuple[float, ...]]:
        """Return the time and the values of the last row."""
        ns, *values = self._row.unpack_from(self.data, len(self.data) - self._row.size)
        return as_seconds(ns), tuple(values)

    def _words(self, dtype: np.dtype[Any]) -> NDArray[Any]:
        # A view; the callers copy at once, for a bytearray with views cannot grow.
        return np.frombuffer(self.data, dtype).reshape(-1, 1 + len(self.names))


@dataclass(slots=True)
class ArrayRecord:
    """One record of a dataset; its content is read when it is asked for."""

    ns: int
    dtype: str
    shape: tuple[int, ...]
    python_type: str | None
    nbytes: int
    load: Callable[[], NDArray[Any] | str]


@dataclass(slots=True)
class RunRecord:
    """Attributes and texts of a run, as far as this batch knows them."""

    attributes: dict[str, Any] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)


class Batch:
    """A stretch of what was recorded, in the order of recording."""

    def __init__(self) -> None:
        self.row_sets: dict[tuple[str, ...], RowSet] = {}
        self.parameters: dict[str, Parameter] = {}
        self.metadata: dict[str, Any] = {}
        self.attributes: dict[str, dict[str, Any]] = {}
        self.arrays: dict[str, list[ArrayRecord]] = {}
        self.events: list[Event] = []
        self.runs: dict[int, RunRecord] = {}
        #: Of the sweeps of each run.
        self.points: dict[int, list[SweepPoint]] = {}
        self._containing: dict[str, list[RowSet]] = {}

    def row_set(self, names: tuple[str, ...]) -> RowSet:
        """Return the row-set of these names, a new one where there is none."""
        rows = self.row_sets.get(names)
        if rows is None:
            rows = self.row_sets[names] = RowSet(names)
            for name in names:
                self._containing.setdefault(name, []).append(rows)
        return rows

    def put_run(self, index: int, attributes: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        """Set attributes and texts of a run."""
        run = self.runs.setdefault(index, RunRecord())
        run.attributes.update(attributes)
        run.texts.update(texts)

    def put_attributes(self, name: str, attributes: Mapping[str, Any]) -> None:
        """Set attributes of a variable."""
        self.attributes.setdefault(name, {}).update(attributes)

    @property
    def names(self) -> list[str]:
        """Names of the variables that have rows here."""
        return list(self._containing)

    @property
    def size(self) -> int:
        """Bytes of rows held in memory."""
        return sum(len(rows.data) for rows in self.row_sets.values())

    def has_rows(self, name: str) -> bool:
        """Return whether there is a value of a variable."""
        return any(rows.data for rows in self._containing.get(name, ()))

    def series(self, name: str, window: Window | None = None) -> tuple[FloatArray, FloatArray]:
        """Return (times, values) of one variable from all its row-sets, in time order, shape (n,).

        With a window, a few values outside of it may be among them; much less is read then.
        """
        containing = [rows for rows in self._containing.get(name, ()) if rows.data]
        stretches = [rows.stretch(window) if window else slice(None) for rows in containing]
        parts = [
            (rows.times(part), rows.column(name, part))
            for rows, part in zip(containing, stretches, strict=True)
        ]
        return merge_series(parts)

    def last_values(self) -> dict[str, tuple[float, float]]:
        """Return the last (time, value) of each variable."""
        latest: dict[str, tuple[float, float]] = {}
        for rows in self.row_sets.values():
            if not rows.data:
                continue
            time, values = rows.last()
            for name, value in zip(rows.names, values, strict=True):
                if name not in latest or time > latest[name][0]:
                    latest[name] = (time, value)
        return latest

    def extend_statistics(self, before: Mapping[str, Statistics]) -> dict[str, Statistics]:
        """Return the statistics of all variables after this batch was added to `before`."""
        result = dict(before)
        times = {id(rows): rows.times() for rows in self.row_sets.values() if rows.data}
        for name, containing in self._containing.items():
            parts = [(times[id(rows)], rows.column(name)) for rows in containing if rows.data]
            result[name] = before.get(name, Statistics()).extended(*merge_series(parts))
        return result


def _near_ns(timestamp: float) -> int:
    return min(max(as_ns(timestamp), -FAR_NS), FAR_NS)


def as_run(index: int, attributes: Mapping[str, Any], texts: Mapping[str, str]) -> Run:
    """Return a run from what is stored of it; what cannot be, such as an end in the year 10000, is left out."""
    known = {key: attributes[key] for key in RUN_ATTRIBUTES if _fits(key, attributes.get(key))}
    known["start"] = float(known.get("start", math.nan))
    return Run(index=index, texts=dict(texts), **known)


def _fits(key: str, value: Any) -> bool:
    if key in {"start", "stop"}:
        return isinstance(value, (int, float)) and 0 <= value < YEAR_10000
    return isinstance(value, int if key in {"exit_code", "pid"} else str)


def dataset_info(
    name: str, before: DatasetInfo | None, records: Sequence[ArrayRecord]
) -> DatasetInfo:
    """Return the summary of a dataset with `records` behind what is in the file."""
    last = records[-1]
    return DatasetInfo(
        name=name,
        n=(before.n if before else 0) + len(records),
        shape=last.shape,
        dtype=last.dtype,
        nbytes=(before.nbytes if before else 0) + sum(r.nbytes for r in records),
        unit=before.unit if before else None,
        first_time=before.first_time if before else as_seconds(records[0].ns),
        last_time=as_seconds(last.ns),
    )


def cut_series(
    series: tuple[FloatArray, FloatArray], window: Window
) -> tuple[FloatArray, FloatArray]:
    """Return the part of (times, values) in a window."""
    times, values = series
    low = 0 if window.since is None else int(np.searchsorted(times, window.since))
    high = len(times) if window.until is None else int(np.searchsorted(times, window.until))
    if window.tail is not None:
        low = max(low, high - window.tail)
    if window.head is not None:
        high = min(high, low + window.head)
    return times[low:high], values[low:high]
