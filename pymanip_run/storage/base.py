"""Read from an open session HDF5 file; the counterpart of `append`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from pymanip_run.clock import as_ns
from pymanip_run.errors import DamagedFileError
from pymanip_run.records import (
    DatasetInfo,
    Description,
    Event,
    FloatArray,
    Parameter,
    Statistics,
    SweepPoint,
    Window,
)
from pymanip_run.storage.batch import RUN_ATTRIBUTES
from pymanip_run.storage.chunks import read_floats
from pymanip_run.storage.layout import (
    EVENT_DTYPE,
    POINT_DTYPE,
    POINTS,
    escape,
    member,
    members,
    text_of,
)
from pymanip_run.storage.untrusted import (
    SMALL,
    Budget,
    attribute,
    check_nesting,
    check_scalar,
    check_series,
    check_stored,
    check_table,
)
from pymanip_run.storage.values import raw_size

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pymanip_run.storage.files import Files


def _plain(value: Any) -> Any:
    """Return an attribute or a scalar as Python's own type."""
    if isinstance(value, (bytes, str)):
        return text_of(value)
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    return value


def _original_name(item: Any, link: str) -> str:
    return str(text_of(attribute(item, "name", link)))


def _text(value: Any) -> str | None:
    return None if value is None else text_of(value)


def check_structure(h5: Any) -> None:
    """Refuse a file in which something that will be appended to is not what it should be.

    Raises
    ------
    DamagedFileError, KeyError
        If it is so.
    """
    check_table(member(h5, "events", h5py.Dataset), EVENT_DTYPE)
    for folder in ("parameters", "metadata", "datasets", "runs"):
        member(h5, folder)
    for _, group in members(member(h5, "variables")):
        for name in ("time", "value") if "value" in group else ():
            check_series(member(group, name, h5py.Dataset))


def read_descriptions(h5: Any) -> dict[str, Description]:
    """Return how each variable is shown."""
    result = {}
    budget = Budget(h5)
    for link, group in members(member(h5, "variables")):
        name = budget.take(_original_name(group, link))
        unit, label, shown = (
            budget.take(_text(attribute(group, key))) for key in ("unit", "long_name", "format")
        )
        period = attribute(group, "period")
        result[name] = Description(
            unit=unit,
            label=None if label == name else label,
            format=shown,
            period=None if period is None else float(period),
        )
    return result


def read_series(
    h5: Any, name: str, window: Window, statistics: Statistics, file: tuple[Files, int | None]
) -> tuple[FloatArray, FloatArray]:
    """Return (times, values) of a variable in a window, float64 of shape (n,).

    `file` is the seam and the descriptor of the same file, None to read by HDF5 alone.
    """
    time, value = _columns(h5, name)
    count = min(time.shape[0], value.shape[0], statistics.n)
    low, high = 0, count
    if window.since is not None and window.since > statistics.first_time:
        low = _bisect(time, window.since, count)
    if window.until is not None and window.until <= statistics.last_time:
        high = _bisect(time, window.until, count)
    if window.tail is not None:
        low = max(low, high - window.tail)
    if window.head is not None:
        high = min(high, low + window.head)
    return _stretch(time, low, high, file), _stretch(value, low, high, file)


def read_slice(
    h5: Any, name: str, low: int, high: int, file: tuple[Files, int | None]
) -> tuple[FloatArray, FloatArray]:
    """Return the values number `low` to `high` of a variable, and their times, as far as they are there."""
    time, value = _columns(h5, name)
    high = min(high, time.shape[0], value.shape[0])
    return _stretch(time, low, high, file), _stretch(value, low, high, file)


def _columns(h5: Any, name: str) -> tuple[Any, Any]:
    group = member(member(h5, "variables"), escape(name))
    time, value = member(group, "time", h5py.Dataset), member(group, "value", h5py.Dataset)
    for column in (time, value):
        check_series(column)
    return time, value


def _stretch(column: Any, low: int, high: int, file: tuple[Files, int | None]) -> FloatArray:
    check_stored(column, (high - low) * column.dtype.itemsize)
    return read_floats(column, low, high, *file)


