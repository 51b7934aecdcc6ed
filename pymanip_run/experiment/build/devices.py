"""From the devices of an experiment file to what is opened."""

from __future__ import annotations

import inspect
from functools import partial
from typing import TYPE_CHECKING, Any

from pymanip_run.devices import DeviceSpec, Reconnect, SafeCall
from pymanip_run.errors import did_you_mean
from pymanip_run.experiment.build.functions import (
    NAMED_KINDS,
    POSITIONAL_KINDS,
    FunctionMissingError,
    reach,
)
from pymanip_run.experiment.checks.finding import Finding
from pymanip_run.runtime.troubles import one_line
from pymanip_run.session.names import SESSION_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from types import ModuleType

    from pymanip_run.experiment.load.loading import Draft
    from pymanip_run.experiment.model.experiment import Device, SafeAction, Task
    from pymanip_run.experiment.text.nodes import Part

    Factory = Callable[..., Any]
    #: Finds the class or factory that is named at a path; None if that failed.
    Find = Callable[[str, tuple[Part, ...]], Factory | None]

__all__ = ["DeviceFinder", "find_factory"]


def find_factory(module: ModuleType, name: str) -> Factory:
    """Return a class or factory of a module; `name` may have dots.

    Raises
    ------
    FunctionMissingError
        If there is none, or if it is something else.
    """
    try:
        found = reach(module, name, "class or factory", _factories)
    except FunctionMissingError:
        raise
    except Exception as error:  # a module that loads its names when they are asked for
        raise FunctionMissingError(f"cannot give {name!r}: {one_line(error)}") from error
    if not callable(found):
        raise FunctionMissingError(f"{name!r} is {type(found).__name__}, no class or factory")
    return found  # type: ignore[no-any-return]


def _factories(module: ModuleType) -> list[str]:
    """Return what could be meant, classes first."""
    names = [n for n, thing in vars(module).items() if callable(thing) and not n.startswith("_")]
    return sorted(names, key=lambda n: not isinstance(vars(module)[n], type))


class DeviceFinder:
    """Makes the specifications of devices; what is wrong with them becomes a problem of the draft.

    Parameters
    ----------
    draft
        The experiment file.
    find
        Finds what ``use:`` names.
    simulated
        Whether what stands for the devices is opened, instead of the devices.
    """

    def __init__(self, draft: Draft, find: Find, *, simulated: bool) -> None:
        self._draft = draft
        self._find = find
        self._simulated = simulated
        self._targets: dict[str, Factory | None] = {}

    def specs(self) -> tuple[DeviceSpec, ...]:
        """Return the devices in the order of the file."""
        found = [self._spec(*item) for item in self._draft.devices().items()]
        return tuple(spec for spec in found if spec is not None)

    def _spec(self, name: str, device: Device) -> DeviceSpec | None:
        path: tuple[Part, ...] = ("devices", name)
        if name in SESSION_NAMES or name.startswith("_"):
            text = f"sesn.{name} is a part of the session itself; give the device another name"
            self._draft.add(path, text, key=True)
        make = self._simulation(path, name, device)
        if not self._simulated:
            # After its simulation, which need not have the driver's library.
            make = self._made(path, device.use, device.args, device.kwargs)
        self._targets[name] = make.func if make is not None else None
        if make is None:
            return None
        for index, action in enumerate(device.safe):
            self._check_safe(name, index, action, device)
        reconnect = device.reconnect
        return DeviceSpec(
            name=name,
            make=make,
            blocking=device.blocking,
            simulated=self._simulated,
            open_timeout=device.open_timeout,
            close_timeout=device.close_timeout,
            reconnect=Reconnect(reconnect.wait, reconnect.max_wait) if reconnect else None,
            required=device.required,
            safe=tuple(map(_safe_call, device.safe)),
            use=device.simulate.use if self._simulated and device.simulate else device.use,
            place=str(self._draft.mark(*path, key=True)),
        )

    def _simulation(self, path: tuple[Part, ...], name: str, device: Device) -> partial[Any] | None:
        simulate = device.simulate
        if simulate is None:
            if self._simulated:
                text = (
                    "'simulate' is missing: what stands for the device in a rehearsal, "
                    f"for example  simulate: Fake{name.title().replace('_', '')}"
                )
                self._draft.add(path, text, key=True)
            return None
        if simulate.args is None and simulate.kwargs is None:
            args, kwargs = device.args, device.kwargs
        else:
            args, kwargs = simulate.args or [], simulate.kwargs or {}
        return self._made((*path, "simulate"), simulate.use, args, kwargs)

    def _made(
        self, path: tuple[Part, ...], use: str, args: list[Any], kwargs: dict[str, Any]
    ) -> partial[Any] | None:
        """Return what makes a driver, None where something is wrong with it."""
        target = self._find(use, path)
        if target is None:
            return None
        wrong = False
        own = self._has(path, "kwargs")
        for message, kwarg in _complaints(target, args, kwargs):
            wrong = True
            borrowed = ""
            if not own and path[-1] == "simulate":
                borrowed = (
                    "; without arguments of its own it gets those of the device, "
                    f"give it some:  simulate: {{use: {use}, args: []}}"
                )
            place = (*path, "kwargs", kwarg) if kwarg and own else path
            self._draft.add(place, message + borrowed, key=True)
        return None if wrong else partial(target, *args, **kwargs)

    def _has(self, path: tuple[Part, ...], key: str) -> bool:
        data: Any = self._draft.data
        for part in (*path, key):
            if not isinstance(data, dict) or part not in data:
                return False
            data = data[part]
        return True

    def _check_safe(self, name: str, index: int, action: SafeAction, device: Device) -> None:
        given = self._draft.data["devices"][name]["safe"]
        path: tuple[Part, ...] = ("devices", name, "safe")
        path = (*path, index) if isinstance(given, list) else path
        listed = given[index] if isinstance(given, list) else given
        path = (*path, "call") if isinstance(listed, dict) else path
        self._check_method(path, name, action.call)

    def check_set(self, name: str, task: Task) -> None:
        """Check that the method with which a sweep sets a device is there."""
        if task.sweep is None or task.sweep.set is None:
            return
        device, _, method = task.sweep.set.partition(".")
        if method:
            self._check_method(("tasks", name, "sweep", "set"), device, method)

    def _check_method(self, path: tuple[Part, ...], device: str, method: str) -> None:
        """Tell what is wrong with a method, as far as the class shows it; the rest is found when it is open."""
        target = self._targets.get(device)
        if not isinstance(target, type) or hasattr(target, method) or _assigns(target, method):
            return
        near = did_you_mean(method, [name for name in dir(target) if not name.startswith("_")])
        if near:
            self._draft.add(path, f"{target.__name__} has no method {method!r}{near}")
            return
        text = f"{target.__name__} does not seem to have a method {method!r}"
        self._draft.warnings.append(self._draft.problem(Finding(path, text, value=True)))


