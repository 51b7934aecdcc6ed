"""Open a session for reading, whoever wrote it: pymanip-run, or pymanip before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.storage.files import SYSTEM_FILES, Files
from pymanip_run.storage.snapshot import SnapshotStore

if TYPE_CHECKING:
    from pathlib import Path

    from pymanip_run.storage.contract import ReadableStore

__all__ = ["open_store"]

SQLITE = b"SQLite format 3\0"


def open_store(path: Path, files: Files = SYSTEM_FILES) -> ReadableStore:
    """Return the store that reads a session file.

    The readers of pymanip's files are imported when there is one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DamagedFileError, NewerFormatError, StorageError
        If it is not a session, of a newer format, or cannot be read.
    """
    if path.suffix == ".db" or _begins_with(path, SQLITE):
        from pymanip_run.storage.pymanip_db import PymanipStore  # noqa: PLC0415

        return PymanipStore(path)
    if path.suffix == ".hdf5" and path.exists():
        from pymanip_run.storage.pymanip_sync import SyncStore, is_synchronous  # noqa: PLC0415

        if is_synchronous(path):
            return SyncStore(path)
    return SnapshotStore(path, files)


def _begins_with(path: Path, magic: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(magic)) == magic
    except OSError:
        return False  # which is said by the store
