"""The three steps of Ctrl-C, which SIGTERM shares, and the terminal that goes away (SIGHUP).

The first asks the run to finish its present steps, the second cancels them, the third ends the
process at once: nothing that was recorded is lost by that.

Plain signal handlers, not those of the event loop: a task that never lets the loop turn must still
be interrupted.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import threading
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from pymanip_run.runtime.bell import Bell
from pymanip_run.runtime.endings import signal_name
from pymanip_run.runtime.places import place_of_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Self

__all__ = ["Interrupts", "Unhandled"]

logger = logging.getLogger(__name__)

ROOM_FOR_SIGACTION = 512  # bytes; the largest struct sigaction known is 152


class Interrupts:
    """Context manager that handles SIGINT, SIGTERM and SIGHUP, and gives them back as they were.

    SIGINT is handled even where it was ignored (a script's ``&``); SIGHUP stays ignored where it
    was (``nohup``). Outside the main thread nothing is done: Python handles signals only there.

    A process that was forked off meanwhile is none of the run: there a first Ctrl-C, which a terminal
    sends to all its processes, is left to the run, which may need it for its present step. What else
    comes does what it did before.

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
        self._pushed: tuple[int | None] | None = None
        self._previous: list[_Handler] = []
        self._bell: Bell | None = None
        #: How many of SIGINT and SIGTERM have come.
        self.count = 0
        self._thread = threading.get_ident()
        self._process = os.getpid()
        self._forked_count = 0

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            try:
                self._install(signal.SIGINT, self._interrupted)
                self._install(signal.SIGTERM, self._interrupted)
                if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
                    self._install(signal.SIGHUP, self._hung_up)
                self._bell = Bell.install(self._unheard)
                _installed.add(self)
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        _installed.discard(self)
        if self._bell is not None:
            self._bell.remove()
            self._bell = None
        while self._previous:
            self._previous.pop().restore()

    def leave_forked(self) -> None:
        """Have SIGTERM end this process, which was forked off, at once, also in a call that never returns."""
        for handler in reversed(self._previous):
            if handler.signum == signal.SIGTERM:
                handler.restore()

    def _install(self, signum: int, handler: Callable[[int, FrameType | None], None]) -> None:
        self._previous.append(_Handler(signum))
        signal.signal(signum, handler)

    def push(self, signum: int | None = None) -> None:
        """Have `on_second(signum)` called as if by a signal, unless it was. From any thread.

        A real signal is sent: also a call that blocks the main thread ends with it.
        """
        if self.count < len(self._steps) and self._previous:
            self._pushed = (signum,)
            signal.pthread_kill(self._thread, signal.SIGINT)

    def _interrupted(self, signum: int, _frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            self._interrupt_forked(signum)
            return
        if self._bell is not None:
            self._bell.heard()
        if self._pushed is not None:
            (pushed,), self._pushed, self.count = self._pushed, None, len(self._steps)
            self._steps[-1](pushed)
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

    def _unheard(self, signals: list[int]) -> None:
        """Take signals that the main thread does not hear, in another one: the third ends the process."""
        if self.count + len(signals) > len(self._steps):
            self._end_at_once(signals[-1])
        logger.warning(
            "%s: a call does not return to Python, at %s; it cannot be cancelled, but a third signal "
            "ends the process",
            signal_name(signals[-1]),
            place_of_thread(self._thread),
        )

    def _interrupt_forked(self, signum: int) -> None:
        if signum == signal.SIGINT:
            self._forked_count += 1
            if self._forked_count > 1:
                raise KeyboardInterrupt
            return
        for handler in reversed(self._previous):
            handler.restore()
        signal.raise_signal(signum)

    def _hung_up(self, signum: int, _frame: FrameType | None) -> None:
        if self._on_hangup is not None and os.getpid() == self._process:
            self._on_hangup(signum)


class Unhandled(AbstractContextManager["Unhandled"]):
    """Stands for `Interrupts` where signals are somebody else's."""

    def __exit__(self, *_: object) -> None:
        pass

    def push(self, signum: int | None = None) -> None:
        """Do nothing: there is no handler that a signal would reach."""


class _Handler:
    """What a signal did before us.

    The system's own record is kept beside Python's: a handler that a C library installed is None
    to Python, and the flags of the others (``siginterrupt``) are unknown to it.
    """

    def __init__(self, signum: int) -> None:
        self.signum = signum
        self._python: Any = signal.getsignal(signum)
        self._native = ctypes.create_string_buffer(ROOM_FOR_SIGACTION)
        _sigaction(signum, None, self._native)

    def restore(self) -> None:
        signal.signal(self.signum, signal.SIG_DFL if self._python is None else self._python)
        _sigaction(self.signum, self._native, None)


def _sigaction(
    signum: int, new: ctypes.Array[ctypes.c_char] | None, old: ctypes.Array[ctypes.c_char] | None
) -> None:
    if ctypes.CDLL(None, use_errno=True).sigaction(signum, new, old) != 0:
        raise OSError(ctypes.get_errno(), f"cannot read or set the handler of signal {signum}")


_installed: WeakSet[Interrupts] = WeakSet()
#: What each thread that forks had blocked before.
_masks: dict[int, set[int]] = {}


def _hold() -> None:
    """Keep signals waiting until the child knows that it is one."""
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    _masks[threading.get_ident()] = {int(signum) for signum in blocked}


def _release() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.pop(threading.get_ident(), ()))


def _leave() -> None:
    for interrupts in list(_installed):
        interrupts.leave_forked()
    _release()


os.register_at_fork(before=_hold, after_in_parent=_release, after_in_child=_leave)
