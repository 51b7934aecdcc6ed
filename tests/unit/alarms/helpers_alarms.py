"""Rules written as in an experiment file, and an engine that is told of seconds."""

from pymanip_run.alarms.engine import Engine
from pymanip_run.alarms.grammar import parse_condition
from pymanip_run.alarms.rules import Rule

NS = 10**9


def rule(when, name="a", hold=0.0, clear=None, **more):
    return Rule(
        name, parse_condition(when), hold, parse_condition(clear) if clear else None, **more
    )


class Bench:
    """An engine; every call returns what changed as (seconds, alarm, level)."""

    def __init__(self, *rules, restored=None, start=0.0):
        self.engine = Engine(rules, restored)
        if start is not None:
            self.engine.count_ages(round(start * NS))

    def see(self, seconds, **values):
        return self._short(
            self.engine.take(round(seconds * NS), tuple(values), tuple(map(float, values.values())))
        )

    def wait(self, seconds):
        return self._short(self.engine.advance(round(seconds * NS)))

    def levels(self):
        return {status.rule.name: status.level for status in self.engine.statuses()}

    def level(self):
        return next(iter(self.levels().values()))

    @staticmethod
    def _short(changes):
        return [(round(change.ns / NS, 3), change.rule.name, change.level) for change in changes]
