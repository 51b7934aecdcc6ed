"""Where a task is at the moment, for the people who wait for it."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import gc
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymanip_run.runtime.threads import call_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType, TracebackType

__all__ = ["frame_of", "place_of", "place_of_frame", "place_of_thread", "users_part"]

_NOT_THE_USERS = (str(Path(asyncio.__file__).parent), str(Path(__file__).parents[1]))
_THREADS = (*_NOT_THE_USERS, threading.__file__, concurrent.futures.thread.__file__)
UNKNOWN = "an unknown place"
#: Name of the local variable in which a function of ours has the task that it waits for.
STEP = "step_in_progress"
_LOOKING = threading.RLock()


def place_of(task: asyncio.Task[Any]) -> str:
    """Return where a task waits: ``tasks.py:12 in read_temperatures``.

    It is the innermost line that is neither ours nor asyncio's, also in the thread of a plain
    function that it waits for. `Task.get_stack` would only know the outermost one.
    """
    frames = list(_frames(task.get_coro()))
    if frames and frames[-1].f_code is call_in.__code__:
        return place_of_thread(frames[-1].f_locals["worker"].ident)
    theirs = [f for f in frames if not f.f_code.co_filename.startswith(_NOT_THE_USERS)]
    return place_of_frame((theirs or frames)[-1]) if frames else UNKNOWN


def place_of_thread(ident: int | None) -> str:
    """Return where a thread is at the moment: its innermost line that is neither ours nor Python's."""
    frame = frame_of(ident)
    while frame is not None and frame.f_code.co_filename.startswith(_THREADS):
        frame = frame.f_back
    return UNKNOWN if frame is None else place_of_frame(frame)


def frame_of(ident: int | None) -> FrameType | None:
    """Return the innermost frame of a thread; None when there is no such thread."""
    # Up to Python 3.12 a garbage collection in the midst of this call can stop the whole process for
    # ever: it holds a lock of the interpreter, a finaliser lets others run, and they want that lock
    # (python/cpython, gh-106883).
    with _LOOKING:
        collects = gc.isenabled()
        gc.disable()
        try:
            return sys._current_frames().get(ident or 0)  # noqa: SLF001 - there is no other way
        finally:
            if collects:
                gc.enable()


def users_part(trace: TracebackType | None) -> TracebackType | None:
    """Return a traceback from its first line that is neither ours nor Python's; None without one."""
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_THREADS):
        trace = trace.tb_next
    return trace


def place_of_frame(frame: FrameType) -> str:
    """Return the line of a frame: ``tasks.py:12 in read_temperatures``."""
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


def _frames(waiting: Any) -> Iterator[FrameType]:
    """Follow what awaits what, outermost first."""
    while waiting is not None:
        if isinstance(waiting, asyncio.Task):
            waiting = waiting.get_coro()
            continue
        frame = _first(waiting, "cr_frame", "gi_frame", "ag_frame")
        if frame is not None:
            yield frame
            if (inner := _step_of(frame)) is not None:
                waiting = inner
                continue
        waiting = _first(waiting, "cr_await", "gi_yieldfrom", "ag_await")


def _step_of(frame: FrameType) -> asyncio.Task[Any] | None:
    """Return the task that a frame of ours waits for; asyncio itself hides which that is."""
    if not frame.f_code.co_filename.startswith(_NOT_THE_USERS[1]):
        return None
    inner = frame.f_locals.get(STEP)
    return inner if isinstance(inner, asyncio.Task) and not inner.done() else None


def _first(thing: object, *attributes: str) -> Any:
    for attribute in attributes:
        value = getattr(thing, attribute, None)
        if value is not None:
            return value
    return None
