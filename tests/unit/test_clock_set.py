"""A session whose clock is set or suspended, in virtual time: order, events, ticks."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymanip_run import every
from pymanip_run.clock import JUMP_NS
from pymanip_run.runtime.virtual import virtual_time
from pymanip_run.session import RehearsedSession, internals

S = 10**9
EPOCH = 1_700_000_000 * S
HOUR, DAY = 3600 * S, 86400 * S
PERIOD = 10.0


class SetClock:
    """The clock of a computer whose wall clock is set, whose monotonic clock is not."""

    def __init__(self, clock):
        self._clock = clock
        self.offset = 0

    def wall_ns(self):
        return self._clock.wall_ns() + self.offset

    def monotonic_ns(self):
        return self._clock.monotonic_ns()


def measured(path, settings_of_the_clock):
    """Measure while the clock is set after (seconds, by ns); return session and task status."""
    with virtual_time(EPOCH) as world:
        clock = SetClock(world.clock)
        sesn = RehearsedSession(path, "", clock)

        async def read(sesn):
            sesn.add_entry(elapsed=world.clock.elapsed)

        async def set_clock(sesn):
            for seconds, ns in settings_of_the_clock:
                await asyncio.sleep(seconds)
                clock.offset += ns
            await asyncio.sleep(100)
            statuses.extend(internals(sesn).supervisor.statuses)
            sesn.ask_exit()

        statuses = []
        world.run(sesn.monitor(every(PERIOD, read), set_clock(sesn), server_port=None))
    return sesn, statuses[0]


def assert_nothing_is_lost(sesn, status):
    stamps, elapsed = sesn["elapsed"]
    assert (stamps[1:] > stamps[:-1]).all(), "stamps are out of order"
    assert elapsed[1:] - elapsed[:-1] == pytest.approx(PERIOD), "a miss or a burst"
    assert status.missed == 0


@pytest.mark.parametrize("ns", [HOUR, -HOUR, DAY, -DAY])
def test_a_step_is_one_event_with_its_size_and_no_task_notices(tmp_path, ns):
    sesn, status = measured(tmp_path / "a.h5", [(55, ns)])
    assert_nothing_is_lost(sesn, status)
    (event,) = (e for e in sesn.events() if e.kind == "clock")
    assert f"{'forward' if ns > 0 else 'back'} by {abs(ns) / 1e9:.3f} s" in event.text


def test_after_a_suspend_the_stamps_follow_and_no_tick_is_made_up_for(tmp_path):
    """On Linux the monotonic clock, thus the loop, stands still meanwhile; the wall clock goes on."""
    sesn, status = measured(tmp_path / "a.h5", [(55, 8 * HOUR)])
    assert_nothing_is_lost(sesn, status)
    stamps, _ = sesn["elapsed"]
    steps = stamps[1:] - stamps[:-1]
    assert sorted(steps)[-1] == pytest.approx(8 * 3600 + PERIOD, abs=0.01)
    assert sorted(steps)[:-1] == pytest.approx([PERIOD] * (len(steps) - 1), abs=0.01)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(
        st.tuples(st.integers(11, 100), st.integers(-2 * DAY, 2 * DAY)), min_size=1, max_size=6
    )
)
def test_whatever_is_done_to_the_clock_nothing_is_lost(tmp_path_factory, changes):
    sesn, status = measured(tmp_path_factory.mktemp("clock") / "a.h5", changes)
    assert_nothing_is_lost(sesn, status)
    noticed = [ns for _, ns in changes if abs(ns) > 2 * JUMP_NS]
    events = [e for e in sesn.events() if e.kind == "clock"]
    assert len(events) <= len(changes)
    assert bool(events) or not noticed
