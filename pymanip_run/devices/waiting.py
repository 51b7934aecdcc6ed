"""Waiting that has an end, and waiting that is not cut short."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

__all__ = ["CutError", "NoAnswerError", "drop", "outcome", "result_of", "undisturbed", "within"]

#: Seconds that something cancelled gets to clean up, before it is left to itself.
PATIENCE = 1.0


class NoAnswerError(TimeoutError):
    """Something did not come to its end in time."""


class CutError(RuntimeError):
    """Something was cancelled from within."""


async def outcome(awaitable: Awaitable[Any]) -> tuple[Any, BaseException | None]:
    """Return the result, or what was raised: SystemExit of a driver in a task would end the loop."""
    try:
        return await awaitable, None
    except asyncio.CancelledError:
        raise
    except BaseException as error:  # noqa: BLE001 - raised by who waits
        return None, error


def result_of(task: asyncio.Task[tuple[Any, BaseException | None]]) -> Any:
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


async def within(seconds: float | None, awaitable: Awaitable[Any]) -> Any:
    """Await, but at most for some time, also for what does not heed its cancellation.

    Raises
    ------
    NoAnswerError
        If it took longer. What it raises itself comes out as it is.
    CutError
        If it was cancelled from within.
    """
    # In a task of its own, which can be left behind.
    task = asyncio.ensure_future(outcome(awaitable))
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        await drop(task)
        raise
    if not done:
        await drop(task)
        raise NoAnswerError
    return result_of(task)


async def drop(task: asyncio.Future[Any]) -> None:
    """Cancel a task and give it a moment to end; whatever comes of it."""
    task.add_done_callback(_retrieve)
    task.cancel()
    await asyncio.wait({task}, timeout=PATIENCE)


def _retrieve(task: asyncio.Future[Any]) -> None:
    if not task.cancelled():
        task.exception()


async def undisturbed(
    work: Coroutine[Any, Any, Any], on_cancel: Callable[[], object] | None = None
) -> Any:
    """Await to the end, whatever happens; a cancellation takes effect only then.

    The work must have an end of its own. `on_cancel` is called at the first cancellation.
    """
    task = asyncio.ensure_future(work)
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
    return task.result()
