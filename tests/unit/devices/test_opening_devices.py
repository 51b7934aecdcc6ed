"""Drivers of every make are opened and closed as they want it, in order, and whatever happens."""

import asyncio
import contextlib
import threading
import time
from functools import partial

import pytest

from pymanip_run.devices import Reconnect, SafeCall
from pymanip_run.errors import DeviceOpenError


class Kept:
    """Remembers what was done with it, and where."""

    def __init__(self, done=None):
        self.done = [] if done is None else done
        self._note("made")

    def _note(self, what):
        thread = threading.current_thread()
        place = "loop" if thread is threading.main_thread() else thread.name
        self.done.append((what, place))


class AsyncManager(Kept):
    async def __aenter__(self):
        self._note("entered")
        return self

    async def __aexit__(self, *error):
        self._note("left")


class PlainManager(Kept):
    def __enter__(self):
        self._note("entered")
        return self

    def __exit__(self, *error):
        self._note("left")


class OpenClose(Kept):
    def open(self):
        self._note("opened")

    def close(self):
        self._note("closed")


class ConnectDisconnect(Kept):
    def connect(self):
        self._note("opened")

    def disconnect(self):
        self._note("closed")


class AsyncConnectClose(Kept):
    async def connect(self):
        self._note("opened")
        return True

    def close(self):
        self._note("closed")


class OpenedByConstructor(Kept):
    def shutdown(self):
        self._note("closed")


class NothingToOpen(Kept):
    pass


class Both(PlainManager):
    __aenter__, __aexit__ = AsyncManager.__aenter__, AsyncManager.__aexit__


LOOP, THREAD = "loop", "device dev"


@pytest.mark.parametrize(
    ("kind", "blocking", "expected"),
    [
        (AsyncManager, False, [("made", LOOP), ("entered", LOOP), ("left", LOOP)]),
        (AsyncManager, True, [("made", THREAD), ("entered", LOOP), ("left", LOOP)]),
        (PlainManager, False, [("made", THREAD), ("entered", THREAD), ("left", THREAD)]),
        (PlainManager, True, [("made", THREAD), ("entered", THREAD), ("left", THREAD)]),
        (Both, False, [("made", LOOP), ("entered", LOOP), ("left", LOOP)]),
        (Both, True, [("made", THREAD), ("entered", THREAD), ("left", THREAD)]),
        (OpenClose, False, [("made", THREAD), ("opened", THREAD), ("closed", THREAD)]),
        (ConnectDisconnect, False, [("made", THREAD), ("opened", THREAD), ("closed", THREAD)]),
        (AsyncConnectClose, False, [("made", LOOP), ("opened", LOOP), ("closed", LOOP)]),
        (OpenedByConstructor, False, [("made", THREAD), ("closed", THREAD)]),
        (NothingToOpen, False, [("made", THREAD)]),
    ],
)
def test_every_kind_is_opened_and_closed_where_it_lives(bench, spec, kind, blocking, expected):
    done = []
    bench.run(lambda sesn: None, spec(partial(kind, done), blocking=blocking))
    assert done == expected
    assert bench.told == ["dev: opened (dev)", "dev: closed"]
    assert bench.rack.closed == ["dev"]


def test_the_session_gets_what_the_context_manager_returns(bench, spec):
    inner = NothingToOpen()

    class Outer(PlainManager):
        def __enter__(self):
            return inner

    class AsyncOuter(AsyncManager):
        async def __aenter__(self):
            return inner

    class Nothing(PlainManager):
        def __enter__(self):
            pass

    for kind in (Outer, AsyncOuter):
        assert bench.run(lambda sesn: sesn.dev, spec(kind)) is inner
    assert type(bench.run(lambda sesn: sesn.dev, spec(Nothing))) is Nothing


def test_factories_of_every_kind(bench, spec):
    device = NothingToOpen()

    def plain():
        return device

    async def coroutine():
        return device

    @contextlib.contextmanager
    def manager():
        yield device

    @contextlib.asynccontextmanager
    async def async_manager():
        yield device

    for factory in (plain, coroutine, manager, async_manager):
        assert bench.run(lambda sesn: sesn.dev, spec(factory)) is device, factory


def test_a_constructor_that_needs_the_loop_gets_it(bench, spec):
    class NeedsLoop:
        def __init__(self):
            self.loop = asyncio.get_running_loop()

    def factory():
        return NeedsLoop()

    assert bench.run(lambda sesn: sesn.dev.loop is asyncio.get_running_loop(), spec(factory))


def test_a_manager_is_left_by_the_task_that_entered_it(bench, spec):
    tasks = []

    @contextlib.asynccontextmanager
    async def device():
        async with asyncio.TaskGroup():
            tasks.append(asyncio.current_task())
            yield NothingToOpen()
            tasks.append(asyncio.current_task())

    bench.run(lambda sesn: None, spec(device))
    assert tasks[0] is tasks[1]


