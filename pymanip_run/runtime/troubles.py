"""What is told of a task in trouble: the first time, now and then, and when it is well again.

A sensor that is switched off on Friday fails thousands of times until Monday. Each failure is
counted; told are the first of a series, another kind of failure in it, once an hour that it still
goes on, and its end. Of series that follow each other quickly only some are told.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from typing import TYPE_CHECKING

from pymanip_run.errors import causes
from pymanip_run.runtime.places import users_part
from pymanip_run.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from pymanip_run.runtime.status import TaskStatus
    from pymanip_run.runtime.work import Tell

__all__ = ["AS_EVENT", "AT_START", "Misses", "Troubles", "one_line", "tell_of_task"]

logger = logging.getLogger(__name__)

#: Marks log records that are told as events too: displays that show events leave them out.
AS_EVENT = {"as_event": True}
#: Those that are told at the start of a run, before there is a display to show them.
AT_START = {"as_event": True, "at_start": True}
REMINDER = 3600.0  # seconds between two reminders
TOLD_AN_HOUR = 10
KINDS = 5  # of failures in one series, each told with its traceback


def one_line(error: BaseException) -> str:
    """Return an error as ``OSError: broken wire``; one of ours in its own words, of a group the first."""
    first, *more = causes(error)
    if first is not error:
        return one_line(first) + (f" (and {len(more)} more)" if more else "")
    if brief := getattr(error, "brief", None):
        return str(brief)
    text = str(error).partition("\n")[0]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def tell_of_task(tell: Tell, kind: str, name: str, text: str) -> None:
    """Make an event of a task, if that is possible."""
    try:
        tell(kind, name, text)
    except Exception as fault:  # noqa: BLE001 - perhaps the disk is full, which is why it failed
        logger.warning("this could not be stored as an event: %s", one_line(fault))


class Troubles:
    """The failures of one task, in series that end when it works again.

    Parameters
    ----------
    status
        Of the task; its counts are kept here.
    tell
        Makes events.
    at
        Tells which step it is.
    """

    def __init__(self, status: TaskStatus, tell: Tell, at: Callable[[], str] | None = None) -> None:
        self._status = status
        self._tell = tell
        self._at = at
        self._since = 0.0
        self._last_told = -math.inf
        self._kinds: set[type[BaseException]] = set()
        self._gave_up = False
        self._is_told = True
        self._series: deque[float] = deque(maxlen=TOLD_AN_HOUR)
        self._untold = 0

    def failed(self, error: BaseException, now: float, what_next: str) -> None:
        """Count a failure; `what_next` says in words what happens now."""
        status = self._status
        status.errors += 1
        status.failures += 1
        if status.failures == 1:
            self._begin(now)
        kind = type(error)
        if self._is_told and kind not in self._kinds and len(self._kinds) < KINDS:
            self._kinds.add(kind)
            where = f"{self._at()}: " if self._at is not None else ""
            text = f"{where}{one_line(error)}; {what_next}{self._not_told()}"
            self._say(now, "error", text, error)
        elif now - self._last_told >= REMINDER:
            self._is_told = True  # then its end too
            span = format_duration(now - self._since)
            self._say(now, "error", f"failed {status.failures} times in {span}: {one_line(error)}")
        else:
            self._untold += not self._is_told

    def gave_up(self, now: float, attempts: int, what_next: str) -> None:
        """Note that no retry is left; told once in a series."""
        if self._is_told and not self._gave_up and attempts > 1:
            self._gave_up = True
            self._say(now, "error", f"failed {attempts} times in a row; {what_next}")

    def worked(self, now: float) -> None:
        """Note that it works again."""
        if self._is_told:
            count, span = self._status.failures, format_duration(now - self._since)
            failures = f"{count} {'failure' if count == 1 else 'failures'}"
            self._say(now, "recovery", f"works again after {failures} in {span}")
        self._status.failures = 0

    def remark(self, now: float, kind: str, text: str) -> None:
        """Tell something else about this series, such as a call that hangs."""
        if self._is_told:
            self._say(now, kind, text)

    def _begin(self, now: float) -> None:
        self._since = now
        self._kinds.clear()
        self._gave_up = False
        full = len(self._series) == TOLD_AN_HOUR
        self._is_told = not (full and now - self._series[0] < REMINDER)
        if self._is_told:
            self._series.append(now)

    def _not_told(self) -> str:
        untold, self._untold = self._untold, 0
        return f" ({untold} failures before were only counted)" if untold else ""

    def _say(self, now: float, kind: str, text: str, error: BaseException | None = None) -> None:
        self._last_told = now
        name = self._status.name
        level = logging.WARNING if kind == "error" else logging.INFO
        logger.log(level, "task %r: %s", name, text, exc_info=_trace(error), extra=AS_EVENT)
        tell_of_task(self._tell, kind, name, text)


def _trace(
    error: BaseException | None,
) -> tuple[type[BaseException], BaseException, TracebackType | None] | None:
    """Return the users' part of a traceback for a log record; None where nothing of theirs raised."""
    if error is None:
        return None
    part = users_part(error.__traceback__)
    return None if part is None and error.__cause__ is None else (type(error), error, part)


class Misses:
    """The missed ticks of one task: told at once, then at most once an hour."""

    def __init__(self, name: str, tell: Tell) -> None:
        self._name = name
        self._tell = tell
        self._last_told = -math.inf
        self._untold = 0

    def add(self, count: int, now: float, reason: str) -> None:
        """Count missed ticks and say why, if it is time to."""
        if now - self._last_told < REMINDER:
            self._untold += count
            return
        more = f" ({self._untold} more since the last time this was told)" if self._untold else ""
        self._last_told, self._untold = now, 0
        text = f"{count} {'tick' if count == 1 else 'ticks'} missed: {reason}{more}"
        logger.warning("task %r: %s", self._name, text, extra=AS_EVENT)
        tell_of_task(self._tell, "warning", self._name, text)
