"""Waiting that has an end, and waiting that is not cut short."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pymanip_run.runtime.cancelling import hide, leave_task_behind
from pymanip_run.runtime.outcomes import outcome, result_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

__all__ = ["NoAnswerError", "drop", "undisturbed", "within"]

#: Seconds that something cancelled gets to clean up, before it is left to itself.
PATIENCE = 1.0


class NoAnswerError(TimeoutError):
    """Something did not come to its end in time."""


async def within(seconds: float | None, awaitable: Awaitable[Any], name: str) -> Any:
    """Await, but at most for some time, also for what does not heed its cancellation.

    Parameters
    ----------
    seconds
        How long.
    awaitable
        What is awaited.
    name
        What it is called if it goes on all the same.

    Raises
    ------
    NoAnswerError
        If it took longer. What it raises itself comes out as it is.
    CutError
        If it was cancelled from within.
    """
    # In a task of its own, which can be left behind.
    task = asyncio.get_running_loop().create_task(outcome(awaitable), name=name)
    hide(task)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        await drop(task)
        raise
    if not done:
        await drop(task)
        raise NoAnswerError
    return result_of(task)


async def drop(task: asyncio.Task[Any]) -> None:
    """Cancel a task and give it a moment to end; whatever comes of it."""
    task.add_done_callback(_retrieve)
    task.cancel()
    try:
        await asyncio.wait({task}, timeout=PATIENCE)
    finally:
        if not task.done():
            leave_task_behind(task)


def _retrieve(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()


async def undisturbed(
    work: Coroutine[Any, Any, Any], on_cancel: Callable[[], object] | None = None
) -> Any:
    """Await to the end, whatever happens; a cancellation takes effect only then.

    The work must have an end of its own. `on_cancel` is called at the first cancellation.
    """
    task = asyncio.get_running_loop().create_task(outcome(work))
    hide(task)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError:
            if not cancelled and on_cancel is not None:
                on_cancel()
            cancelled = True
    if cancelled:
        _retrieve(task)
        raise asyncio.CancelledError
    return result_of(task)
