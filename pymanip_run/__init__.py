"""Run laboratory experiments: measure for hours or months, lose nothing.

The centre is :class:`AsyncSession`. Names are imported when they are first used, so that
``import pymanip_run`` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymanip_run.lazily import importer

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
    from pymanip_run.session import AsyncSession, SavedAsyncSession

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
    "StorageError",
    "TaskError",
    "UsageError",
    "__version__",
    "every",
]

_import = importer(
    __name__,
    {
        "AsyncSession": "session",
        "RemoteObserver": "observe",
        "SavedAsyncSession": "session",
        "Series": "records",
        "every": "runtime.schedule",
    }
    | {name: "errors" for name in __all__ if name.endswith("Error")},
)

#: Published names whose part is not there yet.
_LATER = {"Sessions": "folders of sessions"}


def __getattr__(name: str) -> Any:
    if name in _LATER:
        raise ImportError(
            f"{name} ({_LATER[name]}) is not available in this version of pymanip-run"
        )
    return _import(name)


def __dir__() -> list[str]:
    return sorted(__all__)
