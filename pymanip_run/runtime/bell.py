"""Hears signals also while the main thread cannot: before a wait, and in a call that never returns.

Python runs a signal handler in the main thread, between two bytecodes. The byte that its C code
writes for each signal comes at once, whatever that thread does.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING
from weakref import WeakSet

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Bell"]

DEAF = 0.5  # seconds without its handler after which a signal is not heard by the main thread
SIGNALS = (signal.SIGINT, signal.SIGTERM)
MANY = 4096  # bytes


class Bell:
    """Wakes the loop for each signal, and tells of those that the main thread does not hear.

    Without the first, a signal that comes after the last bytecode, just before the loop begins to
    wait, would be noticed only when the wait ends by itself. The second is for a driver in C that
    does not come back: neither would a third Ctrl-C end the process.

    Parameters
    ----------
    loop
        Runs in this thread, the main one.
    on_unheard
        Is called in another thread with the signals (SIGINT, SIGTERM) that came since the last time
        that a handler ran; again when there are more of them.

    Raises
    ------
    OSError, RuntimeError
        If there can be no sockets, or no thread.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, on_unheard: Callable[[list[int]], object]
    ) -> None:
        self._loop = loop
        self._on_unheard = on_unheard
        self._unheard: list[int] = []
        # Reentrant: a signal handler may interrupt another one that holds it.
        self._lock = threading.RLock()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        try:
            threading.Thread(target=self._listen, name="signals", daemon=True).start()
        except RuntimeError:
            self._reader.close()
            self._writer.close()
            raise

    @classmethod
    def install(cls, on_unheard: Callable[[list[int]], object]) -> Bell | None:
        """Return the bell; None without a running loop, or where the loop has one of its own."""
        try:
            bell = cls(asyncio.get_running_loop(), on_unheard)
        except (OSError, RuntimeError):
            return None
        previous = signal.set_wakeup_fd(bell._writer.fileno(), warn_on_full_buffer=False)
        if previous != -1:
            signal.set_wakeup_fd(previous)
            bell._writer.close()
            return None
        _bells.add(bell)
        return bell

    def remove(self) -> None:
        """Take it down."""
        _bells.discard(self)
        present = signal.set_wakeup_fd(-1)
        if present != self._writer.fileno():  # somebody took it over meanwhile
            signal.set_wakeup_fd(present)
        self._writer.close()  # ends the thread

    def heard(self) -> None:
        """Note that a handler runs, for all signals so far; in the main thread."""
        with self._lock, suppress(OSError):
            self._unheard.clear()
            self._reader.recv(MANY)

    def _listen(self) -> None:
        # A signal must end what the main thread waits for; here it would end nothing.
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        told = 0
        with self._reader:
            while True:
                patience = DEAF if self._unheard else None
                if select.select([self._reader], [], [], patience)[0]:
                    if not self._receive():
                        return
                    continue
                unheard = list(self._unheard)
                if len(unheard) > told:
                    self._on_unheard(unheard)
                told = len(unheard)

    def _receive(self) -> bool:
        """Take what has come; return False at the end."""
        with self._lock:
            try:
                signals = self._reader.recv(MANY)
            except BlockingIOError:  # a handler took it
                return True
            self._unheard += [signum for signum in signals if signum in SIGNALS]
        with suppress(RuntimeError):  # closed
            self._loop.call_soon_threadsafe(_nothing)
        return bool(signals)


#: Those of this process; one that is forked off must not ring them.
_bells: WeakSet[Bell] = WeakSet()


def _nothing() -> None:
    """Wake the loop."""


def _disconnect() -> None:
    if _bells:
        _bells.clear()
        with suppress(ValueError):
            signal.set_wakeup_fd(-1)


os.register_at_fork(after_in_child=_disconnect)
