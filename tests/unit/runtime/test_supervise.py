import asyncio
import contextlib
import functools
import logging
import math
import signal

import pytest

from pymanip_run.clock import SYSTEM
from pymanip_run.errors import StorageError, TaskError, UsageError
from pymanip_run.runtime.schedule import every
from pymanip_run.runtime.stop import TURN, StopSignal
from pymanip_run.runtime.supervise import Supervisor
from pymanip_run.runtime.sweep import Sweep
from pymanip_run.runtime.tasks import normalise


class Run:
    """A run with its parts at hand, which are also what its tasks are called with."""

    def __init__(self, **options):
        self.stop = StopSignal()
        self.supervisor = Supervisor(self.stop, **options)
        self.steps = []

    async def __call__(self, *tasks, duration=math.inf):
        async with asyncio.timeout(3000):
            await self.supervisor.run(normalise(tasks, self), duration=duration)

    def sweep(self, task, values, name=None):
        return Sweep(task, values, name, stop=self.stop, argument=self)

    def state(self, index=0):
        return self.supervisor.statuses[index].state


@pytest.fixture
def run():
    return Run()


async def sleeper(run):
    await run.stop.sleep(3600)


async def never_ending():
    await asyncio.Event().wait()


# Beginning and ending


async def test_a_coroutine_function_is_called_until_the_stop(run):
    async def count(run):
        run.steps.append(1)
        if len(run.steps) == 5:
            run.stop.request("five")

    await run(count)
    assert len(run.steps) == run.supervisor.statuses[0].runs == 5
    assert run.stop.reason == "five"
    assert run.state() == "ended"


async def test_an_awaitable_is_awaited_once_and_the_run_ends_with_the_last(run):
    async def step(run):
        run.steps.append(1)

    future = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(future.set_result, 3)
    await run(step(run), asyncio.create_task(step(run)), future)
    assert run.steps == [1, 1]
    assert run.stop.reason == "all tasks ended"
    assert [s.runs for s in run.supervisor.statuses] == [1, 1, 1]


async def test_a_run_without_tasks_ends_at_once(run):
    await run()
    assert run.stop.is_set


async def test_the_run_ends_when_all_its_sweeps_are_done(run):
    async def step(run, value):
        run.steps.append(value)
        await asyncio.sleep(0)

    await run(sleeper, run.sweep(step, [1, 2]), run.sweep(step, range(10, 15), "long"))
    assert sorted(run.steps) == [1, 2, 10, 11, 12, 13, 14]
    assert run.stop.reason == "all sweeps done"
    assert [s.kind for s in run.supervisor.statuses] == ["repeat", "sweep", "sweep"]
    assert [s.runs for s in run.supervisor.statuses[1:]] == [2, 5]
    assert [s.name for s in run.supervisor.sweeps] == ["step", "long"]


async def test_a_time_limit_ends_the_run(run):
    await run(sleeper, duration=0.02)
    assert run.stop.reason == "time limit of 20 ms reached"
    assert run.stop.exit_code == 0


async def test_after_a_stop_nothing_is_begun(run):
    async def step(run):
        run.steps.append(1)

    async def point(run, value):
        run.steps.append(value)

    run.stop.request("before")
    await run(step, every(1, step), step(run), run.sweep(point, [1]))
    assert run.steps == []
    assert run.stop.reason == "before"


async def test_the_present_step_is_completed_after_the_stop(run):
    async def step(run):
        run.steps.append("begun")
        run.stop.request()
        await asyncio.sleep(0.02)
        run.steps.append("ended")

    await run(step, sleeper)
    assert run.steps == ["begun", "ended"]


async def test_a_supervisor_runs_once(run):
    await run()
    with pytest.raises(UsageError, match="make a new one"):
        await run()


async def test_a_stop_may_come_from_a_thread(run):
    async def step(run):
        await asyncio.to_thread(run.stop.request, "thread")
        await run.stop.sleep(3600)

    await run(step)
    assert run.stop.reason == "thread"


# Failing


async def test_a_failing_task_stops_the_others_which_finish_their_step(run):
    begun = asyncio.Event()

    async def good(run):
        begun.set()
        await run.stop.wait()
        await asyncio.sleep(0)
        run.steps.append("finished")

    async def bad(run):
        await begun.wait()
        raise OSError("broken wire")

    with pytest.raises(OSError, match="broken wire") as caught:
        await run(good, bad, sleeper)
    assert caught.value.__notes__ == ["in task 'bad'"]
    assert run.steps == ["finished"]
    assert run.stop.reason == "task 'bad' failed: OSError: broken wire"
    assert run.stop.exit_code == 1
    assert [run.state(i) for i in range(3)] == ["ended", "failed", "ended"]
    assert run.supervisor.statuses[1].errors == 1