def test_an_open_that_needs_arguments_is_not_called(bench, spec):
    class Addressed(Kept):
        def connect(self, address):
            raise AssertionError

        def close(self):
            self._note("closed")

    done = []
    bench.run(lambda sesn: None, spec(partial(Addressed, done)))
    assert [what for what, _ in done] == ["made", "closed"]


def test_what_is_open_already_is_not_opened_again(bench, spec):
    class Open(OpenClose):
        is_open = True

    done = []
    bench.run(lambda sesn: None, spec(partial(Open, done)))
    assert [what for what, _ in done] == ["made", "closed"]


def test_devices_are_closed_in_reverse_order(bench, spec):
    bench.run(lambda sesn: None, *(spec(PlainManager, name) for name in "abc"))
    assert bench.told[3:] == ["c: closed", "b: closed", "a: closed"]
    assert bench.rack.closed == ["c", "b", "a"]
    assert vars(bench.sesn) == {}


@pytest.mark.parametrize(
    "refuse", [OSError("no such port"), False], ids=["raises", "returns False"]
)
@pytest.mark.parametrize("kind", ["plain", "async"])
def test_a_device_that_cannot_be_opened_says_what_where_and_what_to_do(bench, spec, kind, refuse):
    def result():
        if refuse is False:
            return False
        raise refuse

    class Plain:
        def connect(self):
            return result()

    class Async:
        async def connect(self):
            return result()

    made = spec(Plain if kind == "plain" else Async, use="lab:Dev", place="experiment.yaml:4:3")
    with pytest.raises(DeviceOpenError) as caught:
        bench.run(lambda sesn: None, spec(PlainManager, "first"), made)
    text = str(caught.value)
    assert text.startswith("device 'dev' cannot be opened: ")
    assert ("OSError: no such port" in text) or ("connect() returned False" in text)
    assert "lab:Dev, declared at experiment.yaml:4:3" in text
    assert "required: false" in text
    assert caught.value.exit_code == 3
    assert bench.told[0] == "first: opened (first)"
    assert bench.told[1].startswith("dev: cannot be opened: ")
    assert bench.told[2] == "first: closed"


def test_a_mistake_in_a_driver_is_told_with_its_line(bench, spec):
    class Wrong:
        def __init__(self):
            {}["channel"]

    with pytest.raises(
        DeviceOpenError, match=r"KeyError: 'channel' \(.*test_opening_devices.py:\d+ in __init__\)"
    ):
        bench.run(lambda sesn: None, spec(Wrong))


@pytest.mark.parametrize("blocking", [False, True])
def test_a_driver_that_cannot_be_asked_for_its_safe_action_is_closed_again(bench, spec, blocking):
    done = []

    class Refuses:
        def __init__(self):
            done.append("opened")

        @property
        def channel(self):
            done.append(threading.current_thread().name)
            raise RuntimeError("the channel does not answer")

        def close(self):
            done.append("closed")

    with pytest.raises(DeviceOpenError, match="the channel does not answer"):
        bench.run(
            lambda sesn: None, spec(Refuses, blocking=blocking, safe=(SafeCall("channel.off"),))
        )
    assert done == ["opened", "device dev", "closed"]


def test_a_driver_that_ends_the_program_when_it_is_opened_cannot_be_opened(bench, spec):
    def give_up():
        raise SystemExit("the driver gives up")

    with pytest.raises(DeviceOpenError, match="cannot be opened: SystemExit: the driver gives up"):
        bench.run(lambda sesn: None, spec(give_up))
    assert bench.run(lambda sesn: sesn.dev, spec(give_up, required=False)) is None


def test_opening_has_an_end(bench, spec):
    class PlainHang:
        def __init__(self):
            time.sleep(20)

    class AsyncHang:
        async def __aenter__(self):
            await asyncio.sleep(60)

        async def __aexit__(self, *error):
            raise AssertionError

    class Stubborn:
        async def __aenter__(self):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            await asyncio.sleep(0.1)
            return self

        async def __aexit__(self, *error):
            done.append("left")

    done = []
    for kind in (PlainHang, AsyncHang, Stubborn):
        began = time.monotonic()
        with pytest.raises(
            DeviceOpenError, match=r"no answer within 50 ms|did not return within 50 ms"
        ):
            bench.run(lambda sesn: None, spec(kind, open_timeout=0.05))
        assert time.monotonic() - began < 10
    assert done == ["left"]


def test_a_plain_driver_that_opens_too_late_is_closed_again(bench, spec):
    given_up, closed = threading.Event(), threading.Event()

    class Late:
        def __init__(self):
            assert given_up.wait(10)

        def close(self):
            closed.set()

    with pytest.raises(DeviceOpenError):
        bench.run(lambda sesn: None, spec(Late, open_timeout=0.05))
    given_up.set()
    assert closed.wait(10)


