"""Calls that block the event loop of a dry run, seen from a thread beside it."""

from __future__ import annotations

import asyncio
import os
import sysconfig
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from pymanip_run.clock import SYSTEM
from pymanip_run.runtime.places import frame_of, place_of_frame

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Self

    from pymanip_run.runtime.virtual import VirtualLoop

__all__ = ["BlockingCalls"]

LOOK = 0.02  # real seconds between two looks
LONG = 0.1  # real seconds from which on a call blocks
_PACKAGE = f"{Path(__file__).parents[1]}{os.sep}"
_STEP = asyncio.Handle._run.__code__  # noqa: SLF001 - what the loop calls begins there
_PYTHON = (f"{sysconfig.get_path('stdlib')}{os.sep}", "<frozen ")


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
        self._thread_of_loop = _Scheduled(threading.get_native_id())
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
            passed = min(now - last, 2 * LOOK + used - computed)
            self._look(self._thread_of_loop.not_waiting(passed))
            last, computed = now, used

    def _look(self, passed: float) -> None:
        began = self._loop.turn_began
        step = None if began is None else (began, id(self._task()))
        if step is None or step != self._step:
            self._step, self._held = step, 0.0
            return
        self._held += passed
        if self._held >= LONG and (place := self._place()) is not None:
            self.places[place] = max(self._held, self.places.get(place, 0.0))

    def _task(self) -> asyncio.Task[object] | None:
        try:
            return asyncio.current_task(self._loop)
        except RuntimeError:
            return None

    def _place(self) -> str | None:
        """Return the innermost line of the user, or else of a library that is not called by us alone."""
        frame = frame_of(self._ident)
        library: FrameType | None = None
        imports = False
        while frame is not None:
            file = frame.f_code.co_filename
            if self._is_users(file):
                return place_of_frame(frame)
            imports = imports or file.startswith("<frozen importlib")
            if file.startswith(_PACKAGE) or frame.f_code is _STEP:
                break
            if library is None and not (file.startswith(_PYTHON) and "site-packages" not in file):
                library = frame
            frame = frame.f_back
        # What we import when it is first needed, we import in a measurement too, but once.
        return None if library is None or imports else place_of_frame(library)


class _Scheduled:
    """What a thread did between two looks, as far as Linux tells: a wait for a processor is no call.

    ``schedstat`` has nanoseconds on a processor and nanoseconds of waiting for one, the latter
    without a wait that still goes on (Documentation/scheduler/sched-stats.rst).
    """

    def __init__(self, native_id: int) -> None:
        self._folder = Path(f"/proc/self/task/{native_id}")
        self._last: tuple[float, float] | None = None

    def not_waiting(self, passed: float) -> float:
        """Return how many of the seconds since the last look it did not wait for a processor."""
        try:
            ran, waited, *_ = (
                int(n) / 1e9 for n in (self._folder / "schedstat").read_bytes().split()
            )
            ready = (self._folder / "stat").read_bytes().rpartition(b") ")[2].startswith(b"R")
        except (OSError, ValueError):  # another system, or a kernel without these figures
            return passed
        before, self._last = self._last or (ran, waited), (ran, waited)
        return ran - before[0] if ready else passed - (waited - before[1])
