"""What is said of tasks that are not well: failing, hanging, missing their ticks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pymanip_run.livetable.text import inert
from pymanip_run.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymanip_run.livetable.state import TaskProgress

__all__ = ["missed_words", "trouble_words", "troubles"]


def troubles(tasks: Sequence[TaskProgress], now: float) -> list[str]:
    """Return a line for each task that fails or hangs, and one for all missed ticks."""
    lines = [text for task in tasks if (text := trouble_words(task, now))]
    missed = missed_words(tasks)
    return [*lines, missed] if missed else lines


def trouble_words(task: TaskProgress, now: float) -> str:
    """Return ``read_temperatures: failed 3 times, next try in 4 s``; empty if all is well."""
    name = inert(task.name)
    if task.hung is not None:
        return f"{name}: a call does not end, at {inert(task.hung)}"
    if not task.failures:
        return ""
    times = "once" if task.failures == 1 else f"{task.failures} times"
    due = task.next_due
    if due is None or due <= now:
        return f"{name}: failed {times}"
    what = "next try" if task.state == "retrying" else "next"
    return f"{name}: failed {times}, {what} in {format_duration(math.ceil(due - now))}"


def missed_words(tasks: Sequence[TaskProgress]) -> str:
    """Return ``missed ticks: read_temperatures 12, scan 3``; empty if there are none."""
    counts = [f"{inert(task.name)} {task.missed}" for task in tasks if task.missed]
    return f"missed ticks: {', '.join(counts)}" if counts else ""
