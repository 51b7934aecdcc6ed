"""Sweeps that go on after a run that was interrupted, and what is kept for that."""

import asyncio
import logging

import numpy as np
import pytest

from pymanip_run.core.course import PastSweep, course_of, course_text
from pymanip_run.core.feed import Feed
from pymanip_run.core.plainly import as_text
from pymanip_run.core.recorder import Recorder
from pymanip_run.errors import UsageError
from pymanip_run.records import SweepPoint, Window
from pymanip_run.runtime.policy import Policy
from pymanip_run.runtime.replay import ReplayError, plan_of
from pymanip_run.runtime.stop import TURN, StopSignal
from pymanip_run.runtime.sweep import Sweep
from pymanip_run.runtime.tasks import Ruled, normalise
from pymanip_run.storage.memory import MemoryStore


class Bench:
    """A session in memory whose sweep can be interrupted."""

    def __init__(self):
        self.store = MemoryStore()
        self.recorder = Recorder(self.store, Feed())
        self.stop = StopSignal()
        self.steps = []
        self.last = None

    def sweep(self, values, task=None, **options):
        return Sweep(task or square, values, "s", stop=self.stop, argument=self, **options)

    async def run(self, sweep, until=None, **rules):
        """Run a sweep as the task of a run; it is asked to stop in its step number `until`."""
        self.until = until
        past = self.last
        self.stop.clear()
        about = {"plan": sweep.plan, "points": sweep.total}
        if past is not None:
            about |= {"resumes": len(self.store.runs()) - 1, "first": past.done}
        self.recorder.begin_run({}, {"sweeps": course_text({"s": about}, {})})
        sweep.keep(self.recorder)
        try:
            await sweep.run() if not rules else await self.ruled(sweep, rules)
        finally:
            self.recorder.end_run(0, "")
            runs = self.store.runs()
            self.last = course_of(self.store, runs, runs[-1].index).sweeps["s"]
        return self.last

    async def ruled(self, sweep, rules):
        (spec,) = normalise([Ruled(sweep, policy=Policy(**rules))], self)
        await spec.run(self.stop, lambda *_: None)

    def points(self):
        return [p for run in self.store.runs() for p in self.store.sweep_points(run.index)]


async def square(bench, value):
    bench.steps.append(value)
    if len(bench.steps) == bench.until:
        bench.stop.request()
    return np.float64(value) ** 2


@pytest.fixture
def bench():
    return Bench()


def adaptive():
    value = 1.5
    for _ in range(6):
        value = (yield value) / 1.5


async def adaptive_asynchronously():
    values = adaptive()
    value = next(values)
    while True:
        await TURN
        result = yield value
        try:
            value = values.send(result)
        except StopIteration:
            return


def from_a_list():
    yield from [0.5, 1, 2, 4, 8, 16]


