"""Programs and packages: what is there, what is missing, how it is installed."""

from __future__ import annotations

import platform
import re
import sys
from importlib import import_module, metadata
from typing import TYPE_CHECKING

from pymanip_run.checkup.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["extras", "look_at_packages"]

MIN_PYTHON = (3, 11)
#: Distribution, module, and the least version that is tried; kept true by a test against pyproject.toml.
REQUIRED = {
    "numpy": ("numpy", "1.26"),
    "h5py": ("h5py", "3.16"),
    "pydantic": ("pydantic", "2.7"),
    "pyyaml": ("yaml", "6.0.1"),
    "typer": ("typer", "0.15"),
    "rich": ("rich", "13.7"),
    "aiohttp": ("aiohttp", "3.14"),
}
#: What each extra brings, and what it is for.
EXTRAS = {
    "plot": (("matplotlib",), "figures"),
    "analysis": (("dask", "pandas", "xarray", "h5netcdf"), "DataFrames and Datasets"),
    "parquet": (("pyarrow",), "export to Parquet"),
    "matlab": (("scipy",), "export to MATLAB"),
    "zarr": (("zarr",), "export to Zarr"),
    "images": (("tifffile",), "export of images"),
    "visa": (("pyvisa", "pyvisa-py"), "VISA instruments"),
    "serial": (("serialx",), "serial lines"),
    "samples": (("psutil",), "the sample this_computer"),
}


def look_at_packages(own_version: str) -> Sequence[Finding]:
    """Return findings on Python and on every package that is needed."""
    return [_python(own_version), *(_package(name) for name in REQUIRED)]


def _python(own_version: str) -> Finding:
    text = f"{platform.python_version()}, {sys.executable}"
    if sys.version_info < MIN_PYTHON:  # started in spite of what the package asks for
        return Finding("Python", "broken", text, "install Python 3.11 or newer")
    return Finding("Python", "ok", f"{text}; pymanip-run {own_version}")


def _package(name: str) -> Finding:
    module, least = REQUIRED[name]
    cure = f"pip install '{name}>={least}'"
    try:
        # A package may be there and not fit the others: only its import tells.
        found = import_module(module)
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        version = str(getattr(found, "__version__", "of unknown version"))
    except Exception as error:  # noqa: BLE001 - whatever a broken package raises
        return Finding(name, "broken", f"cannot be imported: {error}", cure)
    if _numbers(version) < _numbers(least):
        return Finding(name, "warning", f"{version}, older than any that is tried", cure)
    hdf5 = getattr(getattr(found, "version", None), "hdf5_version", None)
    return Finding(name, "ok", f"{version} with HDF5 {hdf5}" if hdf5 else version)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, re.findall(r"\d+", version)[:3]))


def extras() -> Iterator[Finding]:
    """Yield a finding for each extra."""
    for extra, (names, purpose) in EXTRAS.items():
        there = {name: version for name in names if (version := _version(name)) is not None}
        missing = [name for name in names if name not in there]
        cure = f"pip install 'pymanip-run[{extra}]'"
        if not missing:
            shown = ", ".join(f"{name} {version}" for name, version in there.items())
            yield Finding(f"[{extra}]", "ok", f"{purpose}: {shown}")
        else:
            verb = "is" if len(missing) == 1 else "are"
            yield Finding(
                f"[{extra}]",
                "absent",
                f"{purpose}: {' and '.join(missing)} {verb} not installed",
                cure,
            )


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
