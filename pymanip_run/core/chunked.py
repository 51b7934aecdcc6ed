"""Series and datasets of any length as dask arrays, which workers read in parts from the session file.

What is handed to the workers is the path and the numbers of the values wanted: each of them opens the
file itself, also in another process or on another computer that sees the same path. The arrays are those
of the moment they were made: a run that goes on only adds behind them.
"""

from __future__ import annotations

import math
import operator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.errors import StorageError, UsageError
from pymanip_run.lazily import need
from pymanip_run.records import Window
from pymanip_run.storage.memory import MemoryStore
from pymanip_run.storage.reading import open_store

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray

    from pymanip_run.records import DatasetInfo, FloatArray, Statistics
    from pymanip_run.storage.contract import ReadableStore

__all__ = [
    "CHUNK_BYTES",
    "as_datetimes",
    "dataset_array",
    "one_moment",
    "series_arrays",
    "stamps",
    "together",
    "whole_microseconds",
]

#: Of a chunk: what dask recommends is some tens of megabytes.
CHUNK_BYTES = 64 << 20
ITEM = 8
#: Unix seconds that datetime64[ns] holds, the years 1678 to 2261; what datetime64[us] does.
NANOSECONDS, MICROSECONDS = 9.22e9, 9.22e12


def one_moment(store: ReadableStore) -> AbstractContextManager[None]:
    """Return a context in which all reads see one moment, where the store can do that."""
    moment = getattr(store, "moment", None)
    return nullcontext() if moment is None else moment()


@dataclass(frozen=True)
class _File:
    """A session file, opened anew by each that reads of it."""

    path: Path
    uuid: str

    def opened(self) -> closing[Any]:
        store = open_store(self.path)
        if store.info().uuid == self.uuid:
            return closing(store)
        store.close()
        raise StorageError(
            f"{self.path} is another session now than when its arrays were made; make them again"
        )


@dataclass(frozen=True)
class _Column:
    """The times or the values of a variable, as an array of shape (size,) that is read in slices.

    Parameters
    ----------
    places
        Where parts begin, in a file that does not tell by itself.
    reference
        The variable that must have the same times, None for any; and its places.
    """

    file: _File
    name: str
    size: int
    which: int
    places: _Places
    reference: str | None = None
    reference_places: _Places | None = None

    ndim = 1
    dtype = np.dtype(np.float64)

    @property
    def shape(self) -> tuple[int]:
        return (self.size,)

    def __getitem__(self, key: Any) -> Any:
        (part,) = key if isinstance(key, tuple) else (key,)
        if not isinstance(part, slice):  # older releases of dask pass on what is asked of the array
            index = range(self.size)[part]
            return self[index : index + 1][0]
        low, high, step = part.indices(self.size)
        with self.file.opened() as store, one_moment(store):
            pair = _slice(store, self.name, low, high, self.places)
            if self.reference is not None and self.reference_places is not None:
                times, _ = _slice(store, self.reference, low, high, self.reference_places)
                if not np.array_equal(times, pair[0]):
                    raise _apart(self.name, str(self.reference))
        return pair[self.which][::step]


@dataclass(frozen=True)
class _Places:
    """Where parts of a series begin, in a file that finds values by their times only.

    Parameters
    ----------
    every
        Values in a part.
    starts
        The time of the first of each, and how many values of that time come before it.
    """

    every: int = 1
    starts: tuple[tuple[float, int], ...] = ()

    @classmethod
    def of(cls, store: Any, name: str, every: int) -> _Places:
        """Look them up; all is one part where the file has nothing for it."""
        if not hasattr(store, "series_starts"):
            return cls()
        return cls(every, tuple(store.series_starts(name, every)))

    def window(self, low: int, high: int) -> tuple[Window, int]:
        """Return a window with the values number `low` to `high`, and how many there are before these."""
        if not self.starts:
            return Window(head=high), low
        part = min(low // self.every, len(self.starts) - 1)
        time, before = self.starts[part]
        skipped = before + low - part * self.every
        return Window(since=time, head=skipped + high - low), skipped


def _slice(
    store: Any, name: str, low: int, high: int, places: _Places
) -> tuple[FloatArray, FloatArray]:
    """Return the values number `low` to `high` of a variable, with their times."""
    if hasattr(store, "read_slice"):
        times, values = store.read_slice(name, low, high)
    else:
        window, skipped = places.window(low, high)
        times, values = (a[skipped:] for a in store.read_series(name, window))
    if len(times) < high - low:
        raise StorageError(
            f"{store.path}: {name!r} has fewer values than when its array was made; make it again"
        )
    return times, values


@dataclass(frozen=True)
class _Records:
    """The records of a dataset as one array of shape (n, *shape) that is read record by record."""

    file: _File
    name: str
    #: The index of each record in time order, shape (n,).
    order: NDArray[np.intp]
    record_shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.order), *self.record_shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getitem__(self, key: Any) -> Any:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if not isinstance(first, slice):
            index = range(len(self.order))[first]
            return self[(slice(index, index + 1), *rest)][0]
        indices = self.order[first]
        found = None
        with self.file.opened() as store, one_moment(store):
            for place, index in enumerate(indices.tolist()):
                record = np.asarray(store.dataset_record(self.name, index))
                if record.shape != self.record_shape or record.dtype != self.dtype:
                    raise _uneven(self.name)
                part = record[tuple(rest)]
                if found is None:
                    found = np.empty((len(indices), *part.shape), self.dtype)
                found[place] = part
        empty = np.empty(self.record_shape, self.dtype)[tuple(rest)]
        return np.empty((0, *empty.shape), self.dtype) if found is None else found


