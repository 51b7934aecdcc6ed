"""Logged variables as tables of an SQLite database: ``data``, or one for each variable.

Beside them ``variables`` (unit and label, and which column is whose), ``parameters``, ``metadata``, ``events``.
SQLite has no NaN: it stores NULL, as for a missing cell.
"""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

from pymanip_run.errors import UsageError
from pymanip_run.export.names import distinct
from pymanip_run.export.stamps import texts
from pymanip_run.export.table import in_full

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from pymanip_run.export.job import Job, Table
    from pymanip_run.export.table import Block

__all__ = ["write"]

OWN = ("data", "variables", "parameters", "metadata", "events")
#: As SQLite is built by default.
MOST_COLUMNS = 1999
ROWS = 20_000


def write(tables: Sequence[Table], path: Path, job: Job) -> int:
    """Write tables to a file; return the number of rows."""
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        # Nobody sees the file before it is complete.
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("BEGIN")
        rows = _write(connection, tables, job)
        connection.execute("COMMIT")
    finally:
        connection.close()
    return rows


def _write(connection: sqlite3.Connection, tables: Sequence[Table], job: Job) -> int:
    titles = distinct([_plain(t.title or "data") for t in tables], OWN[1:], fold=_folded)
    rows, columns = 0, []
    for table, title in zip(tables, titles, strict=True):
        names = distinct([_plain(f.name) for f in table.fields], ["time"], fold=_folded)
        if len(names) > MOST_COLUMNS:
            raise UsageError(
                f"SQLite has up to {MOST_COLUMNS} columns, not {len(names)}; add --how separate for one table each"
            )
        kind = "REAL" if job.zone is None else "TEXT"
        listed = ", ".join([f"time {kind}", *(f"{_quoted(name)} REAL" for name in names)])
        connection.execute(f"CREATE TABLE {_quoted(title)} ({listed})")
        marks = ", ".join("?" * (len(names) + 1))
        for block in table.blocks():
            connection.executemany(
                f"INSERT INTO {_quoted(title)} VALUES ({marks})",  # noqa: S608 - quoted
                _cells(block, job),
            )
            rows += len(block.times)
        variables = [table.title or f.name for f in table.fields]
        columns += [
            (variable, title, name, f.unit, f.label)
            for variable, name, f in zip(variables, names, table.fields, strict=True)
        ]
    _describe(connection, columns, job)
    return rows


def _cells(block: Block, job: Job) -> Iterator[tuple[Any, ...]]:
    columns = [in_full(column, len(block.times)) for column in block.columns]
    for low in range(0, len(block.times), ROWS):
        part = slice(low, low + ROWS)
        times: Iterable[Any] = block.times[part].tolist()
        if job.zone is not None:
            times = texts(block.times[part], job.zone)
        yield from zip(times, *(column[part].tolist() for column in columns), strict=True)


def _describe(connection: sqlite3.Connection, columns: list[tuple[Any, ...]], job: Job) -> None:
    about = job.about()
    parameters = [
        (name, one["value"], one.get("unit")) for name, one in about["parameters"].items()
    ]
    metadata = [
        (n, v if isinstance(v, str) else json.dumps(v)) for n, v in about["metadata"].items()
    ]
    metadata += [(f"session.{key}", about[key]) for key in ("session", "uuid", "created", "title")]
    events = [(e.time, e.kind, e.source, e.text) for e in job.view.events()]
    for name, listed, rows in (
        (
            "variables",
            "name TEXT, table_name TEXT, column_name TEXT, unit TEXT, label TEXT",
            columns,
        ),
        ("parameters", "name TEXT, value, unit TEXT", parameters),
        ("metadata", "name TEXT, value TEXT", metadata),
        ("events", "time REAL, kind TEXT, source TEXT, text TEXT", events),
    ):
        connection.execute(f"CREATE TABLE {name} ({listed})")
        marks = ", ".join("?" * (listed.count(",") + 1))
        clean = [tuple(map(_storable, row)) for row in rows]
        connection.executemany(f"INSERT INTO {name} VALUES ({marks})", clean)  # noqa: S608 - the names above


def _storable(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _plain(name: str) -> str:
    # SQLite keeps these names for itself.
    return f"x{name}" if _folded(name).startswith("sqlite_") else name


def _folded(name: str) -> str:
    """As SQLite compares names: ASCII letters without their case."""
    return "".join(c.lower() if c.isascii() else c for c in name)
