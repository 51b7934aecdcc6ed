"""Drivers of an instrument that speaks SCPI over TCP, which hangs, drops, talks nonsense, and is late."""

import asyncio
import time
from functools import partial

import pytest
from instruments.scpi import AsyncThermometer, Instrument, PlainThermometer

from pymanip_run.devices import DeviceCalls, Reconnect, SafeCall
from pymanip_run.errors import DeviceError, DeviceOpenError

OFF = SafeCall("set_output", (False,))
QUICK = Reconnect(0.05, 0.2)


@pytest.fixture
def instrument():
    instrument = Instrument().start()
    yield instrument
    instrument.stop()


@pytest.fixture(params=["async", "blocking"])
def thermometer(request, spec, instrument):
    def make(**settings):
        kind = AsyncThermometer if request.param == "async" else PlainThermometer
        return spec(
            partial(kind, instrument.port), blocking=request.param == "blocking", **settings
        )

    return make


def last_commands(instrument, *expected):
    """Wait for the last commands: what is on the line when a driver closes it still arrives."""
    for _ in range(1000):
        if instrument.log[-len(expected) :] == list(expected):
            return
        time.sleep(0.01)
    raise AssertionError(instrument.log)


async def until(condition):
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("not within 20 s")


def test_values_are_read_and_the_output_is_switched_off_at_the_end(bench, thermometer, instrument):
    async def use(sesn):
        await sesn.dev.set_voltage(5)
        await sesn.dev.set_output(True)
        assert await sesn.dev.read() == 25

    bench.run(use, thermometer(safe=(OFF,)))
    last_commands(instrument, "VOLT 5", "OUTP ON", "MEAS:TEMP?", "OUTP OFF")


def test_an_instrument_that_is_switched_off_and_on_is_found_again(bench, thermometer, instrument):
    async def use(sesn):
        assert await sesn.dev.read() == 20
        await asyncio.to_thread(instrument.stop)
        for _ in range(2):  # the first write may still go through
            with pytest.raises((OSError, EOFError, DeviceError)):
                await sesn.dev.read()
        await asyncio.to_thread(instrument.start)
        await until(lambda: "away" not in repr(sesn.dev))
        assert await sesn.dev.read() == 20

    bench.run(use, thermometer(reconnect=QUICK, safe=(OFF,)))
    assert [line.partition(": ")[2].split()[0].strip(":") for line in bench.told] == [
        "opened", "lost", "open", "safe", "closed",
    ]  # fmt: skip
    last_commands(instrument, "OUTP OFF")


def test_a_dropped_connection_is_opened_again(bench, thermometer, instrument):
    async def use(sesn):
        instrument.mode = "drop"
        with pytest.raises((OSError, EOFError)):
            await sesn.dev.read()
        instrument.mode = "ok"
        assert await sesn.dev.read() == 20

    bench.run(use, thermometer(reconnect=QUICK))


def test_nonsense_is_the_tasks_to_deal_with(bench, thermometer, instrument):
    async def use(sesn):
        instrument.mode = "garbage"
        with pytest.raises(ValueError, match="decode"):
            await sesn.dev.read()
        instrument.mode = "ok"
        assert await sesn.dev.read() == 20

    bench.run(use, thermometer(reconnect=QUICK))
    assert bench.told == ["dev: opened (dev)", "dev: closed"]


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one(
    bench, thermometer, instrument
):
    calls = DeviceCalls()

    async def use(sesn):
        dev, calls.devices = sesn.dev, bench.rack.devices
        await dev.set_voltage(3)
        instrument.mode = "late"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(dev.query("VOLT?"), 0.05)
        instrument.mode = "ok"
        assert await dev.query("OUTP?") == "0"

    bench.run(use, thermometer(reconnect=QUICK))


def test_one_that_does_not_answer_keeps_nobody(bench, spec, instrument):
    calls, drivers = DeviceCalls(), []

    async def use(sesn):
        calls.devices = bench.rack.devices
        drivers.append(sesn.dev)
        instrument.mode = "hang"
        with pytest.raises(TimeoutError, match=r"dev\.read\(\) did not return within 100 ms"):
            await calls.call(sesn.dev.read, (), timeout=0.1, names={})

    off = SafeCall("set_output", (False,), timeout=0.3)
    bench.run(use, spec(partial(PlainThermometer, instrument.port), safe=(off,), close_timeout=0.2))
    last_commands(instrument, "OUTP OFF")
    assert bench.rack.safe_state == "done"
    assert "not closed: closing dev was not called" in bench.told[-1]
    drivers[0].close()


def test_nobody_there_is_said(bench, thermometer, instrument):
    instrument.stop()
    with pytest.raises(DeviceOpenError, match="ConnectionRefusedError"):
        bench.run(lambda sesn: None, thermometer())
