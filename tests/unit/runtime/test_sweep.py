import asyncio
import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymanip_run.core.context import current_point
from pymanip_run.errors import UsageError
from pymanip_run.runtime.calls import NotATaskError
from pymanip_run.runtime.stop import TURN, StopSignal
from pymanip_run.runtime.sweep import Sweep
from pymanip_run.runtime.tasks import normalise


class Recorder:
    """A session with a step that remembers its values."""

    def __init__(self):
        self.values = []
        self.stop = StopSignal()

    def sweep(self, values, task=None, name=None, **options):
        return Sweep(task or record, values, name, stop=self.stop, argument=self, **options)


async def record(sesn, value):
    sesn.values.append(value)
    return value


@pytest.fixture
def sesn():
    return Recorder()


def generated():
    yield from (1, 2, 3)


async def generated_asynchronously():
    for value in (1, 2, 3):
        await TURN
        yield value


class AsyncValues:
    """An asynchronous iterator that is no generator."""

    def __init__(self):
        self._left = [3, 2, 1]

    def __aiter__(self):
        return self

    async def __anext__(self):
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


class OldValues:
    """Iterable by its items only."""

    def __getitem__(self, index):
        return [1, 2, 3][index]


@pytest.mark.parametrize(
    ("values", "total"),
    [
        ([1, 2, 3], 3),
        (range(1, 4), 3),
        ({1: "a", 2: "b", 3: "c"}, 3),
        (np.array([1, 2, 3]), 3),
        (iter([1, 2, 3]), 3),
        (generated(), None),
        (generated, None),
        (lambda sesn: [1, 2, 3], 3),
        (generated_asynchronously, None),
        (generated_asynchronously(), None),
        (AsyncValues(), None),
        (OldValues(), None),
        (map(int, "123"), None),
    ],
)
async def test_a_sweep_goes_through_values_of_any_kind(sesn, values, total):
    sweep = sesn.sweep(values)
    assert (sweep.done, sweep.total, sweep.finished, sweep.value) == (0, total, False, None)
    await sweep
    assert sesn.values == [1, 2, 3]
    assert (sweep.done, sweep.total, sweep.finished, sweep.value) == (3, 3, True, 3)


async def test_a_sweep_of_no_values_is_done_at_once(sesn):
    sweep = sesn.sweep([])
    await sweep
    assert (sweep.finished, sweep.eta) == (True, 0.0)


@pytest.mark.parametrize("values", [5, None, object()])
def test_what_is_not_iterable_is_refused_at_once(sesn, values):
    with pytest.raises(NotATaskError, match="values to go through"):
        sesn.sweep(values)


def bisect(low, high):
    while high - low > 1e-3:
        middle = (low + high) / 2
        above = yield middle
        low, high = (low, middle) if above else (middle, high)


async def bisect_asynchronously(low, high):
    while high - low > 1e-3:
        middle = (low + high) / 2
        above = yield middle
        low, high = (low, middle) if above else (middle, high)


@pytest.mark.parametrize("generator", [bisect, bisect_asynchronously])
async def test_a_generator_is_sent_the_results_and_may_adapt(sesn, generator):
    async def is_above(sesn, value):
        await TURN
        return value > 0.3

    sweep = sesn.sweep(generator(0.0, 1.0), is_above)
    await sweep
    assert sweep.value == pytest.approx(0.3, abs=2e-3)
    assert sweep.done == 10


@given(results=st.lists(st.integers() | st.none() | st.text(), max_size=20))
def test_each_result_is_sent_once_and_in_order(results):
    sent = []

    def values():
        nonlocal sent
        for index in range(len(results)):
            result = yield index
            sent += [result]

    async def step(sesn, index):
        return results[index]

    asyncio.run(Recorder().sweep(values(), step).run())
    assert sent == results


async def test_a_generator_may_pass_on_other_values_and_generators(sesn):
    sent = []

    def inner():
        sent.append((yield 3))

    def values():
        yield from [1, 2]
        yield from inner()
        sent.append((yield 4))

    await sesn.sweep(values())
    assert (sesn.values, sent) == ([1, 2, 3, 4], [3, 4])


