"""The stop signal: how a run is asked to end, and how its tasks sleep until then.

It is the only control that features get. It may be asked from anywhere (a task, another thread, a
signal handler), it is asked once, and it wakes everyone who sleeps by it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from pymanip_run.core.context import cut_sleeps

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

__all__ = ["TURN", "StopSignal"]

logger = logging.getLogger(__name__)

FORCED = 128  # exit codes from here on are 128 + the number of a signal


class _Turn:
    """What ``asyncio.sleep(0)`` does, without its two frames: a busy task does it each time."""

    __slots__ = ()

    def __await__(self) -> Iterator[None]:
        return iter((None,))


#: ``await TURN`` lets everything else that is ready run once.
TURN: Awaitable[None] = cast("Awaitable[None]", _Turn())


class StopSignal:
    """Asks a run to end after the present steps.

    One signal serves one run after the other (:meth:`clear` between them), in any event loop.

    Attributes
    ----------
    is_set : bool
        Whether the stop was asked. Read only.
    reason : str or None
        Why: the first reason that was given stays.
    exit_code : int
        What the command line shall exit with. A calm stop (0) gives way to the first failure
        (1 to 127); later failures are its consequences and do not replace it. A forced end (128
        and above: the second Ctrl-C) replaces both, because it tells that steps were cut short.
    cut : str or None
        Why steps were cut short, to follow "cancelled": ``by a second Ctrl-C``. None if none was.
    """

    def __init__(self) -> None:
        self.is_set = False
        self.reason: str | None = None
        self.exit_code = 0
        self.cut: str | None = None
        # Reentrant: the signal handler may interrupt us while we hold it.
        self._lock = threading.RLock()
        self._sleepers: dict[asyncio.AbstractEventLoop, set[asyncio.Future[None]]] = {}
        self._callbacks: deque[Callable[[], object]] = deque()

    def __repr__(self) -> str:
        state = f"asked: {self.reason}" if self.is_set else "not asked"
        return f"<StopSignal, {state}>"

    def request(self, reason: str | None = None, exit_code: int = 0) -> None:
        """Ask the run to end. From any thread and from signal handlers; more than once is harmless.

        Parameters
        ----------
        reason
            Why, in a few words, such as ``"Ctrl-C"`` or ``"all sweeps done"``.
        exit_code
            What the command line shall exit with, see :attr:`exit_code`.
        """
        with self._lock:
            self.is_set = True
            if self.reason is None:
                self.reason = reason
            if _gravity(exit_code) > _gravity(self.exit_code):
                self.exit_code = exit_code
            loops = tuple(self._sleepers)
        for loop in loops:
            with suppress(RuntimeError):  # closed with its sleepers in it
                loop.call_soon_threadsafe(self._wake, loop)
        self._call_back()

    def on_request(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Call `callback()` once, when the stop is asked; at once when it already was.

        It is called in the thread, or in the signal handler, that asks: it must be quick and not
        wait for anything. What it raises is logged.

        Returns
        -------
        callable
            Takes the callback back.
        """
        self._callbacks.append(callback)
        if self.is_set:
            self._call_back()

        def forget() -> None:
            with suppress(ValueError):
                self._callbacks.remove(callback)

        return forget

    def clear(self) -> None:
        """Be ready for another run."""
        with self._lock:
            self.is_set = False
            self.reason = None
            self.exit_code = 0
            self.cut = None

    async def sleep(self, seconds: float) -> bool:
        """Sleep, but only until the stop is asked.

        Parameters
        ----------
        seconds
            How long; 0 and less let the other tasks run once.

        Returns
        -------
        bool
            Whether the stop was asked.

        Raises
        ------
        ValueError
            If `seconds` is not a number (NaN).
        """
        delay = float(seconds)
        if math.isnan(delay):
            raise ValueError("cannot sleep for nan seconds")
        if delay <= 0 or self.is_set:
            await TURN
        else:
            await self.sleep_until(asyncio.get_running_loop().time() + delay)
        if self.is_set and delay > 0 and (cut := cut_sleeps.get()) is not None:
            cut.append(delay)
        return self.is_set

    async def sleep_until(self, when: float) -> bool:
        """Sleep until the loop's clock (``loop.time()``) shows `when`, or the stop is asked.

        Returns
        -------
        bool
            Whether the stop was asked.
        """
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        timer = loop.call_at(when, _finish, waiter) if when < math.inf else None
        self._enter(loop, waiter)
        try:
            # Asked after this line, we are in the set and are woken; asked before, we see it here.
            if not self.is_set:
                await waiter
        finally:
            if timer is not None:
                timer.cancel()
            self._leave(loop, waiter)
        return self.is_set

    async def wait(self) -> None:
        """Wait until the stop is asked."""
        await self.sleep_until(math.inf)

    def _enter(self, loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[None]) -> None:
        sleepers = self._sleepers.get(loop)
        if sleepers is not None:
            sleepers.add(waiter)
            return
        with self._lock:
            self._sleepers[loop] = {waiter}

    def _leave(self, loop: asyncio.AbstractEventLoop, waiter: asyncio.Future[None]) -> None:
        sleepers = self._sleepers[loop]
        sleepers.discard(waiter)
        if not sleepers:
            with self._lock:
                del self._sleepers[loop]

    def _wake(self, loop: asyncio.AbstractEventLoop) -> None:
        for waiter in self._sleepers.get(loop, ()):
            _finish(waiter)

    def _call_back(self) -> None:
        # Taken one by one: a signal handler may come here while we are here.
        with suppress(IndexError):
            while True:
                callback = self._callbacks.popleft()
                try:
                    callback()
                except Exception:
                    logger.exception("a listener to the stop signal failed: %r", callback)


def _finish(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _gravity(exit_code: int) -> int:
    """Rank exit codes: calm, failed, forced."""
    return (exit_code != 0) + (exit_code >= FORCED)
