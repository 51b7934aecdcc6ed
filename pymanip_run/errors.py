"""Every exception of this package, its exit code, and "did you mean".

::

    PymanipError                                exit code 1
    ├── UsageError (RuntimeError, ValueError)             2
    ├── ConfigError (ValueError)                          2
    ├── NotFoundError (KeyError)                          2
    ├── StorageError (OSError)                            4
    │   ├── SessionLockedError (BlockingIOError)
    │   ├── DamagedFileError
    │   └── NewerFormatError
    ├── TaskError (RuntimeError)                          1
    ├── DeviceError (RuntimeError)                        3
    │   ├── DeviceOpenError
    │   └── DeviceTimeoutError (TimeoutError)
    └── RemoteError (ConnectionError)                     3

Each also inherits the builtin that existing scripts catch. A message says what happened, where,
and what to do about it.
"""

from __future__ import annotations

import difflib
import itertools
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "ConfigError",
    "DamagedFileError",
    "DeviceError",
    "DeviceOpenError",
    "DeviceTimeoutError",
    "NewerFormatError",
    "NotFoundError",
    "PymanipError",
    "RemoteError",
    "SessionLockedError",
    "StorageError",
    "TaskError",
    "UsageError",
    "causes",
    "did_you_mean",
    "nearest",
    "run_exit_code",
]


class PymanipError(Exception):
    """Base class of the errors of pymanip-run."""

    #: What the command line exits with when this error ends it.
    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        # KeyError and OSError decorate their message; a person reads these. An errno may come first.
        texts = [arg for arg in self.args if isinstance(arg, str)] or [*map(str, self.args)]
        return texts[0] if texts else type(self).__name__


class UsageError(PymanipError, RuntimeError, ValueError):
    """A call that makes no sense here, with the call that would."""

    exit_code = 2


class ConfigError(PymanipError, ValueError):
    """The experiment file or its module is not valid."""

    exit_code = 2


class NotFoundError(PymanipError, KeyError):
    """A name that the session does not have; the message offers the nearest ones."""

    exit_code = 2


class StorageError(PymanipError, OSError):
    """The session file cannot be read or written."""

    exit_code = 4


class SessionLockedError(StorageError, BlockingIOError):
    """Another process is writing this session; the message names it."""


class DamagedFileError(StorageError):
    """The file is damaged, empty, or not a session."""


class NewerFormatError(StorageError):
    """The file was written by a newer version of pymanip-run."""


class TaskError(PymanipError, RuntimeError):
    """A task failed for good."""


class DeviceError(PymanipError, RuntimeError):
    """An instrument could not be opened, or failed."""

    exit_code = 3


class DeviceOpenError(DeviceError):
    """An instrument that the experiment needs could not be opened."""


class DeviceTimeoutError(DeviceError, TimeoutError):
    """An instrument did not answer in time; the message says which call, and how long."""


class RemoteError(PymanipError, ConnectionError):
    """A session on another computer did not answer as expected."""

    exit_code = 3


def causes(error: BaseException) -> list[BaseException]:
    """Return the errors in an exception group, that of an ``asyncio.TaskGroup``; else the error itself."""
    if isinstance(error, BaseExceptionGroup):
        return [cause for inner in error.exceptions for cause in causes(inner)]
    return [error]


def run_exit_code(error: BaseException) -> int:
    """Return what a run exits with that `error` ended.

    Exit code 2 is for what is found before a run begins: a task that makes a wrong call, or asks
    for a name that is not there, failed (1). So did one that met an `OSError` of its own, or whose
    instrument failed: exit code 3 is for instruments that cannot be opened. Of a group that counts
    which has one of its own.
    """
    if isinstance(error, BaseExceptionGroup):
        return next((code for one in causes(error) if (code := run_exit_code(one)) != 1), 1)
    if isinstance(error, (UsageError, ConfigError, NotFoundError)):
        return 1
    if isinstance(error, DeviceError) and not isinstance(error, DeviceOpenError):
        return 1
    return error.exit_code if isinstance(error, PymanipError) else 1


#: Beyond, looking for what is near takes longer than a person waits.
_MAX_CANDIDATES = 1000
_MAX_WORD = 100


def nearest(word: str, candidates: Iterable[str], n: int = 3) -> list[str]:
    """Return the candidates that look most like `word`, best first, at most `n`.

    Of very many candidates only the first 1000 are looked at; a very long word is like no other.
    """
    if len(word) > _MAX_WORD:
        return []
    folded: dict[str, str] = {}
    for candidate in itertools.islice(candidates, _MAX_CANDIDATES):
        folded.setdefault(candidate.casefold(), candidate)
    close = difflib.get_close_matches(word.casefold(), folded, n=n, cutoff=0.6)
    return [folded[key] for key in close]


def did_you_mean(word: str, candidates: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest candidate, or ``""`` when none is near."""
    close = nearest(word, candidates, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
