"""Time limits, retries, and what is told of them; in virtual time."""

import asyncio
import contextlib
import logging
import math
import threading

import pytest

from pymanip_run.errors import StorageError, TaskError
from pymanip_run.runtime.policy import Policy, policy_of
from pymanip_run.runtime.schedule import every
from pymanip_run.runtime.stop import StopSignal
from pymanip_run.runtime.supervise import Supervisor
from pymanip_run.runtime.sweep import Sweep
from pymanip_run.runtime.tasks import Ruled, normalise
from pymanip_run.runtime.threads import Worker, call_in

LOGGER = "pymanip_run.runtime.troubles"


class Run:
    """A run, what it told, and when its steps were called, from its start."""

    def __init__(self, **options):
        self.stop = StopSignal()
        self.told = []
        self.supervisor = Supervisor(
            self.stop, tell=lambda *event: self.told.append(event), **options
        )
        self.times = []

    async def __call__(self, *tasks, duration=math.inf):
        self.began = asyncio.get_running_loop().time()
        await self.supervisor.run(normalise(tasks, None), duration=duration)

    def clock(self):
        return asyncio.get_running_loop().time() - self.began

    def status(self, index=0):
        return self.supervisor.statuses[index]

    def sweep(self, task, values):
        return Sweep(task, values, stop=self.stop)

    @property
    def texts(self):
        return [text for _, _, text in self.told]


@pytest.fixture
def run():
    return Run()


@pytest.fixture
def failing(run):
    """A step that fails the first `times` it is called, or always."""

    def make(times=math.inf, error=OSError("no answer")):  # noqa: B008 - raised only
        async def read():
            run.times.append(run.clock())
            if len(run.times) <= times:
                raise error

        return read

    return make


async def end(run, seconds):
    await asyncio.sleep(seconds)
    run.stop.request("enough")


# Retries


def test_a_failed_step_is_tried_again_after_times_that_double_up_to_a_limit(
    run_virtually, run, failing
):
    policy = Policy(retry=6, wait=2, max_wait=10)
    run_virtually(run(Ruled(failing(5), once=True, policy=policy)))
    assert run.times == pytest.approx([0, 2, 6, 14, 24, 34])
    status = run.status()
    assert (status.runs, status.errors, status.failures, status.state) == (1, 5, 0, "ended")
    assert run.stop.exit_code == 0


def test_when_no_retry_is_left_the_run_fails_with_the_error_itself(run_virtually, run, failing):
    with pytest.raises(OSError, match="no answer") as caught:
        run_virtually(run(Ruled(failing(), once=True, policy=Policy(retry=2, wait=1))))
    assert caught.value.__notes__ == ["failed 3 times in a row", "in task 'read'"]
    assert run.times == pytest.approx([0, 1, 3])
    assert run.stop.exit_code == 1
    assert run.status().errors == 3


def test_then_stop_ends_the_run_as_finished_and_says_why(run_virtually, run, failing):
    policy = Policy(retry=1, wait=1, then="stop")
    run_virtually(run(Ruled(failing(), policy=policy)))
    assert run.stop.exit_code == 0
    assert run.stop.reason == "task 'read' failed 2 times: OSError: no answer"


def test_retries_stay_on_the_grid_and_the_ticks_they_cost_are_counted(run_virtually, run, failing):
    policy = {"retry": 5, "wait": "2s", "then": "continue"}
    run_virtually(run(every(5, failing(3), on_error=policy), duration=42))
    # Tick 0 and its retries after 2, 4 and 8 s; then the grid, at the next tick not yet over.
    assert run.times == pytest.approx([0, 2, 6, 14, 15, 20, 25, 30, 35, 40])
    status = run.status()
    assert (status.runs, status.errors, status.missed) == (7, 3, 2)


def test_each_step_has_all_its_retries(run_virtually, run, failing):
    policy = {"retry": 1, "wait": 1, "then": "continue"}
    run_virtually(run(every(10, failing(4), on_error=policy), duration=35))
    assert run.times == pytest.approx([0, 1, 10, 11, 20, 30])
    assert run.status().runs == 2


