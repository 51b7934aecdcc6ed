"""The session file's groups and attributes (format version 1): names, creation, identity."""

from __future__ import annotations

import os
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

import h5py
import numpy as np

from pymanip_run.clock import SYSTEM, iso_utc
from pymanip_run.errors import DamagedFileError, NewerFormatError
from pymanip_run.records import SessionInfo
from pymanip_run.storage.journal import Position

if TYPE_CHECKING:
    from pathlib import Path

    from pymanip_run.storage.files import Files, SessionPaths

__all__ = [
    "FORMAT",
    "FORMAT_VERSION",
    "Identity",
    "create",
    "escape",
    "member",
    "read_identity",
    "read_info",
]

FORMAT = "pymanip-run"
FORMAT_VERSION = 1
LIBVER = ("v110", "v110")

SCALARS_PER_CHUNK = 2048
ARRAY_CHUNK_BYTES = 64 << 10

TEXT = h5py.string_dtype("utf-8")
EVENT_DTYPE = np.dtype([("time", "<f8"), ("kind", TEXT), ("source", TEXT), ("text", TEXT)])
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
    files.unlink(paths.temporary)
    with h5py.File(paths.temporary, "x", libver=LIBVER, locking=False) as h5:
        h5.attrs["NX_class"] = "NXroot"
        h5.attrs["format"] = FORMAT
        h5.attrs["format_version"] = FORMAT_VERSION
        h5.attrs["session_uuid"] = str(uuid)
        h5.attrs["created"] = iso_utc(SYSTEM.time())
        h5.attrs["title"] = title
        h5.attrs["wal_pos"] = np.array(position, "<u8")
        h5.attrs["transaction"] = np.uint64(0)
        for group in ("variables", "parameters", "metadata", "datasets", "runs"):
            h5.create_group(group)
        h5.create_dataset("events", (0,), EVENT_DTYPE, maxshape=(None,), chunks=(256,))
        h5.create_dataset("statistics", (0,), STATISTICS_DTYPE, maxshape=(None,), chunks=(64,))
    fd = files.open(paths.temporary, os.O_RDWR)
    try:
        files.fdatasync(fd)
    finally:
        files.close(fd)
    files.replace(paths.temporary, paths.main)
    files.sync_directory(paths.main)


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
    if isinstance(item, h5py.Dataset) and (item.external or item.is_virtual):
        raise DamagedFileError(
            f"the data of {name!r} are outside the file; a session has none such"
        )
    return item


def text_of(value: Any) -> str:
    """Return an HDF5 text attribute or element as str."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def read_identity(h5: Any, path: Path) -> Identity:
    """Return the identity of an open file.

    Raises
    ------
    DamagedFileError
        If it is not a session.
    NewerFormatError
        If a newer version wrote it.
    """
    attributes = h5.attrs
    if "format" not in attributes or text_of(attributes["format"]) != FORMAT:
        raise DamagedFileError(f"{path} is an HDF5 file, but not a session of pymanip-run")
    try:
        version = int(attributes["format_version"])
        if version > FORMAT_VERSION:
            raise NewerFormatError(
                f"{path} has format {version}; this pymanip-run reads up to format {FORMAT_VERSION}: "
                "install a newer one (pip install -U pymanip-run)"
            )
        segment, offset = (int(x) for x in attributes["wal_pos"])
        uuid = UUID(text_of(attributes["session_uuid"]))
        return Identity(uuid, Position(segment, offset), int(attributes["transaction"]))
    except (KeyError, ValueError, TypeError) as error:
        raise DamagedFileError(f"{path} is a session whose identity is damaged: {error}") from None


def read_info(h5: Any) -> SessionInfo:
    """Return the identity in the words of the surface."""
    attributes = h5.attrs
    segment, offset = (int(x) for x in attributes["wal_pos"])
    try:
        created = datetime.fromisoformat(text_of(attributes["created"])).timestamp()
    except ValueError:
        created = 0.0
    return SessionInfo(
        uuid=text_of(attributes["session_uuid"]),
        format_version=int(attributes["format_version"]),
        created=created,
        title=text_of(attributes.get("title", "")),
        checkpointed=f"{segment}:{offset}",
    )
