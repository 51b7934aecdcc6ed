"""Recorded values fed through alarms, as if they were measured now."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from pymanip_run.alarms.engine import Engine
from pymanip_run.alarms.keeping import kept_of, restored
from pymanip_run.clock import as_ns

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pymanip_run.alarms.rules import Change, Rule
    from pymanip_run.core.view import SessionView
    from pymanip_run.records import FloatArray

__all__ = ["replayed"]

STRETCH = 100_000  # entries that are in memory at once
#: A run that is ending falls silent; what is silent for longer than this (seconds) was so before.
ENDING = 30.0
RESOLUTION = 1e-5  # seconds, with what is lost where times are told as floats


def replayed(view: SessionView, rules: Sequence[Rule]) -> Iterator[Change]:
    """Yield what alarms make of a recorded session, one of its runs after the other.

    As in the runs themselves, ages count from the start of each, and an alarm that was active at
    the end of one is shown in the next, and acts again only when it becomes active again. When a run
    was asked to end is not recorded: that its last values grow old makes none of them stale.

    Parameters
    ----------
    view
        The session.
    rules
        The alarms.
    """
    kept: object = {}
    counts = {name: info.statistics.n for name, info in view.variables().items()}
    for start, stop in _runs(view):
        before, end = restored(kept, rules), _ending(view, start, stop)
        # What is logged as it should be costs nothing: most variables with a period.
        watched = [r for r in rules if r.name in before or _may_act(view, counts, r, start, end)]
        engine = Engine(watched, before)
        engine.count_ages(as_ns(start))
        for ns, names, values in _entries(view, counts, watched, start, stop):
            yield from engine.take(ns, names, values)
        last = engine.advance(as_ns(stop))
        ended = {c.rule.name for c in last if c.rule.period is not None and c.time > end}
        yield from (c for c in last if c.rule.name not in ended)
        kept = kept_of(s for s in engine.statuses() if s.rule.name not in ended)


def _ending(view: SessionView, start: float, stop: float) -> float:
    """Return when a run may have begun to end: at its last value, but not long before its end."""
    since = max(start, stop - ENDING)
    until = math.nextafter(stop, math.inf)
    series = (view.logged_variable(name) for name in view.logged_variables())
    times = (one.between(since, until)[0] for one in series)
    return max((float(t[-1]) for t in times if len(t)), default=since)


def _may_act(
    view: SessionView, counts: Mapping[str, int], rule: Rule, start: float, end: float
) -> bool:
    """Tell whether a rule can become active in a run; one of a period does after a gap only."""
    if rule.period is None:
        return True
    if rule.variable not in counts:
        return end - start >= rule.when.limit
    last, limit = start, rule.when.limit - RESOLUTION
    for since, until in _stretches(counts[rule.variable], start, end):
        times = view.logged_variable(rule.variable).between(since, until)[0]
        if len(times):
            if max(times[0] - last, np.diff(times).max(initial=0.0)) >= limit:
                return True
            last = times[-1]
    return bool(end - last >= limit)


def _runs(view: SessionView) -> list[tuple[float, float]]:
    """Return start and stop of each run; one that was killed ends with its last value."""
    runs, last = view.runs(), view.last_timestamp
    if last is None:
        return []
    if not runs:  # converted from something that knew no runs
        return [(min(time for time, _ in view.logged_first_values().values()), last)]
    begins = [run.start for run in runs[1:]] + [math.inf]
    stops = [
        run.stop if run.stop is not None else min(begin, last)
        for run, begin in zip(runs, begins, strict=True)
    ]
    return [(run.start, max(run.start, stop)) for run, stop in zip(runs, stops, strict=True)]


def _entries(
    view: SessionView,
    counts: Mapping[str, int],
    rules: Sequence[Rule],
    start: float,
    stop: float,
) -> Iterator[tuple[int, tuple[str, ...], tuple[float, ...]]]:
    """Yield time, names and values of what was recorded, as far as alarms look at it."""
    wanted = dict.fromkeys(c.variable for rule in rules for c in rule.conditions)
    names = [name for name in wanted if name in counts]
    for since, until in _stretches(max((counts[n] for n in names), default=0), start, stop):
        yield from _merged(view, names, since, until)


def _stretches(count: int, start: float, stop: float) -> Iterator[tuple[float, float]]:
    """Yield the parts of a time in which `count` values are looked at one after the other."""
    edges = np.linspace(start, stop, max(1, math.ceil(count / STRETCH)) + 1)
    edges[-1] = math.nextafter(stop, math.inf)
    for since, until in pairwise(edges):
        yield float(since), float(until)


def _merged(
    view: SessionView, names: Sequence[str], since: float, until: float
) -> Iterator[tuple[int, tuple[str, ...], tuple[float, ...]]]:
    """Yield the entries of a stretch in the order of time; names that share their times together."""
    groups: list[tuple[FloatArray, list[str], list[FloatArray]]] = []
    for name in names:
        times, values = view.logged_variable(name).between(since, until)
        for shared, together, columns in groups:
            if len(shared) == len(times) and np.array_equal(shared, times):
                together.append(name)
                columns.append(values)
                break
        else:
            groups.append((times, [name], [values]))
    if not any(len(times) for times, _, _ in groups):
        return
    times = np.concatenate([times for times, _, _ in groups])
    which = np.concatenate([np.full(len(t), i) for i, (t, _, _) in enumerate(groups)])
    order = np.argsort(times, kind="stable")
    stamps = (np.round(times[order] * 1e6).astype(np.int64) * 1000).tolist()
    rows = [(tuple(g), zip(*(c.tolist() for c in cs), strict=True)) for _, g, cs in groups]
    for ns, index in zip(stamps, which[order].tolist(), strict=True):
        together, values = rows[index]
        yield ns, together, next(values)
