"""What holds up the end of a run: a loop that does not turn, a thread that does not return."""

from __future__ import annotations

import concurrent.futures.thread
import logging
import math
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn
from weakref import WeakSet

from pymanip_run.clock import SYSTEM
from pymanip_run.runtime.places import frame_of, place_of_thread

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

__all__ = ["Pulse", "leave_threads_behind", "leave_with"]

logger = logging.getLogger(__name__)

BEAT = 0.05  # seconds
HELD = 0.15  # seconds without an answer: something holds the loop
TOLD = 0.5  # seconds after which people are told
PATIENCE = 3.0  # seconds that a thread gets to return
ASYNCIO_THREADS = "asyncio_"  # how asyncio names those of its default executor


class Pulse:
    """Feels from a thread of its own, from the first signal on, whether a loop turns.

    The loop's own timers would not do: a virtual clock must not be held up by them.

    Parameters
    ----------
    loop
        Runs in the thread that makes the pulse.
    on_held
        Is called in the other thread, once, with the place that has held the loop for some time.
    grace, on_overdue
        If the loop is held these seconds after the start, `on_overdue` is called likewise.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        on_held: Callable[[str], object],
        grace: float = math.inf,
        on_overdue: Callable[[str], object] | None = None,
    ) -> None:
        self._loop = loop
        self._grace = grace
        self._on_overdue = on_overdue
        self._began = 0.0
        self._thread = threading.get_ident()
        self._on_held = on_held
        self._over = threading.Event()
        self._asked = self._answered = 0
        self._asked_at = 0.0
        self._started = False

    def start(self) -> None:
        """Begin to feel. In signal handlers; again is harmless."""
        if not self._started:
            self._started = True
            self._began = SYSTEM.monotonic()
            self._ask()
            with suppress(RuntimeError):  # no more threads
                threading.Thread(target=self._feel, name="pulse", daemon=True).start()

    def stop(self) -> None:
        """End it."""
        self._over.set()

    @property
    def is_held(self) -> bool:
        """Whether the loop has not turned for a while, or not at all since the first signal."""
        if not self._answered:
            return True  # perhaps not even asked: within the handler of the first signal
        waits = self._answered != self._asked
        return waits and SYSTEM.monotonic() - self._asked_at > HELD

    def _ask(self) -> None:
        self._asked_at = SYSTEM.monotonic()
        self._asked += 1
        with suppress(RuntimeError):  # closed
            self._loop.call_soon_threadsafe(self._answer)

    def _answer(self) -> None:
        self._answered = self._asked

    def _feel(self) -> None:
        told = False
        while not (self._over.is_set() or self._loop.is_closed()):
            if self._answered == self._asked:
                self._ask()
            elif not told and SYSTEM.monotonic() - self._asked_at > TOLD:
                told = True
                self._on_held(place_of_thread(self._thread))
            if self.is_held and SYSTEM.monotonic() - self._began > max(self._grace, HELD):
                on_overdue, self._on_overdue = self._on_overdue, None
                if on_overdue is not None:
                    on_overdue(place_of_thread(self._thread))
            self._over.wait(BEAT)


def leave_threads_behind(
    loop: asyncio.AbstractEventLoop, exit_code: int, *, pools: bool = False
) -> None:
    """Let neither the end of the loop nor that of the process wait for hung threads.

    Both wait for the threads of ``asyncio.to_thread``, which cannot be cancelled. Here the loop gets
    a new executor; and when the main thread has ended and what is left does not return, the process
    ends without it. Other threads are waited for as ever.

    Parameters
    ----------
    loop
        The loop of the run that was forced to end.
    exit_code
        What the process exits with if it has to end so, and :func:`leave_with` was not called.
    pools
        Whether the threads and processes of the user's own executors are not waited for either:
        Python does so even for a call that was cancelled.
    """
    everyone = threading.enumerate()
    ours = [t for t in everyone if t.name.startswith(ASYNCIO_THREADS)]
    left = [t for t in everyone if t in ours or (pools and _is_of_a_pool(t))]
    if ours:
        loop.set_default_executor(ThreadPoolExecutor(thread_name_prefix=ASYNCIO_THREADS[:-1]))
    # Those of other loops may stay for as long as the process: one look at each is enough.
    if left := [thread for thread in left if thread not in _watched]:
        _watched.update(left)
        threading.Thread(target=_outlive, args=(left, exit_code), daemon=True).start()


def _is_of_a_pool(thread: threading.Thread) -> bool:
    """Return whether it works for an executor, or looks after the processes of one."""
    # Not by the list that the executors keep: a thread that was interrupted while it was being
    # started is not in it, and nobody ever tells it to end.
    works = getattr(thread, "_target", None) is concurrent.futures.thread._worker  # noqa: SLF001
    return works or type(thread).__name__ == "_ExecutorManagerThread"


#: Threads that are looked after already.
_watched: WeakSet[threading.Thread] = WeakSet()
_exit_code: int | None = None


def leave_with(exit_code: int) -> None:
    """Note what the process is about to exit with."""
    global _exit_code  # noqa: PLW0603 - a process exits once
    _exit_code = exit_code


def _outlive(threads: list[threading.Thread], exit_code: int) -> None:
    while not _main_thread_is_through():
        SYSTEM.pause(BEAT)
        if not any(thread.is_alive() for thread in threads):
            return
    for thread in threading.enumerate():
        if not (thread.daemon or thread in threads or thread is threading.main_thread()):
            thread.join()
    deadline = SYSTEM.monotonic() + PATIENCE
    for thread in threads:
        thread.join(max(0.0, deadline - SYSTEM.monotonic()))
    hung = [thread for thread in threads if thread.is_alive()]
    for thread in hung:
        logger.warning(
            "a call in a thread does not return, at %s; the process ends without it",
            place_of_thread(thread.ident),
        )
    if hung:
        _end(exit_code)


def _end(exit_code: int) -> NoReturn:
    if (children := sys.modules.get("multiprocessing")) is not None:
        for child in children.active_children():
            child.terminate()
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):
            stream.flush()
    if _exit_code is not None:
        exit_code = _exit_code
    elif hasattr(sys, "last_value"):  # an exception ended the script
        exit_code = exit_code or 1
    os._exit(exit_code)


def _main_thread_is_through() -> bool:
    """Return whether Python waits for the threads. To ``join`` the main thread would not tell: that comes after."""
    frame = frame_of(threading.main_thread().ident)
    while frame is not None and frame.f_back is not None:
        frame = frame.f_back
    return frame is None or frame.f_code is threading._shutdown.__code__  # type: ignore[attr-defined]  # noqa: SLF001