@pytest.mark.parametrize("kind", ["generator", "async generator"])
@pytest.mark.parametrize("way_out", ["through", "stop", "error", "cancelled"])
async def test_a_generator_is_closed_on_every_way_out(sesn, kind, way_out):
    closed = []

    def plain():
        try:
            yield from range(3)
        finally:
            closed.append(1)

    async def asynchronous():
        try:
            for value in range(3):
                yield value
        finally:
            await TURN
            closed.append(1)

    async def step(sesn, value):
        if value == 1 and way_out == "stop":
            sesn.stop.request()
        if value == 1 and way_out == "error":
            raise OSError("broken")
        if value == 1 and way_out == "cancelled":
            asyncio.current_task().cancel()
            await TURN

    sweep = sesn.sweep(plain() if kind == "generator" else asynchronous(), step)
    expected = {"error": OSError, "cancelled": asyncio.CancelledError}.get(way_out)
    if expected:
        with pytest.raises(expected):
            await sweep
    else:
        await sweep
    assert closed == [1]
    asyncio.current_task().uncancel()


async def test_the_failure_of_a_point_is_not_hidden_by_one_in_closing(sesn, caplog):
    def values():
        try:
            yield 1
        finally:
            raise RuntimeError("in closing")

    async def fail(sesn, value):
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        await sesn.sweep(values(), fail)
    assert "in closing" in caplog.text


async def test_a_failure_in_closing_is_a_failure(sesn):
    def values():
        try:
            yield 1
        finally:
            if sesn.stop.is_set:
                raise RuntimeError("in closing")

    async def step(sesn, value):
        sesn.stop.request()

    with pytest.raises(RuntimeError, match="in closing"):
        await sesn.sweep(values(), step)


async def test_a_failure_tells_its_point(sesn):
    async def fail(sesn, value):
        if value == 30:
            raise OSError("broken")

    with pytest.raises(OSError, match="broken") as caught:
        await sesn.sweep([10, 20, 30], fail, "scan")
    assert caught.value.__notes__ == ["at point 2 of sweep 'scan', value 30"]


async def test_no_point_is_started_after_the_stop(sesn):
    async def step(sesn, value):
        sesn.values.append(value)
        if value == 2:
            sesn.stop.request("enough")
            await asyncio.sleep(0)
            sesn.values.append("finished")

    sweep = sesn.sweep([1, 2, 3], step)
    await sweep
    assert sesn.values == [1, 2, "finished"]
    assert (sweep.done, sweep.finished) == (2, False)


async def test_no_value_is_taken_after_the_stop(sesn):
    taken = []

    def values():
        for value in range(9):
            taken.append(value)
            yield value

    async def step(sesn, value):
        sesn.stop.request()

    await sesn.sweep(values(), step)
    assert taken == [0]


async def test_a_sweep_that_waits_for_its_next_value_ends_with_the_stop(sesn):
    asked, closed = asyncio.Event(), []

    async def values():
        try:
            yield 1
            asked.set()
            await asyncio.Event().wait()
        finally:
            closed.append(1)

    sweep = sesn.sweep(values())
    task = asyncio.create_task(sweep.run())
    await asked.wait()
    sesn.stop.request()
    async with asyncio.timeout(5):
        await task
    assert (sesn.values, closed, sweep.finished, sweep.total) == ([1], [1], False, None)


async def test_a_timeout_of_the_values_themselves_is_theirs(sesn):
    async def values():
        yield 1
        raise TimeoutError("no answer")

    with pytest.raises(TimeoutError, match="no answer"):
        await sesn.sweep(values())


async def test_every_step_lets_the_others_run(sesn):
    turns = []

    async def count():
        while True:
            turns.append(len(sesn.values))
            await TURN

    task = asyncio.create_task(count())
    await sesn.sweep(range(5))
    task.cancel()
    assert {1, 2, 3, 4} <= set(turns)


