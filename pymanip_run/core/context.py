"""What the code that is running now belongs to, for those who record what it does."""

from __future__ import annotations

import functools
from contextvars import ContextVar
from pathlib import Path

__all__ = [
    "POINT_PREFIX",
    "boot_id",
    "current_point",
    "current_task",
    "cut_sleeps",
    "process_start",
]

#: With the name of the sweep, it names the variable that holds the index of the point.
POINT_PREFIX = "_point_"
#: Name of the sweep and index (from 0) of the point whose step is running, or None outside one.
#: Tasks and threads started by a step inherit it; sweeps that run side by side do not mix.
current_point: ContextVar[tuple[str, int] | None] = ContextVar("current_point", default=None)
#: Receives the seconds of each sleep of the present point that the stop of the run has cut short.
cut_sleeps: ContextVar[list[float] | None] = ContextVar("cut_sleeps", default=None)
#: Name of the task of a run that the code belongs to; None outside one. Inherited in the same way.
current_task: ContextVar[str | None] = ContextVar("current_task", default=None)


@functools.cache
def boot_id() -> str | None:
    """Return what tells this start of the computer from all others; None where the system does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


def process_start(pid: int) -> int | None:
    """Return when a process began, in clock ticks since the computer was started; None if it is not alive.

    With the pid and the boot it tells a process from all others: pids are given again. See proc(5).
    """
    try:
        content = Path(f"/proc/{pid}/stat").read_bytes()
        # The name, in parentheses, may hold anything.
        state, *fields = content[content.rindex(b")") + 1 :].split()
        return None if state in (b"Z", b"X") else int(fields[18])
    except (OSError, ValueError, IndexError):
        return None
