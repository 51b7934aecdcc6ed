"""What a display shows about a task."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Kind", "State", "TaskStatus"]

Kind: TypeAlias = Literal["repeat", "once", "every", "sweep"]
State: TypeAlias = Literal[
    "pending", "running", "waiting", "retrying", "hung", "ended", "failed", "cancelled"
]


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
    state : {'pending', 'running', 'waiting', 'retrying', 'hung', 'ended', 'failed', 'cancelled'}
        ``waiting`` is between two ticks, or for `start_after`; ``pending`` before the start (or
        never started); ``retrying`` is after a failure; ``hung`` while a call that took too long
        does not end.
    runs : int
        Steps completed (points of a sweep).
    errors : int
        Steps that failed.
    failures : int
        Failures in a row, 0 after a success.
    missed : int
        Ticks of the grid that were skipped, because an earlier step or something else took too long.
        Those that pass during the present step: see `missed_by`.
    late : float
        Seconds by which the last tick came too late.
    started : float
        When the task could begin: with the run, or later; ticks are counted from here.
    last_start : float or None
        When the last step began.
    next_due : float or None
        When the next tick, or the next try, is due.
    hung : str or None
        Where a call is that goes on although its time was over.
    waits_for : tuple of str
        Tasks that have to be through before this one begins.
    """

    name: str
    kind: Kind
    period: float | None = None
    state: State = "pending"
    runs: int = 0
    errors: int = 0
    failures: int = 0
    missed: int = 0
    late: float = 0.0
    started: float = 0.0
    last_start: float | None = None
    next_due: float | None = None
    hung: str | None = None
    waits_for: tuple[str, ...] = ()

    def due_in(self, now: float) -> float | None:
        """Return the seconds from `now` (loop time) to the next tick; None where there is none."""
        return None if self.next_due is None else max(0.0, self.next_due - now)

    def missed_by(self, now: float) -> int:
        """Return the ticks missed until `now` (loop time), those of a step that goes on included."""
        if self.period is None or self.last_start is None or self.is_over:
            return self.missed
        if self.state == "waiting":
            return self.missed
        tick = self.last_start - self.late
        return self.missed + max(0, math.floor((now - tick) / self.period + 1e-6))

    @property
    def troubles(self) -> str:
        """What went wrong in words: ``read: 3 failures, 12 missed ticks``; empty if nothing did."""
        counts = ((self.errors, "failure"), (self.missed, "missed tick"))
        words = [f"{n} {what}{'' if n == 1 else 's'}" for n, what in counts if n]
        return f"{self.name}: {', '.join(words)}" if words else ""

    @property
    def is_over(self) -> bool:
        """Whether it will not run any more."""
        return self.state in {"ended", "failed", "cancelled"}
