"""Safe actions run once on every way out, whatever else goes wrong."""

import asyncio
import threading
import time

import pytest

from pymanip_run.devices import Reconnect, SafeCall
from pymanip_run.errors import DeviceOpenError, DeviceTimeoutError


class Supply:
    """A plain driver that remembers what was done with it."""

    hang = None

    def __init__(self):
        self.done = []
        self.level = 5

    def set_output(self, on, channel=1):
        self.done.append(("output", on, channel))

    def zero(self):
        self.done.append(("zero",))

    def fail(self):
        raise OSError("no answer from the supply")

    def block(self, seconds):
        time.sleep(seconds)

    @property
    def voltage(self):
        return self.level

    @voltage.setter
    def voltage(self, value):
        self.done.append(("voltage", value))

    def close(self):
        self.done.append(("close",))


class AsyncSupply(Supply):
    async def aset_output(self, on):
        self.done.append(("output", on))

    async def hang(self):
        await asyncio.sleep(60)


OFF = SafeCall("set_output", (False,))


def ended(bench, *specs, error=None):
    """Run with a device; return what was done with it."""

    def use(sesn):
        if error is not None:
            raise error
        return sesn.dev.done

    return bench.run(use, *specs)


@pytest.mark.parametrize("blocking", [False, True])
def test_safe_actions_run_once_before_closing(bench, spec, blocking):
    supplies = []

    def make():
        supplies.append(Supply())
        return supplies[0]

    bench.run(lambda sesn: None, spec(make, safe=(OFF,), blocking=blocking))
    assert supplies[0].done == [("output", False, 1), ("close",)]
    assert bench.told == ["dev: opened (dev)", "dev: safe: output off", "dev: closed"]
    assert bench.rack.safe_state == "done"
    assert bench.rack.closed == ["dev (safe: output off)"]


@pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt(), asyncio.CancelledError()])
def test_they_run_when_something_failed(bench, spec, error):
    supply = Supply()
    with pytest.raises(type(error)):
        ended(bench, spec(lambda: supply, safe=(OFF,)), error=error)
    assert supply.done == [("output", False, 1), ("close",)]


def test_they_run_when_a_later_device_cannot_be_opened(bench, spec):
    supply = Supply()

    def absent():
        raise OSError("unplugged")

    with pytest.raises(DeviceOpenError):
        ended(bench, spec(lambda: supply, safe=(OFF,)), spec(absent, "other"))
    assert supply.done == [("output", False, 1), ("close",)]


def test_several_actions_run_in_their_order_and_one_that_fails_does_not_stop_the_next(bench, spec):
    supply = Supply()
    actions = (SafeCall("zero"), SafeCall("fail"), SafeCall("set_output", (False,), {"channel": 2}))
    ended(bench, spec(lambda: supply, safe=actions))
    assert supply.done == [("zero",), ("output", False, 2), ("close",)]
    assert bench.rack.safe_state == "failed"
    assert bench.told[1:] == [
        "dev: safe: zero",
        "dev: safe: output off, channel 2",
        "dev: NOT SAFE: fail: OSError: no answer from the supply",
        "dev: closed",
    ]
    assert bench.rack.closed == ["dev (NOT SAFE: fail: OSError: no answer from the supply)"]


def test_asynchronous_actions_properties_and_parts(bench, spec):
    supply = AsyncSupply()
    supply.channel = Supply()
    actions = (
        SafeCall("aset_output", (False,)),
        SafeCall("voltage", (0,)),
        SafeCall("channel.set_output", (False,)),
    )
    ended(bench, spec(lambda: supply, safe=actions))
    assert supply.done == [("output", False), ("voltage", 0), ("close",)]
    assert supply.channel.done == [("output", False, 1)]
    assert bench.rack.closed == ["dev (safe: aset output off, voltage 0, output off)"]


@pytest.mark.parametrize("blocking", [False, True])
def test_each_has_its_own_timeout(bench, spec, blocking):
    supply, second = Supply(), Supply()
    slow = SafeCall("block", (20,), timeout=0.1)
    began = time.monotonic()
    ended(
        bench,
        spec(lambda: second, "second", safe=(OFF,)),
        spec(lambda: supply, safe=(slow,), blocking=blocking, close_timeout=0.1),
    )
    assert time.monotonic() - began < 10
    assert second.done == [("output", False, 1), ("close",)]
    assert "NOT SAFE: block 20: dev.block() did not return within 100 ms, at " in bench.told[2]


def test_an_asynchronous_one_too(bench, spec):
    ended(bench, spec(AsyncSupply, safe=(SafeCall("hang", timeout=0.05), OFF)))
    assert bench.told[1:3] == [
        "dev: safe: output off",
        "dev: NOT SAFE: hang: no answer within 50 ms",
    ]


def test_the_last_opened_is_made_safe_first(bench, spec):
    bench.run(lambda sesn: None, *(spec(Supply, name, safe=(OFF,)) for name in "ab"))
    assert [line for line in bench.told if "safe" in line] == [
        "b: safe: output off",
        "a: safe: output off",
    ]