async def test_later_failures_are_logged(run, caplog):
    async def first(run):
        raise OSError("the first")

    async def second(run):
        await run.stop.wait()
        raise KeyError("the second")

    with pytest.raises(OSError, match="the first"):
        await run(second, first)
    assert "task 'second' failed too: KeyError: 'the second'" in caplog.text
    assert "Traceback" in caplog.text
    assert [name for name, _ in run.supervisor.failures] == ["first", "second"]


async def test_a_failing_point_of_a_sweep_names_task_and_point(run):
    async def scan(run, value):
        raise OSError("broken")

    with pytest.raises(OSError, match="broken") as caught:
        await run(run.sweep(scan, [3.0]))
    assert caught.value.__notes__ == ["at point 0 of sweep 'scan', value 3.0", "in task 'scan'"]


async def test_the_kind_of_failure_decides_the_exit_code(run):
    async def task(run):
        raise StorageError("no space left")

    with pytest.raises(StorageError):
        await run(task)
    assert run.stop.exit_code == 4


async def test_a_plain_function_fails_the_run_with_advice(run):
    def read(run):
        return 3

    with pytest.raises(TaskError, match="async def read"):
        await run(read, sleeper)


@pytest.mark.parametrize(
    ("error", "code"),
    [(SystemExit(3), 3), (SystemExit("done"), 1), (SystemExit(), 0), (KeyboardInterrupt(), 130)],
)
def test_exits_and_interrupts_propagate_after_the_others_were_stopped(error, code):
    run = Run()

    async def good(run):
        await run.stop.wait()
        await asyncio.sleep(0)
        run.steps.append("finished")

    async def leave(run):
        raise error

    with pytest.raises(type(error)):
        asyncio.run(run(good, leave))
    assert run.steps == ["finished"]
    assert run.stop.exit_code == code
    assert "ended the run" in run.stop.reason


async def test_a_task_that_is_cancelled_by_itself_just_ends_but_not_without_a_word(caplog):
    told = []
    run = Run(tell=lambda *event: told.append(event))

    async def quitter(run):
        raise asyncio.CancelledError

    async def step(run):
        run.steps.append(1)
        await asyncio.sleep(0)
        if len(run.steps) > 5:
            run.stop.request("enough")

    await run(quitter, step)
    assert "task 'quitter' was cancelled" in caplog.text
    text = "was cancelled by something that it awaited, and does not run any more"
    assert told == [("error", "quitter", text)]
    assert run.state() == "cancelled"
    assert run.stop.reason == "enough"
    assert run.stop.exit_code == 0


# Cancelling


@pytest.mark.parametrize(
    ("errors", "code", "words"),
    [
        ([ValueError("broken")], 1, "ValueError: broken"),
        ([ValueError("broken"), StorageError("full")], 4, "ValueError: broken (and 1 more)"),
        ([ExceptionGroup("inner", [StorageError("full")])], 4, "StorageError: full"),
    ],
)
async def test_a_task_group_fails_like_what_failed_in_it(run, errors, code, words):
    async def fail(error):
        raise error

    async def step(run):
        async with asyncio.TaskGroup() as group:
            for error in errors:
                group.create_task(fail(error))

    with pytest.raises(ExceptionGroup):
        await run(step)
    assert (run.stop.exit_code, run.stop.reason) == (code, f"task 'step' failed: {words}")


async def test_a_run_that_is_cancelled_takes_its_tasks_along(run, caplog):
    begun = asyncio.Event()

    async def task(run):
        try:
            begun.set()
            await never_ending()
        finally:
            await asyncio.sleep(0)
            run.steps.append("cleaned up")

    running = asyncio.create_task(run(task, asyncio.create_task(never_ending())))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert run.steps == ["cleaned up"]
    assert run.state() == "cancelled"
    assert run.stop.reason == "cancelled"
    assert "was cancelled" not in caplog.text


async def test_nobody_is_accused_when_all_is_cancelled_together(run, caplog):
    # As asyncio.run does when it is left by an exception.
    mine = asyncio.current_task()
    running = asyncio.create_task(run(never_ending, sleeper))
    for _ in range(3):
        await asyncio.sleep(0)
    jobs = asyncio.all_tasks() - {mine, running}
    assert len(jobs) == 2
    for task in (*jobs, running):
        task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert caplog.records == []


async def test_failures_before_a_cancellation_are_not_lost(run, caplog):
    async def bad(run):
        raise OSError("the cause")

    running = asyncio.create_task(run(bad, never_ending()))
    await run.stop.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert "the cause" in caplog.text


