"""The session files that a user means, and what is known of each, from the cache or anew."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pymanip_run.errors import UsageError
from pymanip_run.session.collection.cache import Cache, Key
from pymanip_run.session.collection.card import SessionCard, read_facts
from pymanip_run.storage.files import SYSTEM_FILES, Files, SessionPaths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Place", "cards", "natural"]

Place: TypeAlias = "str | os.PathLike[str]"

SUFFIXES = (".h5", ".hdf5", ".db")
_NUMBERS = re.compile(r"(\d+)")


class _WithoutJournals(Files):
    """Looks for no journals: for each session that is opened, its whole folder would be listed again."""

    def segments(self, path: Path) -> list[tuple[int, Path]]:
        """Return none."""
        del path
        return []


class _Found(NamedTuple):
    name: str
    key: Key
    #: Whether a journal is beside it, which a run goes on writing, or which a crash left.
    has_journal: bool


WITHOUT_JOURNALS = _WithoutJournals()


def cards(
    places: Iterable[Place], version: str, progress: Callable[[float], object] | None = None
) -> list[SessionCard]:
    """Return what is known of the sessions in some places, in the natural order of their paths.

    Parameters
    ----------
    places
        Folders, patterns such as ``data/*.h5`` (``**`` for folders at any depth), and session files.
    version
        Of this program.
    progress
        Is called with the share of the files that are done.

    Raises
    ------
    FileNotFoundError
        If a folder or a file does not exist; a pattern may match nothing.
    UsageError
        If a name has a suffix that no session has.
    """
    wanted: dict[
        str, set[str]
    ] = {}  # names by folder, as texts: paths of ten thousand files take a second
    for place in places:
        for folder, name in _meant(place):
            wanted.setdefault(folder, set()).add(name)
    result: list[SessionCard] = []
    total = sum(map(len, wanted.values()))
    for folder in sorted(wanted, key=natural):
        names, present = wanted[folder], _files(folder)
        cache = Cache(Path(folder), version)
        try:
            for found in sorted(present, key=lambda one: natural(one.name)):
                if found.name in names:
                    result.append(_card(cache, folder, found))
                    if progress is not None:
                        progress(len(result) / total)
        finally:  # after a Ctrl-C, what was read until then need not be read again
            cache.save({found.name for found in present})
    return result


def natural(text: str) -> list[tuple[int, str]]:
    """Return a key by which ``run_2`` is before ``run_10``."""
    # Texts and numbers take turns.
    return [(int(p) if i % 2 else 0, p) for i, p in enumerate(_NUMBERS.split(text))]


def _card(cache: Cache, folder: str, found: _Found) -> SessionCard:
    file = f"{folder.rstrip('/')}/{found.name}"
    facts = None if found.has_journal else cache.get(found.name, found.key)
    if facts is None:
        files = SYSTEM_FILES if found.has_journal else WITHOUT_JOURNALS
        facts, lasts = read_facts(Path(file), files)
        if lasts and not found.has_journal:
            cache.put(found.name, found.key, facts)
    return SessionCard(file, facts)


def _meant(place: Place) -> Iterator[tuple[str, str]]:
    """Yield folder and name of the files that a place names."""
    text = os.path.expanduser(os.fspath(place))  # noqa: PTH111 - of a pattern
    path = Path(text)
    if path.is_dir():
        folder = str(path.absolute())
        with os.scandir(folder) as entries:
            yield from ((folder, e.name) for e in entries if _is_session(e.name) and e.is_file())
    elif path.is_file():
        if path.suffix not in SUFFIXES:
            raise UsageError(f"{place} is no session; sessions end in .h5, of pymanip also in .db")
        yield str(path.parent.absolute()), path.name
    elif glob.has_magic(text):
        for match in glob.iglob(os.path.abspath(text), recursive=True):  # noqa: PTH100, PTH207 - of a pattern
            if _is_session(match) and os.path.isfile(match):  # noqa: PTH113 - one of thousands
                yield os.path.split(match)
    elif (named := path.with_name(path.name + ".h5")).is_file():
        yield str(named.parent.absolute()), named.name
    else:
        raise FileNotFoundError(2, "there is no folder or session of this name", text)


def _is_session(name: str) -> bool:
    return name.endswith(SUFFIXES) and not name.startswith(".")


def _files(folder: str) -> list[_Found]:
    """Return the session files of a folder."""
    with os.scandir(folder) as listed:
        entries = list(listed)
    journals = {e.name.partition(".wal.")[0] for e in entries if ".wal." in e.name}
    result = []
    for entry in entries:
        if not entry.name.endswith(SUFFIXES):
            continue
        try:
            status = entry.stat()
            # What is beside a session is beside the file that a symbolic link means.
            linked = entry.is_symlink() and SYSTEM_FILES.segments(SessionPaths(Path(entry)).main)
        except OSError:
            continue  # gone meanwhile
        key = Key(status.st_size, status.st_mtime_ns, status.st_ino)
        result.append(_Found(entry.name, key, entry.name in journals or bool(linked)))
    return result