def _bisect(time: Any, when: float, count: int) -> int:
    """Return the index of the first time at or after `when`, reading only a few chunks."""
    step = time.chunks[0] if time.chunks else 2048
    low, high = 0, -(-count // step)
    while low < high:  # the first chunk that begins at or after `when`
        middle = (low + high) // 2
        if time[middle * step] < when:
            low = middle + 1
        else:
            high = middle
    start = max(0, (low - 1) * step)
    return start + int(np.searchsorted(time[start : min(count, start + step)], when))


def read_parameters(h5: Any) -> dict[str, Parameter]:
    """Return all parameters."""
    result = {}
    budget = Budget(h5)
    for link, item in members(member(h5, "parameters"), h5py.Dataset):
        check_scalar(item)
        time_ns = as_ns(float(attribute(item, "time", 0.0)))
        value, unit = budget.take(_plain(item[()])), budget.take(_text(attribute(item, "unit")))
        result[_original_name(item, link)] = Parameter(value, time_ns, unit)
    return result


def read_metadata(h5: Any) -> dict[str, Any]:
    """Return all metadata."""
    result = {}
    budget = Budget(h5)
    for link, item in members(member(h5, "metadata"), h5py.Dataset):
        check_scalar(item)
        text = budget.take(_plain(item[()]))
        result[_original_name(item, link)] = (
            check_nesting(json.loads(text)) if attribute(item, "json", False) else text
        )
    return result


def read_events(h5: Any) -> list[Event]:
    """Return all events, in the order of recording."""
    table = member(h5, "events", h5py.Dataset)
    check_table(table, EVENT_DTYPE)
    rows = table[()].tolist()
    return [
        Event(as_ns(t), text_of(kind), text_of(source), text_of(text))
        for t, kind, source, text in rows
    ]


def read_runs(h5: Any) -> tuple[dict[int, dict[str, Any]], dict[int, dict[str, str]]]:
    """Return attributes and texts of the runs, by index."""
    attributes: dict[int, dict[str, Any]] = {}
    texts: dict[int, dict[str, str]] = {}
    budget = Budget(h5)
    for link, group in members(member(h5, "runs")):
        if not link.isdecimal():
            continue
        known = {key: budget.take(_plain(attribute(group, key))) for key in RUN_ATTRIBUTES}
        attributes[int(link)] = {key: value for key, value in known.items() if value is not None}
        texts[int(link)] = {
            _original_name(item, key): budget.take(_text_content(item))
            for key, item in members(group, object)
            if isinstance(item, h5py.Dataset) and not item.ndim
        }
    return attributes, texts


def read_points(h5: Any, run: int) -> list[SweepPoint]:
    """Return the points of the sweeps of a run that are over, in the order of recording."""
    folder, link = member(h5, "runs"), f"{run:06}"
    if link not in folder or POINTS not in (group := member(folder, link)):
        return []
    table = member(group, POINTS, h5py.Dataset)
    check_table(table, POINT_DTYPE)
    return [
        SweepPoint(text_of(sweep), number, as_ns(start), as_ns(time), *map(text_of, texts))
        for sweep, number, start, time, *texts in table[()].tolist()
    ]


def _text_content(item: Any) -> str:
    check_scalar(item)
    return text_of(item[()])


# -- datasets -----------------------------------------------------------------------------------


def _blocks(h5: Any, name: str) -> list[Any]:
    folder = member(h5, "datasets")
    if escape(name) not in folder:
        return []
    group = member(folder, escape(name))
    return [block for link, block in sorted(members(group)) if link.isdecimal()]


def _times(block: Any) -> Any:
    """Return the dataset that says how many records a block has."""
    times = member(block, "time", h5py.Dataset)
    check_series(times)
    check_stored(times, times.shape[0] * times.dtype.itemsize, SMALL)
    return times


def _values(block: Any) -> Any:
    values = member(block, "value", h5py.Dataset)
    text = h5py.check_string_dtype(values.dtype)
    if not values.ndim or (values.dtype.hasobject and (text is None or values.ndim != 1)):
        raise DamagedFileError(f"{values.name!r} is no array of numbers or texts")
    return values


def _count(block: Any) -> int:
    return int(_times(block).shape[0])


def count_records(h5: Any, name: str) -> int:
    """Return the number of records of a dataset."""
    return sum(_count(block) for block in _blocks(h5, name))


def read_dataset_times(h5: Any, name: str) -> FloatArray:
    """Return the timestamps of a dataset's records, float64 of shape (n,)."""
    times = [_times(block)[()] for block in _blocks(h5, name)]
    return np.concatenate(times) if times else np.empty(0)


def read_record(h5: Any, name: str, index: int) -> tuple[NDArray[Any] | str, str | None]:
    """Return the index-th record of a dataset as (array or text, python_type).

    Raises
    ------
    IndexError
        If there is none.
    """
    for block in _blocks(h5, name):
        count = _count(block)
        if index < count:
            value = _values(block)
            python_type = text_of(attribute(block, "python_type", "")) or None
            text = h5py.check_string_dtype(value.dtype)
            if text and text.length is None:
                return text_of(value[index]), python_type
            check_stored(value, raw_size(value.shape[1:], value.dtype))
            # As a stretch of one: a 0-d record keeps its byte order only in an array.
            return value[index : index + 1].reshape(value.shape[1:]), python_type
        index -= count
    raise IndexError(index)


def _nbytes(block: Any, value: Any) -> int:
    """Return the size of a block's records; texts of any length say it in an attribute."""
    return int(attribute(block, "nbytes", raw_size(value.shape, value.dtype)))


def read_dataset_infos(h5: Any) -> dict[str, DatasetInfo]:
    """Return a summary of every dataset; its shape and dtype are those of the last record."""
    result = {}
    for link, group in members(member(h5, "datasets")):
        name = _original_name(group, link)
        blocks = [block for block in _blocks(h5, name) if _count(block)]
        if not blocks:
            continue
        values = [_values(block) for block in blocks]
        times = [_times(block) for block in blocks]
        last = values[-1]
        result[name] = DatasetInfo(
            name=name,
            n=sum(t.shape[0] for t in times),
            shape=tuple(last.shape[1:]),
            dtype=text_of(attribute(blocks[-1], "dtype", str(last.dtype))),
            nbytes=sum(_nbytes(b, v) for b, v in zip(blocks, values, strict=True)),
            unit=_text(attribute(blocks[-1], "unit")),
            first_time=float(times[0][0]),
            last_time=float(times[-1][-1]),
        )
    return result
