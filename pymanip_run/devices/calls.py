"""Calls of blocking drivers, each in the thread of its device."""

from __future__ import annotations

import functools
import inspect
import weakref
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pymanip_run.devices.lane import Lane
from pymanip_run.devices.parts import owners, put
from pymanip_run.devices.proxy import Method, Proxy, device_behind, unwrapped
from pymanip_run.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pymanip_run.devices.device import Device

__all__ = ["DeviceCalls"]


class DeviceCalls:
    """Finds the thread for each call.

    It is that of the device whose method is called, or one of whose parts; for a function that
    belongs to nothing, that of its first argument. What is no device of the run has a thread of its
    own: one for each object, one for each function that belongs to nothing.
    """

    def __init__(self) -> None:
        #: The devices of the present run.
        self.devices: tuple[Device, ...] = ()
        self._lanes: dict[Any, Lane] = {}

    async def call(
        self,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        *,
        timeout: float | None = None,
        names: Mapping[str, Any],
    ) -> Any:
        """Call a function in its device's thread.

        Parameters
        ----------
        function, args
            What is called.
        timeout
            Seconds, None waits for ever.
        names
            The objects that have a name, for messages.

        Raises
        ------
        DeviceTimeoutError
            If it took longer, or the thread is hung.
        UsageError
            If it cannot be called so.
        Exception
            What the function raised.
        """
        _check(function, timeout)
        if isinstance(function, Method):
            return await function.in_thread(args, {}, timeout)
        device = self._device_of(function, args)
        if device is not None:
            return await device.call(
                lambda _: _plainly(function)(*map(unwrapped, args)),
                f"{device.name}.{_name(function)}()",
                timeout,
            )
        owner = _owner(function, args)
        what = f"{_name_of_owner(owner, names)}{_name(function)}()"
        lane = self._lane_of(owner, function, what)
        return await lane.call(lambda: function(*args), what, timeout=timeout)

    async def put(self, device: Any, call: str, values: tuple[Any, ...]) -> Any:
        """Call a method of a device, or set a property of it, as its kind wants it.

        Parameters
        ----------
        device
            A driver, or what stands for it.
        call
            The name of the method or property; with dots for that of a part.
        values
            What it is called with.
        """
        behind = device_behind(device)
        if behind is not None and behind.spec.blocking:
            what = f"{behind.name}.{call}()"
            return await behind.call(lambda driver: put(driver, call, values, {}), what)
        result = put(device, call, values, {})
        return await result if inspect.isawaitable(result) else result

    def close(self) -> None:
        """Let the threads end after the calls that they have."""
        for lane in self._lanes.values():
            lane.close()
        self._lanes.clear()

    def _device_of(self, function: Any, args: tuple[Any, ...]) -> Device | None:
        owner = _owner(function, args)
        if owner is None:
            return None
        if (device := device_behind(owner)) is not None:
            return device
        known = {id(d.driver): d for d in self.devices if d.is_open}
        return next((known[id(one)] for one in owners(owner) if id(one) in known), None)

    def _lane_of(self, owner: Any, function: Any, what: str) -> Lane:
        if owner is None:
            key: Any = (getattr(function, "__module__", None), _qualified(function))
        else:
            *_, owner = owners(owner)
            key = id(owner)
        if key not in self._lanes:
            self._lanes[key] = Lane(what.rpartition(".")[0] or what)
            if owner is not None:
                self._forget_with(owner, key)
        return self._lanes[key]

    def _forget_with(self, owner: Any, key: int) -> None:
        """Let the thread of an object end with it."""
        lanes = self._lanes

        def gone() -> None:
            if (lane := lanes.pop(key, None)) is not None:
                lane.close()

        try:
            weakref.finalize(owner, gone).atexit = False
        except TypeError:  # kept, so that no other object gets its id
            lanes[key].keep = owner


def _check(function: Any, timeout: Any) -> None:
    if not callable(function):
        shown = type(function).__name__
        raise UsageError(
            f"device_call takes a function and its arguments, device_call(thermo.read, 1), not {shown}"
        )
    if inspect.iscoroutinefunction(_unbound(function)):
        name = _name(function)
        raise UsageError(
            f"{name} is a coroutine function, which blocks nobody; write:  await {name}(...)"
        )
    if timeout is not None and not (isinstance(timeout, (int, float)) and timeout > 0):
        raise UsageError(f"timeout is a number of seconds above 0, not {timeout!r}")


def _unbound(function: Any) -> Any:
    while isinstance(function, functools.partial):
        function = function.func
    return function


def _owner(function: Any, args: tuple[Any, ...]) -> Any:
    """Return the object that a call is about; None if there is none."""
    inner = _unbound(function)
    owner = getattr(inner, "__self__", None)
    if owner is not None and not isinstance(owner, (type, ModuleType)):
        return owner
    if isinstance(inner, Proxy) or not (inspect.isroutine(inner) or isinstance(inner, type)):
        return inner  # an object that can be called
    if (within := _closed_over(inner).get("self")) is not None:
        return within  # QCoDeS makes the methods of its parameters so
    given = (*getattr(function, "args", ()), *args)
    return (
        given[0]
        if given and (device_behind(given[0]) is not None or _is_object(given[0]))
        else None
    )


def _closed_over(function: Any) -> dict[str, Any]:
    """Return the variables of the outer function that an inner one uses."""
    names = getattr(getattr(function, "__code__", None), "co_freevars", ())
    found = {}
    for name, cell in zip(names, getattr(function, "__closure__", None) or (), strict=False):
        with suppress(ValueError):  # not assigned yet
            found[name] = cell.cell_contents
    return found


def _is_object(thing: Any) -> bool:
    """Return whether an argument may be a driver: an object of a class of somebody's own."""
    return type(thing).__module__ not in ("builtins", "numpy")


def _plainly(function: Any) -> Any:
    """Return a function that takes and calls drivers, not what stands for them."""
    if isinstance(function, functools.partial):
        args = [unwrapped(arg) for arg in function.args]
        kwargs = {key: unwrapped(value) for key, value in function.keywords.items()}
        return functools.partial(_plainly(function.func), *args, **kwargs)
    return unwrapped(function)


def _name(function: Any) -> str:
    inner = _unbound(function)
    return str(getattr(inner, "__name__", type(inner).__name__))


def _qualified(function: Any) -> str:
    inner = _unbound(function)
    return str(getattr(inner, "__qualname__", type(inner).__qualname__))


def _name_of_owner(owner: Any, names: Mapping[str, Any]) -> str:
    if owner is None:
        return ""
    *_, whole = owners(owner)
    for name, thing in names.items():
        if thing is whole:
            return f"{name}."
    return f"{type(owner).__name__}."