async def test_the_second_signal_cancels_and_raises_keyboard_interrupt(run):
    async def task(run):
        try:
            run.steps.append("begun")
            await never_ending()
        finally:
            await asyncio.sleep(0.01)
            run.steps.append("safe")

    async def press(run):
        run.supervisor.interrupt(signal.SIGTERM)
        await asyncio.sleep(0)
        assert run.stop.exit_code == 0
        run.supervisor.force(signal.SIGTERM)  # raises nothing here: the loop turns
        run.steps.append("forced")
        await never_ending()

    with pytest.raises(KeyboardInterrupt):
        await run(task, press)
    assert run.steps == ["begun", "forced", "safe"]
    assert run.stop.reason == "SIGTERM"
    assert run.stop.exit_code == 143


async def test_a_forced_run_still_tells_of_the_failure_before(run, caplog):
    async def bad(run):
        raise OSError("the cause")

    async def press(run):
        await run.stop.wait()
        run.supervisor.interrupt(signal.SIGINT)
        await asyncio.sleep(0)
        run.supervisor.force(signal.SIGINT)
        await never_ending()

    with pytest.raises(KeyboardInterrupt) as caught:
        await run(press, bad)
    assert isinstance(caught.value.__cause__, OSError)
    assert "the cause" in caplog.text
    assert run.stop.exit_code == 130


