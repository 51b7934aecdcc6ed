"""Calls that block the event loop of a dry run, seen from a thread beside it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

from pymanip_run.clock import SYSTEM
from pymanip_run.runtime.places import frame_of, place_of_thread

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from pymanip_run.runtime.virtual import VirtualLoop

__all__ = ["BlockingCalls"]

LOOK = 0.02  # real seconds between two looks
LONG = 0.1  # real seconds from which on a call blocks


class BlockingCalls:
    """Context manager that notes which lines hold the loop for more than 0.1 real seconds.

    Parameters
    ----------
    loop
        Runs in this thread.
    is_users
        Whether a file is the user's, to name the line there and not one in a library.

    Attributes
    ----------
    places : dict
        For each line, in words, the longest time that it held the loop.
    """

    def __init__(self, loop: VirtualLoop, is_users: Callable[[str], bool]) -> None:
        self.places: dict[str, float] = {}
        self._loop = loop
        self._is_users = is_users
        self._ident = threading.get_ident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="blocking calls", daemon=True)
        self._step: tuple[float, int] | None = None
        self._held = 0.0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        last, computed = SYSTEM.monotonic(), SYSTEM.computed()
        while not self._over.wait(LOOK):
            now, used = SYSTEM.monotonic(), SYSTEM.computed()
            # Where this thread was held up too, it may have been the whole computer.
            self._look(min(now - last, 2 * LOOK + used - computed))
            last, computed = now, used

    def _look(self, passed: float) -> None:
        began = self._loop.turn_began
        step = None if began is None else (began, id(self._task()))
        if step is None or step != self._step:
            self._step, self._held = step, 0.0
            return
        self._held += passed
        if self._held >= LONG:
            place = self._place()
            self.places[place] = max(self._held, self.places.get(place, 0.0))

    def _task(self) -> asyncio.Task[object] | None:
        try:
            return asyncio.current_task(self._loop)
        except RuntimeError:
            return None

    def _place(self) -> str:
        frame = frame_of(self._ident)
        while frame is not None and not self._is_users(frame.f_code.co_filename):
            frame = frame.f_back
        if frame is None:
            return place_of_thread(self._ident)
        return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
