"""What a display shows about a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Kind", "State", "TaskStatus"]

Kind: TypeAlias = Literal["repeat", "once", "every", "sweep"]
State: TypeAlias = Literal["pending", "running", "waiting", "ended", "failed", "cancelled"]


@dataclass(slots=True)
class TaskStatus:
    """How a task of a run is doing. Times are those of the event loop (``loop.time()``).

    Attributes
    ----------
    name : str
        Unique in its run.
    kind : {'repeat', 'once', 'every', 'sweep'}
        How it is run.
    period : float or None
        Seconds between two ticks of an ``every``.
    state : {'pending', 'running', 'waiting', 'ended', 'failed', 'cancelled'}
        ``waiting`` is between two ticks, ``pending`` before the start (or never started).
    runs : int
        Steps completed (points of a sweep).
    errors : int
        Steps that failed.
    missed : int
        Ticks of the grid that were skipped, because an earlier step or something else took too long.
    late : float
        Seconds by which the last tick came too late.
    started : float
        When the run began; ticks are counted from here.
    last_start : float or None
        When the last step began.
    next_due : float or None
        When the next tick is due.
    """

    name: str
    kind: Kind
    period: float | None = None
    state: State = "pending"
    runs: int = 0
    errors: int = 0
    missed: int = 0
    late: float = 0.0
    started: float = 0.0
    last_start: float | None = None
    next_due: float | None = None

    def due_in(self, now: float) -> float | None:
        """Return the seconds from `now` (loop time) to the next tick; None where there is none."""
        return None if self.next_due is None else max(0.0, self.next_due - now)

    @property
    def is_over(self) -> bool:
        """Whether it will not run any more."""
        return self.state in {"ended", "failed", "cancelled"}
