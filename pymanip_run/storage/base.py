"""Read from an open session HDF5 file; the counterpart of `append`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from pymanip_run.clock import as_ns
from pymanip_run.records import (
    DatasetInfo,
    Description,
    Event,
    FloatArray,
    Parameter,
    Statistics,
    Window,
)
from pymanip_run.storage.chunks import read_floats
from pymanip_run.storage.layout import escape, member, text_of
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
    return text_of(item.attrs["name"]) if "name" in item.attrs else str(link)


def read_descriptions(h5: Any) -> dict[str, Description]:
    """Return how each variable is shown."""
    result = {}
    folder = member(h5, "variables")
    for link in folder:
        attributes = {key: _plain(value) for key, value in member(folder, link).attrs.items()}
        name = str(attributes.get("name", link))
        label = attributes.get("long_name")
        result[name] = Description(
            unit=attributes.get("unit"),
            label=None if label == name else label,
            format=attributes.get("format"),
            period=attributes.get("period"),
        )
    return result


def read_series(
    h5: Any, name: str, window: Window, statistics: Statistics, file: tuple[Files, int | None]
) -> tuple[FloatArray, FloatArray]:
    """Return (times, values) of a variable in a window, float64 of shape (n,).

    `file` is the seam and the descriptor of the same file, None to read by HDF5 alone.
    """
    group = member(member(h5, "variables"), escape(name))
    time, value = member(group, "time", h5py.Dataset), member(group, "value", h5py.Dataset)
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
    return read_floats(time, low, high, *file), read_floats(value, low, high, *file)


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
    folder = member(h5, "parameters")
    for link in folder:
        item = member(folder, link, h5py.Dataset)
        unit = item.attrs.get("unit")
        time_ns = as_ns(float(item.attrs.get("time", 0.0)))
        result[_original_name(item, link)] = Parameter(
            _plain(item[()]), time_ns, None if unit is None else text_of(unit)
        )
    return result


def read_metadata(h5: Any) -> dict[str, Any]:
    """Return all metadata."""
    result = {}
    folder = member(h5, "metadata")
    for link in folder:
        item = member(folder, link, h5py.Dataset)
        text = _plain(item[()])
        result[_original_name(item, link)] = (
            json.loads(text) if item.attrs.get("json", False) else text
        )
    return result


def read_events(h5: Any) -> list[Event]:
    """Return all events, in the order of recording."""
    rows = member(h5, "events", h5py.Dataset)[()].tolist()
    return [
        Event(as_ns(t), text_of(kind), text_of(source), text_of(text))
        for t, kind, source, text in rows
    ]


def read_runs(h5: Any) -> tuple[dict[int, dict[str, Any]], dict[int, dict[str, str]]]:
    """Return attributes and texts of the runs, by index."""
    attributes, texts = {}, {}
    folder = member(h5, "runs")
    for link in folder:
        if not link.isdecimal():
            continue
        group = member(folder, link)
        attributes[int(link)] = {key: _plain(value) for key, value in group.attrs.items()}
        texts[int(link)] = {
            _original_name(group[key], key): text_of(member(group, key, h5py.Dataset)[()])
            for key in group
            if isinstance(group.get(key, getlink=True), h5py.HardLink)
            and group.get(key, getclass=True) is h5py.Dataset
        }
    return attributes, texts


# -- datasets -----------------------------------------------------------------------------------


def _blocks(h5: Any, name: str) -> list[Any]:
    folder = member(h5, "datasets")
    if escape(name) not in folder:
        return []
    group = member(folder, escape(name))
    return [member(group, link) for link in sorted(group) if link.isdecimal()]


def _count(block: Any) -> int:
    return int(member(block, "time", h5py.Dataset).shape[0])


def count_records(h5: Any, name: str) -> int:
    """Return the number of records of a dataset."""
    return sum(_count(block) for block in _blocks(h5, name))


def read_dataset_times(h5: Any, name: str) -> FloatArray:
    """Return the timestamps of a dataset's records, float64 of shape (n,)."""
    times = [member(b, "time", h5py.Dataset)[()] for b in _blocks(h5, name)]
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
            value = member(block, "value", h5py.Dataset)
            python_type = text_of(block.attrs.get("python_type", "")) or None
            text = h5py.check_string_dtype(value.dtype)
            if text and text.length is None:
                return text_of(value[index]), python_type
            # As a stretch of one: a 0-d record keeps its byte order only in an array.
            return value[index : index + 1].reshape(value.shape[1:]), python_type
        index -= count
    raise IndexError(index)


def _nbytes(block: Any, value: Any) -> int:
    """Return the size of a block's records; texts of any length say it in an attribute."""
    return int(block.attrs.get("nbytes", raw_size(value.shape, value.dtype)))


def read_dataset_infos(h5: Any) -> dict[str, DatasetInfo]:
    """Return a summary of every dataset; its shape and dtype are those of the last record."""
    result = {}
    folder = member(h5, "datasets")
    for link in folder:
        name = _original_name(member(folder, link), link)
        blocks = [block for block in _blocks(h5, name) if _count(block)]
        if not blocks:
            continue
        values = [member(block, "value", h5py.Dataset) for block in blocks]
        times = [member(block, "time", h5py.Dataset) for block in blocks]
        last = values[-1]
        unit = blocks[-1].attrs.get("unit")
        result[name] = DatasetInfo(
            name=name,
            n=sum(t.shape[0] for t in times),
            shape=tuple(last.shape[1:]),
            dtype=text_of(blocks[-1].attrs.get("dtype", last.dtype)),
            nbytes=sum(_nbytes(b, v) for b, v in zip(blocks, values, strict=True)),
            unit=None if unit is None else text_of(unit),
            first_time=float(times[0][0]),
            last_time=float(times[-1][-1]),
        )
    return result
