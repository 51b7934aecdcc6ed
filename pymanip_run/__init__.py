"""Run laboratory experiments: measure for hours or months, lose nothing.

The centre is :class:`AsyncSession`. Names are imported when they are first used, so that
``import pymanip_run`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.lazily import importer, provide

if TYPE_CHECKING:
    from pymanip_run.errors import (
        ConfigError,
        DamagedFileError,
        DeviceError,
        DeviceOpenError,
        DeviceTimeoutError,
        NewerFormatError,
        NotFoundError,
        PymanipError,
        RemoteError,
        SessionLockedError,
        StorageError,
        TaskError,
        UsageError,
    )
    from pymanip_run.observe import RemoteObserver
    from pymanip_run.records import Series
    from pymanip_run.runtime.schedule import every
    from pymanip_run.session import AsyncSession, SavedAsyncSession, Sessions

__version__ = "0.1.0"

__all__ = [
    "AsyncSession",
    "ConfigError",
    "DamagedFileError",
    "DeviceError",
    "DeviceOpenError",
    "DeviceTimeoutError",
    "NewerFormatError",
    "NotFoundError",
    "PymanipError",
    "RemoteError",
    "RemoteObserver",
    "SavedAsyncSession",
    "Series",
    "SessionLockedError",
    "Sessions",
    "StorageError",
    "TaskError",
    "UsageError",
    "__version__",
    "every",
]

__getattr__ = importer(
    __name__,
    {
        "AsyncSession": "session",
        "RemoteObserver": "observe",
        "SavedAsyncSession": "session",
        "Series": "records",
        "Sessions": "session",
        "every": "runtime.schedule",
    }
    | {name: "errors" for name in __all__ if name.endswith("Error")},
)

# What low modules have as a method and cannot import themselves.
provide("plot", "pymanip_run.plotting.notebook", "draw")


def __dir__() -> list[str]:
    return sorted(__all__)