def test_a_cancellation_does_not_skip_them(bench, spec):
    class Slow(AsyncSupply):
        async def off(self):
            await asyncio.sleep(0.1)
            self.done.append("off")

    supplies = [Slow(), Slow()]

    async def main():
        ready = asyncio.Event()

        async def run():
            specs = [
                spec(lambda s=s: s, name, safe=(SafeCall("off"),))
                for s, name in zip(supplies, "ab", strict=True)
            ]
            async with bench.opened(*specs):
                ready.set()
                await asyncio.sleep(60)

        task = asyncio.ensure_future(run())
        await ready.wait()
        for _ in range(3):
            task.cancel()
            await asyncio.sleep(0.02)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert [supply.done for supply in supplies] == [["off", ("close",)]] * 2
    assert bench.rack.safe_state == "done"


def test_a_device_whose_thread_hangs_is_made_safe_in_another_one(bench, spec, caplog):
    release = threading.Event()
    supply = Supply()
    supply.hang = lambda: release.wait(30)
    off = SafeCall("set_output", (False,), timeout=0.2)

    async def use(sesn):
        with pytest.raises(DeviceTimeoutError):
            await bench.rack.devices[0].call(lambda driver: driver.hang(), "dev.hang()", 0.05)

    bench.run(use, spec(lambda: supply, safe=(off,), blocking=True, close_timeout=0.1))
    assert supply.done == [("output", False, 1)]
    assert bench.rack.safe_state == "done"
    assert (
        "dev.set_output() was not called: the thread of dev still hangs in dev.hang()"
        in caplog.text
    )
    assert "it is called in another thread now" in caplog.text
    # Closing it under a call may crash the driver's library.
    assert "not closed: closing dev was not called: " in bench.told[-1]
    release.set()


def test_a_thread_that_comes_back_in_time_is_used(bench, spec):
    threads = []

    class Sleepy(Supply):
        def set_output(self, on, channel=1):
            threads.append(threading.current_thread().name)

    async def use(sesn):
        with pytest.raises(DeviceTimeoutError):
            await bench.rack.devices[0].call(lambda driver: driver.block(0.4), "block()", 0.05)

    bench.run(use, spec(Sleepy, safe=(OFF,), blocking=True))
    assert threads == ["device dev"]
    assert bench.told[-1] == "dev: closed"


def test_a_device_that_never_was_there_is_skipped_with_a_word(bench, spec):
    def absent():
        raise OSError("unplugged")

    bench.run(lambda sesn: None, spec(absent, safe=(OFF,), required=False))
    assert bench.told[-1] == "dev: was not open: its safe actions were not run"
    assert bench.rack.safe_state is None


def test_an_action_that_is_not_there_is_found_when_the_device_is_opened(bench, spec):
    supply = Supply()
    wrong = SafeCall("set_outptu", (False,))
    with pytest.raises(
        DeviceOpenError, match="has no 'set_outptu' for its safe state; did you mean 'set_output'"
    ):
        ended(bench, spec(lambda: supply, safe=(wrong,)))
    assert supply.done == [("close",)]


def test_what_only_stood_for_an_instrument_is_not_said_to_be_safe_without_a_word(bench, spec):
    bench.run(lambda sesn: None, spec(Supply, safe=(OFF,), simulated=True))
    assert bench.told[0] == "dev: opened (dev, simulated)"
    assert bench.rack.closed == ["dev (simulated; safe: output off)"]


def test_the_words_for_an_action():
    labels = {
        SafeCall("set_output", (False,)).label: "output off",
        SafeCall("set_output", (True,)).label: "output on",
        SafeCall("shutdown").label: "shutdown",
        SafeCall("ramp_to", (0, 5.0)).label: "ramp to 0, 5.0",
        SafeCall("channel.set_voltage", (), {"value": 0}).label: "voltage value 0",
    }
    assert [label for label, expected in labels.items() if label != expected] == []


@pytest.mark.parametrize("end", [SystemExit(3), asyncio.CancelledError(), KeyboardInterrupt()])
@pytest.mark.parametrize("blocking", [False, True])
def test_a_driver_that_ends_the_program_or_its_task_keeps_the_others_from_nothing(
    bench, spec, end, blocking
):
    class Wild:
        async def aoff(self):
            raise end

        def off(self):
            raise end

        def close(self):
            raise end

    class AsyncWild(Wild):
        async def close(self):
            raise end

    kind = Wild if blocking else AsyncWild
    supply = Supply()
    bench.run(
        lambda sesn: None,
        spec(lambda: supply, "supply", safe=(OFF,)),
        spec(kind, safe=(SafeCall("off"), SafeCall("aoff")), blocking=blocking),
    )
    assert supply.done == [("output", False, 1), ("close",)]
    assert "dev: NOT SAFE: off: " in bench.told[2]
    assert bench.rack.closed[0].startswith("dev (NOT SAFE: ")
    assert "not closed: " in bench.rack.closed[0]


def test_one_that_ends_the_program_when_it_is_opened_again_keeps_the_others_from_nothing(
    bench, spec
):
    opened = []

    class Goes:
        def __init__(self):
            opened.append(self)
            if len(opened) > 1:
                raise SystemExit("the driver gives up")

        def read(self):
            raise ConnectionError("gone")

        def off(self):
            raise AssertionError

    async def use(sesn):
        with pytest.raises(ConnectionError):
            sesn.dev.read()

    supply = Supply()
    bench.run(
        use,
        spec(lambda: supply, "supply", safe=(OFF,)),
        spec(Goes, reconnect=Reconnect(60, 60), safe=(SafeCall("off"),)),
    )
    assert len(opened) == 2
    assert supply.done == [("output", False, 1), ("close",)]
    assert bench.rack.closed[0].startswith("dev (NOT SAFE: it is away ")
