"""What runs beside the tasks of a run and never ends it: regular mails, plots."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any

    from pymanip_run.runtime.stop import StopSignal

__all__ = ["Beside"]


class Beside(ABC):
    """Something for ``monitor`` that is no task: the run does not wait for it, its faults do not end it.

    Alone, without any task, it can be awaited: then it runs until the stop is asked.

    Parameters
    ----------
    name
        What displays and events call it.
    stop
        That of the session.
    """

    def __init__(self, name: str, stop: StopSignal) -> None:
        self.name = self.__name__ = name
        self._stop = stop

    @abstractmethod
    async def run(self) -> None:
        """Run until it is cancelled."""

    def __await__(self) -> Generator[Any, None, None]:
        return self._until_stopped().__await__()

    async def _until_stopped(self) -> None:
        job = asyncio.get_running_loop().create_task(self.run(), name=self.name)
        try:
            await self._stop.wait()
        finally:
            job.cancel()
            with suppress(asyncio.CancelledError):
                await job
