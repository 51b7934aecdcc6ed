"""What a store is: the few primitives from which every read and write of a session is derived.

`tests/contract` runs one suite over everything that claims to be one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from threading import RLock

    import numpy as np
    from numpy.typing import NDArray

    from pymanip_run.records import (
        DatasetInfo,
        Event,
        FloatArray,
        Parameter,
        Run,
        SessionInfo,
        SweepPoint,
        VariableInfo,
        Window,
    )


class ReadableStore(Protocol):
    """Reads a session; every call shows the present state."""

    @property
    def path(self) -> Path | None:
        """The session file, None in memory."""
        ...

    def info(self) -> SessionInfo:
        """Return the identity of the session."""
        ...

    def variables(self) -> dict[str, VariableInfo]:
        """Return descriptions and exact statistics of all logged variables, internal ones too."""
        ...

    def last_values(self) -> dict[str, tuple[float, float]]:
        """Return the last (timestamp, value) of every variable that has one."""
        ...

    def read_series(self, name: str, window: Window) -> tuple[FloatArray, FloatArray]:
        """Return (timestamps, values) of shape (n,); empty for a name without values."""
        ...

    def parameters(self) -> dict[str, Parameter]:
        """Return all parameters, internal ones too."""
        ...

    def metadata(self) -> dict[str, Any]:
        """Return all metadata: texts, or what JSON holds."""
        ...

    def datasets(self) -> dict[str, DatasetInfo]:
        """Return a summary of every dataset."""
        ...

    def dataset_times(self, name: str) -> FloatArray:
        """Return the timestamps of the records, shape (n,), in the order of recording."""
        ...

    def dataset_record(self, name: str, index: int) -> Any:
        """Return the index-th record: an array, or the plain value that was stored."""
        ...

    def events(self, after_ns: float = -math.inf) -> list[Event]:
        """Return the events later than `after_ns`, in time order."""
        ...

    def runs(self) -> list[Run]:
        """Return all runs, the earliest first."""
        ...

    def sweep_points(self, run: int) -> list[SweepPoint]:
        """Return the points of the sweeps of a run that are over, in the order of recording."""
        ...

    def close(self) -> None:
        """Release what is held. More calls do nothing."""
        ...


class WritableStore(ReadableStore, Protocol):
    """Also records. Rows come one at a time, their caller holds `lock`, with increasing times.

    What returned is safe against the death of this process; what raised is not stored at all.
    """

    #: Makes stamping and storing one step; the other calls take it themselves.
    lock: RLock

    def append_row(self, ns: int, names: tuple[str, ...], values: Sequence[float]) -> None:
        """Add one value to each of the variables."""
        ...

    def append_array(
        self, ns: int, name: str, array: NDArray[np.generic] | str, python_type: str | None
    ) -> None:
        """Add a record to a dataset. May be called while other calls are under way in other threads."""
        ...

    def append_arrays(
        self, ns: int, records: Iterable[tuple[str, NDArray[np.generic] | str, str | None]]
    ) -> None:
        """Add records (name, array, python_type) to datasets: all of them, or none where that fails."""
        ...

    def together(self) -> AbstractContextManager[None]:
        """Return a context: of what is put within, all is stored at its end, or none. Not for rows."""
        ...

    def put_parameter(
        self, ns: int, name: str, value: float | int | bool | str, unit: str | None
    ) -> None:
        """Set a parameter."""
        ...

    def put_metadata(self, ns: int, name: str, value: Any) -> None:
        """Set a metadata item: text, or anything that JSON can hold."""
        ...

    def put_attributes(self, ns: int, name: str, attributes: Mapping[str, Any]) -> None:
        """Set unit, label, format or period of a variable."""
        ...

    def append_event(self, event: Event) -> None:
        """Add an event."""
        ...

    def put_run(
        self, ns: int, index: int, attributes: Mapping[str, Any], texts: Mapping[str, str]
    ) -> None:
        """Set attributes and texts of a run."""
        ...

    def append_point(self, run: int, point: SweepPoint) -> None:
        """Add a point of a sweep that is over to those of a run."""
        ...

    def sync(self) -> None:
        """Return when everything is on disk."""
        ...
