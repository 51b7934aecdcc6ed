"""When a task begins: with the run, some time after, or when others are through."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pymanip_run.runtime.points import END, unless_stopped

if TYPE_CHECKING:
    from pymanip_run.runtime.status import TaskStatus
    from pymanip_run.runtime.stop import StopSignal

__all__ = ["Gate", "Start"]


class Gate:
    """Opens when a task is through, however it ended."""

    def __init__(self, name: str) -> None:
        #: Of the task.
        self.name = name
        #: When it opened, loop time.
        self.opened_at: float | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def open(self) -> None:
        """Let pass those that wait, and whoever comes."""
        self.opened_at = asyncio.get_running_loop().time()
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()

    async def passed(self) -> None:
        """Return when it is open."""
        if self.opened_at is None:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter


class Start:
    """When a task begins.

    Parameters
    ----------
    delay
        Seconds after the start of the run, or after the last of the gates opened.
    """

    def __init__(self, delay: float = 0.0) -> None:
        self.delay = delay
        #: All must be open.
        self.gates: list[Gate] = []

    async def come(self, stop: StopSignal, status: TaskStatus) -> bool:
        """Wait for it, and set ``status.started``; return False if the stop was asked before."""
        for gate in self.gates:
            closed = [g.name for g in self.gates if g.opened_at is None]
            status.waits_for = tuple(closed)
            if await unless_stopped(stop, gate.passed()) is END:
                return False
            status.started = max(status.started, gate.opened_at or 0.0)
        status.waits_for = ()
        if not self.delay:
            return True
        status.started += self.delay
        status.next_due = status.started
        status.state = "waiting"
        stopped = await stop.sleep_until(status.started)
        status.next_due = None
        return not stopped
