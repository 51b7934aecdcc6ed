"""`SavedAsyncSession`: a session file, read only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pymanip_run.core.conversions import Drawn
from pymanip_run.core.view import SessionView
from pymanip_run.session.path import readable_file
from pymanip_run.storage.reading import open_store

if TYPE_CHECKING:
    import os

__all__ = ["SavedAsyncSession"]


class SavedAsyncSession(Drawn, SessionView):
    """A session file, read only, also while a run is writing it: each call shows its present state.

    Parameters
    ----------
    session_name
        Name or path of the session file; ``.h5`` may be left out. Sessions of pymanip are read too:
        ``.db`` of every version, and ``.hdf5`` of its synchronous sessions.
    verbose
        Print the dates of the session.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DamagedFileError, NewerFormatError, StorageError
        If it is not a session, of a newer format, or cannot be read.
    """

    def __init__(self, session_name: str | os.PathLike[str], verbose: bool = True) -> None:
        path = readable_file(session_name)
        super().__init__(open_store(path), path.stem)
        if verbose:
            self.print_welcome()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the file. Reading again opens it again."""
        self._session.store.close()