async def test_signals_before_the_start_are_heeded(run):
    run.supervisor.interrupt(signal.SIGINT)
    run.supervisor.force(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        await run(never_ending)


async def test_a_second_signal_is_not_raised_in_a_run_that_began_after_the_first(run):
    run.supervisor.interrupt(signal.SIGINT)

    async def press():
        run.supervisor.force(signal.SIGINT)
        run.steps.append("forced")

    with pytest.raises(KeyboardInterrupt):
        await run(asyncio.create_task(press_later(press)))
    assert run.steps == ["forced"]


async def press_later(press):
    for _ in range(3):
        await asyncio.sleep(0)
    await press()


async def test_the_first_signal_tells_how_to_force_the_end(run, caplog):
    async def press(run):
        run.supervisor.interrupt(signal.SIGINT)
        await asyncio.sleep(0)

    await run(press)
    assert "finishing the present step; press Ctrl-C again to cancel it" in caplog.text


async def test_a_task_that_refuses_to_be_cancelled_is_named_and_left(caplog):
    run = Run(patience=0.02)
    may_end = asyncio.Event()

    async def stubborn(run):
        while not may_end.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await may_end.wait()

    async def force(run):
        run.supervisor.force(signal.SIGINT)
        await never_ending()

    with pytest.raises(KeyboardInterrupt):
        await run(stubborn, force)
    assert "task 'stubborn' was cancelled but goes on" in caplog.text
    assert "in stubborn" in caplog.text
    may_end.set()
    for _ in range(4):
        await asyncio.sleep(0)


# Hanging and never awaiting


async def test_tasks_that_hang_are_named_with_their_place(caplog):
    run = Run(grace=0.02)
    release = asyncio.Event()
    caplog.handler.addFilter(lambda record: release.set() or True)

    async def read_device():
        await release.wait()  # the place

    async def hang(run):
        run.stop.request("Ctrl-C")
        await read_device()

    await run(hang, sleeper)
    (record,) = caplog.records
    line = read_device.__code__.co_firstlineno + 1
    text = record.getMessage()
    assert text.startswith("task 'hang' still runs 20 ms after the stop was asked (Ctrl-C), at ")
    assert text.endswith(f"test_supervise.py:{line} in read_device")


@pytest.mark.parametrize("wait", ["sleep", "task", "gather", "generator"])
async def test_the_place_is_the_users_line_however_it_waits(caplog, wait):
    run = Run(grace=0.01, force_after_grace=True)

    async def hang(run):
        run.stop.request()
        match wait:
            case "sleep":
                await asyncio.sleep(3600)
            case "task":
                await asyncio.create_task(never_ending())
            case "gather":
                await asyncio.gather(never_ending(), never_ending())
            case "generator":
                async for _ in values():
                    pass

    async def values():
        await never_ending()
        yield 1

    with pytest.raises(TaskError, match=r"still running: 'hang'"):
        await run(hang)
    assert "test_supervise.py:" in caplog.text


async def test_a_grace_that_is_over_acts_like_a_second_signal():
    run = Run(grace=0.01, force_after_grace=True)

    async def hang(run):
        run.supervisor.interrupt(signal.SIGTERM)
        await never_ending()

    with pytest.raises(KeyboardInterrupt):
        await run(hang)
    assert run.stop.exit_code == 143


async def test_a_run_that_ends_within_its_grace_is_not_disturbed(caplog):
    run = Run(grace=0.0, force_after_grace=True)

    async def step(run):
        run.stop.request()

    await run(step)
    assert caplog.records == []


def tick(loop, seconds):
    """What a blocking call does to a virtual clock."""
    loop.clock.now += seconds


def test_a_task_that_never_awaits_lets_others_run_and_is_named_once(run_virtually, run, caplog):
    async def hog(run):
        tick(asyncio.get_running_loop(), 0.0001)

    async def polite(run):
        run.steps.append(1)
        await run.stop.sleep(0.5)

    run_virtually(run(polite, hog, duration=60))
    assert len(run.steps) == pytest.approx(120, abs=2)
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "task 'hog' never awaits anything" in record.getMessage()


@pytest.fixture
def accusation():
    """What is called when a task is named that never awaits."""
    logger = logging.getLogger("pymanip_run.runtime.repeat")
    called = []

    def note(_record):
        for callback in called:
            callback()
        return False

    logger.addFilter(note)
    yield called.append
    logger.removeFilter(note)


@pytest.mark.parametrize("seconds", [0.0003, 0.02, 0.3, 5.0])
def test_it_is_named_after_about_a_second_however_long_its_steps(
    run_virtually, run, accusation, seconds
):
    async def hog(run):
        loop = asyncio.get_running_loop()
        if not run.steps:
            accusation(lambda: run.steps.append(loop.time() - 1000.0))
            accusation(run.stop.request)
            run.steps.append("begun")
        tick(loop, seconds)

    run_virtually(run(hog, duration=30))
    (_, named) = run.steps
    assert 1.0 <= named <= 1.1 + 2 * seconds


@pytest.mark.parametrize("nap", ["yield", "sleep", "sometimes", "seldom"])
def test_a_task_that_awaits_is_not_accused(run_virtually, run, caplog, nap):
    async def step(run):
        run.steps.append(1)
        tick(asyncio.get_running_loop(), 0.0002)
        if nap == "yield":
            await asyncio.sleep(0)
        elif nap == "sleep":
            await run.stop.sleep(0.1)
        elif nap == "sometimes" and len(run.steps) % 2:
            await run.stop.sleep(1.0)
        elif nap == "seldom" and len(run.steps) % 50 == 0:
            await run.stop.sleep(0.2)

    run_virtually(run(step, duration=10))
    assert caplog.records == []


def test_in_real_time_too(run, accusation):
    async def hog(run):
        pass

    began = SYSTEM.monotonic()
    accusation(run.stop.request)
    asyncio.run(run(hog, sleeper))
    assert SYSTEM.monotonic() - began >= 1.0


# Observers


async def test_an_observer_that_fails_does_not_end_the_run(caplog):
    faults = []
    run = Run(on_fault=lambda name, error: faults.append((name, repr(error))))

    async def plot():
        raise ValueError("no screen")

    async def exits():
        raise SystemExit

    async def step(run):
        if not run.steps:
            run.supervisor.background(plot(), "plot")
            run.supervisor.background(exits(), "mail")
        run.steps.append(1)
        await asyncio.sleep(0)
        if len(faults) == 2:
            run.stop.request("measured")

    await run(step)
    assert faults == [("plot", "ValueError('no screen')"), ("mail", "SystemExit()")]
    assert "plot failed; the run goes on without it" in caplog.text
    assert run.stop.reason == "measured"
    assert run.stop.exit_code == 0


async def test_a_fault_that_cannot_be_reported_does_not_end_the_run_either(caplog):
    run = Run(on_fault=lambda name, error: 1 / 0)

    async def plot():
        raise ValueError("no screen")

    run.supervisor.background(plot(), "plot")
    await run(sleeper, duration=0.01)
    assert "could not be reported" in caplog.text


async def test_observers_outlive_the_tasks_and_are_cancelled_at_the_end(run):
    async def display():
        try:
            await never_ending()
        finally:
            run.steps.append("display closed")

    async def step(run):
        await run.stop.sleep(0.01)
        run.steps.append("task ended")

    run.supervisor.background(display(), "display")
    await run(step(run))
    assert run.steps == ["task ended", "display closed"]


async def test_an_observer_started_at_the_last_moment_is_ended_too(run):
    async def last(run):
        run.supervisor.background(never_ending(), "late")

    await run(last(run))


async def test_an_observer_that_never_began_is_closed(run):
    observer = never_ending()
    run.supervisor.background(observer, "early")
    await run()
    assert observer.cr_frame is None


async def test_the_run_does_not_wait_for_observers(run):
    run.supervisor.background(never_ending(), "server")
    async with asyncio.timeout(5):
        await run(functools.partial(sleeper), duration=0.01)


async def test_status_can_be_watched_while_it_runs(run):
    async def step(run):
        (status, _) = run.supervisor.statuses
        run.steps.append((status.name, status.state, status.runs))
        await TURN

    async def end(run):
        while len(run.steps) < 3:
            await TURN
        run.stop.request()

    await run(step, end(run))
    assert run.steps[:3] == [("step", "running", n) for n in range(3)]
