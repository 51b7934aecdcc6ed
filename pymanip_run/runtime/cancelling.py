"""Ending tasks that do not end by themselves, and leaving those that do not even then."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

from pymanip_run.runtime.places import place_of

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["LAST_PATIENCE", "alone", "cancel", "hide", "leave_task_behind"]

logger = logging.getLogger(__name__)

LAST_PATIENCE = 1.0  # seconds, for what has been cancelled before
PATIENCE = 3.0  # seconds, for what somebody left in the loop

_T = TypeVar("_T")
#: Tasks that nobody waits for any more; thrown away, they would end in the midst of something.
_left: list[asyncio.Task[Any]] = []


async def cancel(tasks: set[asyncio.Task[Any]], patience: float) -> None:
    """Cancel tasks and wait for their ends; those that go on are named and left behind.

    Twice, for a task that took the first for something else; in between it may clean up.
    """
    for seconds in (patience, min(LAST_PATIENCE, patience)):
        for task in tasks:
            task.cancel()
        if tasks:
            _, tasks = await asyncio.wait(tasks, timeout=seconds)
    for task in tasks:
        logger.error("task %r was cancelled but goes on, at %s", task.get_name(), place_of(task))
        leave_task_behind(task)


async def alone(main: Coroutine[Any, Any, _T]) -> _T:
    """Await `main`, for ``asyncio.run``, then end all other tasks of the loop.

    `asyncio.run` would do so too, but wait for ever for one that does not heed its cancellation: a
    driver that does not close, or what a task began and forgot.
    """
    try:
        return await main
    finally:
        present = asyncio.current_task()
        await cancel({task for task in asyncio.all_tasks() if task is not present}, PATIENCE)


def hide(task: asyncio.Task[Any]) -> None:
    """Let nobody cancel a task but who knows it.

    When an exception has broken out of the loop (`SystemExit` of a child task, or the second Ctrl-C
    in it), `asyncio.run` cancels all tasks at once: an instrument would be closed before it is safe.
    """
    asyncio.tasks._unregister_task(task)  # noqa: SLF001 - documented under "Extending asyncio"


def leave_task_behind(task: asyncio.Task[Any]) -> None:
    """Let nobody wait for a task that does not heed its cancellation: `asyncio.run` would for ever."""
    hide(task)
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - it was told already
    _left.append(task)
