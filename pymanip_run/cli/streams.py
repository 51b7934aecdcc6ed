"""Standard output for data alone: what the user's code prints meanwhile goes to standard error."""

from __future__ import annotations

import io
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["data_only", "for_data"]


class _Talk(io.TextIOBase):
    """Stands in for standard output; what standard error is may change meanwhile."""

    def __init__(self, replaced: TextIO) -> None:
        self.replaced = replaced

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return sys.stderr.encoding

    def fileno(self) -> int:
        return sys.stderr.fileno()

    def isatty(self) -> bool:
        return sys.stderr.isatty()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


@contextmanager
def data_only(wanted: bool) -> Iterator[None]:
    """Send what is printed to standard error, if that is wanted: a module, a driver or a task may print."""
    if not wanted:
        yield
        return
    stream = sys.stdout
    sys.stdout = _Talk(stream)
    try:
        yield
    finally:
        sys.stdout = stream


@contextmanager
def for_data() -> Iterator[None]:
    """Put standard output back for a moment, for what will write the data."""
    talk = sys.stdout
    if not isinstance(talk, _Talk):
        yield
        return
    sys.stdout = talk.replaced
    try:
        yield
    finally:
        sys.stdout = talk
