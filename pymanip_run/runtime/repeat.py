"""Tasks that run again and again, and those that forget to let others run."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any

from pymanip_run.runtime.stop import TURN
from pymanip_run.runtime.work import FAILED, Work

if TYPE_CHECKING:
    from pymanip_run.runtime.calls import Step
    from pymanip_run.runtime.status import TaskStatus
    from pymanip_run.runtime.stop import StopSignal

__all__ = ["Repeat"]

logger = logging.getLogger(__name__)

PATIENCE = 1.0  # seconds without a single await until the task is named
LOOK_PERIOD = 0.005  # a look costs as much as an empty step
QUICK = 0.001  # steps longer than this can all be looked at
GAP = 0.05


class Repeat(Work):
    """Runs a step again and again; between two steps the other tasks have their turn."""

    def __init__(self, step: Step) -> None:
        self._step = step

    async def run(self, stop: StopSignal, status: TaskStatus) -> None:
        """Run the steps until the stop."""
        step = self._step
        now = asyncio.get_running_loop().time
        watch = _Watch(status.name)
        status.state = "running"
        # Kept lean: steps may be empty, and there may be hundreds of such tasks.
        while not stop.is_set:
            status.last_start = began = now()
            result = await (step() if began < watch.next_look else watch.look(step, began))
            if result is not FAILED:
                status.runs += 1
            await TURN


class _Watch:
    """Looks now and then whether a step let others run, and names the task that never does.

    Whether a step gave way is seen by a callback that is put before it in the loop's queue: it
    has run by the end of the step only if the loop had a turn meanwhile.
    """

    def __init__(self, name: str) -> None:
        self.next_look = 0.0
        self._name = name
        self._loop = asyncio.get_running_loop()
        self._selfish_since: float | None = None
        self._had_turn = False

    async def look(self, step: Step, began: float) -> Any:
        """Run the step and see whether it gave way."""
        if self.next_look and began - self.next_look > GAP:
            self._selfish_since = None  # a step that was not looked at took long: it may have slept
        self._had_turn = False
        self._loop.call_soon(self._turn)
        result = await step()
        ended = self._loop.time()
        self.next_look = ended + LOOK_PERIOD if ended - began < QUICK else 0.0
        if self._had_turn:
            self._selfish_since = None
        elif self._selfish_since is None:
            self._selfish_since = began
        elif ended - self._selfish_since >= PATIENCE:
            self._warn()
        return result

    def _turn(self) -> None:
        self._had_turn = True

    def _warn(self) -> None:
        self.next_look = math.inf
        logger.warning(
            "task %r never awaits anything: it is called again and again as fast as possible and "
            "slows the others down; let it `await sesn.sleep(...)`, or run it with every(...)",
            self._name,
        )
