"""Synchronous sessions of pymanip (its class ``Session``): NAME.hdf5 with NAME.dat and NAME.log, read only.

In the HDF5 file are ``time`` and ``variables/NAME``, one value of each for every line that was logged,
``datasets/NAME``, and the parameters as attributes of the root. The text file NAME.dat has the same lines with
six decimals: what an HDF5 file that was not closed has lost is taken from there.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import h5py
import numpy as np

from pymanip_run.clock import as_ns, as_seconds
from pymanip_run.errors import DamagedFileError, StorageError
from pymanip_run.records import (
    DatasetInfo,
    Event,
    FloatArray,
    Parameter,
    Run,
    SessionInfo,
    Statistics,
    SweepPoint,
    VariableInfo,
    Window,
)
from pymanip_run.storage import layout
from pymanip_run.storage.batch import cut_series
from pymanip_run.storage.untrusted import SMALL, attribute, check_stored, plain_attributes
from pymanip_run.storage.values import raw_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["SyncStore", "is_synchronous"]

#: Lines read at a time.
STEP = 100_000
#: Characters of NAME.log that are carried over.
LOG = 16 << 20

Pair = tuple[FloatArray, FloatArray]


def _open(path: Path) -> Any:
    # With a lock: pymanip's writer has none but that of HDF5. Alike everywhere, for HDF5 refuses other handles.
    return h5py.File(path, "r", driver="stdio", locking="best-effort")


def is_synchronous(path: Path) -> bool:
    """Tell whether an HDF5 file is a synchronous session rather than one of ours."""
    try:
        with _open(path) as h5:
            return "format" not in h5.attrs and "time" in h5 and "variables" in h5
    except (OSError, RuntimeError, ValueError):
        return False


class SyncStore:
    """Reads a synchronous session that is finished. For any thread.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DamagedFileError, StorageError
        If it is no such session, or a program is writing it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reading = threading.RLock()
        self._statistics: dict[str, Statistics] | None = None
        if not path.exists():
            raise FileNotFoundError(2, "there is no session file of this name", str(path))
        self._h5: Any = self._opened()
        with layout.damage_is_said(path):
            self._time = _column(self._h5, "time")
            folder = layout.member(self._h5, "variables")
            self._columns = {name: _column(folder, name) for name in folder}
            self._count = min([len(self._time), *map(len, self._columns.values())])
            self._order = self._find_order()
            self._later = _lines_beyond(path.with_suffix(".dat"), self._count, self._last_time())

    def _opened(self) -> Any:
        try:
            h5 = _open(self._path)
        except BlockingIOError as error:
            raise StorageError(f"{self._path} is being written; end that session first") from error
        except OSError as error:
            text = self._path.with_suffix(".dat")
            rest = f"; its lines are also in {text.name}, as text" if text.exists() else ""
            raise DamagedFileError(
                f"{self._path} cannot be read as HDF5: {_line(error)}{rest}"
            ) from error
        if "time" not in h5 or "variables" not in h5:
            h5.close()
            raise DamagedFileError(f"{self._path} is an HDF5 file, but no session of pymanip")
        return h5

    @property
    def path(self) -> Path:
        """The HDF5 file."""
        return self._path

    @property
    def lines_from_text(self) -> int:
        """Lines that only NAME.dat has."""
        return max((len(times) for times, _ in self._later.values()), default=0)

    def close(self) -> None:
        """Release the file."""
        with self._reading:
            self._h5.close()

    # -- logged lines ---------------------------------------------------------------------------

    def info(self) -> SessionInfo:
        """Return the identity of the session; it was created at its first line."""
        created = self._created()
        uuid = uuid5(NAMESPACE_URL, f"pymanip:{self._path.stem}:{created!r}")
        return SessionInfo(str(uuid), 1, created, self._path.stem, "", "pymanip")

    def _created(self) -> float:
        firsts = [s.first_time for s in self._summary().values() if s.n]
        if firsts:
            return min(firsts)
        return self._datasets_time()

    def variables(self) -> dict[str, VariableInfo]:
        """Return exact statistics of all variables. There are no descriptions."""
        return {name: VariableInfo(name, statistics=one) for name, one in self._summary().items()}

    def last_values(self) -> dict[str, tuple[float, float]]:
        """Return the last (timestamp, value) of every variable that has one."""
        return {n: (s.last_time, s.last_value) for n, s in self._summary().items() if s.n}

    def read_series(self, name: str, window: Window) -> Pair:
        """Return (timestamps, values) of shape (n,) in time order; empty for a name without values."""
        with self._reading, layout.damage_is_said(self._path):
            parts = [self._stretch(name, 0, self._count)] if name in self._columns else []
            parts += [self._later[name]] if name in self._later else []
        if not parts:
            return np.empty(0), np.empty(0)
        times, values = (np.concatenate(column) for column in zip(*parts, strict=True))
        if np.any(times[1:] < times[:-1]):
            order = np.argsort(times, kind="stable")
            times, values = times[order], values[order]
        return cut_series((times, values), window)

    def log_parts(self) -> Iterator[dict[str, Pair]]:
        """Yield all values of all variables, (timestamps, values) for each name, as they were recorded."""
        for low in range(0, self._count, STEP):
            with self._reading, layout.damage_is_said(self._path):
                high = min(low + STEP, self._count)
                part = {name: self._stretch(name, low, high) for name in self._columns}
            yield part
        if self._later:
            yield self._later

    @property
    def unordered(self) -> frozenset[str]:
        """Names whose values were not recorded in the order of their times."""
        return frozenset() if self._order else frozenset({*self._columns, *self._later})

    def _stretch(self, name: str, low: int, high: int) -> Pair:
        return (
            self._time[low:high].astype(np.float64),
            self._columns[name][low:high].astype(np.float64),
        )

    def _last_time(self) -> float:
        return float(self._time[self._count - 1]) if self._count else -np.inf

    def _find_order(self) -> bool:
        last = -np.inf
        for low in range(0, self._count, STEP):
            times = self._time[low : min(low + STEP, self._count)]
            if np.any(times[1:] < times[:-1]) or times[0] < last:
                return False
            last = times[-1]
        return True

    def _summary(self) -> dict[str, Statistics]:
        if self._statistics is None:
            found: dict[str, Statistics] = {}
            for name in {**self._columns, **self._later}:
                found[name] = Statistics().extended(*self.read_series(name, Window()))
            self._statistics = {name: one for name, one in found.items() if one.n}
        return self._statistics

    # -- single values --------------------------------------------------------------------------

    def parameters(self) -> dict[str, Parameter]:
        """Return the attributes of the file that are single values."""
        ns = as_ns(self._created())
        return {
            name: Parameter(value, ns)
            for name, value in self._attributes().items()
            if isinstance(value, (float, int, bool, str))
        }

    def metadata(self) -> dict[str, Any]:
        """Return the attributes that are lists, and the texts of NAME.log under ``log``."""
        found = {n: v for n, v in self._attributes().items() if isinstance(v, list)}
        log = _text_of(self._path.with_suffix(".log"))
        return found | ({"log": log} if log else {})

    def _attributes(self) -> dict[str, Any]:
        with self._reading, layout.damage_is_said(self._path):
            return {name: _plain(value) for name, value in plain_attributes(self._h5).items()}

    def events(self, after_ns: float = -math.inf) -> list[Event]:
        """Return no events: such a session has none."""
        del after_ns
        return []

    def runs(self) -> list[Run]:
        """Return no runs: pymanip does not note them."""
        return []

    def sweep_points(self, run: int) -> list[SweepPoint]:
        """Return no points: pymanip has no sweeps."""
        del run
        return []

    # -- datasets -------------------------------------------------------------------------------

    def _datasets(self) -> dict[str, Any]:
        if "datasets" not in self._h5:
            return {}
        folder = layout.member(self._h5, "datasets")
        return {name: layout.member(folder, name, h5py.Dataset) for name in folder}

    def _datasets_time(self) -> float:
        if "datasets" not in self._h5:
            return 0.0
        time = float(attribute(layout.member(self._h5, "datasets"), "timestamp", 0.0))
        return as_seconds(as_ns(time))  # a record has whole microseconds

    def datasets(self) -> dict[str, DatasetInfo]:
        """Return a summary of every dataset: one record, of the time when the last one was saved."""
        with self._reading, layout.damage_is_said(self._path):
            time = self._datasets_time()
            return {
                name: DatasetInfo(
                    name, 1, item.shape, str(item.dtype), raw_size(item.shape, item.dtype), None, time, time
                )
                for name, item in self._datasets().items()
            }  # fmt: skip

    def dataset_times(self, name: str) -> FloatArray:
        """Return the timestamp of the record, shape (1,)."""
        with self._reading, layout.damage_is_said(self._path):
            known = name in self._datasets()
            return np.array([self._datasets_time()] if known else [], np.float64)

    def dataset_record(self, name: str, index: int) -> Any:
        """Return the array.

        Raises
        ------
        IndexError
            If there is none.
        """
        with self._reading, layout.damage_is_said(self._path):
            item = self._datasets().get(name)
            if item is not None and index == 0:
                check_stored(item, raw_size(item.shape, item.dtype), SMALL)
                if h5py.check_string_dtype(item.dtype) is not None:
                    return item.asstr()[()]
                return np.asarray(item[()])
        count = int(item is not None)
        raise IndexError(f"dataset {name!r} has {count} records, there is no {index}")