def test_a_device_that_is_not_required_is_none(bench, spec):
    class Absent:
        def __init__(self):
            raise OSError("unplugged")

    def use(sesn):
        assert sesn.dev is None
        return "used"

    assert bench.run(use, spec(Absent, required=False)) == "used"
    assert bench.told == ["dev: cannot be opened: OSError: unplugged; the run goes on without it"]
    assert bench.rack.closed == []


def test_a_close_that_raises_or_hangs_does_not_keep_the_others_from_closing(bench, spec, caplog):
    class Raises(Kept):
        def close(self):
            raise ValueError("stuck valve")

    class Hangs(Kept):
        def close(self):
            time.sleep(20)

    class AsyncHangs(Kept):
        async def close(self):
            await asyncio.sleep(60)

    began = time.monotonic()
    bench.run(
        lambda sesn: None,
        spec(PlainManager, "first"),
        spec(Raises, "raises"),
        spec(Hangs, "hangs", close_timeout=0.05),
        spec(AsyncHangs, "async_hangs", close_timeout=0.05),
    )
    assert time.monotonic() - began < 10
    told = bench.told[4:]
    assert told[0] == "async_hangs: not closed: no answer within 50 ms"
    assert told[1].startswith("hangs: not closed: closing hangs did not return within 50 ms, at ")
    assert told[2].startswith("raises: not closed: ValueError: stuck valve")
    assert told[3] == "first: closed"
    assert [r.levelname for r in caplog.records if "not be closed" in r.message] == ["WARNING"] * 3
    assert bench.rack.closed[0] == "async_hangs (not closed: no answer within 50 ms)"


async def test_a_cancellation_does_not_keep_devices_from_closing(bench, spec):
    class Slow(Kept):
        async def close(self):
            await asyncio.sleep(0.1)
            done.append("closed")

    done, ready = [], asyncio.Event()

    async def run():
        async with bench.opened(spec(Slow, "a"), spec(Slow, "b")):
            ready.set()
            await asyncio.sleep(60)

    task = asyncio.ensure_future(run())
    await ready.wait()
    for _ in range(3):  # the second and the third while it is closing
        task.cancel()
        await asyncio.sleep(0.02)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == ["closed", "closed"]


async def test_a_cancellation_while_opening_closes_what_is_open(bench, spec):
    class Slow:
        async def __aenter__(self):
            ready.set()
            await asyncio.sleep(60)

        async def __aexit__(self, *error):
            raise AssertionError

    ready = asyncio.Event()

    async def run():
        async with bench.opened(spec(PlainManager, "a"), spec(Slow, "b")):
            raise AssertionError

    task = asyncio.ensure_future(run())
    await ready.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bench.told == ["a: opened (a)", "a: closed"]


def test_a_full_disk_does_not_keep_devices_from_closing(bench, spec, caplog):
    def full(name, text):
        raise OSError(28, "No space left on device")

    bench.tell = full
    done = []
    bench.run(lambda sesn: None, spec(partial(PlainManager, done)))
    assert done[-1][0] == "left"
    assert "could not be stored" in caplog.text


@pytest.mark.parametrize("kind", ["plain", "async"])
def test_what_could_not_be_opened_is_closed_again(bench, spec, kind):
    """An attempt a minute for a weekend shall not use up all sockets."""

    class Plain(Kept):
        def connect(self):
            raise OSError("no answer")

        def close(self):
            self._note("closed")

    class Async(Kept):
        async def connect(self):
            raise OSError("no answer")

        async def close(self):
            self._note("closed")

    done = []
    with pytest.raises(DeviceOpenError, match="no answer"):
        bench.run(lambda sesn: None, spec(partial(Plain if kind == "plain" else Async, done)))
    assert [what for what, _ in done] == ["made", "closed"]


@pytest.mark.parametrize("reconnect", [None, Reconnect(0.01, 1.0)])
def test_a_driver_whose_own_task_fails_is_told(bench, spec, reconnect):
    fail = []

    @contextlib.asynccontextmanager
    async def device():
        async def listen():
            stop = asyncio.Event()
            fail.append(stop)
            await stop.wait()
            raise ConnectionResetError("the line is dead")

        async with asyncio.TaskGroup() as group:
            listener = group.create_task(listen())
            yield NothingToOpen()
            listener.cancel()

    async def use(sesn):
        await asyncio.sleep(0.01)
        fail[0].set()
        await asyncio.sleep(0.3)

    bench.run(use, spec(device, reconnect=reconnect))
    words = "lost" if reconnect else "ended by itself"
    assert bench.told[1].startswith(f"dev: {words}: ConnectionResetError: the line is dead")
    if reconnect:
        assert bench.told[2].startswith("dev: open again")
        assert bench.told[-1] == "dev: closed"
