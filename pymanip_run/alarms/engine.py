"""The states of alarms, from values and from time that passes. Knows no clock and does nothing else.

Each alarm is ok, *pending* (its condition holds, but not yet for long enough), *active*, and after
its cause is gone *cleared*. It looks at states, not at edges: a value counts until the next one.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pymanip_run.alarms.gauges import Gauge, Rate, Subject, Value, gauge_of
from pymanip_run.alarms.rules import Change, Level, Rule, Status

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pymanip_run.alarms.grammar import Condition

__all__ = ["Engine"]


class Engine:
    """Evaluates alarms. Not for several threads at once; times are nanoseconds of the session.

    Parameters
    ----------
    rules
        The alarms.
    restored
        Those that were active when an earlier run ended, by name: since when, and their values.

    Attributes
    ----------
    due : int or None
        When :meth:`advance` has something to do, at the earliest; None: not before the next value.
    """

    def __init__(
        self, rules: Iterable[Rule], restored: Mapping[str, tuple[int, float]] | None = None
    ) -> None:
        self.due: int | None = None
        self._subjects: dict[str, Subject] = {}
        self._watches: list[_Watch] = []
        self._by_variable: dict[str, tuple[Subject, list[_Watch], list[_Watch]]] = {}
        self._ages_from: int | None = None
        self._changes: list[Change] = []
        self._now = 0
        for rule in rules:
            self.add(rule)
        for watch in self._watches:
            if restored and watch.rule.name in restored:
                watch.restore(*restored[watch.rule.name])

    def add(self, rule: Rule) -> None:
        """Evaluate one more alarm."""
        watch = _Watch(rule, self._gauge)
        self._watches.append(watch)
        for gauge in watch.gauges:
            subject = gauge.subject
            _, watches, aged = self._by_variable.setdefault(subject.name, (subject, [], []))
            if watch not in watches:
                watches.append(watch)
            if gauge.ages and watch not in aged:
                aged.append(watch)

    def _gauge(self, condition: Condition) -> Gauge:
        subject = self._subjects.setdefault(condition.variable, Subject(condition.variable))
        return gauge_of(condition, subject, lambda: self._ages_from)

    def count_ages(self, since: int | None) -> None:
        """Let ages count from a time on, as at the start of a run; None: they do not count any more.

        When a run stops, values end: that is no fault of theirs.
        """
        self._ages_from = since
        for watch in self._watches:
            if any(gauge.ages for gauge in watch.gauges):
                self._look(watch, self._now if since is None else since)
        self._set_due()

    def take(self, ns: int, names: Sequence[str], values: Sequence[float]) -> list[Change]:
        """Take in an entry; return what changed by it and by the time that passed before."""
        if self.due is not None and ns >= self.due:
            self._pass(ns)
        self._now = max(self._now, ns)
        known = self._by_variable
        for name, value in zip(names, values, strict=True):
            found = known.get(name)
            if found is None:
                continue
            subject, watches, aged = found
            # Kept lean: a recorded session brings millions of values here.
            subject.seen = ns
            if value != value:  # noqa: PLR0124 - NaN says nothing but that something came
                watches = aged
            else:
                subject.value = value
                for slope in subject.slopes:
                    slope.take(ns, value)
            for watch in watches:
                if watch.test(value) is not watch.expected:
                    self._look(watch, ns)
        return self._taken()

    def advance(self, now: int) -> list[Change]:
        """Let time pass; return what changed by that."""
        self._pass(now)
        self._now = max(self._now, now)
        return self._taken()

    def clock_stepped(self, ns: int) -> None:
        """Let nothing be older than this: the clock was set."""
        if self._ages_from is not None:
            self._ages_from = max(self._ages_from, ns)

    def statuses(self) -> list[Status]:
        """Return how each alarm is doing."""
        return [watch.status for watch in self._watches]

    def _taken(self) -> list[Change]:
        changes = self._changes
        if changes:
            self._changes = []
        return changes

    def _pass(self, now: int) -> None:
        """Look at everything that is due, in the order of time."""
        while self.due is not None and self.due <= now:
            due = self.due
            for watch in self._watches:
                if watch.due is not None and watch.due <= due:
                    self._look(watch, due)
            self._set_due()

    def _look(self, watch: _Watch, now: int) -> None:
        change = watch.look(now)
        if change is not None:
            self._changes.append(change)
        if watch.due is not None and (self.due is None or watch.due < self.due):
            self.due = watch.due

    def _set_due(self) -> None:
        self.due = min((w.due for w in self._watches if w.due is not None), default=None)


class _Watch:
    """One alarm, and how it is doing."""

    __slots__ = (
        "_before",
        "_clear",
        "_restored",
        "_since",
        "_value",
        "_when",
        "due",
        "expected",
        "gauges",
        "hold",
        "level",
        "rule",
        "test",
    )

    def __init__(self, rule: Rule, gauge: Callable[[Condition], Gauge]) -> None:
        self.rule = rule
        self._when = gauge(rule.when)
        self._clear = gauge(rule.clear) if rule.clear is not None else None
        self.gauges = [self._when] if self._clear is None else [self._when, self._clear]
        self.hold = round(rule.hold * 1e9)
        self.level: Level = "ok"
        self._before: Level = "ok"
        self._since = 0
        self._value = math.nan
        self._restored = False
        #: When it must be looked at if no value comes before, at the earliest.
        self.due: int | None = None
        #: While ``test(value)`` is as expected, a new value changes nothing.
        self.test: Callable[[float], bool] = _never
        self.expected = True
        self._expect()

    @property
    def status(self) -> Status:
        return Status(self.rule, self.level, self._since, self._value, self._restored)

    def restore(self, since: int, value: float) -> None:
        """Be active since an earlier run."""
        self.level, self._since, self._value, self._restored = "active", since, value, True
        self._expect()

    def look(self, now: int) -> Change | None:
        """Evaluate the alarm at a time; return the change if it became active or was cleared."""
        change = None
        if self.level == "active":
            if (cause := self._gone(now)) is not None:
                change = self._become("cleared", now, cause)
        else:
            change = self._look_out(now, self._when.holds(now))
        self.plan(now)
        self._expect()
        return change

    def _look_out(self, now: int, holds: bool | None) -> Change | None:
        if self.level != "pending":
            if not holds:
                return None
            if not self.hold:
                return self._become("active", now, math.nan)
            self._before, self.level = self.level, "pending"
            self._since, self._value = now, self._when.value(now)
        elif not holds:
            self.level, self._since = self._before, now
        elif now >= self._since + self.hold:
            return self._become("active", now, math.nan)
        return None

    def _become(self, level: Level, now: int, cause: float) -> Change:
        self.level, self._since, self._restored = level, now, False
        self._value = self._when.value(now)
        return Change(self.rule, level, now, self._value, cause)

    def _gone(self, now: int) -> float | None:
        """Return the value that clears the alarm; None while it stays.

        Only a value of this run can clear it: that nothing is known is no end of an alarm.
        """
        holds = self._when.holds(now)
        if self._clear is None:
            gone = holds is False and self._when.subject.seen is not None
            return self._when.value(now) if gone else None
        seen = self._clear.subject.seen is not None
        gone = seen and self._clear.holds(now) is True and holds is not True
        return self._clear.value(now) if gone else None

    def plan(self, now: int) -> None:
        """Find out when it must be looked at again."""
        times = [t for gauge in self.gauges if (t := gauge.next_change(now)) is not None]
        if self.level == "pending":
            times.append(self._since + self.hold)
        self.due = min(times, default=None)

    def _expect(self) -> None:
        """Find out which values change nothing."""
        when, clear = self._when, self._clear
        self.test, self.expected = _never, True
        if self.level in ("ok", "cleared"):
            if isinstance(when, Value):
                self.test, self.expected = when.test, False
            elif self.due is None:
                pass  # what comes by time is still to be found out
            elif isinstance(when, Rate):
                self.test, self.expected = when.last_holds, False
            elif when.condition.comparison in (">", ">="):
                # A value makes the last one younger; that it grows older is seen by time.
                self.test, self.expected = _always, True
        elif isinstance(when, Value):
            if self.level == "pending" or clear is None:
                self.test, self.expected = when.test, True
            elif isinstance(clear, Value) and clear.subject is when.subject:
                self.test, self.expected = clear.test, False


def _never(value: float) -> bool:
    del value
    return False


def _always(value: float) -> bool:
    del value
    return True
