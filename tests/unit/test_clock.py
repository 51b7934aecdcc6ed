"""The time of a session, under a system clock that is set, slewed, suspended and read late."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymanip_run.clock import (
    JUMP_NS,
    MIN_STEP_NS,
    SYSTEM,
    ClockStep,
    SessionClock,
    as_ns,
    iso_local,
    iso_utc,
)

MS = 1_000_000
S = 1_000_000_000
START = 1_700_000_000 * S


class FakeClock:
    """A system clock that can be set, and a reader that can be held up between two readings."""

    def __init__(self):
        self.wall = START
        self.mono = 5 * S
        self.delays = []

    def advance(self, ns, *, slew=0):
        self.mono += ns
        self.wall += ns + slew

    def set_by(self, ns):
        self.wall += ns

    def wall_ns(self):
        self._delay()
        return self.wall

    def monotonic_ns(self):
        self._delay()
        return self.mono

    def _delay(self):
        if self.delays:
            self.advance(self.delays.pop(0))


@pytest.fixture
def fake():
    return FakeClock()


@pytest.fixture
def steps():
    return []


@pytest.fixture
def clock(fake, steps):
    return SessionClock(fake, on_step=steps.append)


def test_stamps_are_the_system_time_in_whole_microseconds(fake, clock):
    fake.advance(1234567)
    assert clock.stamp() == START + 1234000


def test_two_stamps_at_one_instant_differ_by_a_microsecond(clock):
    first = clock.stamp()
    assert [clock.stamp() - first for _ in range(3)] == [1000, 2000, 3000]


def test_a_forward_step_is_followed_at_once(fake, clock, steps):
    clock.stamp()
    fake.advance(S)
    fake.set_by(3600 * S)
    assert clock.stamp() == pytest.approx(START + 3601 * S, abs=10 * MIN_STEP_NS)
    assert [(step.step, step.ahead) for step in steps] == [(3600 * S, 0)]


def test_a_resume_from_suspend_is_a_forward_step(fake, clock, steps):
    clock.stamp()
    fake.wall += 8 * 3600 * S  # the monotonic clock stands still meanwhile
    assert clock.stamp() >= START + 8 * 3600 * S
    assert len(steps) == 1


def test_after_a_backward_step_time_runs_on_ahead_by_a_constant(fake, clock, steps):
    clock.stamp()
    fake.advance(S)
    fake.set_by(-60 * S)
    first = clock.stamp()
    assert first == pytest.approx(START + S, abs=10 * MIN_STEP_NS)
    fake.advance(10 * S)
    assert clock.stamp() - first == pytest.approx(10 * S, abs=10 * MIN_STEP_NS)
    assert [(step.step, step.ahead) for step in steps] == [(-60 * S, 60 * S)]


def test_a_later_forward_step_first_uses_up_the_constant(fake, clock, steps):
    clock.stamp()
    fake.set_by(-60 * S)
    before = clock.stamp()
    fake.advance(S)
    fake.set_by(40 * S)
    assert clock.stamp() - before == pytest.approx(S, abs=10 * MIN_STEP_NS)
    fake.advance(S)
    fake.set_by(50 * S)  # 20 s use the rest up, 30 s are followed
    assert clock.stamp() - before == pytest.approx(32 * S, abs=10 * MIN_STEP_NS)
    assert [step.ahead for step in steps] == [60 * S, 20 * S, 0]


def test_each_step_is_told_before_the_stamp_returns_and_has_a_time_of_its_own(fake):
    told = []
    clock = SessionClock(fake, on_step=told.append)
    first = clock.stamp()
    fake.set_by(-S)
    second = clock.stamp()
    assert first < told[0].ns < second


def test_slewing_is_absorbed_without_an_event(fake, clock, steps):
    for _ in range(2000):
        fake.advance(10 * S, slew=5 * MS)  # 500 ppm, the most that NTP slews
        clock.stamp()
    assert steps == []
    assert clock.stamp() == pytest.approx(fake.wall, abs=10 * MIN_STEP_NS)


def test_slewing_during_a_long_pause_is_absorbed(fake, clock, steps):
    clock.stamp()
    fake.advance(24 * 3600 * S, slew=24 * 3600 * S // 2000)
    clock.stamp()
    assert steps == []


def test_slewing_during_a_long_burst_is_absorbed(fake, clock, steps):
    for _ in range(100_000):  # 100 s in steps so short that they are not looked at
        fake.advance(MS, slew=500)
        clock.stamp()
    fake.advance(S)
    clock.stamp()
    assert steps == []


def test_being_held_up_between_the_two_readings_is_no_step(fake, clock, steps):
    clock.stamp()
    fake.advance(S)
    fake.delays = [0, 80 * MS]  # before wall, before monotonic
    clock.stamp()
    assert steps == []


def test_being_held_up_while_looking_closer_is_no_step(fake, clock, steps):
    clock.stamp()
    fake.advance(S)
    fake.delays = [0, 80 * MS, 0, 50 * MS, 50 * MS, 0, 0, 0]
    clock.stamp()
    assert steps == []


def test_a_continued_session_goes_on_after_its_last_stamp(fake):
    last = START + 3600 * S + 123_000  # written under a clock that was an hour fast
    clock = SessionClock(fake, after_ns=last)
    first = clock.stamp()
    assert last < first <= last + 10 * MIN_STEP_NS
    fake.advance(S)
    assert clock.stamp() - first == pytest.approx(S, abs=10 * MIN_STEP_NS)


def test_a_continued_session_follows_the_clock_when_that_is_later(fake):
    assert SessionClock(fake, after_ns=START - 5 * S).stamp() == START


def test_now_uses_no_stamp_up_and_is_not_before_the_last(fake, clock):
    assert clock.last_ns == 0
    stamp = clock.stamp()
    assert clock.last_ns == stamp
    assert clock.now_ns() == clock.now_ns() == stamp
    fake.set_by(-MS)
    assert clock.now_ns() == stamp


moves = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), st.integers(0, 20 * S)),
        st.tuples(st.just("set"), st.integers(-5 * S, 5 * S)),
        st.tuples(st.just("set"), st.integers(-2 * JUMP_NS, 2 * JUMP_NS)),
        st.tuples(st.just("delay"), st.integers(0, 100 * MS)),
    ),
    max_size=40,
)


@given(moves, st.integers(-10 * S, 10 * S))
def test_whatever_the_clock_does_stamps_increase_and_keep_up(actions, offset):
    fake, steps = FakeClock(), []
    after = START + offset
    clock = SessionClock(fake, after, steps.append)
    last = after
    for action, ns in actions:
        if action == "advance":
            fake.advance(ns)
        elif action == "set":
            fake.set_by(ns)
        else:
            fake.delays = [0, ns]
        told = len(steps)
        stamp = clock.stamp()
        assert stamp - last >= MIN_STEP_NS or last == after, "too close to the one before"
        assert stamp > last
        assert stamp % MIN_STEP_NS == 0
        assert stamp >= fake.wall - 100 * MS - MIN_STEP_NS, "behind the system clock"
        assert all(last < step.ns < stamp for step in steps[told:])
        last = stamp


@given(
    st.lists(
        st.builds(int.__mul__, st.sampled_from([1, -1]), st.integers(2 * JUMP_NS, 5 * S)),
        max_size=10,
    )
)
def test_every_setting_of_the_clock_is_one_event_with_its_size(settings):
    fake, steps = FakeClock(), []
    clock = SessionClock(fake, on_step=steps.append)
    for ns in settings:
        fake.advance(S)
        clock.stamp()
        fake.set_by(ns)
        clock.stamp()
    assert [step.step for step in steps] == settings


@given(st.integers(0, 4 * 10**15))
def test_a_stamp_comes_back_from_float_seconds(microseconds):
    ns = microseconds * 1000
    assert as_ns(ns / 1e9) == ns


def test_a_step_is_said_in_words():
    assert ClockStep(0, 2 * S, 0).text == "the system clock went forward by 2.000 s"
    assert ClockStep(0, -2 * S, 3 * S).text == (
        "the system clock went back by 2.000 s; the session's time runs on, 3.000 s ahead of it"
    )


def test_times_are_shown_in_iso_8601():
    assert iso_utc(1_700_000_000.25) == "2023-11-14T22:13:20.250000+00:00"
    assert re.fullmatch(r"2023-11-1\dT\d\d:\d\d:20[+-]\d\d:\d\d", iso_local(1_700_000_000.25))


@pytest.mark.parametrize(
    ("time", "year"), [(1e300, "9999"), (1.79e308, "9999"), (-1e12, "0001"), (float("inf"), "9999")]
)
def test_times_that_no_calendar_has_are_shown_as_the_nearest_that_it_has(time, year):
    assert iso_utc(time)[:4] == iso_local(time)[:4] == year


@pytest.mark.parametrize("time", [1.79e308, -1.79e308, 1e303])
def test_no_finite_time_is_too_far_for_a_stamp(time):
    assert abs(as_ns(time)) > 10**290
    assert (as_ns(time) > 0) == (time > 0)


@pytest.mark.parametrize("time", [float("inf"), float("nan")])
def test_what_is_no_time_has_no_stamp(time):
    with pytest.raises((OverflowError, ValueError)):
        as_ns(time)


def test_the_system_clock_is_this_computers():
    before = SYSTEM.monotonic()
    SYSTEM.pause(0)
    assert SYSTEM.monotonic() >= before
    assert SYSTEM.wall_ns() / 1e9 == pytest.approx(SYSTEM.time(), abs=60)
