"""``blocking: true``: methods and properties are awaited, and run in the device's thread."""

import asyncio
import functools
import inspect
import threading
from dataclasses import dataclass

import pytest


def here():
    return threading.current_thread().name


@dataclass
class Reading:
    value: float


class Channel:
    def __init__(self, number):
        self.number = number

    def read(self):
        return (self.number, here())

    @property
    def range(self):
        return here()


class Meter:
    """A plain driver."""

    limits = (0, 5)
    model = "M1"

    def __init__(self):
        self.level = 1.5
        self.channels = {1: Channel(1), 2: Channel(2)}
        self.inputs = [Channel(3)]
        self.first = Channel(0)
        self.last = Reading(2.0)
        self.partial = functools.partial(self.read, 2)

    def read(self, factor=1, *, offset=0):
        """Read the meter."""
        return (self.level * factor + offset, here())

    async def aread(self):
        return here()

    def compare(self, channel):
        return channel is self.first

    def itself(self):
        return self

    def fail(self):
        raise ValueError("bad range")

    @property
    def voltage(self):
        return (self.level, here())

    @voltage.setter
    def voltage(self, value):
        self.level, self.set_in = value, here()

    def __getitem__(self, key):
        return self.channels[key]

    def __len__(self):
        return 2

    def __call__(self, x):
        return (x, here())


THREAD = "device dev"


@pytest.fixture
def with_meter(bench, spec):
    def run(use, **settings):
        return bench.run(use, spec(Meter, blocking=True, **settings))

    return run


def test_methods_are_awaited_and_run_in_the_devices_thread(with_meter):
    async def use(sesn):
        assert await sesn.dev.read() == (1.5, THREAD)
        assert await sesn.dev.read(2, offset=1) == (4.0, THREAD)
        assert await sesn.dev.partial() == (3.0, THREAD)
        assert await sesn.dev(7) == (7, THREAD)

    with_meter(use)


def test_a_coroutine_method_of_a_plain_driver_runs_in_the_loop(with_meter):
    async def use(sesn):
        assert await sesn.dev.aread() == "MainThread"

    with_meter(use)


def test_plain_data_pass_through(with_meter):
    def use(sesn):
        assert (sesn.dev.model, sesn.dev.limits, sesn.dev.level) == ("M1", (0, 5), 1.5)
        assert sesn.dev.last == Reading(2.0)
        assert type(sesn.dev.last) is Reading
        sesn.dev.level = 3
        assert sesn.dev.level == 3
        with pytest.raises(AttributeError, match="levle"):
            sesn.dev.levle  # noqa: B018

    with_meter(use)


def test_properties_are_awaited_too(with_meter):
    async def use(sesn):
        assert await sesn.dev.voltage == (1.5, THREAD)
        assert await sesn.dev.voltage.get() == (1.5, THREAD)
        await sesn.dev.voltage.set(3)
        assert (sesn.dev.level, sesn.dev.set_in) == (3, THREAD)

    with_meter(use)


def test_a_property_that_was_not_awaited_says_so(with_meter):
    def use(sesn):
        voltage = sesn.dev.voltage
        assert repr(voltage) == "<dev.voltage: write  await sesn.dev.voltage>"
        for mistake in (float, bool, lambda v: v > 3, lambda v: v == 3, lambda v: v + 1):
            with pytest.raises(TypeError, match=r"write:  await sesn\.dev\.voltage"):
                mistake(voltage)
        with pytest.raises(AttributeError, match=r"write:  await sesn\.dev\.voltage\.set\(3\)"):
            sesn.dev.voltage = 3

    with_meter(use)


def test_parts_are_reached_in_the_same_thread(with_meter):
    async def use(sesn):
        dev = sesn.dev
        assert await dev.first.read() == (0, THREAD)
        assert await dev.first.range == THREAD
        assert await dev.channels[2].read() == (2, THREAD)
        assert await dev.inputs[0].read() == (3, THREAD)
        assert await dev[1].read() == (1, THREAD)
        assert [c.number for c in dev.inputs] == [3]
        assert dev.first.number == 0
        assert await dev.compare(dev.first)

    with_meter(use)


def test_it_looks_like_the_driver(with_meter):
    async def use(sesn):
        dev = sesn.dev
        assert isinstance(dev, Meter)
        assert isinstance(dev.first, Channel)
        assert repr(dev) == "<dev: Meter>"
        assert repr(dev.first) == "<dev.first: Channel>"
        assert "read" in dir(dev)
        assert len(dev) == 2
        assert dev
        assert dev.read.__doc__ == "Read the meter."
        assert list(inspect.signature(dev.read).parameters) == ["factor", "offset"]
        assert await dev.itself() is dev

    with_meter(use)


def test_what_a_method_raises_comes_out(with_meter):
    async def use(sesn):
        with pytest.raises(ValueError, match="bad range"):
            await sesn.dev.fail()

    with_meter(use)


def test_in_a_plain_function_of_another_thread_all_is_called_as_usual(with_meter):
    def plain_task(sesn):
        assert sesn.dev.read(2) == (3.0, THREAD)
        assert sesn.dev.voltage == (1.5, THREAD)
        sesn.dev.voltage = 4
        return sesn.dev.level

    async def use(sesn):
        return await asyncio.to_thread(plain_task, sesn)

    assert with_meter(use) == 4


def test_after_the_run_it_says_that_it_is_closed(with_meter):
    dev = with_meter(lambda sesn: sesn.dev)
    assert repr(dev) == "<dev: closed>"
    with pytest.raises(Exception, match="dev is closed: the run is over"):
        dev.read  # noqa: B018


def test_a_driver_that_is_not_blocking_is_itself(bench, spec):
    assert type(bench.run(lambda sesn: sesn.dev, spec(Meter))) is Meter


def test_parts_of_other_packages_are_known_by_their_parent(bench, spec):
    class Foreign:
        __module__ = "elsewhere.parts"

        def __init__(self, parent=None):
            self.parent = parent

        def read(self):
            return here()

    class Rig:
        def __init__(self):
            self.part = Foreign(self)
            self.tool = Foreign()

    async def use(sesn):
        assert await sesn.dev.part.read() == THREAD
        assert sesn.dev.tool.read() == "MainThread"  # it is nothing of ours

    bench.run(use, spec(Rig, blocking=True))


def test_looking_for_the_owner_asks_no_instrument():
    from pymanip_run.devices.parts import owners

    class Remote:
        def __getattr__(self, name):
            raise AssertionError(f"asked for {name}")

    remote = Remote()
    assert list(owners(remote)) == [remote]
