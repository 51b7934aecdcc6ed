"""The three steps of Ctrl-C, which SIGTERM shares, and the terminal that goes away (SIGHUP).

The first asks the run to finish its present steps, the second cancels them, the third ends the
process at once: nothing that was recorded is lost by that.

Plain signal handlers, not those of the event loop: a task that never lets the loop turn must still
be interrupted.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import socket
import threading
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Self

__all__ = ["Interrupts", "Unhandled"]

ROOM_FOR_SIGACTION = 512  # bytes; the largest struct sigaction known is 152


class Interrupts:
    """Context manager that handles SIGINT, SIGTERM and SIGHUP, and gives them back as they were.

    SIGINT is handled even where it was ignored (a script's ``&``); SIGHUP stays ignored where it
    was (``nohup``). Outside the main thread nothing is done: Python handles signals only there.

    The callbacks are called inside the signal handler, in the midst of whatever ran: they must be
    quick and must not wait for a lock. An exception that they raise is raised there.

    Parameters
    ----------
    on_first, on_second
        Are called with the number of the signal: of the first, of the second one.
    on_third
        Is called before the process ends: time for the few system calls that restore a terminal.
    on_hangup
        Is called for SIGHUP; the run goes on.
    """

    def __init__(
        self,
        on_first: Callable[[int], object],
        on_second: Callable[[int | None], object],
        *,
        on_third: Callable[[int], object] | None = None,
        on_hangup: Callable[[int], object] | None = None,
    ) -> None:
        self._steps: tuple[Callable[[Any], object], ...] = (on_first, on_second)
        self._on_third = on_third
        self._on_hangup = on_hangup
        self._pushed = False
        self._previous: list[_Handler] = []
        self._bell: _Bell | None = None
        #: How many of SIGINT and SIGTERM have come.
        self.count = 0
        self._thread = threading.get_ident()

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            try:
                self._install(signal.SIGINT, self._interrupted)
                self._install(signal.SIGTERM, self._interrupted)
                if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
                    self._install(signal.SIGHUP, self._hung_up)
                self._bell = _Bell.install()
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._bell is not None:
            self._bell.remove()
            self._bell = None
        while self._previous:
            self._previous.pop().restore()

    def _install(self, signum: int, handler: Callable[[int, FrameType | None], None]) -> None:
        self._previous.append(_Handler(signum))
        signal.signal(signum, handler)

    def push(self) -> None:
        """Have `on_second(None)` called as if by a signal, unless it was. From any thread.

        A real signal is sent: also a call that blocks the main thread ends with it.
        """
        if self.count < len(self._steps) and self._previous:
            self._pushed = True
            signal.pthread_kill(self._thread, signal.SIGINT)

    def _interrupted(self, signum: int, _frame: FrameType | None) -> None:
        if self._pushed:
            self._pushed, self.count = False, len(self._steps)
            self._steps[-1](None)
            return
        self.count += 1
        if self.count > len(self._steps):
            self._end_at_once(signum)
        self._steps[self.count - 1](signum)

    def _end_at_once(self, signum: int) -> None:
        try:
            if self._on_third is not None:
                self._on_third(signum)
        finally:
            os._exit(128 + signum)

    def _hung_up(self, signum: int, _frame: FrameType | None) -> None:
        if self._on_hangup is not None:
            self._on_hangup(signum)


class Unhandled(AbstractContextManager["Unhandled"]):
    """Stands for `Interrupts` where signals are somebody else's."""

    def __exit__(self, *_: object) -> None:
        pass

    def push(self) -> None:
        """Do nothing: there is no handler that a signal would reach."""


class _Bell:
    """Wakes the loop for each signal.

    Python runs a handler between two bytecodes. A signal that comes after the last of them, just
    before the loop begins to wait, would be noticed only when the wait ends by itself. The byte
    that Python's C code writes at once ends it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    @classmethod
    def install(cls) -> _Bell | None:
        """Return the bell; None without a running loop, or where the loop has one of its own."""
        try:
            bell = cls(asyncio.get_running_loop())
        except RuntimeError:
            return None
        previous = signal.set_wakeup_fd(bell._writer.fileno(), warn_on_full_buffer=False)
        if previous != -1:
            signal.set_wakeup_fd(previous)
            bell._close()
            return None
        bell._loop.add_reader(bell._reader, bell._drain)
        return bell

    def remove(self) -> None:
        present = signal.set_wakeup_fd(-1)
        if present != self._writer.fileno():  # somebody took it over meanwhile
            signal.set_wakeup_fd(present)
        if not self._loop.is_closed():
            self._loop.remove_reader(self._reader)
        self._close()

    def _drain(self) -> None:
        with suppress(BlockingIOError):
            self._reader.recv(4096)

    def _close(self) -> None:
        self._reader.close()
        self._writer.close()


class _Handler:
    """What a signal did before us.

    The system's own record is kept beside Python's: a handler that a C library installed is None
    to Python, and the flags of the others (``siginterrupt``) are unknown to it.
    """

    def __init__(self, signum: int) -> None:
        self._signum = signum
        self._python: Any = signal.getsignal(signum)
        self._native = ctypes.create_string_buffer(ROOM_FOR_SIGACTION)
        _sigaction(signum, None, self._native)

    def restore(self) -> None:
        signal.signal(self._signum, signal.SIG_DFL if self._python is None else self._python)
        _sigaction(self._signum, self._native, None)


def _sigaction(
    signum: int, new: ctypes.Array[ctypes.c_char] | None, old: ctypes.Array[ctypes.c_char] | None
) -> None:
    if ctypes.CDLL(None, use_errno=True).sigaction(signum, new, old) != 0:
        raise OSError(ctypes.get_errno(), f"cannot read or set the handler of signal {signum}")
