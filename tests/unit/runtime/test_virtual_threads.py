"""Functions in threads, under a virtual clock: what counts as in flight, and in which order they run."""

import asyncio
import multiprocessing
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from time import sleep as real_sleep

import pytest
from helpers_virtual import HOUR, kinds, run

from pymanip_run.clock import SYSTEM
from pymanip_run.runtime import virtual_waiting
from pymanip_run.runtime.threads import Worker, call_in


def test_time_stands_still_while_a_function_runs_in_a_thread():
    async def main():
        now = asyncio.get_running_loop().time
        began = now()
        await asyncio.wait_for(asyncio.to_thread(real_sleep, 0.05), HOUR)
        return now() - began

    passed, _, loop = run(main)
    assert passed < 10, "the timer of an hour was not jumped to"
    assert kinds(loop) == {"thread"}


@pytest.mark.parametrize("make", [lambda: None, lambda: ThreadPoolExecutor(1), lambda: Worker("w")])
def test_every_executor_counts(make):
    async def main():
        loop, executor = asyncio.get_running_loop(), make()
        try:
            return await asyncio.wait_for(loop.run_in_executor(executor, divmod, 7, 2), HOUR)
        finally:
            if executor is not None:
                executor.shutdown()

    result, elapsed, _ = run(main)
    assert result == (3, 1)
    assert elapsed < 10


def test_functions_in_other_processes_count_too():
    async def main():
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as executor:
            loop = asyncio.get_running_loop()
            return await asyncio.wait_for(loop.run_in_executor(executor, abs, -5), HOUR)

    result, elapsed, _ = run(main)
    assert result == 5
    assert elapsed < HOUR


def test_the_thread_of_a_device_counts():
    async def main():
        return await asyncio.wait_for(call_in(Worker("device"), threading.current_thread), HOUR)

    thread, elapsed, _ = run(main)
    assert thread is not threading.main_thread()
    assert elapsed < 10


def test_after_half_a_second_time_follows_real_time():
    async def main():
        await asyncio.to_thread(real_sleep, 0.8)

    _, elapsed, _ = run(main)
    assert 0.1 <= elapsed < 10


def test_a_thread_that_polls_the_time_sees_it_pass():
    def poll():
        until = time.monotonic() + 0.1
        while time.monotonic() < until:
            real_sleep(0.001)

    async def main():
        await asyncio.to_thread(poll)

    assert 0.1 <= run(main)[1] < 10


def test_a_timeout_of_a_thread_expires_in_time_that_follows_real_time():
    async def main():
        release = threading.Event()
        try:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(asyncio.to_thread(release.wait, 60), 0.2)
        finally:
            release.set()

    began = SYSTEM.monotonic()
    _, elapsed, _ = run(main)
    assert elapsed == pytest.approx(0.2, abs=0.05)
    assert 0.6 < SYSTEM.monotonic() - began < 30


def test_a_cancelled_call_does_not_count():
    async def main():
        release = threading.Event()
        call = asyncio.ensure_future(asyncio.to_thread(release.wait, 60))
        await asyncio.sleep(0)
        call.cancel()
        began = SYSTEM.monotonic()
        await asyncio.sleep(HOUR)
        release.set()
        return SYSTEM.monotonic() - began

    real, elapsed, _ = run(main)
    assert elapsed >= HOUR
    assert real < 5


def test_what_hangs_is_given_up_and_named(monkeypatch):
    monkeypatch.setattr(virtual_waiting, "PATIENCE", 0.7)

    async def main():
        release = threading.Event()
        call = asyncio.ensure_future(asyncio.to_thread(release.wait, 60))
        await asyncio.sleep(HOUR)
        release.set()
        await call

    _, elapsed, loop = run(main)
    assert elapsed == pytest.approx(HOUR, abs=1e-3)
    (cost,) = loop.costs
    assert "Event.wait" in cost.label
    assert cost.place
    assert 0.7 <= cost.longest < 20


def test_a_sleep_in_a_thread_is_a_timer():
    async def main():
        await asyncio.to_thread(time.sleep, HOUR)

    began = SYSTEM.monotonic()
    _, elapsed, _ = run(main)
    assert elapsed == HOUR
    assert SYSTEM.monotonic() - began < 30


