"""The store of a session without a file: one batch that is never checkpointed."""

from __future__ import annotations

import math
import struct
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import numpy as np

from pymanip_run.clock import SYSTEM, Clock, as_seconds
from pymanip_run.errors import UsageError
from pymanip_run.records import (
    DatasetInfo,
    Description,
    Event,
    FloatArray,
    Parameter,
    Run,
    SessionInfo,
    SweepPoint,
    VariableInfo,
    Window,
)
from pymanip_run.storage.batch import ArrayRecord, Batch, as_run, cut_series, dataset_info
from pymanip_run.storage.values import decode_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["MemoryStore"]


class MemoryStore:
    """Keeps everything in memory: 8 bytes a value and 8 a row. For any thread."""

    path: Path | None = None

    def __init__(self, title: str = "", clock: Clock = SYSTEM) -> None:
        self._batch = Batch()
        self.lock = threading.RLock()
        created = as_seconds(clock.wall_ns())
        self._info = SessionInfo(str(uuid4()), 1, created, title, "")
        self._closed = False

    # -- reading --------------------------------------------------------------------------------

    def info(self) -> SessionInfo:
        """Return the identity of the session."""
        return self._info

    def variables(self) -> dict[str, VariableInfo]:
        """Return descriptions and exact statistics of all variables."""
        with self.lock:
            statistics = self._batch.extend_statistics({})
            return {n: VariableInfo(n, self._description(n), s) for n, s in statistics.items()}

    def last_values(self) -> dict[str, tuple[float, float]]:
        """Return the last (timestamp, value) of every variable."""
        with self.lock:
            return self._batch.last_values()

    def read_series(self, name: str, window: Window) -> tuple[FloatArray, FloatArray]:
        """Return (timestamps, values) of shape (n,)."""
        with self.lock:
            return cut_series(self._batch.series(name, _bounds(window)), window)

    def parameters(self) -> dict[str, Parameter]:
        """Return all parameters."""
        with self.lock:
            return dict(self._batch.parameters)

    def metadata(self) -> dict[str, Any]:
        """Return all metadata."""
        with self.lock:
            return dict(self._batch.metadata)

    def datasets(self) -> dict[str, DatasetInfo]:
        """Return a summary of every dataset."""
        with self.lock:
            return {
                name: dataset_info(name, None, records)
                for name, records in self._batch.arrays.items()
            }

    def dataset_times(self, name: str) -> FloatArray:
        """Return the timestamps of the records, shape (n,)."""
        with self.lock:
            return np.array(
                [as_seconds(r.ns) for r in self._batch.arrays.get(name, ())], np.float64
            )

    def dataset_record(self, name: str, index: int) -> Any:
        """Return the index-th record.

        Raises
        ------
        IndexError
            If there is none.
        """
        with self.lock:
            records = self._batch.arrays.get(name, [])
            if not 0 <= index < len(records):
                raise IndexError(
                    f"dataset {name!r} has {len(records)} records, there is no {index}"
                )
            return decode_value(records[index].load(), records[index].python_type)

    def events(self, after_ns: float = -math.inf) -> list[Event]:
        """Return the events later than `after_ns`."""
        with self.lock:
            return [e for e in self._batch.events if e.ns > after_ns]

    def runs(self) -> list[Run]:
        """Return all runs."""
        with self.lock:
            return [
                as_run(i, run.attributes, run.texts) for i, run in sorted(self._batch.runs.items())
            ]

    def sweep_points(self, run: int) -> list[SweepPoint]:
        """Return the points of the sweeps of a run that are over."""
        with self.lock:
            return list(self._batch.points.get(run, ()))

    # -- recording ------------------------------------------------------------------------------

    def append_row(self, ns: int, names: tuple[str, ...], values: Sequence[float]) -> None:
        """Add one value to each of the variables."""
        packed = struct.pack(f"<q{len(names)}d", ns, *values)
        with self.lock:
            self._check_open()
            self._batch.row_set(names).data += packed

    def append_array(
        self, ns: int, name: str, array: NDArray[np.generic] | str, python_type: str | None
    ) -> None:
        """Add a copy of a record to a dataset."""
        if isinstance(array, str):
            text = array
            record = ArrayRecord(
                ns, "str", (), python_type, len(text.encode("utf-8", "surrogatepass")), lambda: text
            )
        else:
            kept = array.copy()
            record = ArrayRecord(
                ns, str(kept.dtype), kept.shape, python_type, kept.nbytes, kept.copy
            )
        with self.lock:
            self._check_open()
            self._batch.arrays.setdefault(name, []).append(record)

    def append_arrays(
        self, ns: int, records: Iterable[tuple[str, NDArray[np.generic] | str, str | None]]
    ) -> None:
        """Add records (name, array, python_type) to datasets."""
        for record in records:
            self.append_array(ns, *record)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Let nobody see a part of what is recorded within."""
        with self.lock:
            yield

    def put_parameter(
        self, ns: int, name: str, value: float | bool | str, unit: str | None
    ) -> None:
        """Set a parameter."""
        with self.lock:
            self._check_open()
            self._batch.parameters[name] = Parameter(value, ns, unit)

    def put_metadata(self, ns: int, name: str, value: Any) -> None:
        """Set a metadata item."""
        del ns
        with self.lock:
            self._check_open()
            self._batch.metadata[name] = value

    def put_attributes(self, ns: int, name: str, attributes: Mapping[str, Any]) -> None:
        """Set unit, label, format or period of a variable."""
        del ns
        with self.lock:
            self._check_open()
            self._batch.put_attributes(name, attributes)

    def append_event(self, event: Event) -> None:
        """Add an event."""
        with self.lock:
            self._check_open()
            self._batch.events.append(event)

    def put_run(
        self, ns: int, index: int, attributes: Mapping[str, Any], texts: Mapping[str, str]
    ) -> None:
        """Set attributes and texts of a run."""
        del ns
        with self.lock:
            self._check_open()
            self._batch.put_run(index, attributes, texts)

    def append_point(self, run: int, point: SweepPoint) -> None:
        """Add a point of a sweep that is over."""
        with self.lock:
            self._check_open()
            self._batch.points.setdefault(run, []).append(point)

    def sync(self) -> None:
        """Return; there is no disk."""

    def close(self) -> None:
        """Refuse further records; what is there can still be read."""
        self._closed = True

    def _description(self, name: str) -> Description:
        return Description().updated(self._batch.attributes.get(name, {}))

    def _check_open(self) -> None:
        if self._closed:
            raise UsageError("the session is closed; nothing can be recorded any more")


def _bounds(window: Window) -> Window:
    """Return a window with finite bounds only, in which more may be than was asked for."""
    since, until = (x if x is None or math.isfinite(x) else None for x in window[:2])
    return Window(since, until, window.tail, window.head)
