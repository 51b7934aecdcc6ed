"""``reconnect``: a device that is lost is closed, and opened again until it answers."""

import asyncio
import itertools
import threading
import time

import pytest

from pymanip_run.devices import DeviceCalls, Reconnect, SafeCall
from pymanip_run.devices.failures import breaks_connection
from pymanip_run.errors import DeviceError, DeviceTimeoutError

QUICK = Reconnect(0.02, 0.1)


class Instrument:
    """The thing on the other side: it can be switched off."""

    def __init__(self):
        self.is_on = True
        self.opened = 0
        self.log = []


class Async:
    def __init__(self, instrument):
        self.instrument = instrument

    async def __aenter__(self):
        await asyncio.sleep(0)
        if not self.instrument.is_on:
            raise ConnectionRefusedError("off")
        self.instrument.opened += 1
        self.number = self.instrument.opened
        return self

    async def __aexit__(self, *error):
        self.instrument.log.append(f"closed {self.number}")

    async def read(self):
        await asyncio.sleep(0.01)
        if not self.instrument.is_on:
            raise ConnectionResetError("gone")
        return self.number

    def peek(self):
        if not self.instrument.is_on:
            raise ConnectionResetError("gone")
        return self.number

    async def wait(self):
        await asyncio.sleep(60)

    async def wrong(self):
        raise ValueError("out of range")

    @property
    def value(self):
        return self.peek()


class Plain:
    def __init__(self, instrument):
        if not instrument.is_on:
            raise ConnectionRefusedError("off")
        self.instrument = instrument
        instrument.opened += 1
        self.number = instrument.opened
        self.release = threading.Event()

    def close(self):
        self.instrument.log.append(f"closed {self.number}")
        self.release.set()

    def read(self):
        if not self.instrument.is_on:
            raise OSError(5, "Input/output error")
        return self.number

    def hang(self):
        self.release.wait(30)

    def off(self):
        self.instrument.log.append(f"off {self.number}")

    @property
    def value(self):
        return self.read()


@pytest.fixture
def instrument():
    return Instrument()


@pytest.fixture(params=["async", "blocking"])
def made(request, instrument, spec):
    """The specification of a device of either kind."""

    def make(**settings):
        kind = Async if request.param == "async" else Plain
        settings.setdefault("reconnect", QUICK)
        return spec(lambda: kind(instrument), blocking=request.param == "blocking", **settings)

    return make


async def lost(dev, instrument):
    """Switch it off, and notice."""
    instrument.is_on = False
    with pytest.raises(OSError, match=r"gone|Input/output"):
        await dev.read()


async def until(condition):
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within 20 s")


def test_the_failure_reaches_the_task_and_the_device_comes_back(bench, made, instrument):
    async def use(sesn):
        dev = sesn.dev
        assert await dev.read() == 1
        await lost(dev, instrument)
        instrument.is_on = True
        assert await dev.read() == 2  # it waits for the first attempt
        assert await dev.read() == 2
        assert sesn.dev is dev

    bench.run(use, made())
    assert instrument.log == ["closed 1", "closed 2"]
    assert len(bench.told) == 4
    assert bench.told[1].startswith("dev: lost: ")
    assert bench.told[1].endswith("; it is opened again in 20 ms")
    assert bench.told[2].startswith("dev: open again after ")
    assert bench.told[2].endswith(", 1 attempt")


def test_while_it_is_away_calls_fail_at_once_and_say_since_when_and_why(bench, made, instrument):
    async def use(sesn):
        dev = sesn.dev
        await lost(dev, instrument)
        with pytest.raises(
            DeviceError,
            match=r"dev is away since \d\d:\d\d:\d\d .*and it cannot be opened: ConnectionRefusedError: off",
        ):
            await dev.read()
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(20):
            with pytest.raises(DeviceError):
                await dev.read()
        assert loop.time() - began < 1.5
        assert "away since" in repr(dev)
        instrument.is_on = True
        await until(lambda: "away" not in repr(dev))
        assert await dev.read() == 2

    bench.run(use, made())


def test_a_long_absence_makes_two_events_not_thousands(bench, made, instrument):
    async def use(sesn):
        await lost(sesn.dev, instrument)
        for _ in range(100):
            with pytest.raises(DeviceError):
                await sesn.dev.read()
            await asyncio.sleep(0.005)
        instrument.is_on = True
        await until(lambda: "away" not in repr(sesn.dev))

    bench.run(use, made(reconnect=Reconnect(0.01, 0.02)))
    assert len(bench.told) == 4
    attempts = int(bench.told[2].rsplit(", ")[1].split()[0])
    assert attempts > 5


