"""Ending tasks that do not end by themselves, and leaving those that do not even then."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from pymanip_run.runtime.places import place_of

__all__ = ["LAST_PATIENCE", "cancel", "leave_task_behind"]

logger = logging.getLogger(__name__)

LAST_PATIENCE = 1.0  # seconds, for what has been cancelled before
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


def leave_task_behind(task: asyncio.Task[Any]) -> None:
    """Let nobody wait for a task that does not heed its cancellation: `asyncio.run` would for ever."""
    asyncio.tasks._unregister_task(task)  # noqa: SLF001 - documented under "Extending asyncio"
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001 - it was told already
    _left.append(task)
