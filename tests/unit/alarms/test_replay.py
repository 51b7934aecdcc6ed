"""Recorded values that are fed through alarms."""

from helpers_alarms import NS, rule

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


def test_an_alarm_on_an_age_counts_to_the_end_of_the_run():
    assert found(recorded(30, T=range(20)), [rule("age(T) > 5s")]) == [("a", "active", 24)]
