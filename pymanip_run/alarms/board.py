"""The states of all alarms at a glance, for displays, mails and the dashboard."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pymanip_run.alarms.rules import Level, Status
    from pymanip_run.alarms.words import Words

__all__ = ["Board", "Line"]

NO_FRESH_VALUE = "no fresh value"
_WORST = ("active", "pending", "cleared", "ok")


class Line(NamedTuple):
    """One alarm.

    Attributes
    ----------
    text : str
        How it is doing, with value, limit and what clears it.
    short : str
        The same in two or three words.
    headline : str
        What is wrong, with the value; empty unless it is active or about to be.
    message : str
        What the experiment says of it, empty where it says nothing.
    since : float or None
        Unix seconds at which it became so; None if it was so from the beginning.
    value : float
        The quantity that it watches, when it became so; NaN if it never did.
    implied : bool
        Whether it is not of the experiment, but follows from the period of a variable.
    """

    name: str
    variable: str
    level: Level
    text: str
    short: str
    headline: str
    message: str
    since: float | None
    value: float
    implied: bool

    def as_json(self) -> dict[str, Any]:
        """Return it as what JSON holds."""
        return {
            "name": self.name,
            "variable": self.variable,
            "state": self.level,
            "text": self.text,
            "since": self.since,
            "value": self.value if math.isfinite(self.value) else None,
        }


class Board:
    """Tells how the alarms are doing. From any thread.

    Parameters
    ----------
    statuses
        Returns their states.
    words
        Puts them into words.
    now
        Returns the session's time in Unix seconds.
    """

    def __init__(
        self, statuses: Callable[[], Sequence[Status]], words: Words, now: Callable[[], float]
    ) -> None:
        self._statuses = statuses
        self._words = words
        self._now = now

    def lines(self) -> list[Line]:
        """Return all alarms in their order; those implied by a period only while they are not ok."""
        now, words = self._now(), self._words.at_once()
        lines = [_line(status, words, now) for status in self._statuses()]
        return [line for line in lines if not line.implied or line.level == "active"]

    def worst(self) -> Mapping[str, Line]:
        """Return the worst alarm of each variable that has one."""
        lines = sorted(self.lines(), key=lambda line: (_WORST.index(line.level), line.implied))
        worst: dict[str, Line] = {}
        for line in lines:
            worst.setdefault(line.variable, line)
        return worst


def _line(status: Status, words: Words, now: float) -> Line:
    rule = status.rule
    wrong = status.level in ("active", "pending")
    return Line(
        name=rule.name,
        variable=rule.variable,
        level=status.level,
        text=words.status(status, now),
        short=_short(status, now),
        headline=words.headline(rule, words.value(status, now), now) if wrong else "",
        message=rule.message or "",
        since=status.time if status.since else None,
        value=status.value,
        implied=rule.period is not None,
    )


def _short(status: Status, now: float) -> str:
    rule = status.rule
    if status.level == "active":
        return NO_FRESH_VALUE if rule.when.quantity == "age" else rule.name
    if status.level == "pending":
        return f"{rule.name} in {max(0.0, rule.hold - (now - status.time)):.0f} s"
    return str(status.level)
