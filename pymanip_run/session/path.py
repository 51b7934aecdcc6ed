"""From the name of a session to the path of its file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pymanip_run.errors import UsageError

if TYPE_CHECKING:
    import os

__all__ = ["readable_file", "session_file"]


def session_file(name: str | os.PathLike[str]) -> Path:
    """Return the path of a session: ``.h5`` is added where there is no ``.h5`` or ``.hdf5``.

    Raises
    ------
    UsageError
        If it is a database of pymanip (``.db``), or no name of a file.
    """
    path = Path(name)
    if path.suffix == ".db":
        raise UsageError(
            f"{path} is a session of pymanip, which is only read. To go on with it, make a session file of it:\n"
            f"  pymanip-run convert {path} {path.with_suffix('.h5')}"
        )
    if path.name in {"", ".."}:
        raise UsageError(f"{str(name)!r} names a folder; give the session a name in it")
    if path.suffix not in {".h5", ".hdf5"}:
        path = path.with_name(path.name + ".h5")
    return path.absolute()


def readable_file(name: str | os.PathLike[str]) -> Path:
    """Return the path of a session that is only read: also a database of pymanip.

    A name without suffix is that of an ``.h5`` file, or where there is none of a ``.db`` file.
    """
    path = Path(name)
    if path.suffix == ".db":
        return path.absolute()
    found = session_file(name)
    old = found.with_suffix(".db")
    return old if path.suffix != ".h5" and not found.exists() and old.exists() else found
