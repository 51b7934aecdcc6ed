"""Files and folders that get their name when they are complete, or are not there at all."""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from pymanip_run.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["appearing_file", "appearing_folder", "appearing_path"]


@contextmanager
def appearing_file(target: Path) -> Iterator[BinaryIO]:
    """Open a file for writing; it replaces `target` when the context ends without an error."""
    if target.exists() and not target.is_file():  # /dev/stdout, a pipe: renaming would replace it
        with target.open("wb") as file:
            yield file
        return
    with appearing_path(target) as part, part.open("wb") as file:
        yield file


@contextmanager
def appearing_path(target: Path) -> Iterator[Path]:
    """Give the path of a file to be written, which then replaces `target`."""
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


def _part(target: Path) -> Path:
    return target.with_name(f"{target.name}.part")


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
