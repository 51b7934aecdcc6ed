"""Writing to the terminal or pipe from a thread of its own, so that a stuck one delays nothing."""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Gone", "Prints", "Writer", "descriptor_of"]

#: Pieces of printed text waiting for the display; the oldest fall out.
PRINT_BACKLOG = 10_000


class Gone(Exception):  # noqa: N818 - no fault: the reader went away
    """Nobody reads this stream any more."""


def descriptor_of(stream: object) -> int | None:
    """Return the file descriptor under a stream, None when it has none."""
    try:
        return int(stream.fileno())  # type: ignore[attr-defined]
    except (AttributeError, OSError, ValueError, TypeError):
        return None


class Writer(io.TextIOBase):
    """Writes text to a stream's descriptor at each flush, past the stream's buffer and its lock.

    A thread blocked in ``sys.stdout.write`` holds a lock that the interpreter wants at its exit;
    one blocked in ``os.write`` holds nothing.

    Raises
    ------
    Gone
        From `flush` when the terminal was closed or the pipe's reader has left.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._descriptor = descriptor_of(stream)
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._pending: list[str] = []
        self._held = False
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Encoding of the stream."""
        return self._encoding

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        return self._descriptor is not None and os.isatty(self._descriptor)

    def fileno(self) -> int:
        """Return the descriptor."""
        if self._descriptor is None:
            raise io.UnsupportedOperation("fileno")
        return self._descriptor

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, text: str) -> int:
        """Keep text for the next flush."""
        self._pending.append(text)
        return len(text)

    def flush(self) -> None:
        """Write everything kept; blocks while the reader does not read."""
        if self._held or not self._pending:
            return
        text = "".join(self._pending)
        self._pending.clear()
        try:
            if self._descriptor is None:
                self._stream.write(text)
                self._stream.flush()
            else:
                self._write_all(self._descriptor, text.encode(self._encoding, "backslashreplace"))
        except (OSError, ValueError) as error:
            raise Gone(str(error)) from error

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Let everything written within go out in one piece, so that nothing flickers."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        self.flush()

    @staticmethod
    def _write_all(descriptor: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(descriptor, view) :]
            except BlockingIOError:  # another program made the terminal non-blocking
                select.select([], [descriptor], [])


class _Print(io.TextIOBase):
    """Stands in for sys.stdout or sys.stderr during a run: never blocks, never raises."""

    def __init__(self, replaced: TextIO, name: str, pieces: deque[tuple[str, str]]) -> None:
        self._replaced = replaced
        self._name = name
        self._pieces = pieces

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._replaced.encoding

    @property
    def buffer(self) -> object:
        return self._replaced.buffer

    def fileno(self) -> int:
        return self._replaced.fileno()

    def isatty(self) -> bool:
        return self._replaced.isatty()

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self._pieces.append((self._name, text))
        return len(text)


class Prints:
    """Collects what the process prints while a display owns the terminal.

    Prints of a task neither break the table nor wait for a stopped terminal, and one into a closed
    pipe does not end the task.
    """

    def __init__(self) -> None:
        self._pieces: deque[tuple[str, str]] = deque(maxlen=PRINT_BACKLOG)
        self._lock = threading.Lock()
        self._replaced: dict[str, TextIO] = {}

    def install(self) -> None:
        """Replace sys.stdout and sys.stderr, where they are the real ones."""
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if (
                stream is None
                or stream is not getattr(sys, f"__{name}__")
                or descriptor_of(stream) is None
            ):
                continue
            self._replaced[name] = stream
            setattr(sys, name, _Print(stream, name, self._pieces))

    def restore(self) -> None:
        """Put the streams back."""
        for name, stream in self._replaced.items():
            if isinstance(getattr(sys, name), _Print):
                setattr(sys, name, stream)
        self._replaced.clear()

    def discard(self) -> None:
        """Drop what has been collected."""
        self._pieces.clear()

    def take(self, *, partial: bool = False) -> Iterator[tuple[str, str]]:
        """Return (stream name, text) pieces in order: whole lines, at the end also what is left."""
        with self._lock:
            pieces: list[tuple[str, str]] = []
            # Bounded: a task that prints without end must not keep us here.
            for _ in range(len(self._pieces)):
                name, text = self._pieces.popleft()
                if pieces and pieces[-1][0] == name:
                    pieces[-1] = (name, pieces[-1][1] + text)
                else:
                    pieces.append((name, text))
            if pieces and not partial:
                name, text = pieces[-1]
                whole, newline, rest = text.rpartition("\n")
                if rest:
                    self._pieces.appendleft((name, rest))
                pieces[-1] = (name, whole + newline)
        return iter([piece for piece in pieces if piece[1]])
