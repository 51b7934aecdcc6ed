"""From the name of a session to the path of its file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pymanip_run.errors import UsageError

if TYPE_CHECKING:
    import os

__all__ = ["session_file"]


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
            f"{path} is a session of pymanip. pymanip-run convert will make a session file of it, but is "
            "not part of this version yet; until then give the new session another name"
        )
    if path.name in {"", ".."}:
        raise UsageError(f"{str(name)!r} names a folder; give the session a name in it")
    if path.suffix not in {".h5", ".hdf5"}:
        path = path.with_name(path.name + ".h5")
    return path.absolute()
