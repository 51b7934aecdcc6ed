"""What alarms say: each text has the value, the limit, and what will clear the alarm."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING

from pymanip_run.clock import iso_local
from pymanip_run.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pymanip_run.alarms.grammar import Condition
    from pymanip_run.alarms.rules import Change, Rule, Status
    from pymanip_run.records import Description, VariableInfo

__all__ = ["Words"]

_ABOVE = {
    ">": "above", ">=": "at or above", "<": "below", "<=": "at or below",
    "==": "equal to", "!=": "other than",
}  # fmt: skip
_MORE = {
    ">": "more than", ">=": "at least", "<": "less than", "<=": "at most",
    "==": "exactly", "!=": "not exactly",
}  # fmt: skip


class Words:
    """Puts alarms into words.

    Parameters
    ----------
    variables
        Returns what is known of the variables: their units and formats.
    """

    def __init__(self, variables: Callable[[], Mapping[str, VariableInfo]]) -> None:
        self._variables = variables

    def at_once(self) -> Words:
        """Return the same for several texts at once, which looks the variables up at most once."""
        return Words(functools.cache(self._variables))

    def headline(self, rule: Rule, value: float, now: float) -> str:
        """Return what is wrong: ``T_bottom above 60 °C (61.2)``.

        Parameters
        ----------
        rule
            The alarm.
        value
            The quantity that it watches.
        now
            Unix seconds.
        """
        if rule.period is not None:
            since = iso_local(now - value)[11:19] if math.isfinite(value) else "long ago"
            return f"no fresh value since {since} (period {format_duration(rule.period)})"
        when = rule.when
        if when.quantity == "age" and when.comparison in (">", ">=") and math.isfinite(value):
            limit = format_duration(when.limit)
            return f"no value of {when.variable} for {format_duration(value)} (limit {limit})"
        return f"{self._stated(when)}{self._bracketed(when, value)}"

    def clears(self, rule: Rule) -> str:
        """Return what will clear the alarm: ``cleared when T_bottom is below 55 °C``."""
        if rule.period is not None:
            return "cleared by the next value"
        if rule.clear is not None:
            return f"cleared when {self._as_sentence(rule.clear)}"
        if rule.when.quantity == "age":
            return f"cleared by the next value of {rule.variable}"
        return f"cleared when it is no longer {self._limit(rule.when)}"

    def became_active(self, change: Change) -> str:
        """Return the text of an alarm that became active."""
        rule = change.rule
        text = self.headline(rule, change.value, change.time)
        if rule.hold and rule.period is None:
            text += f" for {format_duration(rule.hold)}"
        text = f"{rule.message}: {text}" if rule.message else text
        return text if rule.period is not None else f"{text}; {self.clears(rule)}"

    def cleared(self, change: Change) -> str:
        """Return the text of an alarm that was cleared."""
        rule = change.rule
        if rule.period is not None:
            return "values come again"
        by = rule.clear or rule.when
        if by.quantity == "age":
            return f"cleared: {by.variable} has values again"
        what = self._subject(by)
        verb = "is" if rule.clear is not None else "is no longer"
        bracket = self._bracketed(by, change.cause)
        return f"cleared: {what} {verb} {self._limit(by)}{bracket}"

    def status(self, status: Status, now: float) -> str:
        """Return how an alarm is doing now, in a few words."""
        rule = status.rule
        if status.level == "ok":
            return "ok"
        if status.level == "cleared":
            return f"cleared {iso_local(status.time)[11:19]}"
        headline = self.headline(rule, self.value(status, now), now)
        if status.level == "pending":
            return f"{headline}, alarm in {format_duration(rule.hold - (now - status.time))}"
        earlier = ", in an earlier run" if status.restored else ""
        return f"{headline}, since {_when(status)}{earlier}; {self.clears(rule)}"

    def still_active(self, status: Status) -> str:
        """Return the text of an alarm that an earlier run left active."""
        rule = status.rule
        text = self.headline(rule, status.value, status.time)
        text = f"{rule.message}: {text}" if rule.message else text
        return f"still active since {_when(status)}, in an earlier run: {text}; {self.clears(rule)}"

    @staticmethod
    def value(status: Status, now: float) -> float:
        """Return the value that a status tells: ages go on, also since an earlier run."""
        aged = status.rule.when.quantity == "age"
        return status.value + now - status.time if aged else status.value

    # -- parts ------------------------------------------------------------------------------------

    def _stated(self, condition: Condition) -> str:
        """``T_bottom above 60 °C``."""
        if condition.quantity == "age":
            return f"{condition.variable}: last value {_MORE[condition.comparison]} {format_duration(condition.limit)} old"
        return f"{self._subject(condition)} {self._limit(condition)}"

    def _as_sentence(self, condition: Condition) -> str:
        """``T_bottom is below 55 °C``."""
        if condition.quantity == "age":
            return self._stated(condition)
        return f"{self._subject(condition)} is {self._limit(condition)}"

    @staticmethod
    def _subject(condition: Condition) -> str:
        name = f"|{condition.variable}|" if condition.magnitude else condition.variable
        if condition.quantity == "rate":
            return f"rate of {condition.variable}" + (
                " (up or down)" if condition.magnitude else ""
            )
        return name

    def _limit(self, condition: Condition) -> str:
        """``above 60 °C``, ``above 2 °C per 1 min``."""
        word = _ABOVE[condition.comparison]
        if condition.quantity == "age":
            return f"older than {format_duration(condition.limit)}"
        text = f"{word} {condition.limit * condition.per:.10g}{self._unit(condition.variable)}"
        if condition.quantity == "rate":
            text += f" per {format_duration(condition.per)}"
        return text

    def _bracketed(self, condition: Condition, value: float) -> str:
        """`` (61.2)``."""
        if math.isnan(value):
            return ""
        if condition.quantity == "age":
            return f" ({format_duration(value)})"
        if condition.quantity == "rate":
            return f" ({value * condition.per:.3g})"
        return f" ({self._number(condition.variable, value)})"

    def _unit(self, name: str) -> str:
        found = self._description(name)
        return f" {found.unit}" if found is not None and found.unit else ""

    def _number(self, name: str, value: float) -> str:
        found = self._description(name)
        return format(value, found.format if found and found.format else ".6g")

    def _description(self, name: str) -> Description | None:
        info = self._variables().get(name)
        return None if info is None else info.description


def _when(status: Status) -> str:
    return iso_local(status.time)[:19].replace("T", " ")
