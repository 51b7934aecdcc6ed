"""Logged variables as netCDF-4 after the CF Conventions, for xarray. Needs h5netcdf."""

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

EXTRA = "analysis"
CHUNK = 1 << 16


def write(tables: Sequence[Table], path: Path, job: Job) -> int:
    """Write tables to a file, each with a time of its own; return the number of rows. Missing cells are NaN."""
    h5netcdf = need("h5netcdf", EXTRA)
    rows = 0
    with h5netcdf.File(path, "w") as file:
        for key, value in global_attributes(job).items():
            file.attrs[key] = value
        for layout in layouts(tables):
            rows += _write(file, layout, job)
    return rows


def _write(file: Any, layout: Layout, job: Job) -> int:
    file.dimensions[layout.time] = None  # grows
    time = file.create_variable(layout.time, (layout.time,), np.int64, chunks=(CHUNK,))
    for key, value in time_attributes(job).items():
        time.attrs[key] = value
    values = []
    for name, field in zip(layout.values, layout.table.fields, strict=True):
        one = file.create_variable(
            name, (layout.time,), np.float64, fillvalue=np.nan, chunks=(CHUNK,)
        )
        for key, value in value_attributes(layout.table, field).items():
            one.attrs[key] = value
        values.append(one)
    rows = 0
    for block in layout.table.blocks():
        until = rows + len(block.times)
        file.resize_dimension(layout.time, until)
        time[rows:until] = as_microseconds(block.times)
        for one, column in zip(values, block.columns, strict=True):
            one[rows:until] = in_full(column, len(block.times))
        rows = until
    return rows