def _column(folder: Any, name: str) -> Any:
    item = layout.member(folder, name, h5py.Dataset)
    if item.ndim != 1 or item.dtype.kind not in "fiub":
        raise DamagedFileError(f"{name!r} is no column of numbers")
    check_stored(item, raw_size(item.shape, item.dtype), SMALL)
    return item


def _plain(value: Any) -> Any:
    """Return an attribute as a plain value: pymanip took an array with one item for its item."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (np.ndarray, np.generic)):
        listed = value.tolist()
        single = listed[0] if isinstance(listed, list) and len(listed) == 1 else listed
        return single.decode("utf-8", "replace") if isinstance(single, bytes) else single
    return value


def _text_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(LOG).decode("utf-8", "replace")
    except OSError:
        return ""


def _lines_beyond(path: Path, count: int, after: float) -> dict[str, Pair]:
    """Return the values in the lines that NAME.dat has after the first `count`, and later than they are."""
    if not path.exists():
        return {}
    found: dict[str, tuple[list[float], list[float]]] = {}
    names: list[str] = []
    seen = 0
    with path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            words = line.split()
            if words[:1] == ["Time"]:
                names = words[1:]
                continue
            seen += bool(words)
            if seen <= count or not line.endswith("\n"):
                continue
            try:
                time, *values = map(float, words)
            except ValueError:
                continue
            # The text is rounded to a microsecond.
            if time > after + 1e-6 and len(values) == len(names):
                for name, value in zip(names, values, strict=True):
                    times, numbers = found.setdefault(name, ([], []))
                    times.append(time)
                    numbers.append(value)
    return {name: (np.array(times), np.array(numbers)) for name, (times, numbers) in found.items()}


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
