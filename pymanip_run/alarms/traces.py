"""Made-up values of a variable fed through alarms: what tests of alarms are made of."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.alarms.engine import Engine

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pymanip_run.alarms.rules import Change, Rule

__all__ = ["traced"]


def traced(
    rules: Iterable[Rule], variable: str, values: Sequence[float | None], every: float
) -> list[Change]:
    """Return what alarms make of made-up values of one variable.

    Parameters
    ----------
    rules
        The alarms; those that do not watch the variable are left out.
    variable
        The logged variable.
    values
        Its values; None where nothing is logged.
    every
        Seconds between two of them; the first is at time 0.
    """
    engine = Engine(rule for rule in rules if rule.variable == variable)
    engine.count_ages(0)
    changes: list[Change] = []
    for index, value in enumerate(values):
        ns = round(index * every * 1e9)
        if value is None:
            changes += engine.advance(ns)
        else:
            changes += engine.take(ns, (variable,), (float(value),))
    return changes
