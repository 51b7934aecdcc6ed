"""Append a batch to the HDF5 file. Only the checkpointer does this, through an overlay."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from pymanip_run.clock import as_seconds
from pymanip_run.records import Statistics
from pymanip_run.storage import layout
from pymanip_run.storage.journal import dump_json
from pymanip_run.storage.layout import (
    ARRAY_CHUNK_BYTES,
    SCALARS_PER_CHUNK,
    TEXT,
    escape,
    member,
    raw_text,
    text_of,
    to_text,
)
from pymanip_run.storage.untrusted import attribute, check_series, check_table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pymanip_run.records import Event, FloatArray, Parameter, SweepPoint
    from pymanip_run.storage.batch import ArrayRecord, Batch
    from pymanip_run.storage.journal import Position
    from pymanip_run.storage.overlay import Overlay

__all__ = ["Appender", "read_statistics"]

_STATISTICS_FIELDS = layout.STATISTICS_DTYPE.names[1:]  # type: ignore[index]
#: Records of a dataset that are written together are at most this large.
_STACK_BYTES = 8 << 20


class _Growing:
    """A one-dimensional dataset that is only appended to. Low-level calls: this is done for every variable."""

    __slots__ = ("_id", "_type", "size")

    def __init__(self, dataset: Any) -> None:
        self._id = dataset.id
        self._type = h5py.h5t.py_create(np.dtype("<f8"))
        self.size = dataset.shape[0]

    def append(self, values: FloatArray) -> None:
        count = len(values)
        self._id.set_extent((self.size + count,))
        space = self._id.get_space()
        space.select_hyperslab((self.size,), (count,))
        self._id.write(
            h5py.h5s.create_simple((count,)), space, np.ascontiguousarray(values), self._type
        )
        self.size += count


class Appender:
    """Writes batches to one open HDF5 file."""

    def __init__(self, h5: Any, overlay: Overlay) -> None:
        self._h5 = h5
        self._overlay = overlay
        self._refused: list[str] = []
        self._columns: dict[str, tuple[_Growing, _Growing]] = {}
        self.statistics = read_statistics(h5)
        self._rows = {name: row for row, name in enumerate(self.statistics)}

    def append(self, batch: Batch) -> list[str]:
        """Append everything in `batch`; nothing is committed yet.

        Returns
        -------
        list of str
            What HDF5 refused for its content, and why: one item must not keep all others out.
        """
        self._refused = []
        for name in batch.names:
            times, values = batch.series(name)
            columns = self._columns.get(name) or self._open_variable(name)
            columns[0].append(times)
            columns[1].append(values)
        self._put_statistics(batch)
        for name, attributes in batch.attributes.items():
            self._try(f"attributes of {name}", self._put_attributes, name, attributes)
        for name, parameter in batch.parameters.items():
            self._try(f"parameter {name}", self._put_parameter, name, parameter)
        for name, value in batch.metadata.items():
            self._try(f"metadata {name}", self._put_metadata, name, value)
        for name, records in batch.arrays.items():
            self._append_records(name, records)
        if batch.events:
            self._try("events", self._append_events, batch.events)
        for index, run in batch.runs.items():
            self._try(f"run {index}", self._put_run, index, run.attributes, run.texts)
        for index, points in batch.points.items():
            self._try(f"points of run {index}", self._append_points, index, points)
        return self._refused

    def _try(self, what: str, action: Callable[..., None], *arguments: Any) -> None:
        try:
            action(*arguments)
        except (TypeError, ValueError, LookupError, RuntimeError, OSError) as error:
            if self._overlay.failed is not None:
                raise
            self._refused.append(f"{what} ({error})")

    def finish(self, position: Position, transaction: int) -> None:
        """Note how much of the journal is in the file now, and flush to the overlay."""
        self._h5.attrs.modify("wal_pos", np.array(position, "<u8"))
        self._h5.attrs.modify("transaction", np.uint64(transaction))
        self._h5.flush()

    # -- variables ------------------------------------------------------------------------------

    def _open_variable(self, name: str) -> tuple[_Growing, _Growing]:
        folder, link = member(self._h5, "variables"), escape(name)
        group = member(folder, link) if link in folder else None
        if group is None or "value" not in group:
            group = self._create_variable(name)
        parts = [member(group, part, h5py.Dataset) for part in ("time", "value")]
        for part in parts:
            check_series(part)
        self._columns[name] = columns = (_Growing(parts[0]), _Growing(parts[1]))
        # A crash between two transactions cannot leave them of different length; damage could.
        shortest = min(columns[0].size, columns[1].size)
        for column in columns:
            column.size = shortest
        return columns

    def _create_variable(self, name: str) -> Any:
        group = self._variable_group(name)
        group.attrs["NX_class"] = "NXdata"
        group.attrs["signal"] = "value"
        group.attrs["axes"] = "time"
        common: dict[str, Any] = {
            "shape": (0,), "maxshape": (None,), "chunks": (SCALARS_PER_CHUNK,), "dtype": "<f8", "fillvalue": np.nan,
        }  # fmt: skip
        time = group.create_dataset("time", **common)
        time.attrs["units"] = layout.TIME_UNITS
        time.attrs["calendar"] = layout.CALENDAR
        value = group.create_dataset("value", **common)
        time.make_scale("time")
        value.dims[0].attach_scale(time)
        for key in ("units", "long_name"):
            if key in group.attrs:
                value.attrs[key] = group.attrs[key]
        if "unit" in group.attrs:
            value.attrs["units"] = group.attrs["unit"]
        return group

    def _variable_group(self, name: str) -> Any:
        group = _group(member(self._h5, "variables"), escape(name))
        if "name" not in group.attrs:
            group.attrs["name"] = to_text(name)
            group.attrs.setdefault("long_name", to_text(name))
        return group

    def _put_attributes(self, name: str, attributes: Mapping[str, Any]) -> None:
        group = self._variable_group(name)
        renamed = {"label": "long_name"}
        for key, value in attributes.items():
            group.attrs[renamed.get(key, key)] = _storable(value)
        if "value" in group:
            value = member(group, "value", h5py.Dataset)
            for key, target in (("unit", "units"), ("label", "long_name")):
                if key in attributes:
                    value.attrs[target] = _storable(attributes[key])

    def _put_statistics(self, batch: Batch) -> None:
        updated = batch.extend_statistics(self.statistics)
        changed = batch.names
        if not changed:
            return
        self.statistics = updated
        table = self._h5["statistics"]
        for name in changed:
            self._rows.setdefault(name, len(self._rows))
        if len(self._rows) > table.shape[0]:
            table.resize((len(self._rows),))
        rows = np.empty(len(self._rows), layout.STATISTICS_DTYPE)
        for name, row in self._rows.items():
            one = updated[name]
            rows[row] = (name.encode(), *(getattr(one, field) for field in _STATISTICS_FIELDS))
        table[:] = rows

    # -- single values --------------------------------------------------------------------------

    def _put_parameter(self, name: str, parameter: Parameter) -> None:
        dataset = self._replace_scalar("parameters", name, parameter.value)
        dataset.attrs["time"] = as_seconds(parameter.ns)
        if parameter.unit is not None:
            dataset.attrs["unit"] = to_text(parameter.unit)

    def _put_metadata(self, name: str, value: Any) -> None:
        text = (
            value if isinstance(value, str) else dump_json(value).decode("utf-8", "surrogatepass")
        )
        dataset = self._replace_scalar("metadata", name, text)
        dataset.attrs["json"] = not isinstance(value, str)

    def _replace_scalar(self, folder: str, name: str, value: float | bool | str) -> Any:
        group, link = member(self._h5, folder), escape(name)
        if link in group:
            del group[link]
        dataset = group.create_dataset(
            link, data=_storable(value), dtype=TEXT if isinstance(value, str) else None
        )
        dataset.attrs["name"] = to_text(name)
        return dataset

    def _put_run(self, index: int, attributes: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        group = _group(member(self._h5, "runs"), f"{index:06}")
        for key, value in attributes.items():
            if value is not None:
                group.attrs[key] = _storable(value)
        for key, text in texts.items():
            link = escape(key)
            if link in group:
                del group[link]
            group.create_dataset(link, data=to_text(text), dtype=TEXT).attrs["name"] = to_text(key)

    def _append_events(self, events: list[Event]) -> None:
        rows = [
            (as_seconds(e.ns), to_text(e.kind), to_text(e.source), to_text(e.text)) for e in events
        ]
        table = member(self._h5, "events", h5py.Dataset)
        size = table.shape[0]
        table.resize((size + len(rows),))
        table[size:] = np.array(rows, table.dtype)

    def _append_points(self, run: int, points: list[SweepPoint]) -> None:
        group = _group(member(self._h5, "runs"), f"{run:06}")
        if layout.POINTS not in group:
            group.create_dataset(
                layout.POINTS, (0,), layout.POINT_DTYPE, maxshape=(None,), chunks=(256,)
            )
        table = member(group, layout.POINTS, h5py.Dataset)
        size = table.shape[0]
        rows = [
            (
                to_text(p.sweep),
                p.number,
                p.start,
                p.time,
                p.state,
                to_text(p.value),
                to_text(p.result),
            )
            for p in points
        ]
        table.resize((size + len(rows),))
        table[size:] = np.array(rows, table.dtype)

    # -- datasets -------------------------------------------------------------------------------

    def _append_records(self, name: str, records: list[ArrayRecord]) -> None:
        group = _group(member(self._h5, "datasets"), escape(name))
        if "name" not in group.attrs:
            group.attrs["name"] = to_text(name)
        start = 0
        while start < len(records):
            first, stop = records[start], start + 1
            key = _block_key(first)
            while (
                stop < len(records)
                and _block_key(records[stop]) == key
                and (stop - start) * first.nbytes < _STACK_BYTES
            ):
                stop += 1
            self._try(f"dataset {name}", self._append_to_block, group, key, records[start:stop])
            start = stop

    def _append_to_block(
        self, group: Any, key: tuple[Any, ...], records: list[ArrayRecord]
    ) -> None:
        contents = [record.load() for record in records]
        block = self._last_block(group, key)
        if block is None:
            block = _create_block(group, contents[0], key)
        times, values = (member(block, part, h5py.Dataset) for part in ("time", "value"))
        size = times.shape[0]
        values.resize(size + len(records), axis=0)
        if isinstance(contents[0], str):
            values[size:] = [to_text(str(content)) for content in contents]
            block.attrs["nbytes"] = block.attrs["nbytes"] + sum(r.nbytes for r in records)
        elif contents[0].size:
            for i, content in enumerate(contents):
                assert isinstance(content, np.ndarray)  # noqa: S101 - as the first
                # UTF-8 of fixed width has a dtype of its own in HDF5, bytes have not.
                values[size + i] = (
                    content.view(values.dtype) if content.dtype.kind == "S" else content
                )
        # Last, for the times say how many records there are.
        times.resize((size + len(records),))
        times[size:] = [as_seconds(record.ns) for record in records]

    @staticmethod
    def _last_block(group: Any, key: tuple[Any, ...]) -> Any:
        if not len(group):
            return None
        block = member(group, f"{len(group) - 1:06}")
        found = (
            text_of(attribute(block, "dtype")),
            tuple(member(block, "value", h5py.Dataset).shape[1:]),
            text_of(attribute(block, "python_type")) or None,
        )
        return block if found == key else None


def _group(folder: Any, link: str) -> Any:
    """Return a group of a folder, a new one where there is none."""
    return member(folder, link) if link in folder else folder.create_group(link)


def _storable(value: Any) -> Any:
    return to_text(value) if isinstance(value, str) else value


def _block_key(record: ArrayRecord) -> tuple[Any, ...]:
    return record.dtype, record.shape, record.python_type


def _create_block(group: Any, content: Any, key: tuple[Any, ...]) -> Any:
    dtype, shape, python_type = key
    block = group.create_group(f"{len(group):06}")
    block.attrs["python_type"] = python_type or ""
    block.attrs["dtype"] = dtype
    time = block.create_dataset("time", (0,), "<f8", maxshape=(None,), chunks=(SCALARS_PER_CHUNK,))
    time.attrs["units"] = layout.TIME_UNITS
    time.attrs["calendar"] = layout.CALENDAR
    stored = content.dtype if not isinstance(content, str) else TEXT
    if isinstance(content, str):
        block.attrs["nbytes"] = np.uint64(0)
    if python_type in {"str_", "strings"}:
        stored = h5py.string_dtype("utf-8", content.dtype.itemsize)
    block.create_dataset(
        "value", (0, *shape), stored,
        maxshape=(None, *(n or None for n in shape)), chunks=_array_chunks(shape, np.dtype(stored).itemsize),
    )  # fmt: skip
    return block


def _array_chunks(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Return a chunk of about 64 KiB: several small records, or a part of a large one."""
    record = max(1, math.prod(shape) * itemsize)
    if record <= ARRAY_CHUNK_BYTES:
        return (
            max(1, min(SCALARS_PER_CHUNK, ARRAY_CHUNK_BYTES // record)),
            *(max(1, n) for n in shape),
        )
    room, chunk = ARRAY_CHUNK_BYTES // itemsize, []
    for n in reversed(shape):
        chunk.append(max(1, min(n, room)))
        room //= max(1, n)
    return (1, *reversed(chunk))


def read_statistics(h5: Any) -> dict[str, Statistics]:
    """Return the statistics of all variables, in the order of their rows."""
    stored = member(h5, "statistics", h5py.Dataset)
    check_table(stored, layout.STATISTICS_DTYPE)
    table = stored[()]
    names = [raw_text(name) for name in table["name"].tolist()]
    columns = [table[field].tolist() for field in _STATISTICS_FIELDS]
    return {
        name: Statistics(*row) for name, row in zip(names, zip(*columns, strict=True), strict=True)
    }
