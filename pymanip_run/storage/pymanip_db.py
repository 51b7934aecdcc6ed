"""Sessions of pymanip, SQLite databases of all its schemas (1, 2, 3, 3.1, 4, 4.1), read only.

They differ in which tables and indices there are, and all of that is looked up rather than believed
from the number. Tables: ``log_names(name)``, ``log(timestamp, name, value)``, from 2 on
``dataset_names``, ``dataset(timestamp, name, data)`` with pickles, ``parameters(name, value)``, from 4 on
``metadata(name, value)``, from 4.1 on ``figure`` and ``figure_variable``.
"""

from __future__ import annotations

import math
import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import NAMESPACE_URL, uuid5

import numpy as np

from pymanip_run.clock import as_ns
from pymanip_run.errors import DamagedFileError
from pymanip_run.records import (
    DatasetInfo,
    Event,
    FloatArray,
    Parameter,
    Run,
    SessionInfo,
    SweepPoint,
    VariableInfo,
    Window,
)
from pymanip_run.storage.database import Database, is_database
from pymanip_run.storage.pymanip_log import Log, as_number
from pymanip_run.storage.unpickle import UnsafePickleError, unpickle

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["PymanipStore"]

TABLES = (
    "log_names", "log", "dataset_names", "dataset", "parameters", "metadata", "figure", "figure_variable",
)  # fmt: skip
CREATED = "_session_creation_timestamp"
VERSION = "_database_version"


