"""The virtual clock's rule: with nothing ready and nothing in flight, time jumps to the next timer."""

import asyncio
import os
import signal
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymanip_run.clock import SYSTEM, VirtualClock
from pymanip_run.runtime.interrupts import Interrupts
from pymanip_run.runtime.stop import StopSignal
from pymanip_run.runtime.virtual import VirtualLoop, virtual_time

EPOCH = 1_700_000_000 * 10**9


def run(main, **options):
    """Run a coroutine function in virtual time; return (result, virtual seconds, loop)."""
    with virtual_time(EPOCH) as world:
        result = world.run(main(), **options)
        return result, world.clock.elapsed, world.loop


def test_a_sleep_of_a_year_takes_no_time():
    began = SYSTEM.monotonic()
    _, elapsed, loop = run(lambda: asyncio.sleep(365 * 86400))
    assert elapsed == pytest.approx(365 * 86400, abs=1e-6)
    assert SYSTEM.monotonic() - began < 30
    assert loop.costs == []


def test_the_clock_jumps_exactly_to_the_next_timer():
    async def main():
        now = asyncio.get_running_loop().time
        began = now()
        await asyncio.sleep(0.1)
        return now() - began

    assert run(main)[0] == pytest.approx(0.1, abs=1e-9)


@given(st.lists(st.integers(0, 10**13).map(lambda us: us / 1e6), min_size=1, max_size=30))
def test_sleeps_in_any_order_wake_in_order_at_their_times(delays):
    async def main():
        now, woken = asyncio.get_running_loop().time, []
        began = now()

        async def sleeper(delay):
            await asyncio.sleep(delay)
            woken.append((now() - began, delay))

        await asyncio.gather(*map(sleeper, delays))
        return woken

    woken, elapsed, _ = run(main)
    assert [delay for _, delay in woken] == sorted(delays)
    assert all(abs(time - delay) < 1e-6 for time, delay in woken)
    assert elapsed == pytest.approx(max(delays), abs=1e-6)


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(1, 20)), min_size=1, max_size=8))
def test_tickers_do_not_drift_against_each_other(tickers):
    async def main():
        now, ticks = asyncio.get_running_loop().time, []
        began = now()

        async def ticker(period, count):
            for tick in range(1, count + 1):
                await asyncio.sleep(began + tick * period - now())
                ticks.append((tick * period, now() - began))

        await asyncio.gather(*(ticker(*one) for one in tickers))
        return ticks

    ticks, _, _ = run(main)
    assert [due for due, _ in ticks] == sorted(due for due, _ in ticks)
    assert all(abs(due - time) < 1e-6 for due, time in ticks)


def test_what_is_ready_runs_before_time_passes():
    async def main():
        order = []
        asyncio.get_running_loop().call_later(1e-6, order.append, "timer")
        for _ in range(1000):
            await asyncio.sleep(0)
        order.append("ready")
        await asyncio.sleep(1)
        return order

    assert run(main)[0] == ["ready", "timer"]


def test_timeouts_expire_in_virtual_time():
    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.sleep(3600)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 30)
        _, pending = await asyncio.wait([task := asyncio.create_task(asyncio.sleep(50))], timeout=5)
        task.cancel()
        return len(pending)

    left, elapsed, _ = run(main)
    assert left == 1
    assert elapsed == pytest.approx(95)


def test_a_task_that_polls_with_empty_sleeps_sees_time_pass():
    async def main():
        now = asyncio.get_running_loop().time
        until = now() + 0.2
        while now() < until:  # noqa: ASYNC110
            await asyncio.sleep(0)

    _, elapsed, loop = run(main)
    assert 0.2 <= elapsed < 5
    assert [cost.kind for cost in loop.costs] == ["loop"]
    assert "in main" in loop.costs[0].label, "the task that polls is named"


def test_timers_go_on_beside_a_task_that_polls():
    async def main():
        ticked = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.1, ticked.set_result, None)
        while not ticked.done():  # noqa: ASYNC110
            await asyncio.sleep(0)

    assert run(main)[1] >= 0.1


def test_a_long_computation_is_not_taken_for_polling():
    async def main():
        until = SYSTEM.monotonic() + 0.7
        while SYSTEM.monotonic() < until:
            pass
        await asyncio.sleep(0)

    _, elapsed, loop = run(main)
    assert elapsed == 0
    assert loop.costs == []


def test_debug_mode_finds_nothing_slow_in_virtual_time(caplog):
    with virtual_time(EPOCH) as world, asyncio.Runner(debug=True, loop_factory=world.new_loop) as r:
        r.run(asyncio.wait_for(asyncio.sleep(3600), 7200))
        assert world.clock.elapsed == pytest.approx(3600)
    assert caplog.text == ""


def test_a_loop_with_nothing_to_wait_for_says_so(monkeypatch):
    monkeypatch.setattr("pymanip_run.runtime.virtual_waiting.PATIENCE", 0.2)
    stalled = []

    async def main():
        event = asyncio.Event()
        waiting.append(event)
        await event.wait()

    def on_stall(loop):
        stalled.append(loop)
        waiting[0].set()

    waiting = []
    with virtual_time(EPOCH) as world:
        loop = world.new_loop(on_stall)
        with asyncio.Runner(loop_factory=lambda: loop) as runner:
            runner.run(main())
    assert stalled == [loop]
    assert world.clock.elapsed == 0


def test_another_thread_may_wake_the_loop():
    async def main():
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        thread = threading.Thread(target=lambda: loop.call_soon_threadsafe(event.set))
        thread.start()
        await event.wait()
        thread.join(30)

    assert run(main)[1] == 0


@pytest.mark.parametrize("busy", [False, True])
def test_ctrl_c_reaches_a_run_in_virtual_time(busy):
    async def main():
        stop = StopSignal()
        with Interrupts(lambda _: stop.request("Ctrl-C"), lambda _: None):
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            while not stop.is_set:
                await (asyncio.sleep(0) if busy else stop.sleep(10))
        return stop.reason

    assert run(main)[0] == "Ctrl-C"


def test_ctrl_c_wakes_a_loop_that_waits_for_ever():
    async def main():
        stop = StopSignal()
        with Interrupts(lambda _: stop.request("Ctrl-C"), lambda _: None):
            timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT))
            timer.start()
            await stop.wait()
            timer.join()

    assert run(main)[1] == 0


def test_signal_handlers_of_the_loop_are_called():
    async def main():
        loop, got = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, got.set)
        os.kill(os.getpid(), signal.SIGUSR1)
        await asyncio.wait_for(got.wait(), 3600)
        loop.remove_signal_handler(signal.SIGUSR1)

    assert run(main)[1] == 0


def test_the_loop_can_be_closed_twice_and_tells_its_time_afterwards():
    loop = VirtualLoop(VirtualClock(EPOCH))
    loop.close()
    loop.close()
    assert loop.time() == VirtualClock.START_NS / 1e9