def test_sleeps_in_threads_and_in_the_loop_wake_in_order():
    async def main():
        now, order = asyncio.get_running_loop().time, []
        began = now()

        async def in_thread(seconds):
            await asyncio.to_thread(time.sleep, seconds)
            order.append((seconds, now() - began))

        async def in_loop(seconds):
            await asyncio.sleep(seconds)
            order.append((seconds, now() - began))

        await asyncio.gather(*(f(s) for s in (7, 3, 11, 5) for f in (in_thread, in_loop)))
        return order

    order, _, _ = run(main)
    assert [seconds for seconds, _ in order] == [3, 3, 5, 5, 7, 7, 11, 11]
    assert all(time == pytest.approx(seconds) for seconds, time in order)


def test_more_sleepers_than_threads_take_their_turns():
    async def main():
        with ThreadPoolExecutor(4) as executor:
            loop = asyncio.get_running_loop()
            await asyncio.gather(
                *(loop.run_in_executor(executor, time.sleep, 10) for _ in range(10))
            )

    _, elapsed, loop = run(main)
    assert elapsed == pytest.approx(30, abs=1)
    assert all(cost.longest < 5 for cost in loop.costs), "who waits for a thread does not count"


def test_a_sleep_in_a_thread_while_another_thread_runs():
    async def main():
        slow = asyncio.ensure_future(asyncio.to_thread(real_sleep, 0.3))
        await asyncio.to_thread(time.sleep, HOUR)
        assert slow.done(), "the clock jumped while a function was in flight"
        await slow

    assert run(main)[1] >= HOUR


def test_functions_in_threads_run_one_after_the_other_in_the_order_in_which_they_were_asked_for():
    def work(number):
        order.append(number)
        real_sleep(0.001)
        order.append(number)

    async def main():
        async def ask(number):
            order.append(("asked", number))
            await asyncio.to_thread(work, number)

        await asyncio.gather(*map(ask, range(20)))

    order = []
    run(main)
    assert order[:20] == [("asked", n) for n in range(20)], "first all that the loop has to do"
    assert order[20:] == [n for n in range(20) for _ in range(2)]


def test_a_function_that_waits_for_another_ones_work_gets_it():
    async def main():
        ready = threading.Event()
        first = asyncio.ensure_future(asyncio.to_thread(ready.wait, 60))
        await asyncio.to_thread(ready.set)
        return await first

    result, elapsed, _ = run(main)
    assert result is True
    assert elapsed < 10


def test_a_loop_that_blocks_until_a_thread_has_begun_goes_on():
    async def main():
        begun = threading.Event()
        call = asyncio.ensure_future(asyncio.to_thread(begun.set))
        await asyncio.sleep(0)
        assert begun.wait(30)
        await call

    run(main)


def test_a_task_that_polls_for_a_thread_gets_its_result():
    async def main():
        call = asyncio.ensure_future(asyncio.to_thread(abs, -1))
        while not call.done():  # noqa: ASYNC110
            await asyncio.sleep(0)
        return call.result()

    assert run(main)[0] == 1


def test_what_a_function_in_a_thread_raises_comes_out():
    async def main():
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(divmod, 1, 0)

    run(main)


def test_a_thread_may_use_the_loop():
    async def main():
        loop = asyncio.get_running_loop()

        def ask():
            return asyncio.run_coroutine_threadsafe(asyncio.sleep(0.2, "done"), loop).result(60)

        return await asyncio.to_thread(ask)

    result, elapsed, _ = run(main)
    assert result == "done"
    assert elapsed >= 0.1


def test_name_resolution_counts():
    async def main():
        loop = asyncio.get_running_loop()
        return await asyncio.wait_for(loop.getaddrinfo("127.0.0.1", 80), HOUR)

    found, elapsed, _ = run(main)
    assert found
    assert elapsed < HOUR


def test_an_executor_that_takes_no_more_leaves_nothing_in_flight():
    async def main():
        executor = ThreadPoolExecutor(1)
        executor.shutdown()
        with pytest.raises(RuntimeError):
            await asyncio.get_running_loop().run_in_executor(executor, abs, 1)
        await asyncio.sleep(HOUR)

    _, elapsed, loop = run(main)
    assert elapsed == HOUR
    assert loop.costs == []


def test_a_loop_that_blocks_until_a_thread_has_slept_goes_on():
    async def main():
        woken = threading.Event()

        def sleep():
            time.sleep(0.3)
            woken.set()

        call = asyncio.ensure_future(asyncio.to_thread(sleep))
        await asyncio.sleep(0.1)
        assert woken.wait(30)
        await call

    run(main)
