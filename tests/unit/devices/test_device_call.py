"""``sesn.device_call``: each device has its thread, and a call that hangs is left."""

import asyncio
import functools
import gc
import threading
import time

import pytest

from pymanip_run import AsyncSession
from pymanip_run.errors import DeviceError, DeviceTimeoutError, UsageError


class Channel:
    def __init__(self, parent):
        self.parent = parent

    def read(self):
        return here()


class Meter:
    def __init__(self):
        self.channel = Channel(self)
        self.release = threading.Event()

    def read(self, n=1):
        return (n, here())

    def hang(self):
        self.release.wait(30)

    def __call__(self):
        return here()


def here():
    return threading.current_thread().name


def read_all(meter, n):
    return meter.read(n)


@pytest.fixture
def sesn():
    with AsyncSession() as sesn:
        sesn.meter = Meter()
        yield sesn
        sesn.meter.release.set()


async def test_a_method_runs_in_the_thread_of_its_device(sesn):
    assert await sesn.device_call(sesn.meter.read, 5) == (
        5,
        "device meter.read".replace(".read", ""),
    )
    other = Meter()
    assert (await sesn.device_call(other.read))[1] == "device Meter"


async def test_parts_partials_and_functions_run_in_the_same_thread(sesn):
    meter = sesn.meter
    (_, thread) = await sesn.device_call(meter.read)
    idents = {
        await sesn.device_call(f, *args)
        for f, args in [
            (lambda m: threading.get_ident(), (meter,)),
            (functools.partial(lambda m: threading.get_ident(), meter), ()),
        ]
    }
    assert len(idents) == 1
    assert await sesn.device_call(meter.channel.read) == thread
    assert (await sesn.device_call(read_all, meter, 3))[1] == thread
    assert (await sesn.device_call(functools.partial(meter.read, 2))) == (2, thread)
    assert await sesn.device_call(meter) == thread
    assert await sesn.device_call(getattr, meter, "channel") is meter.channel


async def test_calls_of_one_device_follow_each_other_those_of_two_run_together(sesn):
    sesn.other = Meter()
    running, most = set(), []

    def work(meter):
        running.add(meter)
        time.sleep(0.1)
        most.append(len(running))
        running.discard(meter)

    await asyncio.gather(*(sesn.device_call(work, m) for m in (sesn.meter, sesn.meter)))
    assert most == [1, 1]
    most.clear()
    await asyncio.gather(*(sesn.device_call(work, m) for m in (sesn.meter, sesn.other)))
    assert max(most) == 2


async def test_a_call_that_hangs_is_left_and_the_next_one_says_so(sesn):
    with pytest.raises(
        TimeoutError, match=r"meter\.hang\(\) did not return within 50 ms, at .*in hang"
    ) as caught:
        await sesn.device_call(sesn.meter.hang, timeout=0.05)
    assert isinstance(caught.value, DeviceTimeoutError)
    assert isinstance(caught.value, DeviceError)
    with pytest.raises(DeviceTimeoutError, match=r"still hangs in meter\.hang\(\) since"):
        await sesn.device_call(sesn.meter.read)
    assert (await sesn.device_call(Meter().read))[0] == 1  # others are not concerned


async def test_functions_that_belong_to_nothing_have_a_thread_of_their_own(sesn):
    assert await sesn.device_call(here) == "device here()"
    assert await sesn.device_call(time.sleep, 0.01) is None


async def test_what_cannot_be_called_so_is_told(sesn):
    async def aread():
        raise AssertionError

    with pytest.raises(UsageError, match=r"write:  await aread\(\.\.\.\)"):
        await sesn.device_call(aread)
    with pytest.raises(UsageError, match="takes a function and its arguments"):
        await sesn.device_call(sesn.meter.read()[0])
    with pytest.raises(UsageError, match="timeout is a number of seconds above 0"):
        await sesn.device_call(sesn.meter.read, timeout=0)


async def test_the_thread_of_a_device_ends_with_it(sesn):
    device = Meter()
    await sesn.device_call(device.read)
    thread = next(t for t in threading.enumerate() if t.name == "device Meter")
    del device
    gc.collect()
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()


async def test_threads_end_with_the_session():
    with AsyncSession() as sesn:
        sesn.meter = Meter()
        await sesn.device_call(sesn.meter.read)
        thread = next(t for t in threading.enumerate() if t.name == "device meter")
    await asyncio.to_thread(thread.join, 10)
    assert not thread.is_alive()


async def test_it_works_within_a_run(sesn):
    async def task(sesn):
        value, _ = await sesn.device_call(sesn.meter.read, 4)
        sesn.add_entry(value=value)
        sesn.ask_exit()

    await sesn.monitor(task, server_port=None)
    assert sesn["value"].values.tolist() == [4]


async def test_the_context_of_a_sweep_reaches_the_thread(sesn):
    def measure(meter, value):
        sesn.add_entry(value=value)

    async def step(sesn, value):
        await sesn.device_call(measure, sesn.meter, value)

    await sesn.monitor(sesn.sweep(step, [3, 4], name="scan"), server_port=None)
    assert sesn.logged_variable("_point_scan").values.tolist() == [0, 1]