class _State:
    """An open database, and what is remembered of it while it does not change."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.log = Log(database)
        self.number = -1
        self.records: dict[str, list[int]] = {}
        self.datasets: dict[str, DatasetInfo] | None = None


class PymanipStore:
    """Reads a ``.db`` session of pymanip, also while pymanip is writing it. For any thread.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DamagedFileError, StorageError
        If it is no session of pymanip, or cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reading = threading.RLock()
        self._state: _State | None = None
        if not path.exists():
            raise FileNotFoundError(2, "there is no session file of this name", str(path))
        with self._open():
            pass  # what is wrong with the file is said now

    @property
    def path(self) -> Path:
        """The database."""
        return self._path

    def close(self) -> None:
        """Release the database. Reading again opens it again."""
        with self._reading:
            if self._state is not None:
                self._state.database.close()
            self._state = None

    # -- what is in it --------------------------------------------------------------------------

    def info(self) -> SessionInfo:
        """Return the identity of the session; `format_version` is that of the database."""
        parameters = self.parameters()
        created = _number(parameters.get(CREATED))
        if created is None:  # schemas 1 and 2 did not note it
            with self._open() as state:
                created = state.log.earliest()
        version = _number(parameters.get(VERSION)) or 1
        return SessionInfo(
            uuid=str(uuid5(NAMESPACE_URL, f"pymanip:{self._path.stem}:{created!r}")),
            format_version=int(version) if version == int(version) else version,
            created=created,
            title=self._path.stem,
            checkpointed="",
            program="pymanip",
        )

    def variables(self) -> dict[str, VariableInfo]:
        """Return exact statistics of all variables. There are no descriptions."""
        with self._open() as state:
            return {
                name: VariableInfo(name, statistics=one)
                for name, one in state.log.statistics().items()
            }

    def last_values(self) -> dict[str, tuple[float, float]]:
        """Return the last (timestamp, value) of every variable."""
        with self._open() as state:
            return state.log.last_values()

    def read_series(self, name: str, window: Window) -> tuple[FloatArray, FloatArray]:
        """Return (timestamps, values) of shape (n,) in time order; empty for a name without values."""
        with self._open() as state:
            return state.log.series(name, window)

    def series_starts(self, name: str, every: int) -> list[tuple[float, int]]:
        """Return where parts of `every` values begin: a time, and how many values of it come before."""
        with self._open() as state:
            return state.log.starts(name, every)

    @property
    def unordered(self) -> frozenset[str]:
        """Names whose values were not recorded in the order of their times."""
        with self._open() as state:
            return state.log.unordered

    def log_parts(self) -> Iterator[dict[str, tuple[FloatArray, FloatArray]]]:
        """Yield all values of all variables, (timestamps, values) for each name, as they were recorded.

        In bounded memory. The times of a name need not increase: a clock may have been set back.
        """
        with self._open() as state:
            yield from state.log.parts()

    def parameters(self) -> dict[str, Parameter]:
        """Return all parameters, internal ones too; an empty one is NaN, which SQLite does not know."""
        with self._open() as state:
            if "parameters" not in state.database.tables:
                return {}
            found = state.database.all("SELECT name, value FROM parameters ORDER BY rowid")
        values = {_text(name): v if isinstance(v, str) else as_number(v) for name, v in found}
        created = _number_of(values.get(CREATED)) or 0.0
        return {name: Parameter(value, as_ns(created)) for name, value in values.items()}

    def metadata(self) -> dict[str, Any]:
        """Return all metadata; the figures are in ``_figures``."""
        with self._open() as state:
            tables = state.database.tables
            rows = (
                state.database.all("SELECT name, value FROM metadata")
                if "metadata" in tables
                else []
            )
            figures = _figures(state.database) if {"figure", "figure_variable"} <= tables else []
        found: dict[str, Any] = {_text(name): "" if v is None else _text(v) for name, v in rows}
        return found | ({"_figures": figures} if figures else {})

    def events(self, after_ns: float = -math.inf) -> list[Event]:
        """Return the texts that were logged as values: a number is expected there."""
        with self._open() as state:
            return [event for event in state.log.texts() if event.ns > after_ns]

    def runs(self) -> list[Run]:
        """Return no runs: pymanip does not note them."""
        return []

    def sweep_points(self, run: int) -> list[SweepPoint]:
        """Return no points: pymanip has no sweeps."""
        del run
        return []

    # -- datasets -------------------------------------------------------------------------------

    def datasets(self) -> dict[str, DatasetInfo]:
        """Return a summary of every dataset; its size is that of the pickles."""
        with self._open() as state:
            if state.datasets is None:
                state.datasets = self._infos(state.database)
            return dict(state.datasets)

    def _infos(self, database: Database) -> dict[str, DatasetInfo]:
        if "dataset" not in database.tables:
            return {}
        rows = database.all(
            "SELECT name, count(*), min(timestamp), max(timestamp), sum(length(data)), max(rowid) "
            "FROM dataset GROUP BY name"
        )
        infos = {}
        for key, n, first, last, size, rowid in rows:
            shape, dtype = self._kind(database, rowid)
            infos[_text(key)] = DatasetInfo(
                _text(key), n, shape, dtype, int(size or 0), None, as_number(first), as_number(last)
            )
        return infos

    def _kind(self, database: Database, rowid: int) -> tuple[tuple[int, ...], str]:
        try:
            value = self._unpickled(database, rowid, "")
        except DamagedFileError:
            return (), "unreadable"
        if isinstance(value, (np.ndarray, np.generic)):
            return value.shape, str(value.dtype)
        return (), type(value).__name__

    def dataset_times(self, name: str) -> FloatArray:
        """Return the timestamps of the records, shape (n,), in the order of recording."""
        with self._open() as state:
            if "dataset" not in state.database.tables:
                return np.empty(0)
            rows = state.database.all(
                "SELECT timestamp FROM dataset WHERE name = ? ORDER BY rowid", name
            )
        return np.array([as_number(time) for (time,) in rows], np.float64)

    def dataset_record(self, name: str, index: int) -> Any:
        """Return the index-th record: an array, or the plain value that was stored.

        Raises
        ------
        IndexError
            If there is none.
        UnsafePickleError
            If it is anything else; the message names it.
        """
        with self._open() as state:
            if "dataset" not in state.database.tables:
                raise IndexError(f"dataset {name!r} has 0 records, there is no {index}")
            if name not in state.records:
                query = "SELECT rowid FROM dataset WHERE name = ? ORDER BY rowid"
                state.records[name] = [rowid for (rowid,) in state.database.rows(query, name)]
            records = state.records[name]
            if not 0 <= index < len(records):
                raise IndexError(
                    f"dataset {name!r} has {len(records)} records, there is no {index}"
                )
            return self._unpickled(
                state.database, records[index], f"record {index} of dataset {name!r}"
            )

    def _unpickled(self, database: Database, rowid: int, what: str) -> Any:
        rows = database.all("SELECT data FROM dataset WHERE rowid = ?", rowid)
        data = rows[0][0] if rows else None
        try:
            if not isinstance(data, bytes):
                raise UnsafePickleError("it is no pickle")
            return unpickle(data)
        except UnsafePickleError as error:
            raise UnsafePickleError(f"{self._path}: {what} is not read: {error}") from error

    # -- the present state ----------------------------------------------------------------------

    @contextmanager
    def _open(self) -> Iterator[_State]:
        with self._reading:
            if self._state is not None and self._is_replaced(self._state):
                self.close()
            if self._state is None:
                self._state = _State(self._database())
            state = self._state
            if state.number != (number := state.database.state):
                state.number = number
                state.records.clear()
                state.datasets = None
                state.log.has_changed()
            yield state

    def _is_replaced(self, state: _State) -> bool:
        """Tell whether the file is another one now, as after a session with ``delay_save``."""
        try:
            return os.stat(self._path).st_ino != state.database.inode  # noqa: PTH116 - one call
        except FileNotFoundError:
            return False

    def _database(self) -> Database:
        if not is_database(self._path):
            size = self._path.stat().st_size
            what = "it is no SQLite database" if size else "it is empty"
            raise DamagedFileError(f"{self._path} is no session of pymanip: {what}")
        database = Database(self._path, TABLES)
        if not {"log", "log_names"} <= database.tables:
            database.close()
            raise DamagedFileError(
                f"{self._path} is an SQLite database, but no session of pymanip: it has no table 'log'"
            )
        return database


def _figures(database: Database) -> list[dict[str, Any]]:
    keys = ("fignum", "maxvalues", "yscale", "ymin", "ymax")
    names: dict[Any, list[str]] = {}
    for number, name in database.all("SELECT fignum, name FROM figure_variable ORDER BY varnum"):
        names.setdefault(number, []).append(_text(name))
    rows = database.all(f"SELECT {', '.join(keys)} FROM figure ORDER BY fignum")  # noqa: S608 - the names above
    return [
        dict(zip(keys, map(_plain, row), strict=True)) | {"variables": names.get(row[0], [])}
        for row in rows
    ]


def _plain(cell: Any) -> Any:
    return cell if cell is None or isinstance(cell, (int, float, str)) else None


def _text(cell: Any) -> str:
    return cell if isinstance(cell, str) else str(cell)


def _number(parameter: Parameter | None) -> float | None:
    return None if parameter is None else _number_of(parameter.value)


def _number_of(value: Any) -> float | None:
    if isinstance(value, (int, float)) and np.isfinite(value):
        return float(value)
    return None
