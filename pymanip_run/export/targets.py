"""Files and folders that get their name when they are complete, or are not there at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from pymanip_run.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["appearing_file", "appearing_folder", "appearing_path"]

#: What is named there belongs to the system, ``/dev/stdout`` too where that is a file; but for memory.
SYSTEM, MEMORY = ("/dev/", "/proc/"), "/dev/shm/"  # noqa: S108 - only looked at


@contextmanager
def appearing_file(target: Path) -> Iterator[BinaryIO]:
    """Open a file for writing; it replaces `target` when the context ends without an error."""
    if _is_stream(target):
        with target.open("wb") as file:
            yield file
        return
    with appearing_path(target) as part, part.open("wb") as file:
        yield file


@contextmanager
def appearing_path(target: Path) -> Iterator[Path]:
    """Give the path of a file to be written, which then replaces `target`, or goes into a pipe or device."""
    if _is_stream(target):
        with tempfile.TemporaryDirectory(prefix="pymanip-export-") as folder:
            part = Path(folder, "export")
            yield part
            with part.open("rb") as file, target.open("wb") as stream:
                shutil.copyfileobj(file, stream)
        return
    target = target.resolve()  # a symbolic link stays one
    part = _part(target)
    try:
        yield part
        _sync(part)
        part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


@contextmanager
def appearing_folder(target: Path, *, replaces: str | None = None) -> Iterator[Path]:
    """Give a folder to be filled, which then gets the name `target`.

    Parameters
    ----------
    replaces
        A file by which an existing folder is known to be of the same kind, so that it may be replaced;
        any other one that is not empty may not.

    Raises
    ------
    UsageError
        If there is such a folder.
    """
    target = target.resolve()
    old = target.is_dir() and any(target.iterdir())
    if old and not (replaces and (target / replaces).is_file()):
        raise UsageError(f"the folder {target} is not empty; choose another, or remove it first")
    part = _part(target)
    shutil.rmtree(part, ignore_errors=True)  # of an export that was killed
    try:
        part.mkdir()
        yield part
        if target.is_dir():
            aside = target.with_name(f"{target.name}.old")
            target.replace(aside)
            part.replace(target)
            shutil.rmtree(aside, ignore_errors=True)
        else:
            part.replace(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _is_stream(target: Path) -> bool:
    """Tell whether a name is that of a pipe or a device, which a renamed file would replace for all programs."""
    whole = str(target.absolute())
    if whole.startswith(SYSTEM) and not whole.startswith(MEMORY):
        return True
    return target.exists() and not target.is_file()


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
