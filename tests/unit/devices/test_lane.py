"""The thread of a device: one call after the other, and nobody waits for one that hangs."""

import asyncio
import contextvars
import threading

import pytest

from pymanip_run.devices.lane import HungError, Lane, NoTurnError
from pymanip_run.errors import DeviceTimeoutError


@pytest.fixture
def lane():
    lane = Lane("thermo")
    yield lane
    lane.close()


@pytest.fixture
def hang():
    """A call that hangs until the test is over, and an event that tells that it began."""
    release, begun = threading.Event(), threading.Event()

    def call():
        begun.set()
        release.wait(60)

    call.begun, call.release = begun, release
    yield call
    release.set()


async def give_up(lane, hang, timeout=0.05):
    with pytest.raises(DeviceTimeoutError) as caught:
        await lane.call(hang, "thermo.read()", timeout=timeout)
    return str(caught.value)


async def test_calls_are_made_in_one_thread_in_their_order(lane):
    seen = []

    def note(n):
        seen.append((n, threading.current_thread().name))

    await asyncio.gather(*(lane.call(lambda n=n: note(n), "note()") for n in range(20)))
    assert seen == [(n, "device thermo") for n in range(20)]


async def test_a_call_sees_the_context_of_its_caller(lane):
    variable = contextvars.ContextVar("point")
    variable.set(7)
    assert await lane.call(variable.get, "get()") == 7


async def test_what_a_call_raises_comes_out(lane):
    with pytest.raises(ZeroDivisionError):
        await lane.call(lambda: 1 / 0, "divide()")


async def test_a_stop_iteration_does_not_make_its_caller_wait_for_ever(lane):
    with pytest.raises(RuntimeError, match="StopIteration"):
        await asyncio.wait_for(lane.call(lambda: next(iter(())), "next()"), 10)


async def test_a_timeout_names_the_call_the_time_and_the_line(lane, hang):
    text = await give_up(lane, hang)
    assert text.startswith("thermo.read() did not return within 50 ms, at ")
    assert "test_lane.py" in text
    assert text.endswith("in call")


async def test_a_timeout_is_also_the_builtin_one(lane, hang):
    with pytest.raises(TimeoutError):
        await lane.call(hang, "read()", timeout=0.05)


async def test_after_a_call_that_hangs_the_next_ones_fail_instead_of_queueing_up(lane, hang):
    await give_up(lane, hang)
    await asyncio.sleep(1.0)
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(HungError) as caught:
        await lane.call(lambda: 1, "thermo.range()")
    assert loop.time() - began < 5
    assert (
        "thermo.range() was not called: the thread of thermo still hangs in thermo.read() since"
        in str(caught.value)
    )
    assert "test_lane.py" in str(caught.value)


async def test_a_call_that_was_given_up_gets_a_moment_to_return(lane, hang):
    await give_up(lane, hang)
    waiting = asyncio.ensure_future(lane.call(lambda: 5, "thermo.range()"))
    await asyncio.sleep(0.05)
    hang.release.set()
    assert await waiting == 5
    assert not lane.is_hung


async def test_a_refused_call_is_never_made(lane, hang):
    await give_up(lane, hang)
    made = []
    with pytest.raises(HungError):
        await lane.call(lambda: made.append(1), "set_output(True)")
    hang.release.set()
    await lane.call(lambda: None, "nothing()", grace=30)
    assert made == []


async def test_a_cancelled_call_counts_as_given_up(lane, hang):
    task = asyncio.ensure_future(lane.call(hang, "thermo.read()"))
    assert await asyncio.to_thread(hang.begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert lane.is_hung
    with pytest.raises(HungError):
        await lane.call(lambda: 1, "thermo.range()")


async def test_waiting_for_ones_turn_is_part_of_the_time_and_hangs_nothing(lane, hang):
    task = asyncio.ensure_future(lane.call(hang, "thermo.scan()"))
    assert await asyncio.to_thread(hang.begun.wait, 10)
    made = []
    with pytest.raises(
        NoTurnError, match=r"read\(\) did not get its turn .* busy with thermo.scan"
    ):
        await lane.call(lambda: made.append(1), "read()", timeout=0.05)
    assert not lane.is_hung
    hang.release.set()
    await task
    assert await lane.call(lambda: 3, "read()") == 3
    assert made == []


async def test_a_renewed_lane_works_beside_the_thread_that_hangs(lane, hang):
    await give_up(lane, hang)
    assert lane.renew()
    assert not lane.is_hung
    assert await lane.call(lambda: 3, "read()") == 3


async def test_calls_that_wait_behind_a_hung_one_fail_when_it_is_left(lane, hang):
    first = asyncio.ensure_future(lane.call(hang, "thermo.read()"))
    assert await asyncio.to_thread(hang.begun.wait, 10)
    second = asyncio.ensure_future(lane.call(lambda: 1, "thermo.range()"))
    await asyncio.sleep(0)
    lane.renew()
    with pytest.raises(Exception, match=r"thermo.range\(\) was not called: .* opened again"):
        await second
    hang.release.set()
    await first


async def test_so_many_hung_threads_are_left_and_no_more(lane, hang):
    left = []
    for _ in range(20):
        await give_up(lane, hang, timeout=0.02)
        if not lane.renew():
            break
        left.append(1)
    assert 5 < len(left) < 15


def test_another_thread_can_call_and_wait(lane):
    assert lane.call_and_wait(lambda: threading.current_thread().name, "name()") == "device thermo"
    # From within: it would wait for itself.
    assert lane.call_and_wait(lambda: lane.call_and_wait(lambda: 4, "inner()"), "outer()") == 4
