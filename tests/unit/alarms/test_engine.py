import math
import random

import pytest
from helpers_alarms import NS, Bench, rule
from hypothesis import given, settings
from hypothesis import strategies as st

from pymanip_run.alarms.engine import Engine

ACTIVE, CLEARED = "active", "cleared"


# -- values -----------------------------------------------------------------------------------------


def test_an_alarm_becomes_active_with_the_first_value_beyond_its_limit():
    bench = Bench(rule("T > 60"))
    assert bench.see(1, T=60) == []
    assert bench.see(2, T=60.1) == [(2, "a", ACTIVE)]


def test_an_active_alarm_is_not_told_again():
    bench = Bench(rule("T > 60"))
    bench.see(1, T=61)
    assert bench.see(2, T=62) == []
    assert bench.level() == "active"


def test_without_clear_it_ends_when_its_condition_does():
    bench = Bench(rule("T > 60"))
    bench.see(1, T=61)
    assert bench.see(2, T=60) == [(2, "a", CLEARED)]
    assert bench.see(3, T=61) == [(3, "a", ACTIVE)]


def test_with_clear_it_stays_between_the_two_limits():
    bench = Bench(rule("T > 60", clear="T < 55"))
    bench.see(1, T=61)
    assert bench.see(2, T=57) == []
    assert bench.see(3, T=54.9) == [(3, "a", CLEARED)]
    assert bench.see(4, T=57) == []
    assert bench.see(5, T=61) == [(5, "a", ACTIVE)]


def test_a_clear_that_can_hold_together_with_when_does_not_make_it_come_and_go():
    bench = Bench(rule("T > 60", clear="T < 70"))
    bench.see(1, T=65)
    assert bench.see(2, T=66) == []
    assert bench.see(3, T=59) == [(3, "a", CLEARED)]


def test_another_variable_can_clear_it():
    bench = Bench(rule("T > 60", clear="acknowledged > 0"))
    bench.see(1, T=61)
    assert bench.see(2, T=20) == []
    assert bench.see(3, acknowledged=0) == []
    assert bench.see(4, acknowledged=1) == [(4, "a", CLEARED)]


def test_what_clears_it_does_not_while_the_cause_is_there():
    bench = Bench(rule("T > 60", clear="acknowledged > 0"))
    bench.see(1, T=61)
    assert bench.see(2, acknowledged=1) == []
    assert bench.see(3, T=20) == [(3, "a", CLEARED)]


def test_the_sign_can_be_left_out():
    bench = Bench(rule("abs(U) >= 3"))
    assert bench.see(1, U=-2.9) == []
    assert bench.see(2, U=-3) == [(2, "a", ACTIVE)]
    assert bench.see(3, U=1) == [(3, "a", CLEARED)]


def test_nan_is_no_value():
    bench = Bench(rule("T > 60"), rule("T != 5", "b"))
    assert bench.see(1, T=math.nan) == []
    bench.see(2, T=61)
    assert bench.see(3, T=math.nan) == []
    assert bench.levels() == {"a": "active", "b": "active"}


def test_infinity_is_a_value():
    assert Bench(rule("T > 60")).see(1, T=math.inf) == [(1, "a", ACTIVE)]


def test_alarms_of_other_variables_are_left_alone():
    bench = Bench(rule("T > 60"), rule("U > 1", "b"))
    assert bench.see(1, U=2, V=100) == [(1, "b", ACTIVE)]
    assert bench.levels() == {"a": "ok", "b": "active"}


# -- for --------------------------------------------------------------------------------------------


def test_for_is_over_by_time_without_another_value():
    bench = Bench(rule("T > 60", hold=30))
    assert bench.see(10, T=61) == []
    assert bench.level() == "pending"
    assert bench.wait(39.9) == []
    assert bench.wait(100) == [(40, "a", ACTIVE)]


def test_a_value_within_the_limit_ends_the_waiting():
    bench = Bench(rule("T > 60", hold=30))
    bench.see(10, T=61)
    bench.see(20, T=59)
    assert bench.level() == "ok"
    bench.see(25, T=61)
    assert bench.wait(54) == []
    assert bench.wait(56) == [(55, "a", ACTIVE)]


def test_an_entry_finds_what_was_due_before_it_done():
    bench = Bench(rule("T > 60", hold=30))
    bench.see(10, T=61)
    assert bench.see(50, T=20) == [(40, "a", ACTIVE), (50, "a", CLEARED)]


def test_nan_does_not_end_the_waiting():
    bench = Bench(rule("T > 60", hold=30))
    bench.see(10, T=61)
    bench.see(20, T=math.nan)
    assert bench.wait(41) == [(40, "a", ACTIVE)]


