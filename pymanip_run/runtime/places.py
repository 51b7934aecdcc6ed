"""Where a task is at the moment, for the people who wait for it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

__all__ = ["place_of"]

_NOT_THE_USERS = (str(Path(asyncio.__file__).parent), str(Path(__file__).parents[1]))


def place_of(task: asyncio.Task[Any]) -> str:
    """Return where a task waits: ``tasks.py:12 in read_temperatures``.

    It is the innermost line that is neither ours nor asyncio's. `Task.get_stack` would only know
    the outermost one.
    """
    frames = list(_frames(task.get_coro()))
    theirs = [f for f in frames if not f.f_code.co_filename.startswith(_NOT_THE_USERS)]
    if not frames:
        return "an unknown place"
    frame = (theirs or frames)[-1]
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
