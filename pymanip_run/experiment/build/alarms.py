"""From the alarms of an experiment file to rules."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.alarms.rules import Rule

if TYPE_CHECKING:
    from pymanip_run.experiment.build.plan import Plan

__all__ = ["rules_of"]


def rules_of(plan: Plan) -> list[Rule]:
    """Return the alarms of a plan as rules."""
    return [
        Rule(name, alarm.when, alarm.for_, alarm.clear, alarm.message)
        for name, alarm in ((one.name, one.settings) for one in plan.alarms)
    ]