async def test_the_point_is_known_inside_its_step_only(sesn):
    async def step(sesn, value):
        in_thread = await asyncio.to_thread(current_point.get)
        in_task = await asyncio.create_task(ask())
        sesn.values.append((current_point.get(), in_thread, in_task))

    async def ask():
        return current_point.get()

    await asyncio.gather(sesn.sweep("ab", step, "one").run(), sesn.sweep("a", step, "two").run())
    await sesn.sweep("a", step, "three")  # in this very context
    assert sorted(sesn.values) == [
        (p, p, p) for p in (("one", 0), ("one", 1), ("three", 0), ("two", 0))
    ]
    assert current_point.get() is None


async def test_a_grid_passes_its_values_as_several_arguments(sesn):
    async def step(sesn, voltage, field):
        sesn.values.append((voltage, field))

    await sesn.sweep([(1, 0.1), (2, 0.2)], step, spread=True)
    assert sesn.values == [(1, 0.1), (2, 0.2)]


async def test_a_tuple_is_one_value_unless_spread(sesn):
    await sesn.sweep([(1, 0.1)])
    assert sesn.values == [(1, 0.1)]


class Bench(Recorder):
    async def step(self, value):
        self.values.append(value)

    async def with_option(self, value, settle=0.0):
        self.values.append((value, settle))


@pytest.mark.parametrize(("method", "got"), [("step", [1, 2]), ("with_option", [(1, 0), (2, 0)])])
async def test_a_method_of_the_session_gets_the_value_only(method, got):
    bench = Bench()
    await bench.sweep([1, 2], getattr(bench, method))
    assert bench.values == got


async def test_a_step_may_be_a_partial_or_take_the_value_only(sesn):
    async def with_gain(sesn, value, gain):
        sesn.values.append(value * gain)

    async def alone(value):
        sesn.values.append(value)

    await sesn.sweep([1, 2], functools.partial(with_gain, gain=10))
    await sesn.sweep([3], alone)
    assert sesn.values == [10, 20, 3]


async def test_a_step_that_is_not_a_coroutine_is_named(sesn):
    def plain(sesn, value):
        return 5

    with pytest.raises(TypeError, match=r"'plain' returned int.*async def plain"):
        await sesn.sweep([1], plain)
    with pytest.raises(TypeError, match="async def step"):
        sesn.sweep([1], 5)


async def test_a_sweep_runs_once(sesn):
    sweep = sesn.sweep([1])
    await sweep
    with pytest.raises(UsageError, match="only once"):
        await sweep


def test_the_name_is_that_of_the_step_unless_given(sesn):
    assert sesn.sweep([1]).name == "record"
    assert sesn.sweep([1], name="voltage scan").name == "voltage scan"
    assert repr(sesn.sweep([1, 2])) == "<Sweep 'record', 0 of 2 points>"
    with pytest.raises(ValueError, match="sweep name"):
        sesn.sweep([1], name="")


def test_the_time_left_follows_from_the_pace(run_virtually):
    async def main():
        sesn, seen = Recorder(), []

        async def step(sesn, value):
            seen.append(sweep.eta)
            await asyncio.sleep(5.0)
            seen.append(sweep.eta)
            await asyncio.sleep(5.0)

        sweep = sesn.sweep(range(3), step)
        before = sweep.eta
        await sweep
        return [before, *seen, sweep.eta]

    left = [20.0, 15.0, 10.0, 5.0]
    assert run_virtually(main()) == [None, None, None, *map(pytest.approx, left), 0.0]


async def test_the_time_left_of_an_unknown_number_of_points_is_unknown(sesn):
    seen = []

    async def step(sesn, value):
        seen.append(sweep.eta)

    sweep = sesn.sweep(generated(), step)
    await sweep
    assert seen == [None, None, None]


def test_a_name_leaves_room_for_the_variable_that_holds_the_point(sesn):
    longest = "é" * 124  # 248 bytes
    assert sesn.sweep([1], name=longest).name == longest
    with pytest.raises(ValueError, match="1 to 248 bytes in UTF-8, this one has 249"):
        sesn.sweep([1], name=longest + "x")
    with pytest.raises(ValueError, match="248 bytes"):
        normalise([sesn.sweep([1], name=longest), sesn.sweep([1], name=longest)], sesn)
