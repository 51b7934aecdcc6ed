import asyncio
import functools
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymanip_run.runtime.calls import NotATaskError
from pymanip_run.runtime.schedule import Grid, every
from pymanip_run.runtime.stop import StopSignal
from pymanip_run.runtime.supervise import Supervisor
from pymanip_run.runtime.tasks import normalise


async def run(*tasks, duration=math.inf, stop=None):
    """Run tasks on a grid; return their status."""
    supervisor = Supervisor(stop or StopSignal())
    await supervisor.run(normalise(tasks, None), duration=duration)
    return supervisor.statuses


@pytest.fixture
def ticks(run_virtually):
    """Run a task on a grid in virtual time: the times of its steps from the start, its status."""

    def measure(period, duration, work=lambda n: 0.0):
        times = []

        async def main():
            loop = asyncio.get_running_loop()
            began = loop.time()

            async def step():
                times.append(loop.time() - began)
                if seconds := work(len(times) - 1):
                    await asyncio.sleep(seconds)

            return await run(every(period, step), duration=duration)

        (status,) = run_virtually(main())
        return times, status

    return measure


def test_the_grid_has_its_start_but_not_its_end(ticks):
    times, status = ticks("10s", 86400.0)
    assert len(times) == status.runs == 8640
    assert times[0] == 0.0
    assert times[-1] == pytest.approx(86390.0)
    assert status.missed == 0


@pytest.mark.parametrize("period", [0.1, 1 / 3, 0.7, 1e-3])
def test_periods_that_are_no_binary_fractions_do_not_lose_a_tick(ticks, period):
    times, status = ticks(period, 1000.5 * period)
    assert status.runs == 1001
    assert status.missed == 0
    assert times == pytest.approx([n * period for n in range(1001)], abs=1e-6)


def test_the_duration_of_a_step_does_not_add_to_the_period(ticks):
    times, status = ticks(1.0, 100.0, lambda n: 0.9)
    assert times == pytest.approx(list(range(100)))
    assert status.missed == 0


def test_a_step_as_long_as_the_period_misses_nothing(ticks):
    times, status = ticks(0.1, 10.0, lambda n: 0.1)
    assert times == pytest.approx([n / 10 for n in range(100)])
    assert status.missed == 0


def test_missed_ticks_are_counted_and_not_made_up_for(ticks):
    times, status = ticks(1.0, 10.0, lambda n: 3.5 if n == 2 else 0.0)
    assert times == pytest.approx([0, 1, 2, 6, 7, 8, 9])
    assert status.missed == 3


@given(
    works=st.lists(st.floats(0, 7), min_size=1, max_size=30),
    period=st.sampled_from([0.1, 0.25, 1 / 3, 1.0, 10.0]),
)
def test_every_tick_is_either_run_or_missed(run_virtually, works, period):
    async def main():
        loop = asyncio.get_running_loop()
        stop = StopSignal()
        began, times = loop.time(), []
        durations = iter(works)

        async def step():
            times.append((loop.time() - began) / period)
            work = next(durations, None)
            if work is None:
                stop.request()
            else:
                await asyncio.sleep(work * period)

        (status,) = await run(every(period, step), stop=stop)
        return times, status

    times, status = run_virtually(main())
    ticks = [round(t) for t in times]
    assert times == pytest.approx(ticks, abs=1e-4)  # on the grid …
    assert len(set(ticks)) == len(ticks)  # … each tick once at most …
    assert status.runs + status.missed >= ticks[-1] + 1  # … and none forgotten
    assert status.runs == len(works) + 1


@given(st.floats(0, 1e6), st.floats(1e-3, 1e5), st.integers(0, 10**6))
def test_a_grid_knows_its_ticks(start, period, tick):
    grid = Grid(start, period)
    now = grid.time(tick)
    assert abs(grid.latest(now) - tick) <= 1e-10 * now / period
    assert abs(grid.next(now) - tick) <= 1e-10 * now / period
    halfway = now + period / 2
    assert grid.next(halfway) - grid.latest(halfway) == 1


