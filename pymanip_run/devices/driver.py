"""How drivers are opened and closed, whatever they are made of.

An asynchronous driver lives in the event loop; a plain one is made, opened and closed in the
thread of its device, so that one that hangs holds nobody up. Context managers are entered and left;
other drivers get their ``open()`` or ``connect()``, and ``close()``, ``disconnect()`` or
``shutdown()``, as far as they have them.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import threading
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pymanip_run.devices.waiting import NoAnswerError, drop
from pymanip_run.runtime.cancelling import hide
from pymanip_run.runtime.outcomes import outcome, result_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymanip_run.devices.lane import Lane
    from pymanip_run.devices.spec import DeviceSpec
    from pymanip_run.runtime.outcomes import Outcome

__all__ = ["OpenDriver", "is_asynchronous", "open_driver"]

OPENS = ("open", "connect")
CLOSES = ("close", "disconnect", "shutdown")
#: What asyncio says to a constructor that needs the loop, in a thread without one.
NO_LOOP = ("no running event loop", "no current event loop")


class OpenDriver(ABC):
    """A driver that was opened.

    Attributes
    ----------
    driver : object
        What the session gets: what the context manager returned, else the object itself.
    in_loop : bool
        Whether it lives in the event loop.
    """

    def __init__(self, driver: Any, *, in_loop: bool) -> None:
        self.driver = driver
        self.in_loop = in_loop

    @abstractmethod
    async def close(self, timeout: float) -> None:
        """Close it.

        Raises
        ------
        TimeoutError
            If it took too long.
        Exception
            What the driver raised.
        """

    def when_it_ends(self, callback: Callable[[BaseException], object]) -> None:  # noqa: B027 - most have no end of their own
        """Call back if it ends by itself, with the reason; a plain driver does not."""


def is_asynchronous(thing: Any) -> bool:
    """Return whether a class, or an object, is made for the event loop: it has a coroutine method."""
    kind = thing if isinstance(thing, type) else type(thing)
    for name in dir(kind):
        if name == "__aenter__":
            return True
        if not name.startswith("_"):
            method = inspect.getattr_static(kind, name, None)
            method = getattr(method, "__func__", method)
            if inspect.iscoroutinefunction(method) or inspect.isasyncgenfunction(method):
                return True
    return False


async def open_driver(spec: DeviceSpec, lane: Lane) -> OpenDriver:
    """Make and open the driver of a device.

    Raises
    ------
    TimeoutError
        If it took longer than ``spec.open_timeout``.
    Exception
        What the driver raised.
    """
    target, loop = spec.target, asyncio.get_running_loop()
    until = loop.time() + spec.open_timeout
    is_class = isinstance(target, type)
    in_loop = inspect.iscoroutinefunction(target) or (
        is_class and not spec.blocking and is_asynchronous(target)
    )
    if not in_loop:
        plain = _Plain(spec, lane)
        try:
            if await plain.open(spec.open_timeout):
                return plain
        except RuntimeError as error:
            if not any(words in str(error) for words in NO_LOOP):
                raise
        else:
            kept = _Kept(lambda: plain.manager)
            return await kept.open(spec.name, until - loop.time())
    return await _Kept(spec.make).open(spec.name, until - loop.time())


# -- in the thread of the device ------------------------------------------------------------------


class _Plain(OpenDriver):
    """A plain driver: all is done in the thread of its device."""

    def __init__(self, spec: DeviceSpec, lane: Lane) -> None:
        super().__init__(None, in_loop=False)
        self._spec = spec
        self._lane = lane
        self._lock = threading.Lock()
        self._given_up = False
        self._is_entered = False
        self.manager: Any = None

    async def open(self, timeout: float) -> bool:
        """Make and enter it; return False if it was made, but turns out to live in the loop."""
        try:
            # Patient: an attempt that was given up may just be about to return.
            return bool(
                await self._lane.call(
                    self._make_and_enter,
                    f"opening {self._spec.name}",
                    timeout=timeout,
                    grace=math.inf,
                )
            )
        except BaseException:
            with self._lock:
                self._given_up = True
            if self._is_entered:  # just when nobody waited for it any more
                self._lane.leave(self._leave, f"closing {self._spec.name}")
            raise

    def _make_and_enter(self) -> bool:
        manager = self._spec.make()
        if _lives_in_loop(manager) if self._spec.blocking else is_asynchronous(manager):
            self.manager = manager
            return False
        self.manager, self.driver = manager, _enter(manager)
        with self._lock:
            self._is_entered = not self._given_up
        if not self._is_entered:  # nobody waits for it any more: it shall not keep the instrument
            self._leave()
        return True

    def _leave(self) -> None:
        _leave(self.manager, self.driver)

    async def close(self, timeout: float) -> None:
        await self._lane.call(
            self._leave,
            f"closing {self._spec.name}",
            timeout=timeout,
            grace=math.inf,
        )


def _lives_in_loop(driver: Any) -> bool:
    """Return whether a driver can only be opened in the loop, whatever its other methods do."""
    if _is_plain_manager(driver):
        return False
    method = _opening(driver)
    return hasattr(type(driver), "__aenter__") or inspect.iscoroutinefunction(method)


def _is_plain_manager(thing: Any) -> bool:
    return hasattr(type(thing), "__enter__") and hasattr(type(thing), "__exit__")


def _enter(manager: Any) -> Any:
    """Open a plain driver, and return what the session gets."""
    if _is_plain_manager(manager):
        entered = type(manager).__enter__(manager)
        driver = manager if entered is None else entered
        if (fault := _fault(driver)) is not None:
            _leave(manager, driver)
            raise fault
        return driver
    method = _opening(manager)
    if method is not None:
        try:
            _check_opened(method, method())
        except BaseException:
            with suppress(Exception):
                _leave(manager, manager)
            raise
    return manager


def _leave(manager: Any, driver: Any) -> None:
    """Close a plain driver."""
    try:
        if _is_plain_manager(manager):
            type(manager).__exit__(manager, None, None, None)
        elif (method := _method(manager, CLOSES)) is not None:
            method()
    finally:
        for method in _rests(driver):
            method()


# -- in the event loop ----------------------------------------------------------------------------


class _Kept(OpenDriver):
    """A driver of the event loop, kept by a task that enters it and leaves it.

    Some context managers, those with task groups for example, must be left by the task that
    entered them.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__(None, in_loop=True)
        self._make = make
        self._over = asyncio.Event()
        self._keeper: asyncio.Task[Any] | None = None

    async def open(self, name: str, timeout: float) -> OpenDriver:
        """Make and enter it."""
        loop = asyncio.get_running_loop()
        entered = loop.create_future()
        keeper = loop.create_task(outcome(self._keep(entered)), name=f"device {name}")
        hide(keeper)
        try:
            await asyncio.wait(
                {keeper, entered}, timeout=max(0.0, timeout), return_when="FIRST_COMPLETED"
            )
        except asyncio.CancelledError:
            await self._give_up(keeper)
            raise
        if not entered.done():
            if keeper.done():
                result_of(keeper)
            await self._give_up(keeper)
            raise NoAnswerError
        self.driver = entered.result()
        self._keeper = keeper
        return self

    async def _give_up(self, keeper: asyncio.Task[Outcome]) -> None:
        self._over.set()  # should it be entered all the same, it is left at once
        await drop(keeper)

    def when_it_ends(self, callback: Callable[[BaseException], object]) -> None:
        def ended(keeper: asyncio.Task[Any]) -> None:
            if self._over.is_set():
                return
            try:
                result_of(keeper)
            except BaseException as error:  # noqa: BLE001 - it is told
                callback(error)

        if self._keeper is not None:
            self._keeper.add_done_callback(ended)

    async def close(self, timeout: float) -> None:
        if self._keeper is None:
            return
        self._over.set()
        await asyncio.wait({self._keeper}, timeout=timeout)
        if not self._keeper.done():
            await drop(self._keeper)
            raise NoAnswerError
        result_of(self._keeper)

    async def _keep(self, entered: asyncio.Future[Any]) -> None:
        made = self._make()
        if inspect.isawaitable(made) and not hasattr(type(made), "__aenter__"):
            made = await made
        if hasattr(type(made), "__aenter__"):
            async with made as driver:
                if (fault := _fault(made if driver is None else driver)) is not None:
                    raise fault
                await self._hold(entered, made if driver is None else driver)
        elif _is_plain_manager(made):
            with made as driver:
                await self._hold(entered, made if driver is None else driver)
        else:
            await self._keep_opened(made, entered)

    async def _keep_opened(self, made: Any, entered: asyncio.Future[Any]) -> None:
        close = _method(made, ("aclose", *CLOSES))
        method = _opening(made)
        if method is not None:
            try:
                _check_opened(method, await _resolved(method()))
            except BaseException:
                if close is not None:
                    with suppress(Exception):
                        await _resolved(close())
                raise
        try:
            await self._hold(entered, made)
        finally:
            if close is not None:
                await _resolved(close())

    async def _hold(self, entered: asyncio.Future[Any], driver: Any) -> None:
        if not entered.done():
            entered.set_result(driver)
            await self._over.wait()


