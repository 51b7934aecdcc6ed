"""Where a task is at the moment, for the people who wait for it."""

from __future__ import annotations

import asyncio
import concurrent.futures.thread
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["place_of", "place_of_thread"]

_NOT_THE_USERS = (str(Path(asyncio.__file__).parent), str(Path(__file__).parents[1]))
_THREADS = (*_NOT_THE_USERS, threading.__file__, concurrent.futures.thread.__file__)
UNKNOWN = "an unknown place"


def place_of(task: asyncio.Task[Any]) -> str:
    """Return where a task waits: ``tasks.py:12 in read_temperatures``.

    It is the innermost line that is neither ours nor asyncio's. `Task.get_stack` would only know
    the outermost one.
    """
    frames = list(_frames(task.get_coro()))
    theirs = [f for f in frames if not f.f_code.co_filename.startswith(_NOT_THE_USERS)]
    return _place((theirs or frames)[-1]) if frames else UNKNOWN


def place_of_thread(ident: int | None) -> str:
    """Return where a thread is at the moment: its innermost line that is neither ours nor Python's."""
    frame = sys._current_frames().get(ident or 0)  # noqa: SLF001 - there is no other way
    while frame is not None and frame.f_code.co_filename.startswith(_THREADS):
        frame = frame.f_back
    return UNKNOWN if frame is None else _place(frame)


def _place(frame: FrameType) -> str:
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
        waiting = _first(waiting, "cr_await", "gi_yieldfrom", "ag_await")


def _first(thing: object, *attributes: str) -> Any:
    for attribute in attributes:
        value = getattr(thing, attribute, None)
        if value is not None:
            return value
    return None
