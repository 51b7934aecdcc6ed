"""Logged variables as CSV: exact numbers, units in the header, missing cells empty."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from pymanip_run.export.names import distinct
from pymanip_run.export.numbers import as_text
from pymanip_run.export.stamps import as_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import tzinfo

    from numpy.typing import NDArray

    from pymanip_run.export.job import Job, Table
    from pymanip_run.export.table import Block, Column

__all__ = ["write"]

#: Cells turned into text at a time; more only falls out of the processor's cache.
CHUNK_CELLS = 64_000
COMMA, NEWLINE = b",\n"


def write(table: Table, file: BinaryIO, job: Job) -> int:
    """Write a table to an open binary file; return the number of rows."""
    file.write(_header(table))
    rows = 0
    for block in table.blocks():
        for text in _texts(block, job.zone):
            file.write(text)
        rows += len(block.times)
    return rows


def _header(table: Table) -> bytes:
    line = io.StringIO()
    names = [f"{f.name} [{f.unit}]" if f.unit else f.name for f in table.fields]
    csv.writer(line, lineterminator="\n").writerow(["time", *distinct(names, ["time"])])
    return line.getvalue().encode()


def _texts(block: Block, zone: tzinfo | None) -> Iterator[bytes]:
    """Yield the rows, a chunk at a time."""
    step = max(64, CHUNK_CELLS // (len(block.columns) + 1))
    for low in range(0, len(block.times), step):
        high = min(low + step, len(block.times))
        stamps = as_bytes(block.times[low:high], zone)
        yield _rows([stamps, *(_cells(column, low, high) for column in block.columns)])


def _cells(column: Column, low: int, high: int) -> NDArray[np.uint8]:
    """Return the text of each cell, padded by NUL."""
    if column.rows is None:
        return as_text(column.values[low:high])
    chosen = (column.rows >= low) & (column.rows < high)
    texts = as_text(column.values[chosen])
    cells = np.zeros((high - low, texts.shape[1]), np.uint8)
    cells[column.rows[chosen] - low] = texts
    return cells


def _rows(columns: Sequence[NDArray[np.uint8]]) -> bytes:
    width = sum(column.shape[1] + 1 for column in columns)
    rows = np.empty((len(columns[0]), width), np.uint8)
    at = 0
    for column in columns:
        end = at + column.shape[1]
        rows[:, at:end] = column
        rows[:, end] = COMMA
        at = end + 1
    rows[:, -1] = NEWLINE
    return rows.tobytes().translate(None, b"\0")
