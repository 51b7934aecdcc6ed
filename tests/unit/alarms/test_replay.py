"""Recorded values that are fed through alarms."""

import random
from itertools import accumulate

import pytest
from helpers_alarms import NS, rule

from pymanip_run.alarms.engine import Engine
from pymanip_run.alarms.replay import replayed
from pymanip_run.alarms.rules import stale_rules
from pymanip_run.core.view import SessionView
from pymanip_run.records import Description, VariableInfo
from pymanip_run.storage.memory import MemoryStore

START = 1_763_800_000 * NS
PERIODIC = stale_rules({"T": VariableInfo("T", Description(period=1.0))})


def recorded(stop, **times):
    """A session of one run, in which each variable has a value at each of its times, in seconds."""
    store = MemoryStore("old")
    store.put_run(START, 0, {"start": START / NS}, {})
    rows = sorted((second, name) for name, seconds in times.items() for second in seconds)
    for second, name in rows:
        store.append_row(START + second * NS, (name,), (1.0,))
    if stop is not None:
        store.put_run(START, 0, {"stop": START / NS + stop}, {})
    return SessionView(store, "old")


def found(view, rules):
    return [(c.rule.name, c.level, round((c.ns - START) / NS)) for c in replayed(view, rules)]


def test_a_variable_that_falls_silent_is_found_and_that_it_comes_again():
    view = recorded(21, T=[0, 1, 2, 20, 21], U=range(22))
    assert found(view, PERIODIC) == [("T stale", "active", 5), ("T stale", "cleared", 20)]


def test_values_that_grow_old_while_the_run_ends_are_not_stale():
    assert found(recorded(30, T=range(20), U=range(20)), PERIODIC) == []


def test_what_is_silent_until_the_end_is_stale_where_others_are_measured_on():
    view = recorded(30, T=range(10), U=range(30))
    assert found(view, PERIODIC) == [("T stale", "active", 12)]


def test_what_is_silent_for_very_long_is_stale_although_nothing_else_is_measured():
    assert found(recorded(60, T=range(20)), PERIODIC) == [("T stale", "active", 22)]


def test_what_was_no_end_of_values_is_not_said_to_be_over_in_the_next_run():
    store = MemoryStore("old")
    for number, begin in enumerate((0, 100)):
        store.put_run(START + begin * NS, number, {"start": START / NS + begin}, {})
        for second in range(10):
            store.append_row(START + (begin + second) * NS, ("T",), (1.0,))
        store.put_run(START + begin * NS, number, {"stop": START / NS + begin + 20}, {})
    assert found(SessionView(store, "old"), PERIODIC) == []


@pytest.mark.parametrize("seed", range(20))
def test_who_does_not_fall_silent_is_left_out_which_changes_nothing(seed):
    """Compared with an engine that takes in all of it; U goes on, so that nothing is the end of a run."""
    chance = random.Random(seed)
    gaps = chance.choices([1, 2, 3, 4], [20, 20, 5, seed % 2], k=40)
    times = list(accumulate(gaps, initial=chance.randrange(6)))
    stop = times[-1] + chance.randrange(6)
    engine, expected = Engine(PERIODIC), []
    engine.count_ages(START)
    for second in times:
        expected += engine.take(START + second * NS, ("T",), (1.0,))
    expected += engine.advance(START + stop * NS)
    expected = [(c.rule.name, c.level, round((c.ns - START) / NS)) for c in expected]
    assert found(recorded(stop, T=times, U=range(stop + 1)), PERIODIC) == expected


def test_an_alarm_on_an_age_counts_to_the_end_of_the_run():
    assert found(recorded(30, T=range(20)), [rule("age(T) > 5s")]) == [("a", "active", 24)]