def test_after_an_interrupted_wait_a_cleared_alarm_is_cleared_again():
    bench = Bench(rule("T > 60", hold=30))
    bench.see(0, T=61)
    bench.see(31, T=20)
    bench.see(40, T=61)
    assert bench.level() == "pending"
    bench.see(41, T=20)
    assert bench.level() == "cleared"


# -- ages -------------------------------------------------------------------------------------------


def test_a_silent_variable_alarms_by_time():
    bench = Bench(rule("age(T) > 2min"))
    bench.see(10, T=1)
    assert bench.wait(130) == []
    assert bench.wait(131) == [(130, "a", ACTIVE)]


def test_age_counts_from_the_start_where_nothing_was_logged():
    bench = Bench(rule("age(T) > 2min"), start=100)
    assert bench.wait(219) == []
    assert bench.wait(300) == [(220, "a", ACTIVE)]


def test_ages_do_not_count_before_the_start():
    bench = Bench(rule("age(T) > 2min"), start=None)
    assert bench.wait(1000) == []


def test_a_value_clears_a_silent_variable_at_once():
    bench = Bench(rule("age(T) > 2min"))
    bench.wait(200)
    assert bench.see(300, T=1) == [(300, "a", CLEARED)]
    assert bench.wait(421) == [(420, "a", ACTIVE)]


def test_nan_shows_that_a_sensor_answers():
    bench = Bench(rule("age(T) > 2min"))
    for second in range(0, 600, 60):
        assert bench.see(second, T=math.nan) == []


def test_at_least_an_age_is_seen_at_its_instant():
    bench = Bench(rule("age(T) >= 2min"))
    bench.see(0, T=1)
    assert bench.wait(120) == [(120, "a", ACTIVE)]


def test_when_the_run_ends_its_values_do_too_and_nothing_alarms():
    bench = Bench(rule("age(T) > 2min"), rule("age(T) > 1min", "b", hold=60))
    bench.see(0, T=1)
    bench.wait(61)
    assert bench.levels()["b"] == "pending"
    bench.engine.count_ages(None)
    assert bench.wait(1000) == []


def test_a_silent_variable_that_alarmed_stays_so_when_the_run_ends():
    bench = Bench(rule("age(T) > 2min"))
    bench.wait(200)
    bench.engine.count_ages(None)
    assert bench.wait(300) == []
    assert bench.level() == "active"


def test_a_step_of_the_clock_makes_nothing_old():
    bench = Bench(rule("age(T) > 2min"))
    bench.see(0, T=1)
    bench.engine.clock_stepped(3600 * NS)
    assert bench.wait(3601) == []
    assert bench.wait(3800) == [(3720, "a", ACTIVE)]


# -- rates ------------------------------------------------------------------------------------------


def test_a_rate_is_the_change_within_its_time():
    bench = Bench(rule("rate(T) > 2 per 1min"))
    found = [bench.see(second, T=second / 20) for second in range(0, 200, 10)]  # 3 per minute
    assert [one for some in found for one in some] == [(50, "a", ACTIVE)]


def test_two_noisy_values_at_once_are_no_fast_change():
    bench = Bench(rule("abs(rate(T)) > 2 per 1min"))
    bench.see(0, T=20)
    assert bench.see(0.1, T=20.5) == []


def test_a_jump_is_a_fast_change():
    bench = Bench(rule("abs(rate(T)) > 2 per 1min"))
    bench.see(0, T=20)
    assert bench.see(0.1, T=15) == [(0.1, "a", ACTIVE)]


def test_values_rarer_than_the_time_count_with_their_own():
    bench = Bench(rule("abs(rate(T)) > 2 per 1min"))
    bench.see(0, T=20)
    assert bench.see(600, T=35) == []  # 1.5 per minute
    assert bench.see(1200, T=60) == [(1200, "a", ACTIVE)]


def test_a_change_is_over_when_no_value_comes_for_long():
    bench = Bench(rule("abs(rate(T)) > 2 per 1min"))
    bench.see(0, T=20)
    bench.see(10, T=30)
    assert bench.wait(69) == []
    assert bench.wait(71) == [(70, "a", CLEARED)]


def test_a_steady_value_is_found_also_by_time():
    bench = Bench(rule("abs(rate(T)) < 0.1 per 1min", hold=60))
    for second in range(0, 100, 10):
        bench.see(second, T=second)
    assert bench.levels() == {"a": "ok"}
    bench.wait(151)
    assert bench.level() == "pending"
    assert bench.wait(300) == [(210, "a", ACTIVE)]


