"""The ``alarm_tests`` of an experiment file, which `check` runs; apart from all that runs a session."""

# ruff: noqa: PLC0415 - who has no test that fails does not wait for the imports of a run
from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.alarms.traces import traced
from pymanip_run.alarms.words import Words
from pymanip_run.experiment.build.alarms import rules_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymanip_run.alarms.rules import Change
    from pymanip_run.experiment.build.plan import Plan
    from pymanip_run.experiment.model.experiment import AlarmTest
    from pymanip_run.records import VariableInfo

__all__ = ["failed_tests"]


def failed_tests(plan: Plan) -> list[str]:
    """Run the ``alarm_tests`` of an experiment; return for each that fails what happened instead."""
    rules, words = rules_of(plan), Words(lambda: _declared(plan))
    failures = []
    for number, test in enumerate(plan.loaded.model.alarm_tests):
        changes = traced(rules, test.variable, test.values, test.every)
        text = _verdict(test, [c for c in changes if c.level == "active"], words)
        if text:
            failures.append(f"alarm_tests[{number}]: {text}")
    return failures


def _declared(plan: Plan) -> Mapping[str, VariableInfo]:
    from pymanip_run.experiment.run.watch import declared_variables

    return declared_variables(plan)


def _verdict(test: AlarmTest, active: Sequence[Change], words: Words) -> str:
    """Return what is wrong with the outcome of a test; empty if nothing is."""
    found = dict.fromkeys(change.rule.name for change in active)
    missing = [name for name in test.expect if name not in found]
    # One trace often sets off a rate as well as a limit: only `expect: []` says that nothing may.
    surplus = [] if test.expect else list(found)
    texts = [f"{name!r} did not become active" for name in missing]
    for name in surplus:
        change = next(c for c in active if c.rule.name == name)
        what = words.headline(change.rule, change.value, change.time)
        texts.append(f"{name!r} became active at {change.time:g} s ({what}), but is not expected")
    if missing:
        others = ", ".join(f"{c.rule.name!r} at {c.time:g} s" for c in active)
        texts.append(f"active were: {others or 'none'}")
    return "; ".join(texts)