KINDS = {
    "list": lambda: [3, 1, 2, 5, 4, 0],
    "array": lambda: np.linspace(0, 1, 6),
    "iterator": lambda: iter([1, 2, 3, 4, 5, 6]),
    "map": lambda: map(float, range(6)),
    "adaptive": lambda: adaptive,
    "adaptive, begun": adaptive,
    "asynchronous": lambda: adaptive_asynchronously,
    "generator over a list": lambda: from_a_list,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cuts", [(1,), (3,), (1, 1, 2), (5,), (6,)])
async def test_a_sweep_goes_on_where_it_was(kind, cuts):
    whole, bench = Bench(), Bench()
    await whole.run(whole.sweep(KINDS[kind]()))
    past = await bench.run(bench.sweep(KINDS[kind]()), cuts[0])
    for cut in cuts[1:]:
        sweep = bench.sweep(KINDS[kind]())
        sweep.go_on(past)
        past = await bench.run(sweep, len(bench.steps) + cut)
    sweep = bench.sweep(KINDS[kind]())
    sweep.go_on(past)
    assert sweep.done == sum(cuts)
    past = await bench.run(sweep)

    assert bench.steps == whole.steps
    assert past.ended
    assert (sweep.done, sweep.total, sweep.finished) == (6, 6, True)
    assert [(p.number, p.value, p.state) for p in past.points] == [
        (p.number, p.value, p.state) for p in whole.last.points
    ]
    done = [p.number for p in bench.points() if p.state == "done"]
    assert done == list(range(6))


async def test_a_complete_sweep_takes_no_step_and_asks_for_no_value(bench):
    past = await bench.run(bench.sweep(adaptive))

    def never():
        raise AssertionError("asked for a value")
        yield

    sweep = bench.sweep(never)
    sweep.go_on(past)
    await bench.run(sweep)
    assert len(bench.steps) == 6
    assert (sweep.total, sweep.finished, sweep.eta) == (6, True, 0.0)


async def test_a_point_is_recorded_behind_its_data_and_with_its_time(bench):
    async def step(bench, value):
        bench.recorder.add_entry(y=value)

    await bench.run(bench.sweep([3.0, 4.0], step))
    times, _ = bench.store.read_series("y", Window())
    first, second, end = bench.points()
    assert first.start < times[0] < first.time < second.start < times[1] < second.time < end.time
    assert (first.value, first.result, first.state) == ("3.0", "", "done")
    assert (end.number, end.state) == (2, "end")


async def test_only_a_generator_needs_the_results(bench):
    await bench.run(bench.sweep([1.0]))
    await bench.run(bench.sweep(adaptive))
    results = [p.result for p in bench.points() if p.state == "done"]
    assert results[0] == ""
    assert "scalar" in results[1]


async def test_a_result_that_cannot_be_stored_is_told_once_and_ends_nothing(bench, caplog):
    async def step(bench, value):
        return {1, 2}

    def values():
        yield from range(4)

    past = await bench.run(bench.sweep(values, step))
    assert past.ended
    (event,) = [e for e in bench.store.events() if e.kind == "warning"]
    assert "the result of point 0 cannot be stored (a set)" in event.text
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1


async def test_a_generator_whose_results_were_not_stored_does_not_go_on(bench):
    async def step(bench, value):
        await square(bench, value)
        return {1, 2}

    def values():
        yield 0
        yield from (1, 2, 3)

    past = await bench.run(bench.sweep(values, step), until=2)
    sweep = bench.sweep(values, step)
    sweep.go_on(past)
    with pytest.raises(
        ReplayError, match="point 2: its generator needs the result of point 0, and a set"
    ):
        await bench.run(sweep)
    sweep = bench.sweep(values, step)
    sweep.go_on(past, lenient=True)
    await bench.run(sweep)
    assert bench.steps == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ([1.0, 2.5, 3.0, 4.0], "point 1 is 2.5 now, and was 2.0"),
        ([1.0], "cannot go on at point 2: there are fewer points now"),
    ],
)
async def test_values_that_are_others_than_they_were_are_refused_with_what_to_type(
    bench, now, message
):
    past = await bench.run(bench.sweep([1.0, 2.0, 3.0, 4.0]), until=2)
    sweep = bench.sweep(now)
    sweep.go_on(past)
    with pytest.raises(ReplayError, match=message) as caught:
        await bench.run(sweep)
    assert "--resume-anyway" in str(caught.value)
    assert bench.steps == [1.0, 2.0]


async def test_anyway_it_goes_on_at_the_next_number(bench):
    past = await bench.run(bench.sweep([1.0, 2.0, 3.0, 4.0]), until=2)
    sweep = bench.sweep([10.0, 20.0, 30.0])
    sweep.go_on(past, lenient=True)
    await bench.run(sweep)
    assert bench.steps == [1.0, 2.0, 30.0]


async def test_a_generator_of_chance_is_told_that_it_must_not_be(bench):
    seed = iter(range(100))

    def values():
        while True:
            yield next(seed)

    past = await bench.run(bench.sweep(values), until=3)
    sweep = bench.sweep(values)
    sweep.go_on(past)
    with pytest.raises(ReplayError, match="its generator must depend on the results it is sent"):
        await bench.run(sweep)


