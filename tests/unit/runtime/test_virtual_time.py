"""The functions of the module `time` in a rehearsal."""

import asyncio
import subprocess
import sys
import threading
import time
from time import monotonic as real_monotonic
from time import sleep as real_sleep

import pytest

from pymanip_run.clock import SYSTEM, VirtualClock, as_seconds
from pymanip_run.runtime.virtual import virtual_time

EPOCH = 1_700_000_000 * 10**9
NAMES = ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "sleep")


def test_all_that_tell_the_time_are_replaced_and_put_back():
    before = {name: getattr(time, name) for name in NAMES}
    with virtual_time(EPOCH):
        assert [n for n in NAMES if getattr(time, n) is before[n]] == []
    assert [n for n in NAMES if getattr(time, n) is not before[n]] == []


def test_they_are_put_back_after_an_error():
    before = time.time
    with pytest.raises(KeyError), virtual_time(EPOCH):
        raise KeyError
    assert time.time is before


def test_they_tell_virtual_time():
    async def main():
        first = [getattr(time, name)() for name in NAMES[:-1]]
        await asyncio.sleep(3600)
        return [getattr(time, name)() - x for name, x in zip(NAMES, first, strict=False)]

    with virtual_time(EPOCH) as world:
        assert time.time() == 1_700_000_000
        assert time.time_ns() == EPOCH
        passed = world.run(main())
    assert passed == pytest.approx([3600, 3600e9] * 3)


def test_it_begins_now_if_no_time_is_given():
    with virtual_time() as world:
        assert world.clock.time() == pytest.approx(SYSTEM.time(), abs=60)


def test_the_monotonic_time_is_that_of_the_loop():
    async def main():
        return asyncio.get_running_loop().time() - time.monotonic()

    with virtual_time(EPOCH) as world:
        assert world.run(main()) == 0


def test_housekeeping_has_real_time():
    with virtual_time(EPOCH) as world:
        before = SYSTEM.monotonic(), SYSTEM.time(), SYSTEM.wall_ns(), SYSTEM.monotonic_ns()
        world.run(asyncio.sleep(1e6))
        after = SYSTEM.monotonic(), SYSTEM.time(), SYSTEM.wall_ns(), SYSTEM.monotonic_ns()
    passed = [late - early for early, late in zip(before, after, strict=True)]
    assert all(0 <= p < limit for p, limit in zip(passed, (60, 60, 60e9, 60e9), strict=True))


def test_names_imported_before_are_real():
    with virtual_time(EPOCH):
        began = real_monotonic()
        real_sleep(0.01)
        assert real_monotonic() - began >= 0.01


def test_a_sleep_on_the_loop_advances_the_clock_and_is_noted_once_for_each_line():
    async def main():
        for _ in range(3):
            time.sleep(100)  # noqa: ASYNC251
        time.sleep(5)  # noqa: ASYNC251

    line = main.__code__.co_firstlineno + 2
    with virtual_time(EPOCH) as world:
        world.run(main())
    assert world.clock.elapsed == 305
    assert world.sleeps == {(__file__, line): 300, (__file__, line + 1): 5}


def test_timers_that_a_sleep_on_the_loop_held_up_are_late_as_in_reality():
    async def main():
        late = []
        loop = asyncio.get_running_loop()
        loop.call_later(10, lambda: late.append(world.clock.elapsed))
        await asyncio.sleep(1)
        time.sleep(60)  # noqa: ASYNC251
        await asyncio.sleep(0.5)
        return late

    with virtual_time(EPOCH) as world:
        assert world.run(main()) == [61]


def test_a_sleep_before_the_loop_runs_advances_the_clock():
    with virtual_time(EPOCH) as world:
        time.sleep(3)
        assert world.clock.elapsed == 3


@pytest.mark.parametrize("seconds", [-1, float("nan")])
def test_impossible_sleeps_are_refused_as_ever(seconds):
    with virtual_time(EPOCH), pytest.raises(ValueError, match="non-negative"):
        time.sleep(seconds)


def test_threads_of_the_users_own_really_sleep():
    def sleeper():
        began = SYSTEM.monotonic()
        time.sleep(0.02)
        slept.append(SYSTEM.monotonic() - began)

    slept = []
    with virtual_time(EPOCH) as world:
        thread = threading.Thread(target=sleeper, daemon=True)
        thread.start()
        thread.join(30)
        assert world.clock.elapsed == 0
    assert slept[0] >= 0.02


def test_another_event_loop_lives_in_real_time():
    def elsewhere():
        seen.append(asyncio.run(asyncio.wait_for(ticks(), 60)))

    async def ticks():
        began = time.monotonic()
        await asyncio.sleep(0.02)
        return time.monotonic() - began

    seen = []
    with virtual_time(EPOCH) as world:
        thread = threading.Thread(target=elsewhere, daemon=True)
        thread.start()
        while thread.is_alive():
            world.run(asyncio.sleep(1000))
        thread.join(30)
    assert 0.02 <= seen[0] < 30


def test_the_clock_never_goes_back():
    clock = VirtualClock(EPOCH)
    clock.move_to(clock.ns + 5)
    clock.move_to(clock.ns - 3)
    assert clock.ns == VirtualClock.START_NS + 5
    assert clock.wall_ns() == EPOCH + 5


def test_its_times_agree():
    clock = VirtualClock(EPOCH)
    clock.move_to(clock.ns + 123_456_789_000)
    assert clock.elapsed == pytest.approx(123.456789)
    assert clock.time() == pytest.approx(as_seconds(clock.wall_ns()))
    assert clock.monotonic() == clock.monotonic_ns() / 1e9


LEFT_THREAD = """
import asyncio, time
from pymanip_run.runtime.virtual import virtual_time

async def main():
    asyncio.get_running_loop().run_in_executor(None, time.sleep, 1e6)
    await asyncio.sleep(1)

with virtual_time() as world:
    world.run(main())
"""


def test_a_thread_asleep_does_not_keep_the_process_from_ending():
    subprocess.run([sys.executable, "-c", LEFT_THREAD], timeout=30, check=True)


@pytest.mark.parametrize("name", ["time", "monotonic", "perf_counter"])
def test_code_that_holds_the_loop_and_polls_the_time_sees_it_pass(name):
    async def main():
        now = getattr(time, name)
        until = now() + 0.3
        while now() < until:
            pass

    with virtual_time(EPOCH) as world:
        world.run(main())
    assert 0.29 <= world.clock.elapsed < 10


def test_code_that_polls_before_the_loop_runs_sees_time_pass():
    with virtual_time(EPOCH) as world:
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            real_sleep(0.001)
    assert 0.3 <= world.clock.elapsed < 10


def test_a_long_computation_that_now_and_then_reads_the_time_does_not_move_it():
    async def main():
        for _ in range(20):
            time.time()
            real_sleep(0.04)  # noqa: ASYNC251

    with virtual_time(EPOCH) as world:
        world.run(main())
    assert world.clock.elapsed == 0


def test_a_thread_outside_of_the_loop_that_waits_for_a_time_gets_it():
    def elsewhere():
        until = time.monotonic() + 0.2
        while time.monotonic() < until:
            real_sleep(0.01)
        loop.call_soon_threadsafe(done.set)

    async def main():
        nonlocal loop, done
        loop, done = asyncio.get_running_loop(), asyncio.Event()
        thread = threading.Thread(target=elsewhere, daemon=True)
        thread.start()
        await done.wait()
        thread.join(30)

    loop = done = None
    with virtual_time(EPOCH) as world:
        world.run(main())
    assert 0.2 <= world.clock.elapsed < 10
