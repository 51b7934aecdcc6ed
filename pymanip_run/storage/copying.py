"""A copy of a session as it is at one moment, also while it is being written."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from pymanip_run.errors import StorageError
from pymanip_run.storage.files import SYSTEM_FILES, SessionPaths
from pymanip_run.storage.opening import recover_by_hand

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["copy_session"]

TRIES = 20
LOCK_SECONDS = 10.0
#: Of the disk, so much stays free whatever is copied.
SPARE = 1 << 30


def copy_session(path: Path, target: Path) -> None:
    """Copy a session with all that is in its journal into one file, which must not be there yet.

    While it is copied, the checkpoints of its writer wait; recording goes on.

    Parameters
    ----------
    path
        The session.
    target
        The copy, in a folder of its own.

    Raises
    ------
    StorageError
        If it cannot be read, or there is no room.
    """
    source, copy = SessionPaths(path), SessionPaths(target)
    for _ in range(TRIES):
        if _copied(source, copy):
            break
    else:
        raise StorageError(f"{path} changes all the time; try again later")
    recover_by_hand(copy.main)


def _copied(source: SessionPaths, copy: SessionPaths) -> bool:
    """Copy all files of a session; return whether they belong together."""
    files = SYSTEM_FILES
    fd = files.open(source.main, os.O_RDONLY)
    try:
        # Under the lock nothing of the file changes, and no segment that is not in it yet goes.
        if not files.lock(fd, exclusive=False, timeout=LOCK_SECONDS):
            raise StorageError(f"{source.main} is locked by a program that changes it")
        if not files.is_at(fd, source.main):
            return False
        segments = _segments(source)
        _check_room(source, segments, copy)
        shutil.copyfile(source.main, copy.main)
        for number in segments:
            shutil.copyfile(source.segment(number), copy.segment(number))
        if source.redo.exists():
            shutil.copyfile(source.redo, copy.redo)
    except FileNotFoundError:  # a segment that had become superfluous
        return False
    finally:
        files.unlock(fd)
        files.close(fd)
    return True


def _segments(paths: SessionPaths) -> list[int]:
    prefix = f"{paths.main.name}.wal."
    found = [p.name.removeprefix(prefix) for p in paths.main.parent.glob("*.wal.*")]
    return sorted(int(number) for number in found if number.isdecimal())


def _check_room(source: SessionPaths, segments: list[int], copy: SessionPaths) -> None:
    sizes = [p.stat().st_size for p in (source.main, *map(source.segment, segments))]
    free = shutil.disk_usage(copy.main.parent).free
    if free < 2 * sum(sizes) + SPARE:
        raise StorageError(f"{copy.main.parent} has too little room for a copy")
