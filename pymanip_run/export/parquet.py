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
GROUP_CELLS = 2_000_000


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
    columns = [arrow.array(times).cast(schema.field(0).type)]
    columns += [_column(arrow, column, size) for column in block.columns]
    return arrow.RecordBatch.from_arrays(columns, schema=schema)


def _column(arrow: Any, column: Column, size: int) -> Any:
    if column.rows is None:
        return arrow.array(column.values, arrow.float64())
    cells, missing = np.zeros(size), np.ones(size, bool)
    cells[column.rows] = column.values
    missing[column.rows] = False
    return arrow.array(cells, arrow.float64(), mask=missing)