def test_the_pauses_grow_up_to_the_longest(bench, spec):
    times = []

    def make():
        times.append(time.monotonic())
        if len(times) > 1:
            raise ConnectionRefusedError
        return Plain(Instrument())

    async def use(sesn):
        sesn.dev.instrument.is_on = False
        with pytest.raises(OSError, match="Input"):
            await sesn.dev.read()
        await until(lambda: len(times) > 5)

    bench.run(use, spec(make, blocking=True, reconnect=Reconnect(0.05, 0.15)))
    pauses = [b - a for a, b in itertools.pairwise(times[1:])]
    assert pauses[0] > 0.09
    assert all(pause > 0.14 for pause in pauses[1:])
    assert pauses[3] < 0.6  # doubled without an end it would be 0.8


def test_a_mistake_of_the_caller_is_no_failure_of_the_device(bench, spec, instrument):
    async def use(sesn):
        with pytest.raises(ValueError, match="out of range"):
            await sesn.dev.wrong()
        with pytest.raises(TypeError):
            await sesn.dev.read(1, 2, 3)
        assert await sesn.dev.read() == 1

    bench.run(use, spec(lambda: Async(instrument), reconnect=QUICK))
    assert instrument.opened == 1


def test_synchronous_methods_and_properties_are_watched_as_well(bench, spec, instrument):
    async def use(sesn):
        dev = sesn.dev
        assert (dev.peek(), dev.value, dev.number) == (1, 1, 1)
        instrument.is_on = False
        with pytest.raises(ConnectionResetError):
            dev.value  # noqa: B018
        for read in (dev.peek, lambda: dev.value):
            with pytest.raises(DeviceError, match="dev is away since"):
                read()
        instrument.is_on = True
        await until(lambda: "away" not in repr(dev))
        assert (dev.peek(), dev.value) == (2, 2)
        assert isinstance(dev, Async)

    bench.run(use, spec(lambda: Async(instrument), reconnect=QUICK))


def test_a_call_that_was_cut_short_is_followed_by_opening_again(bench, spec, instrument):
    """Its answer would be taken for that of the next call."""

    async def use(sesn):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sesn.dev.wait(), 0.05)
        await asyncio.sleep(0.05)
        assert instrument.opened == 1  # not before somebody calls it
        assert await sesn.dev.read() == 2

    bench.run(use, spec(lambda: Async(instrument), reconnect=QUICK))
    assert bench.told[1] == "dev: lost: a call was cut short; it is opened again in 20 ms"


def test_a_hung_thread_is_replaced(bench, spec, instrument):
    calls = DeviceCalls()

    async def use(sesn):
        calls.devices = bench.rack.devices
        with pytest.raises(DeviceTimeoutError):
            await calls.call(sesn.dev.hang, (), timeout=0.05, names={})
        assert await sesn.dev.read() == 2

    bench.run(use, spec(lambda: Plain(instrument), blocking=True, reconnect=QUICK))
    assert bench.told[1].startswith("dev: lost: ")
    assert "dev.hang() did not return within 50 ms" in bench.told[1]


def test_the_time_until_it_is_back_is_part_of_the_timeout(bench, spec, instrument):
    calls = DeviceCalls()

    async def use(sesn):
        calls.devices = bench.rack.devices
        await lost(sesn.dev, instrument)
        with pytest.raises(
            DeviceTimeoutError, match=r"dev\.read\(\) was not called: dev is away since"
        ):
            await calls.call(sesn.dev.read, (), timeout=0.05, names={})

    slow = Reconnect(30.0, 60.0)
    bench.run(use, spec(lambda: Plain(instrument), blocking=True, reconnect=slow))


def test_several_tasks_that_meet_the_failure_lose_it_once(bench, made, instrument):
    async def use(sesn):
        instrument.is_on = False
        results = await asyncio.gather(*(sesn.dev.read() for _ in range(5)), return_exceptions=True)
        assert all(isinstance(r, (OSError, DeviceError)) for r in results), results
        instrument.is_on = True
        await until(lambda: "away" not in repr(sesn.dev))
        assert await sesn.dev.read() == 2

    bench.run(use, made())
    assert sum("lost" in line for line in bench.told) == 1


