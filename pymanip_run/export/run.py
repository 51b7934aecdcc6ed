"""Carry out an export: to a file, a folder, or a stream."""

from __future__ import annotations

import shutil
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from pymanip_run.errors import UsageError
from pymanip_run.export import FORMATS
from pymanip_run.export.jsonl import to_json
from pymanip_run.export.names import distinct, file_name
from pymanip_run.export.targets import appearing_file, appearing_folder, appearing_path

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymanip_run.export.job import Job, Table

__all__ = ["INDEX", "Exported", "export_to", "export_to_stream"]

INDEX = "index.json"


class Exported(NamedTuple):
    """What was written."""

    rows: int
    columns: int
    files: int = 1


def export_to(job: Job, to: str, target: Path) -> Exported:
    """Write the tables of a job in the format `to`; `target` appears when it is complete.

    Parameters
    ----------
    target
        A file, which is replaced; where the format has one file for each table, and the job several
        tables, a folder, which must be new or empty.

    Raises
    ------
    NotFoundError
        If the session does not have one of the names.
    UsageError
        If the library that writes the format is not installed, or the folder is not empty.
    OSError
        If it cannot be written; nothing is left of it.
    """
    tables, known = job.tables(), FORMATS[to]
    writer = import_module(f"pymanip_run.export.{to}")
    columns = (
        len({table.title for table in tables}) if job.how == "separate" else _columns(job, tables)
    )
    if job.how == "separate" and not known.holds_tables:
        return _to_folder(job, writer, to, tables, target)
    if known.is_folder:
        with appearing_folder(target, replaces="zarr.json") as part:
            return Exported(writer.write(tables, part, job), columns)
    if known.streams:
        with appearing_file(target) as file:
            return Exported(writer.write(tables[0], file, job), columns)
    with appearing_path(target) as part:
        part.unlink(missing_ok=True)
        one = tables if known.holds_tables else tables[0]
        return Exported(writer.write(one, part, job), columns)


def _columns(job: Job, tables: Sequence[Table]) -> int:
    return len(tables[0].fields) // (1 if job.step is None else 4)


def _to_folder(job: Job, writer: Any, to: str, tables: Sequence[Table], target: Path) -> Exported:
    known, rows, index = FORMATS[to], 0, []
    stems = distinct([file_name(t.title or "") for t in tables], fold=str.casefold)
    with appearing_folder(target, replaces=INDEX) as part:
        for table, stem in zip(tables, stems, strict=True):
            path = part / f"{stem}{known.suffix}"
            if known.streams:
                with path.open("wb") as file:
                    count = writer.write(table, file, job)
            else:
                count = writer.write(table, path, job)
            rows += count
            unit = table.fields[0].unit
            index.append({"name": table.title, "unit": unit, "file": path.name, "rows": count})
        about = job.about() | {"files": index}
        (part / INDEX).write_text(to_json(about) + "\n", "ascii")
    return Exported(rows, len(tables), len(tables))


def export_to_stream(job: Job, to: str, stream: BinaryIO) -> Exported:
    """Write the table of a job to an open stream; what is not written from front to end goes by a temporary file.

    Raises
    ------
    UsageError
        If it is more than one file.
    """
    known = FORMATS[to]
    if known.is_folder or (job.how == "separate" and not known.holds_tables):
        what = to if known.is_folder else f"{to} with --how separate"
        raise UsageError(f"{what} makes a folder, which standard output cannot be; add -o FOLDER")
    if known.streams:
        tables = job.tables()
        writer = import_module(f"pymanip_run.export.{to}")
        return Exported(writer.write(tables[0], stream, job), _columns(job, tables))
    with tempfile.TemporaryDirectory(prefix="pymanip-export-") as folder:
        path = Path(folder, f"export{known.suffix}")
        done = export_to(job, to, path)
        with path.open("rb") as file:
            shutil.copyfileobj(file, stream)
    return done
