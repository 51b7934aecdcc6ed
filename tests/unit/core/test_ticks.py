"""Round values, powers of ten and times: those of every axis that the project draws itself."""

import itertools
import math
from datetime import datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pymanip_run.clock import CALENDAR
from pymanip_run.core.ticks import (
    TIME_STEPS,
    decades,
    has_dates,
    multiples,
    round_step,
    round_times,
)


@pytest.fixture(autouse=True)
def _in_paris(time_zone):
    time_zone("Europe/Paris")


def at(text):
    return datetime.fromisoformat(text).timestamp()


@given(st.floats(1e-300, 1e300))
def test_a_round_step_is_the_next_of_one_two_five(least):
    step = round_step(least)
    assert least * 0.999 <= step <= least * 2.51
    assert f"{step:.0e}"[0] in "125"


def test_multiples_stay_within_their_limits_to_the_last_digit():
    assert multiples(1.485, 1.515, 0.005)[-1] == 1.515
    assert multiples(0.0, 0.3, 0.1, slack=1e-9) == [0.0, 0.1, 0.2, 0.3]
    assert multiples(0.0, 1e300, 1.0)[:2] == [0.0, 1.0]
    assert len(multiples(0.0, 1e300, 1.0)) <= 21


@given(st.floats(-308, 308), st.floats(0, 600), st.integers(1, 8))
def test_powers_of_ten_are_few_and_at_equal_steps(low, span, count):
    found = decades(low, low + span, count)
    assert len(found) <= max(3, 2 * count)
    assert all(low <= power <= low + span for power in found)
    assert len({b - a for a, b in itertools.pairwise(found)}) <= 1
    if math.floor(low + span) > math.ceil(low):
        assert len(found) >= 2


@example(225_179_981_369.0, 0, 1)
@given(st.floats(-6e10, 2.5e11), st.integers(0, len(TIME_STEPS) - 1), st.integers(1, 8))
def test_round_times_are_within_and_a_step_apart(low, number, count):
    step = TIME_STEPS[number]
    high = min(low + count * step.seconds, CALENDAR[1] - 1)
    times = [*round_times(low, high, step)] if has_dates(low, high) else []
    slack = step.seconds * 0.01 + math.ulp(high)  # so far from 1970 float64 has microseconds only
    assert all(low - slack <= time <= high + slack for time in times)
    assert len(times) <= count + 2
    if step.seconds >= 0.01:  # the digits of float64 end
        assert all(b > a for a, b in itertools.pairwise(times))


@pytest.mark.parametrize(
    ("step", "begin", "end", "expected"),
    [
        (3600 * 6, "2026-11-22T01:00", "2026-11-22T13:00", ["22 06:00", "22 12:00"]),
        (86400, "2026-10-24T12:00", "2026-10-27T12:00", ["25 00:00", "26 00:00", "27 00:00"]),
        (30.44 * 86400, "2026-11-22", "2027-01-15", ["01 00:00", "01 00:00"]),
    ],
)  # fmt: skip
def test_times_are_round_on_a_local_clock(step, begin, end, expected):
    (chosen,) = [one for one in TIME_STEPS if one.seconds == step]
    found = [datetime.fromtimestamp(t) for t in round_times(at(begin), at(end), chosen)]  # noqa: DTZ006 - the zone of the test
    assert [f"{time:%d %H:%M}" for time in found] == expected


def test_far_times_have_no_dates():
    assert has_dates(-6e10, 2.5e11)
    assert not has_dates(0.0, 1e12)
    assert not has_dates(-1e300, 0.0)
    assert not has_dates(math.nan, math.nan)
