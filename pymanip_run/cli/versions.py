"""Versions, found without importing what they belong to: that would take longer than all else."""

from __future__ import annotations

import importlib
import mmap
import platform
import re
from importlib import metadata
from typing import TYPE_CHECKING, Any

from pymanip_run import __version__

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["version_text"]

#: Part of the settings that every HDF5 library carries as text.
SETTINGS = re.compile(rb"HDF5 Version:\s+(\d+\.\d+\.\d+[\w.-]*)")


def version_text() -> str:
    """Return ``pymanip-run 1.0 (Python 3.11.7, h5py 3.16.0, HDF5 2.0.0)``."""
    try:
        h5py = metadata.version("h5py")
        hdf5 = _hdf5_version() or "unknown"
    except metadata.PackageNotFoundError:
        h5py = hdf5 = "missing"
    return (
        f"pymanip-run {__version__} (Python {platform.python_version()}, h5py {h5py}, HDF5 {hdf5})"
    )


def _hdf5_version() -> str | None:
    for path in _libraries():
        found = _version_in(path)
        if found is not None:
            return found
    # Not a wheel: the library is somewhere in the system, and h5py knows.
    h5py: Any = importlib.import_module("pymanip_run.storage.layout").__dict__.get("h5py")
    return str(h5py.version.hdf5_version) if h5py is not None else None


def _libraries() -> list[Path]:
    """Return the HDF5 libraries that h5py's wheel brought along."""
    files = metadata.files("h5py") or []
    return [path.locate() for path in files if path.name.startswith("libhdf5-")]  # type: ignore[misc]


def _version_in(path: Path) -> str | None:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            found = SETTINGS.search(data)
            return found[1].decode() if found else None
    except (OSError, ValueError):
        return None
