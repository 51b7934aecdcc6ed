"""An alarm as it was ordered, and what it says of itself at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from pymanip_run.alarms.grammar import Condition
from pymanip_run.clock import as_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pymanip_run.records import VariableInfo

__all__ = ["Change", "Level", "Rule", "Status", "stale_rules"]

Level: TypeAlias = Literal["ok", "pending", "active", "cleared"]


@dataclass(frozen=True)
class Rule:
    """An alarm: when it becomes active, and what ends it.

    Parameters
    ----------
    name
        What it is called.
    when
        What it watches for.
    hold
        Seconds for which that must hold before the alarm is active.
    clear
        What ends it; None: that `when` does not hold any more.
    message
        What people are told; None: the condition.
    period
        Of the variable, for the rules of :func:`stale_rules`; None for all others.
    """

    name: str
    when: Condition
    hold: float = 0.0
    clear: Condition | None = None
    message: str | None = None
    period: float | None = None

    @property
    def variable(self) -> str:
        """The variable that it watches."""
        return self.when.variable

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What it depends on."""
        return (self.when,) if self.clear is None else (self.when, self.clear)


class Change(NamedTuple):
    """An alarm became active or was cleared.

    Attributes
    ----------
    level : {'active', 'cleared'}
        What it is now.
    ns : int
        When, in nanoseconds.
    value : float
        The quantity that it watches at this time; NaN where it is not known.
    cause : float
        The quantity of the condition that cleared it.
    """

    rule: Rule
    level: Level
    ns: int
    value: float
    cause: float

    @property
    def time(self) -> float:
        """Unix seconds."""
        return as_seconds(self.ns)


class Status(NamedTuple):
    """How an alarm is doing.

    Attributes
    ----------
    since : int
        When it became so, in nanoseconds; 0 for one that was ok from the beginning.
    value : float
        The quantity that it watches, when it became active or is about to; NaN if it never was.
    restored : bool
        Whether it is active since an earlier run.
    """

    rule: Rule
    level: Level
    since: int = 0
    value: float = float("nan")
    restored: bool = False

    @property
    def time(self) -> float:
        """Unix seconds of `since`."""
        return as_seconds(self.since)


def stale_rules(variables: Mapping[str, VariableInfo], names: Iterable[str] = ()) -> list[Rule]:
    """Return a rule for each variable with a period: it is stale when no value came for a few of them.

    Parameters
    ----------
    variables
        What is known of the variables.
    names
        Of rules that exist already; these stay as they are.
    """
    taken = set(names)
    rules = []
    for name, info in variables.items():
        limit = info.description.stale_after
        if limit is None or name.startswith("_") or f"{name} stale" in taken:
            continue
        when = Condition(name, "age", False, ">", limit, f"age({name}) > {limit:g}s")
        rules.append(Rule(f"{name} stale", when, period=info.description.period))
    return rules
