"""Logged variables as Parquet, for pandas, polars, DuckDB and Spark. Needs pyarrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.export.jsonl import to_json
from pymanip_run.export.names import distinct
from pymanip_run.export.stamps import as_microseconds
from pymanip_run.export.zones import zone_name
from pymanip_run.lazily import need

if TYPE_CHECKING:
    from pathlib import Path

    from pymanip_run.export.job import Job, Table
    from pymanip_run.export.table import Block, Column

__all__ = ["write"]

EXTRA = "parquet"
#: Rows that are written together; readers skip whole groups by their times.
GROUP = 200_000
#: Of cells in a group.
GROUP_CELLS = 1_000_000


def write(table: Table, path: Path, job: Job) -> int:
    """Write a table to a file; return the number of rows. Missing cells are null, NaN is NaN."""
    arrow, parquet = need("pyarrow", EXTRA), need("pyarrow.parquet", EXTRA)
    schema = _schema(arrow, table, job)
    rows, waiting, count = 0, [], 0
    most = max(1, min(GROUP, GROUP_CELLS // (len(table.fields) + 1)))
    with parquet.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        for block in table.blocks():
            waiting.append(_batch(arrow, schema, block, job))
            count += len(block.times)
            if count >= most:
                writer.write_table(arrow.Table.from_batches(waiting, schema), row_group_size=most)
                rows, waiting, count = rows + count, [], 0
        if waiting:
            writer.write_table(arrow.Table.from_batches(waiting, schema), row_group_size=most)
    return rows + count


def _schema(arrow: Any, table: Table, job: Job) -> Any:
    time = arrow.float64() if job.zone is None else arrow.timestamp("us", tz=zone_name(job.zone))
    unit = {"unit": "seconds since 1970-01-01T00:00:00Z"} if job.zone is None else None
    fields = [arrow.field("time", time, nullable=False, metadata=unit)]
    names = distinct([f.name for f in table.fields], ["time"])
    for name, field in zip(names, table.fields, strict=True):
        told = {"unit": field.unit, "label": field.label, "name": table.title or field.name}
        told = {key: value for key, value in told.items() if value}
        fields.append(arrow.field(name, arrow.float64(), metadata=told))
    return arrow.schema(fields, metadata={"pymanip_run": to_json(job.about())})


def _batch(arrow: Any, schema: Any, block: Block, job: Job) -> Any:
    size = len(block.times)
    times = block.times if job.zone is None else as_microseconds(block.times)
    columns = [_array(arrow, schema.field(0).type, times)]
    columns += [_column(arrow, column, size) for column in block.columns]
    return arrow.RecordBatch.from_arrays(columns, schema=schema)


def _column(arrow: Any, column: Column, size: int) -> Any:
    if column.rows is None:
        return _array(arrow, arrow.float64(), column.values)
    cells, there = np.zeros(size), np.zeros(size, bool)
    cells[column.rows] = column.values
    there[column.rows] = True
    return _array(arrow, arrow.float64(), cells, np.packbits(there, bitorder="little"))


def _array(arrow: Any, kind: Any, values: Any, there: Any = None) -> Any:
    """Return an array around the memory of a numpy array; ``pyarrow.array`` would import pandas, 60 MB, to look at it.

    Parameters
    ----------
    there
        A bit for each value that is not missing.
    """
    bits = None if there is None else arrow.py_buffer(there)
    buffers = [bits, arrow.py_buffer(np.ascontiguousarray(values))]
    return arrow.Array.from_buffers(kind, len(values), buffers)
