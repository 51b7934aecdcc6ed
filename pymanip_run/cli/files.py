"""Session files as a user names them."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from pymanip_run.errors import DamagedFileError, UsageError, nearest
from pymanip_run.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymanip_run.core.view import SessionView

__all__ = ["as_typed", "found", "keep_others", "opened", "refuse_old"]

SUFFIXES = (".h5", ".hdf5", ".db")
#: How every HDF5 file begins.
HDF5 = b"\x89HDF\r\n\x1a\n"
#: Commands that have a script of their own.
SCRIPTS = {"inspect", "export", "observe"}
#: Commands that read sessions of pymanip too.
READING = {"inspect", "export", "report", "convert"}
SQLITE = b"SQLite format 3"


def as_typed(path: Path | str) -> str:
    """Return a path as one would type it here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("../..") else relative


def found(name: str, command: str) -> Path:
    """Return the session file of a name, with or without its suffix.

    Raises
    ------
    UsageError
        If there is none; the message offers the nearest with the command that would work.
    DamagedFileError
        If it is a pipe or a device.
    """
    typed = f"pymanip-{command}" if command in SCRIPTS else f"pymanip-run {command}"
    path = Path(name)
    reads_old = command.split(maxsplit=1)[0] in READING
    suffixes = ("", ".h5", ".db") if reads_old else ("", ".h5")
    for candidate in [
        path.with_name(path.name + suffix) if path.name else path for suffix in suffixes
    ]:
        if candidate.is_file():
            _refuse_experiment(candidate, command)
            if not reads_old:
                refuse_old(candidate)
            return candidate
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.suffix in SUFFIXES)
        cure = f"; it holds {', '.join(inside[:5])}" if inside else ", and no session is in it"
        example = path / inside[0] if inside else "SESSION.h5"
        raise UsageError(
            f"{name} is a folder{cure}. Name a file:\n  {typed} {quoted(str(example))}"
        )
    if path.exists():
        raise DamagedFileError(f"{name} is no session: it is no regular file")
    raise UsageError(f"there is no file {name}{_near(path, typed)}")


def _refuse_experiment(path: Path, command: str) -> None:
    if path.suffix.lower() in (".yaml", ".yml"):
        raise UsageError(
            f"{path} is an experiment file, and {command} needs a session. To run it, or to check it:\n"
            f"  pymanip-run {quoted(str(path))}\n  pymanip-run check {quoted(str(path))}"
        )


def refuse_old(path: Path) -> None:
    """Refuse a session of pymanip where one of ours is needed.

    Raises
    ------
    UsageError
        If it is one, with the command that makes a session file of it.
    """
    try:
        with path.open("rb") as file:
            is_old = file.read(len(SQLITE)) == SQLITE
    except OSError:
        return  # which is said by who reads it
    if is_old:
        raise UsageError(
            f"{path} is a session of pymanip, which is only read. First make a session file of it:\n"
            f"  pymanip-run convert {quoted(str(path))} {quoted(str(path.with_suffix('.h5')))}"
        )


def keep_others(view: SessionView, path: Path, target: Path, step: float | None = None) -> None:
    """Refuse to replace a file that nobody named, and that was not made from this session.

    Parameters
    ----------
    step
        Seconds of the stretches of a table.

    Raises
    ------
    UsageError
        If there is such a file.
    """
    from pymanip_run.export.again import is_of_session

    if not target.exists() or is_of_session(target, view, step):
        return
    other = target.with_name(f"{target.stem}_2{target.suffix}")
    raise UsageError(
        f"{target} exists, and was not made from {path}; replace it with --force, or name another:\n"
        f"  -o {quoted(str(other))}"
    )


def _near(path: Path, typed: str) -> str:
    try:
        names = [p.name for p in path.parent.iterdir() if p.suffix in SUFFIXES]
    except OSError:
        return f", nor a folder {path.parent}"
    close = nearest(path.name, names, n=1) or nearest(path.stem, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?\n  {typed} {quoted(str(path.with_name(close[0])))}"
    if names:
        first = quoted(str(path.with_name(min(names))))
        return f"; sessions there: {', '.join(sorted(names)[:5])}\n  {typed} {first}"
    return f"; there is no session in {path.parent.absolute()}"


@contextmanager
def opened(path: Path, *, at_once: bool = False) -> Iterator[SessionView]:
    """Open a session for reading, also while a run is writing it.

    Parameters
    ----------
    at_once
        All is read in a moment, of which all reads see the same, and for which the file is opened once.
    """
    # What a SavedAsyncSession is, without the import of all that can run one.
    from pymanip_run.core.view import SessionView
    from pymanip_run.storage.reading import open_store

    try:
        store = open_store(path.absolute())
    except DamagedFileError as error:
        raise DamagedFileError(f"{error}{_cure(path)}") from error
    try:
        with getattr(store, "moment", nullcontext)() if at_once else nullcontext():
            yield SessionView(store, path.stem)
    finally:
        store.close()


def _cure(path: Path) -> str:
    """Return how to look into a file that cannot be read as a session."""
    try:
        with path.open("rb") as file:
            beginning = file.read(len(HDF5))
    except OSError:
        return ""
    if beginning.startswith(SQLITE[: len(HDF5)]):
        return ""
    if beginning == HDF5:
        return f"; what any HDF5 file holds is shown by  h5dump -H {path}"
    return (
        "; a session ends in .h5, and is made by  pymanip-run EXPERIMENT.yaml" if beginning else ""
    )
