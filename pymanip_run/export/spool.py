"""Columns of any length, kept on disk while their lengths are not known yet."""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Self

import numpy as np

from pymanip_run.export.table import in_full

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pymanip_run.export.job import Table
    from pymanip_run.records import FloatArray

__all__ = ["Spool"]


class Spool:
    """The rows of a table as columns: the first is the time. Missing cells are NaN.

    Parameters
    ----------
    table
        What is read, once.
    folder
        Where the temporary file is; it needs 8 bytes a cell there.
    """

    def __init__(self, table: Table, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder, prefix=".export-")  # noqa: SIM115 - closed by __exit__
        self._lengths: list[int] = []
        width = len(table.fields) + 1
        try:
            for block in table.blocks():
                rows = len(block.times)
                self._file.write(np.ascontiguousarray(block.times).tobytes())
                for column in block.columns:
                    self._file.write(np.ascontiguousarray(in_full(column, rows)).tobytes())
                self._lengths.append(rows)
            self._file.flush()
        except BaseException:
            self._file.close()
            raise
        self.rows = sum(self._lengths)
        self._width = width

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def parts(self, index: int) -> Iterator[bytes]:
        """Yield the bytes of a column, float64 in the order of this computer."""
        start = 0
        for rows in self._lengths:
            self._file.seek(8 * (start + index * rows))
            yield self._file.read(8 * rows)
            start += rows * self._width

    def arrays(self, index: int) -> Iterator[FloatArray]:
        """Yield a column as arrays, float64 of the rows of each block."""
        for part in self.parts(index):
            yield np.frombuffer(part, np.float64)