def series_arrays(
    store: ReadableStore,
    name: str,
    statistics: Statistics,
    chunks: int | str = "auto",
    reference: str | None = None,
) -> tuple[Any, Any]:
    """Return times and values of a variable as dask arrays of shape (n,).

    Parameters
    ----------
    statistics
        Of this moment.
    chunks
        Values in a chunk.
    reference
        The variable that must have the same times; that it has is checked when they are read.
    """
    size = statistics.n
    count = _count(chunks, CHUNK_BYTES // (2 * ITEM))
    file = _file(store)
    if file is None:
        times, values = (a[:size] for a in store.read_series(name, Window()))
        return _dask(times, (count,)), _dask(values, (count,))
    places = _Places.of(store, name, count)
    other = None if reference == name else reference
    others = None if other is None else _Places.of(store, other, count)
    columns = [_Column(file, name, size, which, places, other, others) for which in (0, 1)]
    return _dask(columns[0], (count,)), _dask(columns[1], (count,))


def dataset_array(
    store: ReadableStore, info: DatasetInfo, order: NDArray[np.intp], chunks: int | str = "auto"
) -> Any:
    """Return the records of a dataset, in time order, as a dask array of shape (n, *shape).

    Raises
    ------
    UsageError
        If they are not all alike, or no arrays.
    """
    try:
        dtype = np.dtype(info.dtype)
    except TypeError:
        raise _uneven(info.name) from None
    record = dtype.itemsize * math.prod(info.shape)
    if dtype.hasobject or info.nbytes != record * len(order):
        raise _uneven(info.name)
    sizes = (_count(chunks, max(1, CHUNK_BYTES // max(1, record))), *info.shape)
    file = _file(store)
    if file is None:
        found = [np.asarray(store.dataset_record(info.name, int(i))) for i in order]
        return _dask(np.array(found, dtype).reshape(len(order), *info.shape), sizes)
    return _dask(_Records(file, info.name, order, tuple(info.shape), dtype), sizes)


def stamps(times: Any) -> Any:
    """Return Unix seconds as datetime64[ns], to the microsecond; of dask arrays a dask array.

    Raises
    ------
    UsageError
        If one of them does not fit; of dask arrays when they are computed.
    """
    if isinstance(times, np.ndarray):
        return _as_stamps(times)
    return times.map_blocks(_as_stamps, dtype="datetime64[ns]")


def _as_stamps(times: FloatArray) -> NDArray[np.datetime64]:
    return as_datetimes(whole_microseconds(times))


def as_datetimes(microseconds: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """Return whole microseconds since 1970 as datetime64[ns], shape (n,).

    Raises
    ------
    UsageError
        If one of them does not fit.
    """
    _check(microseconds / 1e6, NANOSECONDS, "datetime64[ns] has the years 1678 to 2261")
    return microseconds.astype("datetime64[us]").astype("datetime64[ns]")


def whole_microseconds(times: FloatArray) -> NDArray[np.int64]:
    """Return Unix seconds as whole microseconds, shape (n,).

    Raises
    ------
    UsageError
        If they are too many for 64 bits; sessions of other programs may have any time.
    """
    _check(times, MICROSECONDS, "64 bits of microseconds end long before")
    return np.round(times * 1e6).astype(np.int64)


def _check(times: FloatArray, most: float, why: str) -> None:
    far = ~(np.abs(times) <= most)
    if np.any(far):
        raise UsageError(
            f"there are values at {times[far][0]:g} s after 1970, and {why}; take a part of the variable as arrays: "
            'session["NAME"].between("1900-01-01", "2200-01-01"), or all of it: session["NAME"]'
        )


def _file(store: ReadableStore) -> _File | None:
    """Return the file that workers can read, None for a session in memory or elsewhere."""
    if store.path is None or isinstance(store, MemoryStore):
        return None
    return _File(store.path, store.info().uuid)


def _count(chunks: int | str, auto: int) -> int:
    if chunks == "auto":
        return auto
    try:
        count = operator.index(chunks)  # type: ignore[arg-type]
    except TypeError:
        count = 0
    if count < 1:
        raise UsageError(f"chunks is 'auto' or how many values a chunk has, not {chunks!r}")
    return count


def _dask(array: Any, chunks: tuple[int, ...]) -> Any:
    dask = need("dask.array", "analysis")
    fitting = tuple(min(c, max(1, n)) for c, n in zip(chunks, array.shape, strict=True))
    meta = np.empty((0,) * array.ndim, array.dtype)
    return dask.from_array(array, chunks=fitting, fancy=False, asarray=True, meta=meta)


def _apart(name: str, reference: str) -> UsageError:
    return UsageError(
        f"{name!r} and {reference!r} were not always logged by the same add_entry, so they have no times in common; "
        "take them one by one, or without chunks"
    )


def _uneven(name: str) -> UsageError:
    return UsageError(
        f"the records of {name!r} are not arrays of one shape and type; take them one by one with datasets({name!r})"
    )


def together(known: dict[str, Statistics]) -> None:
    """Refuse variables that cannot have been logged together, as far as it is known without reading.

    Raises
    ------
    UsageError
        If it is so.
    """
    names = iter(known)
    reference = next(names)
    for name in names:
        if _when(known[name]) != _when(known[reference]):
            raise _apart(name, reference)


def _when(known: Statistics) -> tuple[float, float, float, float]:
    return known.n, known.first_time, known.last_time, known.longest_gap
