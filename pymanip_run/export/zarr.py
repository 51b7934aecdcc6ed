"""Logged variables as a Zarr group (format 3), for xarray, dask and zarr. Needs zarr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.export.cf import (
    global_attributes,
    layouts,
    time_attributes,
    value_attributes,
)
from pymanip_run.export.stamps import as_microseconds
from pymanip_run.export.table import in_full
from pymanip_run.lazily import need

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pymanip_run.export.cf import Layout
    from pymanip_run.export.job import Job, Table

__all__ = ["write"]

EXTRA = "zarr"
CHUNK = 1 << 18


def write(tables: Sequence[Table], path: Path, job: Job) -> int:
    """Write tables into a folder; return the number of rows. Missing cells are NaN."""
    zarr = need("zarr", EXTRA)
    group = zarr.open_group(path, mode="w", zarr_format=3)
    group.attrs.update(global_attributes(job))
    return sum(_write(group, layout, job) for layout in layouts(tables))


def _write(group: Any, layout: Layout, job: Job) -> int:
    columns = [_Growing(group, layout.time, "i8", layout.time, time_attributes(job))]
    columns += [
        _Growing(group, name, "f8", layout.time, value_attributes(layout.table, field))
        for name, field in zip(layout.values, layout.table.fields, strict=True)
    ]
    rows = 0
    for block in layout.table.blocks():
        size = len(block.times)
        columns[0].add(as_microseconds(block.times))
        for one, column in zip(columns[1:], block.columns, strict=True):
            one.add(in_full(column, size))
        rows += size
    for one in columns:
        one.finish()
    return rows


class _Growing:
    """An array that is written in whole chunks."""

    def __init__(
        self, group: Any, name: str, kind: str, dimension: str, told: dict[str, Any]
    ) -> None:
        fill = {} if kind != "f8" else {"fill_value": np.nan}
        self._array = group.create_array(
            name, shape=(0,), dtype=kind, chunks=(CHUNK,), dimension_names=(dimension,),
            attributes=told, **fill,
        )  # fmt: skip
        self._waiting: list[Any] = []
        self._count = 0

    def add(self, values: Any) -> None:
        """Keep values until there is a chunk of them."""
        self._waiting.append(values)
        self._count += len(values)
        if self._count >= CHUNK:
            self._write(self._count // CHUNK * CHUNK)

    def finish(self) -> None:
        """Write what is left."""
        if self._count:
            self._write(self._count)

    def _write(self, count: int) -> None:
        values = np.concatenate(self._waiting)
        start = self._array.shape[0]
        self._array.resize((start + count,))
        self._array[start:] = values[:count]
        self._waiting = [values[count:].copy()] if count < len(values) else []
        self._count -= count