def test_a_task_that_is_called_again_and_again_does_not_fail_as_fast_as_it_can(
    run_virtually, run, failing
):
    policy = Policy(then="continue", wait=0)
    run_virtually(run(Ruled(failing(), policy=policy), duration=10.5))
    assert run.times == pytest.approx(range(11))


def test_its_pauses_grow_as_those_of_retries(run_virtually, run, failing):
    policy = Policy(then="continue", wait=1, max_wait=8)
    run_virtually(run(Ruled(failing(), policy=policy), duration=30))
    assert run.times == pytest.approx([0, 1, 3, 7, 15, 23])


def test_a_stop_ends_the_wait_for_a_retry_at_once_and_is_no_failure(run_virtually, run, failing):
    async def main():
        policy = Policy(retry=5, wait=1000, max_wait=1000)
        await run(Ruled(failing(), policy=policy), end(run, 3))
        return run.clock()

    assert run_virtually(main()) == pytest.approx(3)
    assert run.stop.exit_code == 0
    assert run.status().state == "ended"


def test_a_failure_after_the_stop_is_not_tried_again_and_the_run_does_not_fail(run_virtually, run):
    async def read():
        run.stop.request("enough")
        raise OSError("no answer")

    run_virtually(run(Ruled(read, policy=Policy(retry=3))))
    assert run.stop.exit_code == 0
    assert run.texts == ["OSError: no answer; not tried again, because the run ends"]


