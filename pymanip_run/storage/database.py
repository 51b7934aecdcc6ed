"""An SQLite file of another program, opened so that neither it nor its writer is disturbed."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pymanip_run.errors import DamagedFileError, StorageError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

__all__ = ["Database", "is_database"]

MAGIC = b"SQLite format 3\0"
#: How long a writer may hold the file before that is said.
PATIENCE = 10.0
#: Bytes 18 and 19 of the file: a write-ahead log belongs to it (SQLite file format, 1.3.3).
WAL = b"\x02\x02"
#: What a crash leaves beside a database.
SIDE_FILES = ("-journal", "-wal")
ROWS = 20_000
#: What a damaged file makes `sqlite3` raise, in its messages too.
FAULTS = (sqlite3.Error, UnicodeError, OverflowError, MemoryError)


def is_database(path: Path) -> bool:
    """Tell whether a file is an SQLite database.

    Raises
    ------
    StorageError
        If it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error


class Database:
    """Reads an SQLite file. Nothing is written to it or beside it.

    Each read is short, for while one is under way no writer can finish a change. What a crash left
    beside the file is taken into account in a copy of both.

    Parameters
    ----------
    path
        The file.
    tables
        Those that may be read. Nothing that only computes its rows may have such a name.
    """

    def __init__(self, path: Path, tables: Collection[str]) -> None:
        self._path = path
        self._copies: tempfile.TemporaryDirectory[str] | None = None
        self._connection = self._connected()
        try:
            self.tables = self._checked(tables)
        except BaseException:
            self.close()
            raise
        self.inode = path.stat().st_ino

    def close(self) -> None:
        """Release the file."""
        self._connection.close()
        if self._copies is not None:
            self._copies.cleanup()

    def rows(self, query: str, *arguments: Any) -> Iterator[tuple[Any, ...]]:
        """Return the rows of a query, read some thousand at a time.

        Raises
        ------
        DamagedFileError
            If the file is damaged.
        StorageError
            If another program holds it all the time.
        """
        try:
            cursor = self._connection.execute(query, arguments)
            while found := cursor.fetchmany(ROWS):
                yield from found
        except FAULTS as error:
            raise self._said(error) from error

    def all(self, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """Return all rows of a query at once."""
        return list(self.rows(query, *arguments))

    def change(self, query: str, *arguments: Any) -> None:
        """Change a temporary table; the file itself cannot be changed."""
        try:
            self._connection.execute(query, arguments)
        except FAULTS as error:
            raise self._said(error) from error

    @property
    def state(self) -> int:
        """A number that changes when another program has changed the file."""
        return int(self.all("PRAGMA data_version")[0][0])

    # -- opening --------------------------------------------------------------------------------

    def _connected(self) -> sqlite3.Connection:
        if self._has_orphaned_log():
            return self._of_a_copy()
        # A log is made anew for a reader, unless it is told that nobody writes.
        alone = self._is_logged() and not self._beside("-wal").exists()
        connection = _connect(self._path, "mode=ro&immutable=1" if alone else "mode=ro")
        try:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except FAULTS as error:
            connection.close()
            interrupted = any(self._beside(suffix).exists() for suffix in SIDE_FILES)
            if interrupted and isinstance(error, sqlite3.OperationalError) and not _is_busy(error):
                return self._of_a_copy()
            raise self._said(error) from error
        return connection

    def _has_orphaned_log(self) -> bool:
        """Tell whether there is a write-ahead log that nobody has open."""
        return self._beside("-wal").exists() and not self._beside("-shm").exists()

    def _is_logged(self) -> bool:
        with self._path.open("rb") as file:
            return file.read(20)[18:] == WAL

    def _beside(self, suffix: str) -> Path:
        return self._path.with_name(self._path.name + suffix)

    def _of_a_copy(self) -> sqlite3.Connection:
        """Open a copy, in which SQLite finishes or takes back what a crash interrupted."""
        self._copies = tempfile.TemporaryDirectory(prefix="pymanip-run-")
        copy = Path(self._copies.name, "copy.db")
        try:
            shutil.copyfile(self._path, copy)
            for suffix in SIDE_FILES:
                if self._beside(suffix).exists():
                    shutil.copyfile(self._beside(suffix), copy.with_name(copy.name + suffix))
            connection = _connect(copy, "mode=rw")
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        except (OSError, *FAULTS) as error:
            self._copies.cleanup()
            raise self._said(error) from error
        return connection

    def _checked(self, tables: Collection[str]) -> frozenset[str]:
        """Return which of the tables there are.

        Raises
        ------
        DamagedFileError
            If one is a view or a virtual table, or computes a column.
        """
        kinds = self.all(
            "SELECT name, type, rootpage FROM sqlite_schema WHERE type IN ('table', 'view')"
        )
        found = {name: (kind, root) for name, kind, root in kinds if name in tables}
        for name, (kind, root) in found.items():
            columns = self.all(f"PRAGMA table_xinfo({name})")
            if kind != "table" or not root or any(column[-1] for column in columns):
                raise DamagedFileError(f"{self._path}: {name!r} is not a plain table")
        return frozenset(found)

    def _said(self, error: Exception) -> StorageError:
        text = " ".join(str(error).split())
        if _is_busy(error):
            return StorageError(f"{self._path} is locked by another program; try again later")
        if isinstance(error, OSError):
            return StorageError(f"{self._path} cannot be read: {error.strerror}")
        if "unable to open" in text:
            return StorageError(f"{self._path} cannot be opened: {text}")
        return DamagedFileError(f"{self._path} is damaged: {text}")


def _is_busy(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", None) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?{mode}",
        uri=True, timeout=PATIENCE, isolation_level=None, check_same_thread=False,
    )  # fmt: skip
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection
