"""The session file's groups and attributes (format version 1): names, creation, identity."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import h5py
import numpy as np

from pymanip_run.clock import SYSTEM, iso_utc
from pymanip_run.errors import DamagedFileError, NewerFormatError, PymanipError, StorageError
from pymanip_run.records import SessionInfo
from pymanip_run.storage.journal import Position
from pymanip_run.storage.untrusted import attribute, check_dataset

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pymanip_run.storage.files import Files, SessionPaths

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "Identity",
    "create",
    "damage_is_said",
    "escape",
    "member",
    "members",
    "read_identity",
    "read_info",
]

FORMAT = "pymanip-run"
FORMAT_VERSION = 1
#: Of numbers of segments and transactions, and of places in a file.
LARGEST = 2**62
LIBVER = ("v110", "v110")

SCALARS_PER_CHUNK = 2048
ARRAY_CHUNK_BYTES = 64 << 10

TEXT = h5py.string_dtype("utf-8")
EVENT_DTYPE = np.dtype([("time", "<f8"), ("kind", TEXT), ("source", TEXT), ("text", TEXT)])
POINT_DTYPE = np.dtype([
    ("sweep", TEXT), ("point", "<i8"), ("start", "<f8"), ("time", "<f8"),
    ("state", TEXT), ("value", TEXT), ("result", TEXT),
])  # fmt: skip
#: The table of the points of a run's sweeps, in its group.
POINTS = "sweep_points"
STATISTICS_DTYPE = np.dtype(
    [("name", h5py.string_dtype("utf-8", 255)), ("n", "<u8"), ("nonfinite", "<u8")]
    + [
        (field, "<f8")
        for field in (
            "first_time", "first_value", "last_time", "last_value", "min", "max", "mean", "m2", "longest_gap",
        )
    ]
)  # fmt: skip
TIME_UNITS = "seconds since 1970-01-01T00:00:00Z"
CALENDAR = "proleptic_gregorian"

_TO_ESCAPE = re.compile("[\0␛\ud800-\udfff]")
_ESCAPED = re.compile("␛(␛|[0-9a-f]{4})")


def escape(name: str) -> str:
    """Return the HDF5 link name of a name: ``/`` becomes ``%2F``; what looks like an escape is escaped."""
    return re.sub(r"%(?=2F|25)", "%25", name).replace("/", "%2F")


class Identity:
    """What tells whose file this is and how far it is complete."""

    __slots__ = ("position", "transaction", "uuid")

    def __init__(self, uuid: UUID, position: Position, transaction: int) -> None:
        self.uuid = uuid
        self.position = position
        self.transaction = transaction


def create(files: Files, paths: SessionPaths, uuid: UUID, title: str, position: Position) -> None:
    """Create an empty session file, complete and durable before it gets its name."""
    fd = files.open(paths.temporary, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    try:
        files.write_all(fd, _empty_file(uuid, title, position), 0)
        files.fdatasync(fd)
    except OSError:
        files.unlink(paths.temporary)
        raise
    finally:
        files.close(fd)
    files.replace(paths.temporary, paths.main)
    files.sync_directory(paths.main)


def _empty_file(uuid: UUID, title: str, position: Position) -> bytes:
    # In memory: nothing but the seam touches the disk.
    with h5py.File("empty", "w", driver="core", backing_store=False, libver=LIBVER) as h5:
        h5.attrs["NX_class"] = "NXroot"
        h5.attrs["format"] = FORMAT
        h5.attrs["format_version"] = FORMAT_VERSION
        h5.attrs["session_uuid"] = str(uuid)
        h5.attrs["created"] = iso_utc(SYSTEM.time())
        h5.attrs["title"] = to_text(title)
        h5.attrs["wal_pos"] = np.array(position, "<u8")
        h5.attrs["transaction"] = np.uint64(0)
        for group in ("variables", "parameters", "metadata", "datasets", "runs"):
            h5.create_group(group)
        h5.create_dataset("events", (0,), EVENT_DTYPE, maxshape=(None,), chunks=(256,))
        h5.create_dataset("statistics", (0,), STATISTICS_DTYPE, maxshape=(None,), chunks=(64,))
        h5.flush()
        image: bytes = h5.id.get_file_image()
        return image


@contextmanager
def damage_is_said(path: Path) -> Iterator[None]:
    """Turn what HDF5 raises over a damaged file, of several types and in its own words, into our error.

    Raises
    ------
    DamagedFileError
        For every error that is not of the operating system.
    StorageError
        If there is not enough memory.
    """
    try:
        yield
    except NewerFormatError:
        raise
    except DamagedFileError as error:
        if str(path) in str(error):
            raise
        raise DamagedFileError(f"{path} is damaged: {error}") from error
    except MemoryError as error:
        raise StorageError(f"{path}: there is not enough memory to read so much of it") from error
    except KeyError as error:
        if isinstance(error, PymanipError):
            raise
        raise DamagedFileError(f"{path} is damaged: {_line(error)} is missing") from error
    except Exception as error:
        if isinstance(error, PymanipError) or getattr(error, "errno", None):
            raise
        raise DamagedFileError(f"{path} is damaged: {_line(error)}") from error


def _line(error: Exception) -> str:
    """Return what an error says as one line of printable characters."""
    words = " ".join(str(error.args[0] if error.args else "").split())
    return "".join(c if c.isprintable() else "?" for c in words[:300]) or type(error).__name__


def member(group: Any, name: str, kind: type = h5py.Group) -> Any:
    """Return a member of a group of a file that may come from anywhere.

    Raises
    ------
    KeyError
        If it is not there.
    DamagedFileError
        If it is a link out of the file, stored outside, or of another kind.
    """
    link = group.get(name, getlink=True)
    if link is None:
        raise KeyError(name)
    if not isinstance(link, h5py.HardLink):
        raise DamagedFileError(f"{name!r} is a link to elsewhere; a session has none")
    item = group[name]
    if not isinstance(item, kind):
        raise DamagedFileError(
            f"{name!r} is a {type(item).__name__.lower()}; a session has a {kind.__name__.lower()}"
        )
    if isinstance(item, h5py.Dataset):
        check_dataset(item, name)
    return item


def members(group: Any, kind: type = h5py.Group) -> Iterator[tuple[str, Any]]:
    """Iterate over names and members of a group, as :func:`member` returns them.

    Raises
    ------
    DamagedFileError
        Also if two names lead to the same member: a few bytes could so stand for any number.
    """
    seen = set()
    for link in group:
        item = member(group, link, kind)
        place = h5py.h5o.get_info(item.id).addr
        if place in seen:
            raise DamagedFileError(f"{link!r} is another name of a member that was there before")
        seen.add(place)
        yield link, item


def raw_text(value: Any) -> str:
    """Return an HDF5 text as it is written."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def text_of(value: Any) -> str:
    """Return what :func:`to_text` was given, from an HDF5 text attribute or element."""
    return _ESCAPED.sub(lambda m: "␛" if m[1] == "␛" else chr(int(m[1], 16)), raw_text(value))


