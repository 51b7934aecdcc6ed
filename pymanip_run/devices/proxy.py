"""What stands for a driver on the session, where its calls go to a thread or are watched."""

from __future__ import annotations

import asyncio
import functools
import inspect
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

from pymanip_run.devices.parts import is_part, is_property, reach, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from pymanip_run.devices.device import Device

__all__ = ["Method", "Proxy", "Reading", "device_behind", "unwrapped"]


def _is_in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def device_behind(thing: object) -> Device | None:
    """Return the device for which something stands, None if it stands for none."""
    if isinstance(thing, (Proxy, Method, Reading)):
        return object.__getattribute__(thing, "_device_")  # type: ignore[no-any-return]
    return None


def unwrapped(thing: Any) -> Any:
    """Return the driver, or the part of one, for which something stands; all else as it is."""
    device = device_behind(thing)
    return thing if device is None else reach(device.driver, thing._path_)


def _watched(device: Device, function: Callable[[Any], Any]) -> Any:
    """Call a function of the driver here, and notice when the connection fails."""
    epoch, driver = device.epoch, device.driver
    try:
        return function(driver)
    except BaseException as error:
        device.failed(error, epoch)
        raise


class Proxy:
    """Stands for a driver, or for a part of one.

    The driver may be opened again meanwhile: each use goes to the present one. With `blocking`,
    methods and properties are awaited and run in the device's thread; in another thread, that of a
    plain task for example, they are simply called. Without, everything is as with the driver itself.
    In both cases failures of the connection are noticed.
    """

    __slots__ = ("__weakref__", "_blocking_", "_device_", "_path_")

    _blocking_: bool
    _device_: Device
    _path_: tuple[Any, ...]

    def __init__(self, device: Device, *, blocking: bool, path: tuple[Any, ...] = ()) -> None:
        object.__setattr__(self, "_device_", device)
        object.__setattr__(self, "_blocking_", blocking)
        object.__setattr__(self, "_path_", path)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        with suppress(Exception):
            return type(self._known())
        return Proxy

    def __repr__(self) -> str:
        device, name = self._device_, shown(self._device_.name, self._path_)
        if device.is_open:
            return f"<{name}: {type(self._known()).__qualname__}>"
        return f"<{name}: {'closed' if device.absence is None else f'away {device.absence}'}>"

    def __dir__(self) -> list[str]:
        return dir(self._known())

    def __bool__(self) -> bool:
        return True

    def _known(self) -> Any:
        """Return what it stands for: of a device that is away, what it was before."""
        device = self._device_
        try:
            return reach(device.last_driver, self._path_)
        except (AttributeError, LookupError):
            device.driver  # noqa: B018 - says that it is away
            raise

    def _give(self, value: Any, step: Any, driver: Any) -> Any:
        """Return what is given out for the value of an attribute or item."""
        device, blocking, path = self._device_, self._blocking_, (*self._path_, step)
        if inspect.isroutine(value) or isinstance(value, functools.partial):
            return Method(device, path, blocking=blocking, sample=value)
        if is_part(value, driver):
            return Proxy(device, blocking=blocking, path=path)
        if type(value) in (dict, list, tuple):
            items = value.items() if type(value) is dict else enumerate(value)
            given = {
                key: Proxy(device, blocking=blocking, path=(*path, (key,)))
                if is_part(item, driver)
                else item
                for key, item in items
            }
            if any(isinstance(item, Proxy) for item in given.values()):
                return given if type(value) is dict else type(value)(given.values())
        return value

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name.endswith("__"):
            raise AttributeError(name)
        device, path = self._device_, self._path_
        thing = self._known()
        if is_property(thing, name):
            if not self._blocking_:
                value = _watched(device, lambda driver: getattr(reach(driver, path), name))
                return self._give(value, name, device.last_driver)
            reading = Reading(device, (*path, name))
            return reading if _is_in_a_loop() else reading.get_and_wait()
        try:
            value = getattr(thing, name)
        except AttributeError:
            device.driver  # noqa: B018 - says that it is away
            raise
        return self._give(value, name, device.last_driver)

    def __setattr__(self, name: str, value: Any) -> None:
        device, path = self._device_, self._path_

        def assign(driver: Any) -> None:
            setattr(reach(driver, path), name, unwrapped(value))

        if not (self._blocking_ and is_property(self._known(), name)):
            _watched(device, assign)
        elif _is_in_a_loop():
            where = shown(device.name, (*path, name))
            raise AttributeError(
                f"setting {where} talks to the instrument; write:  await sesn.{where}.set({value!r})"
            )
        else:
            device.call_and_wait(assign, f"setting {shown(device.name, (*path, name))}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call a part that can be called: a parameter of QCoDeS."""
        sample = type(self._known()).__call__
        path = (*self._path_, "__call__")
        return Method(self._device_, path, blocking=self._blocking_, sample=sample)(*args, **kwargs)

    def __getitem__(self, key: Any) -> Any:
        value = _watched(self._device_, lambda driver: reach(driver, self._path_)[key])
        return self._give(value, (key,), self._device_.last_driver)

    def __len__(self) -> int:
        return len(self._known())

    def __contains__(self, item: object) -> bool:
        return unwrapped(item) in self._known()

    def __iter__(self) -> Iterator[Any]:
        driver = self._device_.last_driver
        for index, item in enumerate(self._known()):
            yield self._give(item, (index,), driver)


class Method:
    """A method of a driver behind a proxy."""

    _device_: Device
    _path_: tuple[Any, ...]

    def __init__(
        self, device: Device, path: tuple[Any, ...], *, blocking: bool, sample: Any
    ) -> None:
        functools.update_wrapper(self, sample)
        self._device_ = device
        self._path_ = path
        self._blocking = blocking
        self._is_coroutine = inspect.iscoroutinefunction(sample)

    def __repr__(self) -> str:
        return f"<method {self.what}>"

    @property
    def what(self) -> str:
        """How it is called in messages."""
        path = self._path_[:-1] if self._path_[-1] == "__call__" else self._path_
        return f"{shown(self._device_.name, path)}()"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it, or return what is to be awaited."""
        device = self._device_
        if self._blocking:
            if _is_in_a_loop():
                return self.in_thread(args, kwargs)
            return self._own(device.call_and_wait(self._bound(args, kwargs), self.what))
        if self._is_coroutine:
            return self._awaited(args, kwargs)
        result = _watched(device, self._bound(args, kwargs))
        return self._rest(result) if inspect.isawaitable(result) else self._own(result)

    async def in_thread(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], timeout: float | None = None
    ) -> Any:
        """Call it in the device's thread."""
        return self._own(await self._device_.call(self._bound(args, kwargs), self.what, timeout))

    def _bound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[Any], Any]:
        def call(driver: Any) -> Any:
            method = reach(driver, self._path_)
            return method(
                *map(unwrapped, args), **{key: unwrapped(value) for key, value in kwargs.items()}
            )

        return call

    def _own(self, result: Any) -> Any:
        """Return the proxy where a method returned its driver."""
        device = self._device_
        return device.face if device.is_open and result is device.driver else result

    async def _awaited(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        await self._device_.ready()
        return await self._rest(_watched(self._device_, self._bound(args, kwargs)))

    async def _rest(self, result: Any) -> Any:
        epoch = self._device_.epoch
        try:
            return self._own(await result)
        except BaseException as error:
            self._device_.failed(error, epoch)
            raise


class Reading:
    """A property of a blocking driver: ``await supply.voltage``, ``await supply.voltage.set(3)``."""

    _device_: Device
    _path_: tuple[Any, ...]

    def __init__(self, device: Device, path: tuple[Any, ...]) -> None:
        self._device_ = device
        self._path_ = path

    @property
    def _what(self) -> str:
        return shown(self._device_.name, self._path_)

    def __repr__(self) -> str:
        return f"<{self._what}: write  await sesn.{self._what}>"

    def __await__(self) -> Generator[Any, None, Any]:
        return self.get().__await__()

    async def get(self) -> Any:
        """Read it in the device's thread."""
        return await self._device_.call(self._get, f"reading {self._what}")

    async def set(self, value: Any) -> None:
        """Set it in the device's thread."""
        await self._device_.call(lambda driver: self._set(driver, value), f"setting {self._what}")

    def get_and_wait(self) -> Any:
        """Read it from a thread that waits for the value."""
        return self._device_.call_and_wait(self._get, f"reading {self._what}")

    def _get(self, driver: Any) -> Any:
        return reach(driver, self._path_)

    def _set(self, driver: Any, value: Any) -> None:
        *path, name = self._path_
        setattr(reach(driver, tuple(path)), name, unwrapped(value))

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError(
            f"{self._what} is read from the instrument; write:  await sesn.{self._what}"
        )

    # Used like a value it is a mistake, which shall not go unnoticed.
    __bool__ = __float__ = __int__ = __index__ = __eq__ = __lt__ = __le__ = __gt__ = __ge__ = (
        _refuse
    )
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = __truediv__ = __rtruediv__ = (
        _refuse
    )
    __hash__ = object.__hash__
