"""What runs beside the tasks, and never ends a run: displays, servers, mail."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Fault = Callable[[str, BaseException], object]

__all__ = ["Observers"]

logger = logging.getLogger(__name__)


class Observers:
    """The observers of a run.

    Parameters
    ----------
    on_fault
        Is called with the name of an observer and its exception.
    on_interrupt
        The same for a KeyboardInterrupt, which is no fault of the observer.
    """

    def __init__(self, on_fault: Fault | None, on_interrupt: Fault) -> None:
        self._on_fault = on_fault
        self._on_interrupt = on_interrupt
        #: Those that have not ended.
        self.tasks: set[asyncio.Task[Any]] = set()

    def start(self, observer: Coroutine[Any, Any, object], name: str) -> asyncio.Task[None]:
        """Start one."""
        task = asyncio.get_running_loop().create_task(self._observe(observer, name), name=name)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        task.add_done_callback(lambda _: observer.close())  # cancelled before it began
        return task

    async def _observe(self, observer: Coroutine[Any, Any, object], name: str) -> None:
        try:
            await observer
        except KeyboardInterrupt as error:
            self._on_interrupt(name, error)
        except (Exception, SystemExit) as error:
            logger.exception("%s failed; the run goes on without it", name)
            self._report(name, error)

    def _report(self, name: str, error: BaseException) -> None:
        if self._on_fault is None:
            return
        try:
            self._on_fault(name, error)
        except Exception:
            logger.exception("the failure of %s could not be reported", name)