def to_text(text: str) -> str:
    """Return a text without what an HDF5 text cannot have: NUL and lone surrogates, as ``␛0000``."""
    return _TO_ESCAPE.sub(lambda m: "␛␛" if m[0] == "␛" else f"␛{ord(m[0]):04x}", text)


def read_identity(h5: Any, path: Path) -> Identity:
    """Return the identity of an open file.

    Raises
    ------
    DamagedFileError
        If it is not a session.
    NewerFormatError
        If a newer version wrote it.
    """
    if "format" not in h5.attrs or raw_text(attribute(h5, "format")) != FORMAT:
        raise DamagedFileError(f"{path} is an HDF5 file, but not a session of pymanip-run")
    try:
        version = int(attribute(h5, "format_version"))
        if version > FORMAT_VERSION:
            raise NewerFormatError(
                f"{path} has format {version}; this pymanip-run reads up to format {FORMAT_VERSION}: "
                "install a newer one (pip install -U pymanip-run)"
            )
        uuid = UUID(raw_text(attribute(h5, "session_uuid")))
        transaction = int(attribute(h5, "transaction"))
        if not 0 <= transaction < LARGEST:
            raise ValueError(f"transaction {transaction}")
        return Identity(uuid, _position(h5), transaction)
    except NewerFormatError:
        raise
    except (DamagedFileError, KeyError, ValueError, TypeError, OverflowError) as error:
        raise DamagedFileError(
            f"{path} is a session whose identity is damaged: {_line(error)}"
        ) from None


def _position(h5: Any) -> Position:
    segment, offset = (int(x) for x in attribute(h5, "wal_pos", length=2))
    if not (0 <= segment < LARGEST and 0 <= offset < LARGEST):
        raise ValueError(f"journal position {segment}:{offset}")
    return Position(segment, offset)


def read_info(h5: Any) -> SessionInfo:
    """Return the identity in the words of the surface."""
    segment, offset = _position(h5)
    try:
        created = datetime.fromisoformat(raw_text(attribute(h5, "created", ""))).timestamp()
    except (ValueError, OverflowError):
        created = 0.0
    return SessionInfo(
        uuid=text_of(attribute(h5, "session_uuid")),
        format_version=int(attribute(h5, "format_version")),
        created=created,
        title=text_of(attribute(h5, "title", "")),
        checkpointed=f"{segment}:{offset}",
    )
