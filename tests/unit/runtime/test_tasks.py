import asyncio
import functools
import math

import pytest

from pymanip_run.errors import TaskError
from pymanip_run.runtime.calls import NotATaskError, bind, name_of
from pymanip_run.runtime.schedule import every
from pymanip_run.runtime.status import TaskStatus
from pymanip_run.runtime.stop import StopSignal
from pymanip_run.runtime.sweep import Sweep
from pymanip_run.runtime.tasks import normalise


class Session:
    """What tasks are called with; it notes how."""

    def __init__(self):
        self.calls = []

    async def method(self):
        self.calls.append("method")

    async def method_with_option(self, settle=3.0):
        self.calls.append(settle)

    async def method_with_session(self, sesn):
        self.calls.append(sesn)


class Device:
    """Something else with methods."""

    async def read(self, sesn):
        sesn.calls.append(self)


class Caller:
    async def __call__(self, sesn):
        sesn.calls.append("called")


class PlainCaller:
    def __call__(self, sesn):
        return Caller()(sesn)


async def with_session(sesn):
    sesn.calls.append(sesn)


async def without():
    pass


async def with_many(*args):
    args[0].calls.append(args)


async def with_default(sesn=None):
    sesn.calls.append(sesn)


async def with_gain(sesn, gain):
    sesn.calls.append(gain)


async def with_keyword(*, sesn=None):
    assert sesn is None


def plain(sesn):
    return with_session(sesn)


DEVICE = Device()


@pytest.mark.parametrize(
    ("task", "got"),
    [
        (lambda s: with_session, lambda s: [s]),
        (lambda s: without, lambda s: []),
        (lambda s: with_many, lambda s: [(s,)]),
        (lambda s: with_default, lambda s: [s]),
        (lambda s: with_keyword, lambda s: []),
        (lambda s: functools.partial(with_gain, gain=2), lambda s: [2]),
        (lambda s: functools.partial(with_session, s), lambda s: [s]),
        (lambda s: functools.partial(functools.partial(with_gain), gain=3), lambda s: [3]),
        (lambda s: s.method, lambda s: ["method"]),
        (lambda s: s.method_with_option, lambda s: [3.0]),
        (lambda s: s.method_with_session, lambda s: [s]),
        (lambda s: DEVICE.read, lambda s: [DEVICE]),
        (lambda s: Caller(), lambda s: ["called"]),
        (lambda s: PlainCaller(), lambda s: ["called"]),
        (lambda s: plain, lambda s: [s]),
        (lambda s: lambda: with_session(s), lambda s: [s]),
    ],
)
async def test_a_function_is_called_with_the_session_if_it_takes_an_argument(task, got):
    sesn = Session()
    await bind(task(sesn), sesn)()
    assert sesn.calls == got(sesn)


async def test_a_plain_function_is_told_to_be_asynchronous():
    def read(sesn):
        return 21.5

    step = bind(read, None)
    with pytest.raises(TaskError, match=r"task 'read' returned float.*write `async def read"):
        await step()
    with pytest.raises(TypeError):
        await step()


async def test_a_function_that_returns_any_awaitable_is_accepted():
    def soon():
        future = asyncio.get_running_loop().create_future()
        future.set_result(7)
        return future

    assert await bind(soon, None)() == 7


def test_a_function_with_more_arguments_is_refused_before_anything_starts():
    with pytest.raises(NotATaskError, match=r"'with_gain'.*\(sesn, gain\).*functools.partial"):
        normalise([with_gain], None)


def test_an_asynchronous_generator_is_refused():
    async def read(sesn):
        yield 1

    with pytest.raises(NotATaskError, match="'read' is a generator"):
        normalise([read], None)


@pytest.mark.parametrize("thing", [None, 5, "read", {"a": 1}])
def test_what_is_not_a_task_is_refused(thing):
    with pytest.raises(TypeError, match="coroutine functions and awaitables"):
        normalise([thing], None)


def test_a_list_of_tasks_is_told_to_be_unpacked():
    with pytest.raises(TypeError, match=r"monitor\(\*tasks\)"):
        normalise([[without, with_session]], None)


def test_coroutines_beside_a_refused_task_are_closed():
    coroutine = without()
    with pytest.raises(TypeError):
        normalise([coroutine, None], None)
    assert coroutine.cr_frame is None


async def test_each_kind_is_recognised():
    future = asyncio.get_running_loop().create_future()
    future.set_result(1)
    task = asyncio.create_task(without())
    coroutine = without()
    sweep = Sweep(with_gain, [1], "scan", stop=StopSignal())
    specs = normalise([with_session, coroutine, future, task, every(2, plain), sweep], None)
    assert [(s.name, s.status.kind, s.status.period) for s in specs] == [
        ("with_session", "repeat", None),
        ("without", "once", None),
        ("Future", "once", None),
        ("without_2", "once", None),
        ("plain", "every", 2.0),
        ("scan", "sweep", None),
    ]
    assert specs[-1].sweep is sweep
    assert all(s.status.state == "pending" for s in specs)
    coroutine.close()
    await task


def test_duplicates_are_numbered_and_sweeps_know_it():
    async def read_2(sesn):
        pass

    async def read(sesn):
        pass

    sweep = Sweep(read, [1], stop=StopSignal())
    specs = normalise([read, read_2, read, sweep], None)
    assert [s.name for s in specs] == ["read", "read_2", "read_3", "read_4"]
    assert sweep.name == "read_4"


@pytest.mark.parametrize(
    ("task", "name"),
    [
        (with_session, "with_session"),
        (functools.partial(with_gain, gain=1), "with_gain"),
        (Session().method, "method"),
        (Caller(), "Caller"),
        (lambda sesn: without(), "lambda"),
    ],
)
def test_a_task_has_the_name_of_its_function(task, name):
    assert name_of(task) == name


def test_the_status_counts_down_to_the_next_tick():
    status = TaskStatus("read", "every", 10.0)
    assert status.due_in(0.0) is None
    status.next_due = 12.0
    assert status.due_in(5.0) == 7.0
    assert status.due_in(math.inf) == 0.0
    assert not status.is_over
    status.state = "failed"
    assert status.is_over
