"""Logged variables as JSON lines, as those of a run with ``--json``: a line about the session, then the entries."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from pymanip_run.export.stamps import texts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo

    from pymanip_run.export.job import Job, Table
    from pymanip_run.export.table import Block, Column
    from pymanip_run.records import FloatArray

__all__ = ["to_json", "write"]

ROWS = 4000


def write(table: Table, file: BinaryIO, job: Job) -> int:
    """Write a table to an open binary file; return the number of rows."""
    file.write(f"{to_json({'type': 'session'} | job.about())}\n".encode("ascii"))
    keys = [f"{json.dumps(field.name)}:" for field in table.fields]
    rows = 0
    for block in table.blocks():
        for low in range(0, len(block.times), ROWS):
            high = min(low + ROWS, len(block.times))
            file.write("".join(_lines(block, low, high, keys, job)).encode("ascii"))
        rows += len(block.times)
    return rows


def to_json(value: Any) -> str:
    """Return one line of standard JSON; numbers that it does not know are texts."""
    return json.dumps(_standard(value), allow_nan=False, separators=(",", ":"), default=str)


def _standard(value: Any) -> Any:
    if isinstance(value, float) and not np.isfinite(value):
        return repr(value)
    if isinstance(value, dict):
        return {key: _standard(item) for key, item in value.items()}
    return [_standard(item) for item in value] if isinstance(value, (list, tuple)) else value


def _lines(block: Block, low: int, high: int, keys: list[str], job: Job) -> Iterator[str]:
    stamps = _stamps(block.times[low:high], job.zone)
    size = high - low
    cells: list[list[str]] = [[] for _ in range(size)]
    others: dict[int, list[str]] = {}
    for key, column in zip(keys, block.columns, strict=True):
        rows, values = _stretch(column, low, high)
        finite = np.isfinite(values).tolist()
        for row, value, plain in zip(rows.tolist(), values.tolist(), finite, strict=True):
            cells[row].append(f"{key}{value!r}" if plain else f"{key}null")
            if not plain:
                others.setdefault(row, []).append(f'{key}"{value!r}"')
    for row, (stamp, found) in enumerate(zip(stamps, cells, strict=True)):
        line = f'{{"type":"entry","time":{stamp},"values":{{{",".join(found)}}}'
        if row in others:
            line += f',"nonfinite":{{{",".join(others[row])}}}'
        yield f"{line}}}\n"


def _stamps(times: FloatArray, zone: tzinfo | None) -> list[str]:
    # Unix seconds as a run prints them.
    return (
        list(map(repr, times.tolist())) if zone is None else [f'"{t}"' for t in texts(times, zone)]
    )


def _stretch(column: Column, low: int, high: int) -> tuple[Any, Any]:
    if column.rows is None:
        return np.arange(high - low), column.values[low:high]
    chosen = (column.rows >= low) & (column.rows < high)
    return column.rows[chosen] - low, column.values[chosen]
