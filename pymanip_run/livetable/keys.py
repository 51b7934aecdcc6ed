"""Reading single keys from the terminal, without ever stopping the run or leaving it spoilt.

A process in the background that reads its terminal or changes its settings is stopped by the
kernel (SIGTTIN, SIGTTOU); the display's thread blocks both, and does neither while in the background.
"""

from __future__ import annotations

import atexit
import codecs
import contextlib
import os
import signal
import sys
import termios
from typing import TYPE_CHECKING

from pymanip_run.livetable.output import descriptor_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["KeyReader", "in_foreground", "terminal_signals_blocked"]

LOCAL_FLAGS = 3  # index into the answer of tcgetattr
CONTROL_CHARACTERS = 6
ESCAPE = "\x1b"


@contextlib.contextmanager
def terminal_signals_blocked() -> Iterator[None]:
    """Block, in this thread, the signals that stop a background process at its terminal."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTIN, signal.SIGTTOU})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def in_foreground(descriptor: int) -> bool:
    """Return whether this process may use the terminal; True for one that is not its own."""
    try:
        return os.tcgetpgrp(descriptor) == os.getpgrp()
    except OSError:
        return True


class KeyReader:
    """Single key presses of the terminal at standard input.

    Use `poll` now and then from one thread; `restore` may be called from anywhere, also twice.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self._saved: list[object] | None = None
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        #: False once the terminal is gone or its keys are not ours any more.
        self.alive = True

    @classmethod
    def of_stdin(cls) -> KeyReader | None:
        """Return a reader of the terminal at standard input, None when there is none."""
        descriptor = descriptor_of(sys.stdin)
        if descriptor is None or not os.isatty(descriptor):
            return None
        return cls(descriptor)

    def prepare(self) -> bool:
        """Have keys delivered singly and not echoed, if in the foreground; return whether they are.

        It is cheap to repeat, and needed: a shell that stops and continues us resets the terminal.
        """
        if not self.alive or not in_foreground(self.descriptor):
            return False
        try:
            mode = termios.tcgetattr(self.descriptor)
            if mode[LOCAL_FLAGS] & (termios.ICANON | termios.ECHO):
                if self._saved is None:
                    self._saved = [*mode[:CONTROL_CHARACTERS], list(mode[CONTROL_CHARACTERS])]
                    atexit.register(self.restore)
                mode[LOCAL_FLAGS] &= ~(termios.ICANON | termios.ECHO)
                mode[CONTROL_CHARACTERS][termios.VMIN] = 1
                mode[CONTROL_CHARACTERS][termios.VTIME] = 0
                with terminal_signals_blocked():
                    termios.tcsetattr(self.descriptor, termios.TCSANOW, mode)
        except (OSError, termios.error):
            self.alive = False
        return self.alive

    def read(self) -> str:
        """Return the characters waiting; call it when the descriptor is readable."""
        try:
            data = os.read(self.descriptor, 1024)
        except (BlockingIOError, InterruptedError):
            return ""
        except OSError:
            self.alive = in_foreground(self.descriptor) is False
            return ""
        if not data:
            self.alive = False
        return self._decode(data)

    def restore(self) -> None:
        """Give the terminal its settings back."""
        saved, self._saved = self._saved, None
        if saved is None:
            return
        atexit.unregister(self.restore)
        with terminal_signals_blocked(), contextlib.suppress(OSError, termios.error):
            # Not TCSADRAIN: that would wait for a terminal that was stopped with Ctrl-S.
            termios.tcsetattr(self.descriptor, termios.TCSANOW, saved)  # type: ignore[arg-type]


def typed(note: str, keys: str) -> tuple[str, str | None]:
    """Return the note after some key presses, and ``"done"`` or ``"cancel"`` when they ended it."""
    if ESCAPE in keys:
        # A lone escape gives up; with more behind it, it is an arrow key and the like: ignored.
        return (note, "cancel") if keys == ESCAPE else (note, None)
    for key in keys:
        if key in "\r\n":
            return note, "done"
        if key in "\x7f\b":
            note = note[:-1]
        elif key == "\x15":
            note = ""
        elif key.isprintable():
            note += key
    return note, None
