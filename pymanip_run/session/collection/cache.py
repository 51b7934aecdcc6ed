"""What is known of the sessions of a folder, in a file beside them, so that thousands need not be opened.

The file can be removed at any time. What is in it counts only for a session file of the same size, inode and time of
change; when it is damaged, of another version, or cannot be written, the sessions are read as if there were none.
"""

from __future__ import annotations

import json
import logging
import os
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from pymanip_run.clock import SYSTEM
from pymanip_run.session.collection.card import are_facts
from pymanip_run.storage.files import SYSTEM_FILES

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CACHE_NAME", "Cache", "Key"]

logger = logging.getLogger(__name__)

CACHE_NAME = ".pymanip-run-sessions.json"
FORMAT = 1
#: Fewer sessions are read in no time.
WORTHWHILE = 10
#: A file that was changed later than so many seconds ago may change once more within the same tick of its clock.
SETTLED_SECONDS = 2.0


class Key(NamedTuple):
    """Changes with every change of a file."""

    size: int
    mtime_ns: int
    inode: int


class Cache:
    """The cache of one folder.

    Parameters
    ----------
    folder
        Where the sessions are.
    version
        Of this program: another one may know more of a session.
    """

    def __init__(self, folder: Path, version: str) -> None:
        self._path = folder / CACHE_NAME
        self._version = version
        self._known = self._read()
        self._is_changed = False

    def get(self, name: str, key: Key) -> dict[str, Any] | None:
        """Return what is known of a session file; None where that is nothing, or of an earlier state."""
        found = self._known.get(name)
        return found[1] if found is not None and found[0] == list(key) else None

    def put(self, name: str, key: Key, facts: dict[str, Any]) -> None:
        """Keep what is known of a session file, unless it was changed just now."""
        if SYSTEM.time() - key.mtime_ns / 1e9 > SETTLED_SECONDS:
            self._known[name] = [list(key), facts]
            self._is_changed = True

    def save(self, names: set[str]) -> None:
        """Write the cache, in one step, without sessions that are not among `names` any more."""
        gone = self._known.keys() - names
        if not (self._is_changed or gone) or len(names) < WORTHWHILE:
            return
        kept = {name: one for name, one in self._known.items() if name not in gone}
        content = {"format": FORMAT, "version": self._version, "sessions": kept}
        temporary = self._path.with_name(f"{CACHE_NAME}.{os.getpid()}.tmp")
        try:
            body = json.dumps(content, separators=(",", ":")).encode()
            self._write(temporary, _checksum(body) + b"\n" + body)
            SYSTEM_FILES.replace(temporary, self._path)
            self._is_changed = False
        except (OSError, ValueError, TypeError, RecursionError) as error:
            logger.debug("%s cannot be written: %s", self._path, error)
            with suppress(OSError):
                SYSTEM_FILES.unlink(temporary)

    def _write(self, path: Path, content: bytes) -> None:
        SYSTEM_FILES.unlink(path)
        fd = SYSTEM_FILES.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            SYSTEM_FILES.write_all(fd, content, 0)
        finally:
            SYSTEM_FILES.close(fd)

    def _read(self) -> dict[str, list[Any]]:
        try:
            checksum, _, body = SYSTEM_FILES.read_whole(self._path).partition(b"\n")
            if checksum == _checksum(body):
                content = json.loads(body)
                if (content["format"], content["version"]) == (FORMAT, self._version):
                    known = content["sessions"].items()
                    return {name: one for name, one in known if _is_whole(one)}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            logger.debug("%s is not used: %s", self._path, error)
            return {}
        logger.debug("%s is not used: it is damaged, or of another version", self._path)
        return {}


def _is_whole(one: Any) -> bool:
    """Tell whether this is a key with facts."""
    return isinstance(one, list) and len(one) == 2 and are_facts(one[1])


def _checksum(body: bytes) -> bytes:
    return b"%08x" % zlib.crc32(body)
