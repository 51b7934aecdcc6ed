"""What comes of something that runs in a task of its own.

A task from which SystemExit or KeyboardInterrupt escapes ends the event loop itself, past
everything that others still have to do. Here they are kept for the one who waits.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Awaitable

__all__ = ["CutError", "Outcome", "outcome", "result_of"]

#: The result, and what was raised.
Outcome: TypeAlias = tuple[Any, BaseException | None]


class CutError(RuntimeError):
    """Something was cancelled from within."""


async def outcome(awaitable: Awaitable[Any]) -> Outcome:
    """Return the result, or what was raised; only a cancellation goes on its way."""
    try:
        return await awaitable, None
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - raised by who waits
        return None, error


def result_of(task: asyncio.Task[Outcome]) -> Any:
    """Return the result of a task of `outcome`, or raise what was raised.

    Raises
    ------
    CutError
        If it was cancelled.
    """
    if task.cancelled():
        raise CutError("it was cancelled")
    result, error = task.result()
    if error is not None:
        raise error
    return result
