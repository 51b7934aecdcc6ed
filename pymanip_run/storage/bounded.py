"""The store of a rehearsal: exact counts and statistics of everything, and the latest part of it.

A month at ten values a second would not fit into the memory of many computers. What a task may
read back is mostly the recent past; the rest is known by its statistics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pymanip_run.records import DatasetInfo, VariableInfo, Window
from pymanip_run.storage.batch import Batch, cut_series, dataset_info
from pymanip_run.storage.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pymanip_run.clock import Clock
    from pymanip_run.records import Event, FloatArray, Statistics, SweepPoint

__all__ = ["BoundedStore"]

BYTES_PER_VALUE = 16  # in a session file: a time and a value
BYTES_PER_EVENT = 64  # and its text
MOST_EVENTS = 10_000


class BoundedStore(MemoryStore):
    """Keeps the latest values and records in memory, and counts them all.

    Parameters
    ----------
    title
        What the session is about.
    clock
        Whose time the session's is.
    path
        Where the file would be; nothing is written there.
    most
        Bytes of values, and of records of datasets, to be kept.
    on_record
        Is called before an entry, a record of a dataset or a note is stored.

    Attributes
    ----------
    bytes : int
        What a session file would hold of all that was recorded.
    """

    def __init__(
        self,
        title: str,
        clock: Clock,
        path: Path | None = None,
        *,
        most: int = 1 << 26,
        on_record: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(title, clock)
        self.path = path
        self.bytes = 0
        self._most = most
        self._on_record = on_record or (lambda: None)
        self._rows = 0
        self._arrays = 0
        self._before: dict[str, Statistics] = {}
        self._last_before: dict[str, tuple[float, float]] = {}
        self._datasets_before: dict[str, DatasetInfo] = {}

    def variables(self) -> dict[str, VariableInfo]:
        """Return descriptions and exact statistics of all variables."""
        with self.lock:
            statistics = self._batch.extend_statistics(self._before)
            return {n: VariableInfo(n, self._description(n), s) for n, s in statistics.items()}

    def last_values(self) -> dict[str, tuple[float, float]]:
        """Return the last (timestamp, value) of every variable."""
        with self.lock:
            return self._last_before | self._batch.last_values()

    def read_series(self, name: str, window: Window) -> tuple[FloatArray, FloatArray]:
        """Return (timestamps, values) of shape (n,), as far as they are kept: at least the last one."""
        with self.lock:
            if name in self._last_before and not self._batch.has_rows(name):
                time, value = self._last_before[name]
                return cut_series((np.array([time]), np.array([value])), window)
            return super().read_series(name, window)

    def datasets(self) -> dict[str, DatasetInfo]:
        """Return a summary of every dataset, of all its records."""
        with self.lock:
            return {
                name: dataset_info(name, self._datasets_before.get(name), records)
                for name, records in self._batch.arrays.items()
            }

    def append_row(self, ns: int, names: tuple[str, ...], values: Sequence[float]) -> None:
        """Add one value to each of the variables."""
        super().append_row(ns, names, values)
        self._on_record()
        self.bytes += BYTES_PER_VALUE * len(names)
        self._rows += 8 + 8 * len(names)
        if self._rows > self._most:
            with self.lock:
                self._forget_rows()

    def append_array(
        self, ns: int, name: str, array: NDArray[np.generic] | str, python_type: str | None
    ) -> None:
        """Add a copy of a record to a dataset."""
        super().append_array(ns, name, array, python_type)
        self._on_record()
        with self.lock:
            size = self._batch.arrays[name][-1].nbytes
            self.bytes += size + BYTES_PER_VALUE
            self._arrays += size + BYTES_PER_EVENT
            if self._arrays > self._most:
                self._forget_arrays()

    def append_event(self, event: Event) -> None:
        """Add an event."""
        if event.kind == "note":
            self._on_record()
        super().append_event(event)
        self.bytes += BYTES_PER_EVENT + len(event.text)
        if len(self._batch.events) > 2 * MOST_EVENTS:
            with self.lock:
                del self._batch.events[:MOST_EVENTS]

    def append_point(self, run: int, point: SweepPoint) -> None:
        """Count a point of a sweep that is over; nothing goes on after a rehearsal."""
        del run
        self.bytes += BYTES_PER_EVENT + len(point.value) + len(point.result)

    def _forget_rows(self) -> None:
        """Take the older half of the largest row-set into the statistics, and all that is as old."""
        while self._rows > self._most // 2:
            largest = max(self._batch.row_sets.values(), key=lambda rows: len(rows.data))
            if len(largest) < 2:
                return
            until = largest.ns_at(len(largest) // 2)
            forgotten = Batch()
            for names, rows in self._batch.row_sets.items():
                forgotten.row_set(names).data += (part := rows.take_until(until))
                self._rows -= len(part)
            self._before = forgotten.extend_statistics(self._before)
            self._last_before |= forgotten.last_values()

    def _forget_arrays(self) -> None:
        for name, records in self._batch.arrays.items():
            half = len(records) // 2
            if half:
                before = self._datasets_before.get(name)
                self._datasets_before[name] = dataset_info(name, before, records[:half])
                self._arrays -= sum(r.nbytes + BYTES_PER_EVENT for r in records[:half])
                del records[:half]
