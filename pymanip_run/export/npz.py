"""Logged variables as arrays for ``numpy.load``."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.export.jsonl import to_json
from pymanip_run.export.names import distinct
from pymanip_run.export.spool import Spool
from pymanip_run.export.stamps import longest, texts

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import tzinfo
    from pathlib import Path

    from pymanip_run.export.job import Job, Table

__all__ = ["ABOUT", "add_array", "write"]

#: Units, parameters and metadata, as a text of JSON.
ABOUT = "_about"


def write(tables: Sequence[Table], path: Path, job: Job) -> int:
    """Write tables to a file; return the number of rows."""
    rows = 0
    keys = _keys(tables)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        for table, names in zip(tables, keys, strict=True):
            with Spool(table, path.parent) as spool:
                rows += spool.rows
                for index, name in enumerate(names):
                    if index == 0 and job.zone is not None:
                        _add_stamps(archive, name, spool, job.zone)
                    else:
                        _add(archive, name, np.dtype(np.float64), (spool.rows,), spool.parts(index))
        about = job.about() | {"keys": _original(tables, keys)}
        add_array(archive, ABOUT, np.array(to_json(about)))
    return rows


def _keys(tables: Sequence[Table]) -> list[list[str]]:
    """Return the names of the arrays of each table, the time first; one of a table alone has the variable's name."""
    wanted: list[str] = []
    for table in tables:
        if table.title is None:
            wanted += ["time", *(f.name for f in table.fields)]
        else:
            names = [f.name for f in table.fields]
            ends = ["" if name == "value" else f"_{name}" for name in names]
            wanted += [f"{table.title}_time", *(f"{table.title}{end}" for end in ends)]
    made = iter(distinct(wanted, [ABOUT]))
    return [[next(made) for _ in range(len(table.fields) + 1)] for table in tables]


def _original(tables: Sequence[Table], keys: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Return name and unit of the variable in each array."""
    return {
        key: {"name": f.name if table.title is None else table.title, "unit": f.unit}
        for table, names in zip(tables, keys, strict=True)
        for key, f in zip(names[1:], table.fields, strict=True)
    }


def _add_stamps(archive: zipfile.ZipFile, name: str, spool: Spool, zone: tzinfo) -> None:
    """Add the times as texts of equal room, block by block."""
    room = max((longest(times, zone) for times in spool.arrays(0)), default=1)
    dtype = np.dtype(f"U{max(1, room)}")
    parts = (np.array(texts(times, zone), dtype).tobytes() for times in spool.arrays(0))
    _add(archive, name, dtype, (spool.rows,), parts)


def add_array(archive: zipfile.ZipFile, name: str, array: np.ndarray[Any, Any]) -> None:
    """Add an array under a name."""
    plain = np.asarray(array, order="C")
    _add(archive, name, plain.dtype, plain.shape, [plain.tobytes()])


def _add(
    archive: zipfile.ZipFile,
    name: str,
    dtype: np.dtype[Any],
    shape: tuple[int, ...],
    parts: Iterable[bytes],
) -> None:
    head = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_2_0(
        head, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    with archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True) as entry:
        entry.write(head.getvalue())
        for part in parts:
            entry.write(part)