def test_a_long_time_keeps_few_points_and_still_finds_the_change():
    bench = Bench(rule("rate(T) > 10 per 1h"))
    found = []
    for second in range(0, 7200):
        found += bench.see(second, T=second * 11 / 3600)  # 11 per hour
    assert [name for _, name, _ in found] == ["a"]
    assert 3600 * 10 / 11 <= found[0][0] <= 3600 * 10 / 11 + 15


# -- restarts ---------------------------------------------------------------------------------------


def test_an_alarm_of_an_earlier_run_is_shown_and_does_not_act():
    bench = Bench(rule("T > 60"), restored={"a": (5, 61.0)}, start=100)
    status = bench.engine.statuses()[0]
    assert (status.level, status.since, status.value, status.restored) == ("active", 5, 61.0, True)
    assert bench.see(101, T=70) == []


def test_it_acts_again_when_it_becomes_active_again():
    bench = Bench(rule("T > 60"), restored={"a": (5, 61.0)}, start=100)
    assert bench.see(101, T=20) == [(101, "a", CLEARED)]
    assert bench.see(102, T=70) == [(102, "a", ACTIVE)]


def test_a_sensor_that_is_silent_since_an_earlier_run_is_not_well_because_a_run_begins():
    bench = Bench(rule("age(T) > 2min"), restored={"a": (5, 130.0)}, start=100)
    assert bench.wait(101) == []
    assert bench.level() == "active"
    assert bench.wait(1000) == []
    assert bench.see(1001, T=1) == [(1001, "a", CLEARED)]


# -- everything at once ----------------------------------------------------------------------------

CONDITIONS = [
    ("T > 5", 0, None),
    ("T > 5", 3, "T < 2"),
    ("T <= 4", 2, None),
    ("T > 6", 0, "U > 5"),
    ("abs(U) >= 7", 0, "abs(U) < 3"),
    ("age(T) > 4s", 0, None),
    ("age(U) >= 3s", 2, None),
    ("rate(T) > 3 per 2s", 0, None),
    ("abs(rate(U)) < 1 per 3s", 2, "abs(rate(U)) > 2 per 3s"),
]


def patient(rules, entries, end):
    """The same engine, asked to look at every alarm at every half second: no shortcut is taken."""
    engine = Engine(rules)
    engine.count_ages(0)
    levels = []
    for tick in range(2 * end + 1):
        ns = tick * NS // 2
        for watch in engine._watches:
            watch.test, watch.expected = (lambda _: False), True
            watch.due = engine.due = ns
        engine.advance(ns)
        if ns in entries:
            for watch in engine._watches:
                watch.test, watch.expected = (lambda _: False), True
            engine.take(ns, *entries[ns])
        levels.append([status.level for status in engine.statuses()])
    return levels


@settings(max_examples=200, deadline=None)
@given(
    st.dictionaries(
        st.integers(0, 30),
        st.dictionaries(
            st.sampled_from("TU"),
            st.one_of(st.integers(-9, 9).map(float), st.just(math.nan)),
            min_size=1,
        ),
    )
)
def test_the_shortcuts_change_nothing(values):
    rules = [rule(when, f"r{i}", hold, clear) for i, (when, hold, clear) in enumerate(CONDITIONS)]
    entries = {s * NS: (tuple(v), tuple(v.values())) for s, v in values.items()}
    engine = Engine(rules)
    engine.count_ages(0)
    levels = []
    for tick in range(61):
        ns = tick * NS // 2
        engine.advance(ns)
        if ns in entries:
            engine.take(ns, *entries[ns])
        levels.append([status.level for status in engine.statuses()])
    assert levels == patient(rules, entries, 30)


def test_what_is_due_is_never_in_the_past():
    rules = [rule(when, f"r{i}", hold, clear) for i, (when, hold, clear) in enumerate(CONDITIONS)]
    engine = Engine(rules)
    engine.count_ages(0)
    chance = random.Random(1)
    ns = 0
    for _ in range(5000):
        ns += chance.randrange(1, 3 * NS)
        if chance.random() < 0.5:
            engine.take(ns, ("T", "U"), (chance.uniform(-9, 9), chance.uniform(-9, 9)))
        else:
            engine.advance(ns)
        assert engine.due is None or engine.due > ns or engine.take(ns, (), ()) is not None


@pytest.mark.parametrize("second", [5.0, 5.5])
def test_entries_that_come_in_disorder_break_nothing(second):
    bench = Bench(rule("T > 60", hold=1), rule("age(T) > 3s", "b"))
    bench.see(6, T=61)
    bench.see(second, T=20)
    assert bench.level() == "ok"