async def _resolved(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


# -- methods --------------------------------------------------------------------------------------


def _method(thing: Any, names: tuple[str, ...]) -> Callable[[], Any] | None:
    """Return the first of these methods that the driver has and that needs no argument."""
    for name in names:
        method = getattr(thing, name, None)
        if callable(method) and _needs_nothing(method):
            return method  # type: ignore[no-any-return]
    return None


def _opening(thing: Any) -> Callable[[], Any] | None:
    """Return what opens a driver; None where its constructor did."""
    if getattr(thing, "is_open", None) is True or getattr(thing, "opened", None) is True:
        return None
    return _method(thing, OPENS)


def _needs_nothing(method: Callable[..., Any]) -> bool:
    try:
        inspect.signature(method).bind()
    except TypeError:
        return False
    except ValueError:  # written in C, without a signature
        return True
    return True


def _check_opened(method: Callable[[], Any], result: object) -> None:
    """Take False for what it means to those who return it: not connected."""
    if result is False:
        raise ConnectionError(f"{getattr(method, '__name__', 'open')}() returned False")


def _fault(driver: Any) -> Exception | None:
    """Return what is wrong with a driver of pymodbus, which enters its context also without a connection."""
    ours = any(kind.__module__.split(".")[0] == "pymodbus" for kind in type(driver).__mro__)
    if ours and getattr(driver, "connected", None) is False:
        return ConnectionError(f"no connection: {driver}")
    return None


def _rests(driver: Any) -> list[Callable[[], Any]]:
    """Return what is to be closed besides: PyMeasure's shutdown leaves the connection open."""
    adapter = getattr(driver, "adapter", None)
    if adapter is None or not callable(getattr(driver, "shutdown", None)):
        return []
    method = _method(adapter, ("close",))
    return [] if method is None else [method]