def test_a_grid_may_begin_after_the_start_of_the_run(run_virtually):
    async def main():
        loop = asyncio.get_running_loop()
        supervisor = Supervisor(StopSignal())
        began, times, seen = loop.time(), [], []

        async def step():
            times.append(loop.time() - began)
            await asyncio.sleep(2.5 if len(times) == 2 else 0)

        async def look():
            await asyncio.sleep(0.5)
            status = supervisor.statuses[0]
            seen.append((status.state, status.due_in(loop.time()), status.kind))

        task = every("1s", step, start_after="3s")
        assert repr(task) == "every(1, step, start_after=3)"
        await supervisor.run(normalise([task, look()], None), duration=10.0)
        return times, seen, supervisor.statuses[0]

    times, seen, status = run_virtually(main())
    assert times == pytest.approx([3, 4, 7, 8, 9])
    assert seen == [("waiting", pytest.approx(2.5), "every")]
    assert (status.runs, status.missed) == (5, 2)


def test_a_stop_before_a_late_grid_begins_runs_nothing(run_virtually):
    async def step():
        pytest.fail("was run")

    (status,) = run_virtually(run(every(1, step, start_after=5), duration=4.0))
    assert (status.runs, status.missed, status.state) == (0, 0, "ended")


@pytest.mark.parametrize("start_after", [-1, "soon", math.nan, True])
def test_the_start_of_a_grid_is_a_duration(start_after):
    with pytest.raises(ValueError, match="duration"):
        every(1, asyncio.sleep, start_after=start_after)


def test_a_task_that_holds_the_loop_costs_ticks_but_makes_no_burst(run_virtually):
    async def main():
        loop = asyncio.get_running_loop()
        supervisor = Supervisor(StopSignal())
        times, lates = [], []

        async def step():
            times.append(loop.time() - 1000.0)
            lates.append(supervisor.statuses[0].late)

        async def hog():
            await asyncio.sleep(2.5)
            loop.clock.now += 4.2  # as a blocking call would

        await supervisor.run(normalise([every(1.0, step), hog()], None), duration=10.0)
        return times, lates, supervisor.statuses[0]

    times, lates, status = run_virtually(main())
    assert lates == pytest.approx([0, 0, 0, 0.7, 0, 0, 0], abs=1e-6)  # it is the tick of 6 s
    assert times == pytest.approx([0, 1, 2, 6.7, 7, 8, 9])
    assert (status.runs, status.missed) == (7, 3)


def test_the_status_tells_when_the_next_tick_is_due(run_virtually):
    async def main():
        loop = asyncio.get_running_loop()
        supervisor = Supervisor(StopSignal())
        seen = []

        async def step():
            pass

        async def look():
            await asyncio.sleep(12.0)
            status = supervisor.statuses[0]
            seen.append((status.state, status.due_in(loop.time()), status.runs, status.period))

        await supervisor.run(normalise([every(10, step), look()], None), duration=15)
        return seen

    assert run_virtually(main()) == [("waiting", pytest.approx(8.0), 2, 10.0)]


async def test_in_real_time_the_steps_stay_on_the_grid():
    times = []
    loop = asyncio.get_running_loop()

    async def step():
        times.append(loop.time())
        time.sleep(0.002)  # noqa: ASYNC251 - work that holds the loop

    (status,) = await run(every(0.02, step), duration=0.41)
    # No tick is forgotten: the one that it waited for at the end is the next after these.
    accounted = status.runs + status.missed
    assert status.next_due == pytest.approx(status.started + accounted * 0.02, abs=1e-9)
    # Each step is in its own tick, whatever this computer does meanwhile.
    ticks = [int((t - status.started) / 0.02) for t in times]
    assert len(set(ticks)) == len(ticks)


@pytest.mark.parametrize("period", [0, "0s", -1, "-1s", "soon", math.nan, math.inf, "", True])
def test_a_period_must_be_longer_than_zero(period):
    with pytest.raises(ValueError, match=r"duration|period"):
        every(period, asyncio.sleep)


@pytest.mark.parametrize(("period", "seconds"), [(2, 2.0), ("250ms", 0.25), ("1h30m", 5400.0)])
def test_a_period_is_seconds_or_a_duration(period, seconds):
    assert every(period, asyncio.sleep).period == seconds


def test_every_tells_what_it_is():
    async def read():
        pass

    assert repr(every("1min", read)) == "every(60, read)"
    assert repr(every(1, functools.partial(read))) == "every(1, read)"


async def test_every_wants_the_function_not_its_result():
    async def read():
        pass

    with pytest.raises(NotATaskError, match="`read` without parentheses"):
        every(1, read())
    with pytest.raises(TypeError, match="coroutine function"):
        every(1, None)
    with pytest.raises(TypeError, match="coroutine function"):
        every(1, every(1, read))
