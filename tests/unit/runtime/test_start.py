"""When tasks begin: after some time, and after others; in virtual time."""

import asyncio

import pytest

from pymanip_run.runtime.calls import NotATaskError
from pymanip_run.runtime.policy import Policy
from pymanip_run.runtime.schedule import every
from pymanip_run.runtime.stop import StopSignal
from pymanip_run.runtime.supervise import Supervisor
from pymanip_run.runtime.sweep import Sweep
from pymanip_run.runtime.tasks import Ruled, normalise


class Run:
    """A run, and the times of what happened in it, from its start."""

    def __init__(self):
        self.stop = StopSignal()
        self.supervisor = Supervisor(self.stop)
        self.times = {}

    async def __call__(self, *tasks, duration=60):
        self.began = asyncio.get_running_loop().time()
        await self.supervisor.run(normalise(tasks, None), duration=duration)

    def step(self, name, seconds=0.0, error=None):
        async def step(*_):
            self.times.setdefault(name, []).append(
                round(asyncio.get_running_loop().time() - self.began, 6)
            )
            await asyncio.sleep(seconds)
            if error is not None:
                raise error

        step.__name__ = name
        return step


@pytest.fixture
def run():
    return Run()


def looking(run, seconds):
    """Return the states of all tasks after some time."""

    async def look():
        await asyncio.sleep(seconds)
        now = asyncio.get_running_loop().time()
        return [(s.state, s.due_in(now), s.waits_for) for s in run.supervisor.statuses]

    return asyncio.create_task(look())


def test_every_kind_of_task_can_begin_later_and_is_seen_to_wait(run_virtually, run):
    async def main():
        seen = looking(run, 2)
        sweep = Sweep(run.step("sweep", 3), [1, 2], stop=run.stop)
        await run(
            Ruled(run.step("repeat", 4), start_after=5),
            Ruled(run.step("once"), once=True, start_after=10),
            Ruled(every(3, run.step("every")), start_after=15),
            Ruled(sweep, start_after=20),
        )
        return await seen

    waiting = run_virtually(main())
    assert waiting == [("waiting", pytest.approx(t - 2), ()) for t in (5, 10, 15, 20)]
    assert run.times == {
        "repeat": [5, 9, 13, 17, 21, 25],
        "once": [10],
        "every": [15, 18, 21, 24],
        "sweep": [20, 23],
    }


def test_tasks_begin_when_the_one_before_them_is_through(run_virtually, run):
    async def main():
        seen = looking(run, 3)
        await run(
            Ruled(run.step("warm_up", 7), once=True, before=("read", "scan")),
            Ruled(every(2, run.step("read"))),
            Ruled(run.step("scan"), once=True, start_after=1),
            duration=12,
        )
        return await seen

    states = run_virtually(main())
    assert states == [
        ("running", None, ()),
        ("pending", None, ("warm_up",)),
        ("pending", None, ("warm_up",)),
    ]
    assert run.times == {"warm_up": [0], "read": [7, 9, 11], "scan": [8]}
    assert run.supervisor.statuses[1].missed == 0


def test_a_task_waits_for_all_that_come_before_it(run_virtually, run):
    first = Ruled(run.step("first", 3), once=True, before=("second", "last"))
    second = Ruled(run.step("second", 2), once=True, before=("last",))
    run_virtually(run(first, second, Ruled(run.step("last"), once=True)))
    assert run.times == {"first": [0], "second": [3], "last": [5]}


def test_a_stop_ends_the_waiting_and_nothing_begins(run_virtually, run):
    async def stop():
        await asyncio.sleep(3)
        run.stop.request("enough")

    async def main():
        seen = looking(run, 4)
        warm_up = Ruled(run.step("warm_up", 7), once=True, before=("read",))
        await run(warm_up, Ruled(run.step("read")), stop())
        return await seen

    assert [state for state, *_ in run_virtually(main())] == ["running", "ended", "ended"]
    assert run.times == {"warm_up": [0]}
    assert [s.state for s in run.supervisor.statuses] == ["ended"] * 3


def test_if_it_fails_for_good_the_run_ends_or_they_begin_all_the_same(run_virtually, run):
    failing = run.step("warm_up", 1, OSError("cold"))
    with pytest.raises(OSError, match="cold"):
        run_virtually(run(Ruled(failing, once=True, before=("read",)), Ruled(run.step("read"))))
    assert run.times == {"warm_up": [0]}

    run = Run()
    failing = run.step("warm_up", 1, OSError("cold"))
    policy = Policy(then="continue")
    warm_up = Ruled(failing, once=True, policy=policy, before=("read",))
    run_virtually(run(warm_up, Ruled(run.step("read"), once=True)))
    assert run.times == {"warm_up": [0], "read": [1]}
    assert [s.state for s in run.supervisor.statuses] == ["failed", "ended"]
    assert run.stop.exit_code == 0


def test_tasks_that_wait_for_each_other_are_refused(run):
    with pytest.raises(NotATaskError, match="wait for each other: 'a', 'b'"):
        normalise(
            [
                Ruled(run.step("a"), once=True, before=("b",)),
                Ruled(run.step("b"), once=True, before=("a",)),
                Ruled(run.step("c")),
            ],
            None,
        )


def test_a_name_that_is_none_is_refused_with_the_nearest(run):
    with pytest.raises(NotATaskError, match=r"before 'raed', .* did you mean 'read'"):
        normalise([Ruled(run.step("warm"), once=True, before=("raed",)), run.step("read")], None)