def test_a_late_failure_of_its_earlier_life_does_not_concern_the_device(bench, spec, instrument):
    class Slow(Async):
        async def fail_after(self, seconds):
            await asyncio.sleep(seconds)
            raise ConnectionResetError("of the old connection")

    async def use(sesn):
        late = asyncio.ensure_future(sesn.dev.fail_after(0.3))
        with pytest.raises(ConnectionResetError):
            await sesn.dev.fail_after(0)
        assert await sesn.dev.read() == 2
        with pytest.raises(ConnectionResetError):
            await late
        assert await sesn.dev.read() == 2

    bench.run(use, spec(lambda: Slow(instrument), reconnect=QUICK))
    assert sum("lost" in line for line in bench.told) == 1


def test_a_device_that_was_not_there_at_the_start_appears_later(bench, made, instrument):
    instrument.is_on = False

    async def use(sesn):
        assert sesn.dev is None
        instrument.is_on = True
        await until(lambda: sesn.dev is not None)
        assert await sesn.dev.read() == 1

    bench.run(use, made(required=False))
    assert bench.told[0] == "dev: cannot be opened: ConnectionRefusedError: off; it is tried again"
    assert bench.told[1].startswith("dev: open again after")


def test_a_required_device_that_is_not_there_at_the_start_ends_the_run(bench, made, instrument):
    instrument.is_on = False
    with pytest.raises(DeviceError, match="cannot be opened"):
        bench.run(lambda sesn: None, made())


def test_a_device_that_is_away_at_the_end_is_opened_to_be_made_safe(bench, spec, instrument):
    async def use(sesn):
        await lost(sesn.dev, instrument)
        with pytest.raises(DeviceError):
            await sesn.dev.read()
        instrument.is_on = True

    safe = (SafeCall("off"),)
    slow = Reconnect(0.02, 60)
    bench.run(use, spec(lambda: Plain(instrument), blocking=True, reconnect=slow, safe=safe))
    assert instrument.log == ["closed 1", "off 2", "closed 2"]
    assert bench.rack.safe_state == "done"


def test_one_that_stays_away_is_not_safe_and_is_said_to_be(bench, spec, instrument, caplog):
    async def use(sesn):
        await lost(sesn.dev, instrument)

    safe = (SafeCall("off"),)
    bench.run(use, spec(lambda: Plain(instrument), blocking=True, reconnect=QUICK, safe=safe))
    assert bench.rack.safe_state == "failed"
    assert bench.rack.closed[0].startswith("dev (NOT SAFE: it is away since ")
    assert "device 'dev' is NOT SAFE" in caplog.text


def test_the_attempts_end_with_the_run(bench, made, instrument):
    async def main():
        async with bench.opened(made()) as sesn:
            await lost(sesn.dev, instrument)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        told = list(bench.told)
        await asyncio.sleep(0.1)
        assert bench.told == told
        assert told[-1].startswith("dev: still away since")

    asyncio.run(main())


def test_plain_functions_in_threads_lose_and_find_it_too(bench, made, instrument):
    def plain(dev):
        return dev.value

    async def use(sesn):
        dev = sesn.dev
        assert await asyncio.to_thread(plain, dev) == 1
        instrument.is_on = False
        with pytest.raises(OSError, match=r"gone|Input"):
            await asyncio.to_thread(plain, dev)
        instrument.is_on = True
        await until(lambda: instrument.opened == 2 and "away" not in repr(dev))
        assert await asyncio.to_thread(plain, dev) == 2

    bench.run(use, made())


class VisaIOError(Exception):
    """A library's own class."""


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError(5, "Input/output error"), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (EOFError(), True),
        (asyncio.IncompleteReadError(b"", 1), True),
        (VisaIOError("timeout"), True),
        (RuntimeError("no answer"), True),
        (UnicodeError(), False),
        (ValueError("could not convert string to float: '??'"), False),
        (TypeError(), False),
        (KeyError("x"), False),
        (AttributeError(), False),
        (ZeroDivisionError(), False),
        (asyncio.CancelledError(), False),
        (KeyboardInterrupt(), False),
        (ExceptionGroup("", [ValueError(), ConnectionError()]), True),
        (ExceptionGroup("", [ValueError()]), False),
    ],
    ids=lambda x: type(x).__name__ if isinstance(x, BaseException) else "",
)
def test_which_failures_mean_that_the_connection_is_gone(error, expected):
    assert breaks_connection(error) is expected
