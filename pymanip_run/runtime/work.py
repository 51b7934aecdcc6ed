"""What the supervisor runs: one `Work` per task, which knows how often and when."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymanip_run.runtime.status import TaskStatus
    from pymanip_run.runtime.stop import StopSignal

    #: Is told kind, source and text of what shall be kept as an event of the run.
    Tell: TypeAlias = Callable[[str, str, str], object]

__all__ = ["FAILED", "Work"]

#: What a step returns that failed and was dealt with: it does not count as run.
FAILED: Final = object()


def _nobody(kind: str, source: str, text: str) -> None:
    pass


class Work(ABC):
    """A task of a run, ready to be run once."""

    tell: Tell = staticmethod(_nobody)

    @abstractmethod
    async def run(self, stop: StopSignal, status: TaskStatus) -> None:
        """Run until the task is through or, after the present step, the stop was asked."""

    def close(self) -> None:  # noqa: B027 - most have nothing to give back
        """Give back what was never started. Called once at the end, however it came."""