def _assigns(target: type, name: str) -> bool:
    """Return whether a class, or one that it inherits from, may give its objects an attribute."""
    if "." in name or hasattr(target, "__getattr__"):
        return True
    try:
        sources = [inspect.getsource(one) for one in target.__mro__ if one is not object]
    except (OSError, TypeError):  # written in C, or in a session of Python
        return True
    ways = (f"self.{name}", "setattr(", "__dict__")
    return any(way in source for source in sources for way in ways)


def _safe_call(action: SafeAction) -> SafeCall:
    return SafeCall(action.call, tuple(action.args), action.kwargs, action.timeout)


def _complaints(
    target: Factory, args: list[Any], kwargs: Mapping[str, Any]
) -> Iterator[tuple[str, str | None]]:
    """Yield why something cannot be made of these arguments, and the keyword that is one too many."""
    try:
        parameters = list(inspect.signature(target).parameters.values())
    except (TypeError, ValueError):  # written in C, without a signature
        return
    name = getattr(target, "__name__", type(target).__name__)
    kinds = {p.kind for p in parameters}
    positional = [p.name for p in parameters if p.kind in POSITIONAL_KINDS]
    filled = set(positional[: len(args)])
    named = [p.name for p in parameters if p.kind in NAMED_KINDS]
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        for key in kwargs:
            if key not in named:
                yield f"{name}() has no argument {key!r}{did_you_mean(key, named)}", key
    for key in kwargs:
        if key in filled and key in named:
            yield f"{name}() gets {key!r} twice: it is the first of 'args' already", key
    if len(args) > len(positional) and inspect.Parameter.VAR_POSITIONAL not in kinds:
        takes = f"{len(positional)} argument{'s' * (len(positional) != 1)}"
        yield f"{name}() takes {takes}, but 'args' has {len(args)}", None
    missing = [
        repr(p.name)
        for p in parameters
        if p.default is p.empty
        and p.kind in (*NAMED_KINDS, *POSITIONAL_KINDS)
        and p.name not in filled
        and p.name not in kwargs
    ]
    if missing:
        yield f"{name}() needs {', '.join(missing)}: give it under 'args' or 'kwargs'", None
