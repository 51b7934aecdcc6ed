"""Logged variables for MATLAB and Octave, as a file of version 5. Needs scipy."""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from pymanip_run.errors import UsageError
from pymanip_run.export.cf import layouts
from pymanip_run.export.jsonl import to_json
from pymanip_run.export.names import identifiers
from pymanip_run.export.spool import Spool
from pymanip_run.export.stamps import texts
from pymanip_run.lazily import need

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from pymanip_run.export.cf import Layout
    from pymanip_run.export.job import Job, Table

__all__ = ["write"]

EXTRA = "matlab"
#: Beside the variables: what they are, and what else the session holds.
OWN = ("units", "names", "parameters", "metadata")
#: Types of the format.
MI_INT8, MI_INT32, MI_UINT32, MI_DOUBLE, MI_MATRIX, MI_UTF8 = 1, 5, 6, 9, 14, 16
MX_CELL, MX_CHAR, MX_DOUBLE = 1, 4, 6
#: The format counts the bytes of an array in 31 bits.
MOST_BYTES = 1 << 31
#: Bytes of the text at its beginning.
HEAD_TEXT = 116
MOST_ROWS = MOST_BYTES // 8 - 1024


def write(tables: Sequence[Table], path: Path, job: Job) -> int:
    """Write tables to a file; return the number of rows. Missing cells are NaN.

    ``units`` and ``names`` are structs with the unit and the original name of each variable.
    """
    scipy = need("scipy.io", EXTRA)
    rows = 0
    units: dict[str, str] = {}
    names: dict[str, str] = {}
    with path.open("wb") as file:
        scipy.savemat(file, {})
        about = job.about()
        _describe(file, about["uuid"])
        for layout in layouts(tables, OWN):
            rows += _write(scipy, file, layout, job)
            for made, field in zip(layout.values, layout.table.fields, strict=True):
                units[made] = field.unit or ""
                names[made] = field.name if layout.table.title is None else layout.table.title
        values = {name: one["value"] for name, one in about["parameters"].items()}
        scipy.savemat(
            file,
            {
                "units": units or _nothing(),
                "names": names or _nothing(),
                "parameters": _struct(values),
                "metadata": to_json(about["metadata"]),
            },
            long_field_names=True,
        )
    return rows


def _write(scipy: Any, file: Any, layout: Layout, job: Job) -> int:
    with Spool(layout.table, Path(file.name).parent) as spool:
        if spool.rows > MOST_ROWS:
            raise UsageError(
                f"a .mat file holds up to {MOST_ROWS} values of a variable, not {spool.rows}; export a part, "
                "or --to netcdf, which MATLAB reads with ncread"
            )
        if job.zone is None:
            _column(file, layout.time, spool, 0)
        else:
            _stamps(file, layout.time, spool, job.zone)
        for index, name in enumerate(layout.values, 1):
            _column(file, name, spool, index)
        return spool.rows


def _describe(file: BinaryIO, uuid: str) -> None:
    """Put the session into the text at the beginning of the file."""
    end = file.tell()
    file.seek(0)
    file.write(
        f"MATLAB 5.0 MAT-file, made by pymanip-run from session {uuid}".encode().ljust(HEAD_TEXT)
    )
    file.seek(end)


def _column(file: BinaryIO, name: str, spool: Spool, index: int) -> None:
    """Write a column of numbers as it comes from the disk; scipy would hold it twice in memory.

    *MAT-File Format*, MathWorks 2024, chapter 1: an array is flags, dimensions, name and numbers, each with
    its type and size before it.
    """
    size = 8 * spool.rows
    head = _head(MX_DOUBLE, spool.rows, 1, name) + struct.pack("<2I", MI_DOUBLE, size)
    file.write(struct.pack("<2I", MI_MATRIX, len(head) + size) + head)
    for part in spool.parts(index):
        file.write(
            part if sys.byteorder == "little" else np.frombuffer(part).astype("<f8").tobytes()
        )


def _head(kind: int, rows: int, columns: int, name: str) -> bytes:
    """Return what stands before the content of an array: flags, dimensions, name."""
    text = name.encode("ascii")
    head = struct.pack("<4I", MI_UINT32, 8, kind, 0)
    head += struct.pack("<2I2i", MI_INT32, 8, rows, columns)
    return head + struct.pack("<2I", MI_INT8, len(text)) + _padded(text)


def _padded(text: bytes) -> bytes:
    return text + bytes(-len(text) % 8)


def _stamps(file: BinaryIO, name: str, spool: Spool, zone: tzinfo) -> None:
    """Write the times as a column of cells, each with a text, block by block."""
    begin = file.tell()
    # The size is known at the end.
    file.write(struct.pack("<2I", MI_MATRIX, 0) + _head(MX_CELL, spool.rows, 1, name))
    for times in spool.arrays(0):
        file.writelines(map(_cell, texts(times, zone)))
        if file.tell() - begin >= MOST_BYTES:
            raise UsageError(
                f"a .mat file holds up to {MOST_BYTES >> 30} GB of times as texts; export a part, leave out --tz, "
                "or --to netcdf, which MATLAB reads with ncread"
            )
    end = file.tell()
    file.seek(begin)
    file.write(struct.pack("<2I", MI_MATRIX, end - begin - 8))
    file.seek(end)


def _cell(text: str) -> bytes:
    content = text.encode("ascii")
    cell = _head(MX_CHAR, 1, len(content), "") + struct.pack("<2I", MI_UTF8, len(content))
    cell += _padded(content)
    return struct.pack("<2I", MI_MATRIX, len(cell)) + cell


def _struct(values: dict[str, Any]) -> Any:
    """Return parameters under valid names."""
    if not values:
        return _nothing()
    return dict(zip(identifiers(values), values.values(), strict=True))


def _nothing() -> Any:
    """Return a struct without fields; scipy refuses an empty dict."""
    return np.zeros((1, 1), np.dtype([("none", object)]))
