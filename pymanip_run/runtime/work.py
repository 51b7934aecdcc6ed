"""What the supervisor runs: one `Work` per task, which knows how often and when."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymanip_run.runtime.status import TaskStatus
    from pymanip_run.runtime.stop import StopSignal

__all__ = ["Work"]


class Work(ABC):
    """A task of a run, ready to be run once."""

    @abstractmethod
    async def run(self, stop: StopSignal, status: TaskStatus) -> None:
        """Run until the task is through or, after the present step, the stop was asked."""

    def close(self) -> None:  # noqa: B027 - most have nothing to give back
        """Give back what was never started. Called once at the end, however it came."""