@pytest.mark.parametrize("error", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
def test_what_is_no_failure_is_never_tried_again(run, error):
    async def leave():
        run.times.append(1)
        raise error

    task = Ruled(leave, once=True, policy=Policy(timeout=100, retry=5, wait=0, then="continue"))
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        asyncio.run(run(task))
    assert run.times == [1]
    # The end of the run was one in order: nothing has left the loop on the way.
    assert (run.stop.reason or "").startswith(("task 'leave' ended the run", "all tasks ended"))


def test_a_full_disk_is_waited_for(run_virtually, caplog):
    run = Run()
    full = True

    def tell(*event):
        if full:
            raise StorageError("no space left")
        run.told.append(event)

    run.supervisor = Supervisor(run.stop, tell=tell)

    async def log():
        nonlocal full
        run.times.append(run.clock())
        full = len(run.times) < 4
        if full:
            raise StorageError("no space left")

    policy = {"retry": 2, "wait": 1, "then": "continue"}
    run_virtually(run(every(10, log, on_error=policy), duration=25))
    assert run.times == pytest.approx([0, 1, 3, 10, 20])
    assert [kind for kind, _, _ in run.told] == ["recovery"]
    assert "could not be stored as an event: StorageError: no space left" in caplog.text


# What is told


def test_of_a_weekend_of_failures_the_first_and_the_recovery_are_told_and_each_hour(
    run_virtually, run, failing, caplog
):
    caplog.set_level(logging.INFO)
    policy = {"then": "continue"}
    run_virtually(run(every(10, failing(20_000), on_error=policy), duration=201_000))
    first, *reminders, last = run.told
    assert first == ("error", "read", "OSError: no answer; going on with the next call")
    assert len(reminders) == 55
    assert reminders[0] == ("error", "read", "failed 361 times in 1 h: OSError: no answer")  # fmt: skip
    assert last == ("recovery", "read", "works again after 20000 failures in 2 d 7 h")
    assert run.status().errors == 20_000
    records = [r for r in caplog.records if r.name == LOGGER]
    assert len(records) == len(run.told)
    assert [r for r in records if r.exc_info] == records[:1]
    assert all(r.as_event for r in records)


def test_the_traceback_is_that_of_the_users_code(run_virtually, run, failing, caplog):
    run_virtually(run(Ruled(failing(1), once=True, policy=Policy(retry=1, then="continue"))))
    assert "Traceback" in caplog.text
    assert "test_policy.py" in caplog.text
    assert "policy.py" not in caplog.text.replace("test_policy.py", "")


def test_another_kind_of_failure_in_a_series_is_told(run_virtually, run):
    async def read():
        run.times.append(1)
        if len(run.times) < 6:
            raise OSError if len(run.times) % 2 else ValueError("garbage")

    run_virtually(run(every(1, read, on_error={"then": "continue"}), duration=8))
    assert run.texts == [
        "OSError; going on with the next call",
        "ValueError: garbage; going on with the next call",
        "works again after 5 failures in 5 s",
    ]


def test_a_task_that_fails_every_second_time_does_not_fill_the_log(run_virtually, run):
    async def read():
        run.times.append(1)
        if len(run.times) % 2:
            raise OSError("no answer")

    run_virtually(run(every(10, read, on_error={"then": "continue"}), duration=7500))
    assert len(run.told) == 2 * 10 * 3  # begin and end of ten series in each hour
    assert any("failures before were only counted" in text for text in run.texts)
    assert run.status().errors == 375


def test_a_display_sees_what_it_waits_for(run_virtually, run, failing):
    async def look():
        await asyncio.sleep(7)
        status = run.status()
        return status.state, status.failures, status.due_in(asyncio.get_running_loop().time())

    async def main():
        policy = Policy(retry=9, wait=2)
        task = Ruled(failing(5), once=True, policy=policy)
        looking = asyncio.create_task(look())
        await run(task)
        return await looking

    assert run_virtually(main()) == ("retrying", 3, pytest.approx(7))


def test_missed_ticks_are_told_once_an_hour(run_virtually, run):
    async def slow():
        await asyncio.sleep(25)

    run_virtually(run(every(10, slow), duration=3700))
    first, second = run.told
    assert first == ("warning", "slow", "2 ticks missed: the step took 25 s")
    assert second[2].startswith("2 ticks missed: the step took 25 s (")
    assert run.status().missed == 2 * 124


def test_the_ticks_of_a_step_that_goes_on_are_counted_too(run_virtually, run):
    async def slow():
        await asyncio.sleep(1000)

    async def main():
        async def look():
            await asyncio.sleep(57)
            status = run.status()
            return status.missed, status.missed_by(asyncio.get_running_loop().time())

        looking = asyncio.create_task(look())
        await run(every(10, slow), duration=100)
        return await looking

    assert run_virtually(main()) == (0, 5)


# Time limits


def place(function, offset):
    return f"test_policy.py:{function.__code__.co_firstlineno + offset} in {function.__name__}"


def test_a_step_that_takes_too_long_is_cancelled_and_named(run_virtually, run):
    cleaned = []

    async def hang():
        try:
            await asyncio.sleep(1000)
        finally:
            cleaned.append(run.clock())

    with pytest.raises(
        TaskError, match="task 'hang' took longer than its timeout of 8 s, at "
    ) as e:
        run_virtually(run(Ruled(hang, policy=Policy(timeout=8))))
    assert isinstance(e.value, TimeoutError)
    assert place(hang, 2) in str(e.value)
    assert cleaned == pytest.approx([8])
    assert run.stop.exit_code == 1


def test_a_step_that_is_quick_enough_is_not_touched(run_virtually, run):
    async def read():
        await asyncio.sleep(7.9)

    run_virtually(run(every(10, read, timeout="8s"), duration=95))
    assert (run.status().runs, run.status().missed, run.told) == (10, 0, [])


def test_others_keep_their_period_beside_one_that_hangs(run_virtually, run):
    released = asyncio.Event()

    async def stubborn():
        while not released.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await released.wait()

    async def read():
        run.times.append(run.clock())

    async def release():
        await asyncio.sleep(95)
        released.set()

    policy = {"retry": 3, "then": "continue"}
    run_virtually(run(every(10, stubborn, timeout=8, on_error=policy), every(1, read), release(), duration=200))  # fmt: skip
    assert run.times == pytest.approx(range(200))
    status = run.status(0)
    assert (status.errors, status.failures, status.hung) == (1, 0, None)
    assert status.runs == 1 + 10  # the retry when it had ended, then the grid
    assert status.missed == 20 - 1 - 10
    assert run.texts == [
        f"took longer than its timeout of 8 s, at {__file__}:{stubborn.__code__.co_firstlineno + 3} in stubborn; "
        "retry 1 of 3 in 1 s",
        f"the call does not end, at {__file__}:{stubborn.__code__.co_firstlineno + 3} in stubborn; "
        "the next one waits for it",
        "the call has ended 1 min 27 s after its timeout",
        "works again after 1 failure in 1 min 26 s",
        "9 ticks missed: the step took 1 min 35 s",
    ]


def test_one_that_never_ends_is_left_behind_when_the_run_ends(run_virtually, caplog):
    run = Run(patience=1.0)

    async def stubborn():
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(3600)

    task = every(10, stubborn, timeout=2, on_error={"then": "continue"})
    run_virtually(run(task, duration=25))  # asyncio.Runner would wait for it for ever
    assert run.status().hung.endswith("in stubborn")
    assert "task 'stubborn' was cancelled but goes on, at " in caplog.text


def test_a_stop_lets_a_step_with_a_time_limit_finish(run_virtually, run):
    async def read():
        await asyncio.sleep(5)
        run.times.append(run.clock())

    run_virtually(run(Ruled(read, policy=Policy(timeout=8)), end(run, 3)))
    assert run.times == pytest.approx([5])


def test_a_step_with_a_time_limit_is_named_with_its_own_line(run_virtually, caplog):
    run = Run(grace=5.0)

    async def hang():
        await asyncio.sleep(20)

    run_virtually(run(Ruled(hang, once=True, policy=Policy(timeout=100)), end(run, 3)))
    assert f"still runs 5 s after the stop was asked (enough), at {__file__}:" in caplog.text
    assert place(hang, 1) in caplog.text


def test_a_cancelled_run_takes_the_step_along(run_virtually, run):
    async def read():
        try:
            await asyncio.sleep(1000)
        finally:
            await asyncio.sleep(1)
            run.times.append(run.clock())

    async def main():
        task = asyncio.create_task(run(Ruled(read, policy=Policy(timeout=800))))
        await asyncio.sleep(3)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtually(main())
    assert run.times == pytest.approx([4])


def test_what_a_step_raises_while_it_is_cancelled_is_the_cause(run_virtually, run):
    async def read():
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            raise OSError("port is gone") from None

    with pytest.raises(TimeoutError) as caught:
        run_virtually(run(Ruled(read, policy=Policy(timeout=8))))
    assert isinstance(caught.value.__cause__, OSError)


# Plain functions, in real time


async def until(condition):
    while not condition():  # noqa: ASYNC110 - what happens in a thread makes no event
        await asyncio.sleep(0.01)


async def test_a_call_that_hangs_in_its_thread_is_never_called_beside_itself(caplog):
    run = Run()
    worker, may_end = Worker("read"), threading.Event()
    inside, most, calls = 0, 0, 0

    def read():
        nonlocal inside, most, calls
        inside += 1
        calls += 1
        most = max(most, inside)
        if calls == 1:
            may_end.wait()
        inside -= 1

    async def step():
        await call_in(worker, read)

    async def release():
        await until(lambda: run.status().state == "hung")
        run.place = run.status().hung
        may_end.set()
        await until(lambda: run.status().runs)
        run.stop.request("enough")

    policy = Policy(timeout=0.05, then="continue", wait=0.0)
    await run(Ruled(every(0.02, step), policy=policy, worker=worker), release())
    assert most == 1
    assert calls >= 2
    assert run.status().missed >= 2
    assert run.place.endswith(f"test_policy.py:{read.__code__.co_firstlineno + 6} in read")
    assert any(text.startswith("the call has ended ") for text in run.texts)


async def test_the_place_of_a_plain_function_is_its_own_line(caplog):
    run = Run(grace=0.05)
    worker, may_end = Worker("read"), threading.Event()

    def read():
        run.stop.request("enough")
        may_end.wait()

    async def step():
        await call_in(worker, read)

    caplog.handler.addFilter(lambda _: may_end.set() or True)
    await run(step)
    assert f"test_policy.py:{read.__code__.co_firstlineno + 2} in read" in caplog.text


async def test_a_stop_iteration_in_a_thread_reaches_its_caller():
    def read():
        return next(iter(()))

    async with asyncio.timeout(5):
        with pytest.raises(RuntimeError, match="StopIteration"):
            await call_in(Worker("read"), read)


# Sweeps


def test_a_point_is_tried_again_with_its_value_and_number(run_virtually, run):
    seen, failures = [], iter([True, True])

    async def scan(sesn, value):
        seen.append((value, run.supervisor.sweeps[0].done))
        if value == 20 and next(failures, False):
            raise OSError("no answer")

    policy = Policy(retry=3, wait=1)
    run_virtually(run(Ruled(run.sweep(scan, [10, 20, 30]), policy=policy)))
    assert seen == [(10, 0), (20, 1), (20, 1), (20, 1), (30, 2)]
    (sweep,) = run.supervisor.sweeps
    assert (sweep.done, sweep.failed, sweep.total) == (3, 0, 3)
    assert run.texts[0] == "point 1: OSError: no answer; retry 1 of 3 in 1 s"


def test_a_point_that_fails_for_good_is_passed_over_or_ends_the_run(run_virtually, run):
    seen = []

    async def scan(sesn, value):
        seen.append(value)
        if value == 20:
            raise OSError("no answer")
        return value

    run_virtually(run(Ruled(run.sweep(scan, [10, 20, 30]), policy=Policy(then="continue"))))
    (sweep,) = run.supervisor.sweeps
    assert (sweep.done, sweep.failed, sweep.total, run.status().runs) == (3, 1, 3, 2)
    assert run.stop.reason == "all sweeps done"

    run = Run()
    with pytest.raises(OSError, match="no answer") as caught:
        run_virtually(run(Ruled(run.sweep(scan, [10, 20, 30]), policy=Policy(retry=1))))
    assert "at point 1 of sweep 'scan', value 20" in caught.value.__notes__


def test_a_point_is_gone_to_before_each_try_outside_of_its_time_limit(run_virtually, run):
    gone = []

    async def approach(value):
        gone.append(value)
        await asyncio.sleep(100)
        return True

    async def scan(sesn, value):
        if len(gone) < 2:
            raise OSError("no answer")

    policy = Policy(timeout=5, retry=1, wait=1)
    run_virtually(run(Ruled(run.sweep(scan, [10]), policy=policy, approach=approach)))
    assert gone == [10, 10]
    assert run.supervisor.sweeps[0].done == 1


def test_a_point_whose_retries_a_stop_ended_is_not_done(run_virtually, run):
    async def scan(sesn, value):
        raise OSError("no answer")

    policy = Policy(retry=3, wait=100)
    run_virtually(run(Ruled(run.sweep(scan, [10, 20]), policy=policy), end(run, 5)))
    assert run.supervisor.sweeps[0].done == 0


# The rules themselves


@pytest.mark.parametrize(
    ("timeout", "on_error", "message"),
    [
        (0, {}, "longer than zero"),
        ("soon", {}, "duration"),
        (None, {"retries": 3}, "did you mean 'retry'"),
        (None, {"retry": -1}, "0 or more"),
        (None, {"retry": True}, "0 or more"),
        (None, {"then": "go on"}, "'continue', 'stop' or 'fail'"),
        (None, {"wait": "a while"}, "duration"),
    ],
)
def test_rules_that_make_no_sense_are_refused(timeout, on_error, message):
    with pytest.raises(ValueError, match=message):
        policy_of(timeout, on_error)


def test_the_first_pause_is_as_long_as_was_said():
    assert Policy(wait=120, max_wait=60).pause(1) == 120
    assert Policy(wait=0).pause(5) == 0
    assert Policy(wait=1, max_wait=60).pause(10**6) == 60
