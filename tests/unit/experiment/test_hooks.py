"""``setup`` and ``teardown``: where they run, and what happens when they hang."""

import asyncio
import logging
import threading
from contextlib import suppress

import pytest

from pymanip_run.errors import TaskError
from pymanip_run.experiment.run import hooks
from pymanip_run.experiment.run.hooks import between
from pymanip_run.session import AsyncSession, internals


@pytest.fixture
def sesn():
    return AsyncSession()


@pytest.fixture
def may_end():
    event = threading.Event()
    yield event
    event.set()


async def test_plain_hooks_run_in_threads_and_the_loop_goes_on(sesn, may_end):
    seen = []

    def setup(sesn):
        seen.append(threading.current_thread().name)
        may_end.wait()

    def teardown():
        seen.append(threading.current_thread().name)

    asyncio.get_running_loop().call_later(0.01, may_end.set)  # needs the loop
    async with between(setup, teardown, sesn, 30):
        seen.append("tasks")
    assert seen == ["setup", "tasks", "teardown"]


async def test_coroutine_functions_run_in_the_loop(sesn):
    seen = []

    async def setup():
        seen.append(threading.current_thread())

    async with between(setup, setup, sesn, 30):
        pass
    assert seen == [threading.main_thread()] * 2


async def test_a_setup_that_hangs_after_a_stop_is_cancelled_and_named(sesn, may_end):
    def setup():
        may_end.wait()

    asyncio.get_running_loop().call_later(0.01, internals(sesn).stop.request, "SIGTERM")
    with pytest.raises(TaskError, match=r"setup still ran 20 ms after the stop .*SIGTERM") as e:
        async with between(setup, None, sesn, 0.02):
            pytest.fail("the tasks ran")
    line = setup.__code__.co_firstlineno + 1
    assert f"test_hooks.py:{line} in setup" in str(e.value)


async def test_a_setup_that_takes_long_is_not_disturbed_without_a_stop(sesn):
    async def setup():
        await asyncio.sleep(0.05)

    async with between(setup, None, sesn, 0.001):
        pass


async def test_a_teardown_is_named_but_never_cut_off(sesn, may_end, caplog):
    caplog.handler.addFilter(lambda _: may_end.set() or True)
    ended = []

    def teardown():
        may_end.wait()
        ended.append(True)

    async with between(None, teardown, sesn, 0.01):
        pass
    assert ended == [True]
    line = teardown.__code__.co_firstlineno + 1
    assert f"teardown has been running for 10 ms, at {__file__}:{line} in teardown" in caplog.text


async def test_what_ended_the_run_is_raised_not_what_teardown_did_then(sesn, caplog):
    def teardown():
        raise KeyError("also")

    with pytest.raises(ValueError, match="broken"):
        async with between(None, teardown, sesn, 30):
            raise ValueError("broken")
    assert "teardown failed as well" in caplog.text
    with pytest.raises(KeyError):
        async with between(None, teardown, sesn, 30):
            pass


async def test_a_cancelled_teardown_leaves_its_thread_behind(sesn, may_end, caplog):
    caplog.set_level(logging.INFO)
    begun = asyncio.Event()
    loop = asyncio.get_running_loop()

    def teardown():
        loop.call_soon_threadsafe(begun.set)
        may_end.wait()

    async def main():
        async with between(None, teardown, sesn, 30):
            pass

    task = asyncio.create_task(main())
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not may_end.is_set()


@pytest.mark.parametrize("end", [SystemExit("no gas"), KeyboardInterrupt()], ids=type)
@pytest.mark.parametrize("kind", ["setup", "teardown"])
def test_a_hook_that_ends_the_program_ends_the_run_and_not_the_loop(sesn, kind, end):
    done = []

    async def hook():
        raise end

    async def main():
        hooks = {"setup": None, "teardown": None, kind: hook}
        try:
            async with between(**hooks, sesn=sesn, grace=30):
                done.append("tasks")
        finally:
            await asyncio.sleep(0)  # devices are made safe and closed here
            done.append("closed")

    with pytest.raises(type(end)) as raised:
        asyncio.run(main())
    assert raised.value is end
    assert done == ["closed"] if kind == "setup" else ["tasks", "closed"]


async def test_what_ended_the_run_is_not_hidden_by_a_teardown_that_ends_the_program(sesn, caplog):
    async def teardown():
        raise SystemExit(3)

    with pytest.raises(ValueError, match="broken"):
        async with between(None, teardown, sesn, 30):
            raise ValueError("broken")
    assert "teardown failed as well" in caplog.text


async def test_a_setup_that_is_cancelled_from_within_failed(sesn):
    async def setup():
        raise asyncio.CancelledError

    with pytest.raises(TaskError, match="setup was cancelled by something that it awaited"):
        async with between(setup, None, sesn, 30):
            pytest.fail("the tasks ran")


@pytest.mark.parametrize("by", ["grace", "second Ctrl-C"])
async def test_a_setup_that_heeds_no_cancellation_is_left_behind(sesn, monkeypatch, caplog, by):
    monkeypatch.setattr(hooks, "PATIENCE", 0.01)
    begun, may_end, ended = (asyncio.Event() for _ in range(3))

    async def setup():
        begun.set()
        while not may_end.is_set():
            with suppress(asyncio.CancelledError):
                await may_end.wait()
        ended.set()

    async def main():
        async with between(setup, None, sesn, 0.01):
            pytest.fail("the tasks ran")

    run = asyncio.create_task(main())
    await begun.wait()
    if by == "grace":
        internals(sesn).stop.request("SIGTERM")
    else:
        run.cancel()
    with pytest.raises(TaskError if by == "grace" else asyncio.CancelledError):
        await run
    assert not ended.is_set()
    assert "task 'setup' was cancelled but goes on" in caplog.text
    may_end.set()
    await ended.wait()