async def test_a_point_that_was_passed_over_is_not_tried_again(bench):
    async def step(bench, value):
        bench.steps.append(value)
        if value == 2:
            raise ValueError
        if len(bench.steps) == 3:
            bench.stop.request()

    past = await bench.run(bench.sweep([1, 2, 3, 4], step), then="continue")
    assert [p.state for p in past.points] == ["done", "failed", "done"]
    sweep = bench.sweep([1, 2, 3, 4], step)
    sweep.go_on(past)
    assert sweep.failed == 1
    await bench.run(sweep)
    assert bench.steps == [1, 2, 3, 4]


async def test_a_point_that_failed_and_ended_the_run_is_tried_again(bench):
    async def step(bench, value):
        bench.steps.append(value)
        if len(bench.steps) == 2:
            raise ValueError("the supply")

    with pytest.raises(ValueError, match="the supply"):
        await bench.run(bench.sweep([1, 2, 3], step))
    sweep = bench.sweep([1, 2, 3], step)
    sweep.go_on(bench.last)
    await bench.run(sweep)
    assert bench.steps == [1, 2, 2, 3]


async def test_a_point_whose_sleep_was_cut_short_is_measured_again(bench):
    async def step(bench, value):
        bench.steps.append(value)
        if len(bench.steps) == 2:
            asyncio.get_running_loop().call_soon(bench.stop.request)
            await bench.stop.sleep(60)

    past = await bench.run(bench.sweep([1, 2, 3], step))
    assert past.done == 1
    sweep = bench.sweep([1, 2, 3], step)
    sweep.go_on(past)
    await bench.run(sweep)
    assert bench.steps == [1, 2, 2, 3]


async def test_a_cancelled_point_is_measured_again(bench):
    async def step(bench, value):
        bench.steps.append(value)
        if len(bench.steps) == 2:
            raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await bench.run(bench.sweep([1, 2, 3], step))
    assert bench.last.done == 1


async def test_the_stop_ends_the_way_back_as_well(bench):
    def values():
        for value in range(10):
            if came_back and value == 2:
                bench.stop.request()
            yield value

    came_back = []
    past = await bench.run(bench.sweep(values), until=5)
    came_back.append(True)
    sweep = bench.sweep(values)
    sweep.go_on(past)
    past = await bench.run(sweep)
    assert len(bench.steps) == 5
    assert past.done == 5
    assert not past.ended


async def test_without_a_run_of_its_own_it_cannot_go_on(bench):
    with pytest.raises(UsageError, match=r"give it to monitor\(\)"):
        await bench.sweep([1], resume=True)


def test_the_pace_is_that_of_this_run(run_virtually):
    async def main():
        bench, seen = Bench(), []

        async def step(bench, value):
            await asyncio.sleep(10.0)
            seen.append(sweep.eta)

        points = tuple(SweepPoint("s", n, n, n, value=as_text(n)) for n in range(7))
        sweep = bench.sweep(range(10), step)
        sweep.go_on(PastSweep("s", total=10, points=points))
        await sweep.run()
        return seen

    assert run_virtually(main()) == [None, pytest.approx(10.0), pytest.approx(0.0)]


@pytest.mark.parametrize(
    ("values", "plan"),
    [
        ([1, 2.5, "a"], {"values": [1, 2.5, "a"]}),
        (range(3), {"values": [0, 1, 2]}),
        ([(1, 0.5)], {"values": [{"tuple": [1, 0.5]}]}),
        ({"a": 1}, {"values": ["a"]}),
        (adaptive(), {"generator": "adaptive"}),
    ],
)
def test_the_plan_names_what_can_be_known(values, plan):
    assert plan_of(values, values) == plan


@pytest.mark.parametrize("kind", [range, lambda n: list(range(n)), np.arange])
def test_the_plan_of_very_many_values_is_their_sum(kind):
    plan = plan_of(kind(20_000), None)
    assert plan["number"] == 20_000
    assert plan_of(kind(20_000), None) == plan
    other = list(range(20_000))
    other[7] = 8
    assert plan_of(other, None)["sha256"] != plan["sha256"]
    assert plan_of(kind(20_001), None)["sha256"] != plan["sha256"]
