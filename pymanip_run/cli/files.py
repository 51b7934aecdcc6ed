"""Session files as a user names them."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pymanip_run.errors import DamagedFileError, UsageError, nearest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymanip_run.core.view import SessionView

__all__ = ["found", "opened"]

SUFFIXES = (".h5", ".hdf5", ".db")
#: Commands that have a script of their own.
SCRIPTS = {"inspect", "export", "observe"}


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
    for candidate in (path, path.with_name(f"{path.name}.h5") if path.name else path):
        if candidate.is_file():
            return candidate
    if path.is_dir():
        inside = sorted(p.name for p in path.iterdir() if p.suffix in SUFFIXES)
        cure = f"; it holds {', '.join(inside[:5])}" if inside else ", and no session is in it"
        example = path / inside[0] if inside else "SESSION.h5"
        raise UsageError(f"{name} is a folder{cure}. Name a file:\n  {typed} {example}")
    if path.exists():
        raise DamagedFileError(f"{name} is no session: it is no regular file")
    raise UsageError(f"there is no file {name}{_near(path, typed)}")


def _near(path: Path, typed: str) -> str:
    try:
        names = [p.name for p in path.parent.iterdir() if p.suffix in SUFFIXES]
    except OSError:
        return f", nor a folder {path.parent}"
    close = nearest(path.name, names, n=1) or nearest(path.stem, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?\n  {typed} {path.with_name(close[0])}"
    if names:
        return f"; sessions there: {', '.join(sorted(names)[:5])}\n  {typed} {path.with_name(sorted(names)[0])}"
    return f"; there is no session in {path.parent.absolute()}"


@contextmanager
def opened(path: Path) -> Iterator[SessionView]:
    """Open a session for reading, also while a run is writing it."""
    # What a SavedAsyncSession is, without the import of all that can run one.
    from pymanip_run.core.view import SessionView
    from pymanip_run.storage.snapshot import SnapshotStore

    store = SnapshotStore(path.absolute())
    try:
        yield SessionView(store, path.stem)
    finally:
        store.close()
