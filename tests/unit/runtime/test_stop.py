import asyncio
import logging
import math
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymanip_run.runtime.stop import TURN, StopSignal


async def asleep(stop, seconds=3600.0):
    """A task that sleeps, once it does."""
    task = asyncio.create_task(stop.sleep(seconds))
    await TURN
    await TURN
    return task


async def test_a_sleep_lasts_as_long_as_asked():
    loop = asyncio.get_running_loop()
    began = loop.time()
    assert await StopSignal().sleep(0.02) is False
    assert loop.time() - began >= 0.02 - 1e-6


async def test_a_stop_ends_all_sleeps_at_once():
    stop = StopSignal()
    sleepers = [await asleep(stop) for _ in range(300)]
    stop.request("enough")
    async with asyncio.timeout(1):
        assert all(await asyncio.gather(*sleepers))


async def test_a_sleep_after_the_stop_still_lets_others_run():
    stop = StopSignal()
    stop.request()
    turns = []
    asyncio.get_running_loop().call_soon(turns.append, 1)
    assert await stop.sleep(3600) is True
    assert turns


@pytest.mark.parametrize("seconds", [0, -1, -0.0, -math.inf])
async def test_a_sleep_of_zero_or_less_lets_others_run_once(seconds):
    turns = []
    asyncio.get_running_loop().call_soon(turns.append, 1)
    assert await StopSignal().sleep(seconds) is False
    assert turns == [1]


async def test_nan_is_no_duration():
    with pytest.raises(ValueError, match="nan"):
        await StopSignal().sleep(math.nan)


async def test_an_endless_sleep_ends_with_the_stop():
    stop = StopSignal()
    sleeper = await asleep(stop, math.inf)
    stop.request()
    assert await sleeper is True


async def test_who_waits_for_a_stop_that_was_asked_already_does_not_wait():
    stop = StopSignal()
    stop.request()
    async with asyncio.timeout(5):
        await stop.wait()


async def test_a_sleep_that_was_cut_short_leaves_no_timer():
    # A virtual clock would jump to it.
    loop = asyncio.get_running_loop()
    before = {timer for timer in loop._scheduled if not timer.cancelled()}
    stop = StopSignal()
    stopped, cancelled = await asleep(stop), await asleep(stop)
    cancelled.cancel()
    stop.request()
    await asyncio.wait([stopped, cancelled])
    assert {timer for timer in loop._scheduled if not timer.cancelled()} == before


async def test_another_thread_may_ask():
    stop = StopSignal()
    thread = threading.Timer(0.01, stop.request, ["from a thread"])
    thread.start()
    async with asyncio.timeout(5):
        await stop.wait()
    thread.join()
    assert stop.reason == "from a thread"


async def test_a_sleeping_task_can_be_cancelled():
    stop = StopSignal()
    sleeper = await asleep(stop)
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper
    stop.request()
    assert stop._sleepers == {}


async def test_a_sleeper_that_is_cancelled_as_the_stop_comes_is_cancelled():
    stop = StopSignal()
    sleeper = await asleep(stop)
    stop.request()
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper


def test_one_signal_serves_several_loops_one_after_the_other():
    stop = StopSignal()

    async def main():
        assert await stop.sleep(0.001) is False
        sleeper = await asleep(stop)
        stop.request("once more")
        assert await sleeper is True
        stop.clear()

    for _ in range(3):
        asyncio.run(main())
    assert (stop.is_set, stop.reason, stop.exit_code) == (False, None, 0)


def test_a_loop_that_was_closed_over_its_sleepers_does_no_harm():
    stop = StopSignal()
    loop = asyncio.new_event_loop()
    sleeper = stop.sleep(10)
    loop.call_soon(loop.stop)
    task = loop.create_task(sleeper)
    loop.run_forever()
    loop.close()
    stop.request("too late")
    assert stop.is_set
    task._log_destroy_pending = False
    sleeper.close()


def test_the_first_reason_stays():
    stop = StopSignal()
    stop.request()
    stop.request("Ctrl-C")
    stop.request("later")
    assert stop.reason == "Ctrl-C"
    assert "Ctrl-C" in repr(stop)


@pytest.mark.parametrize(
    ("asked", "code"),
    [((0, 0), 0), ((0, 1), 1), ((5, 1), 5), ((1, 130), 130), ((143, 130, 1), 143), ((3, 0), 3)],
)
def test_a_graver_exit_code_replaces_a_lighter_one(asked, code):
    stop = StopSignal()
    for one in asked:
        stop.request(exit_code=one)
    assert stop.exit_code == code


@given(st.lists(st.sampled_from([0, 1, 3, 4, 5, 130, 143])))
def test_the_exit_code_is_the_first_of_the_gravest_kind(codes):
    stop = StopSignal()
    for code in codes:
        stop.request(exit_code=code)
    forced = [c for c in codes if c >= 128]
    failed = [c for c in codes if c]
    assert stop.exit_code == (forced or failed or [0])[0]


def test_a_listener_is_called_once():
    stop, heard = StopSignal(), []
    stop.on_request(lambda: heard.append(stop.reason))
    stop.request("a")
    stop.request("b")
    assert heard == ["a"]


def test_a_listener_that_comes_late_is_called_at_once():
    stop, heard = StopSignal(), []
    stop.request()
    stop.on_request(lambda: heard.append(1))
    assert heard == [1]


def test_a_listener_that_left_is_not_called():
    stop, heard = StopSignal(), []
    forget = stop.on_request(lambda: heard.append(1))
    forget()
    stop.request()
    forget()
    assert heard == []


def test_a_failing_listener_does_not_keep_the_others_from_hearing(caplog):
    stop, heard = StopSignal(), []
    stop.on_request(lambda: 1 / 0)
    stop.on_request(lambda: heard.append(1))
    stop.request()
    assert heard == [1]
    assert "ZeroDivisionError" in caplog.text
    assert caplog.records[0].levelno == logging.ERROR


def test_a_request_inside_a_request_is_harmless():
    stop, heard = StopSignal(), []
    stop.on_request(lambda: stop.request("inner", 1))
    stop.on_request(lambda: heard.append(1))
    stop.request("outer")
    assert (stop.reason, stop.exit_code, heard) == ("outer", 1, [1])


def test_many_threads_may_sleep_and_ask(run_virtually):
    stop = StopSignal()
    ended = []

    def live():
        async def main():
            while not await stop.sleep(0.0005):
                pass
            ended.append(1)

        asyncio.run(main())

    threads = [threading.Thread(target=live) for _ in range(8)]
    for thread in threads:
        thread.start()
    stop.request("all of you")
    for thread in threads:
        thread.join(10)
    assert len(ended) == 8


def test_a_sleep_in_virtual_time_takes_exactly_its_time(run_virtually):
    async def main():
        loop = asyncio.get_running_loop()
        began = loop.time()
        await StopSignal().sleep(86400.0)
        return loop.time() - began

    assert run_virtually(main()) == pytest.approx(86400.0, abs=1e-6)
