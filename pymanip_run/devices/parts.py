"""What a driver is made of: its properties, and parts such as channels and parameters."""

from __future__ import annotations

import enum
import functools
import inspect
import numbers
import sys
from contextlib import suppress
from dataclasses import is_dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pymanip_run.errors import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pymanip_run.devices.spec import SafeCall

__all__ = ["is_part", "is_property", "missing_action", "owners", "put", "reach", "shown"]

#: Where the parts of a driver say whose they are: in QCoDeS, PyMeasure, FluidLab.
OWNERS = ("root_instrument", "instrument", "parent", "_parent", "_driver")
MAX_DEPTH = 10
#: Their objects are data, whatever they are.
DATA = {"numpy", "pandas", "xarray", "pint", "uncertainties", "quantities"}

_MISSING = object()


def reach(driver: Any, path: tuple[Any, ...]) -> Any:
    """Go from a driver to one of its parts, by names of attributes, and by items as 1-tuples."""
    for step in path:
        driver = driver[step[0]] if isinstance(step, tuple) else getattr(driver, step)
    return driver


def shown(name: str, path: tuple[Any, ...]) -> str:
    """Return a part as one would write it."""
    steps = [f"[{step[0]!r}]" if isinstance(step, tuple) else f".{step}" for step in path]
    return "".join([name, *steps])


def put(driver: Any, call: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Call a method of a driver, or set a property to the one argument; `call` may have dots."""
    *path, name = call.split(".")
    thing = reach(driver, tuple(path))
    if is_property(thing, name) and len(args) == 1 and not kwargs:
        return setattr(thing, name, args[0])
    return getattr(thing, name)(*args, **kwargs)


def missing_action(driver: Any, actions: Iterable[SafeCall]) -> str | None:
    """Return what is wrong with the calls that shall make a driver safe: better now than at the end."""
    for action in actions:
        *path, name = action.call.split(".")
        try:
            thing = reach(driver, tuple(path))
            found = is_property(thing, name) or callable(getattr(thing, name))
        except (AttributeError, LookupError):
            found = False
            thing = driver
        if not found:
            near = did_you_mean(name, [known for known in dir(thing) if not known.startswith("_")])
            return f"{type(driver).__name__} has no {action.call!r} for its safe state{near}"
    return None


def is_property(thing: Any, name: str) -> bool:
    """Return whether reading an attribute calls a function, which may talk to the instrument."""
    kind = thing if isinstance(thing, type) else thing.__class__  # also of what stands for it
    found = inspect.getattr_static(kind, name, _MISSING)
    if isinstance(found, (property, functools.cached_property)):
        return True
    if found is _MISSING or inspect.isroutine(found) or inspect.isclass(found):
        return False
    if inspect.ismemberdescriptor(found) or inspect.isgetsetdescriptor(found):
        return False
    return hasattr(type(found), "__get__") and hasattr(type(found), "__set__")


def owners(thing: Any) -> Iterator[Any]:
    """Yield an object, then what it is a part of, and so on."""
    for _ in range(MAX_DEPTH):
        yield thing
        for name in OWNERS:
            owner = None
            # Not by a `__getattr__`, which may ask the instrument.
            if inspect.getattr_static(thing, name, None) is not None:
                with suppress(Exception):  # a property of that name may be something else
                    owner = getattr(thing, name)
            if owner is not None and owner is not thing and not _is_data(owner):
                thing = owner
                break
        else:
            return


def is_part(thing: Any, driver: Any) -> bool:
    """Return whether an attribute is a part of a driver, and not data or a tool of another library."""
    if _is_data(thing):
        return False
    if any(owner is driver for owner in owners(thing)):
        return True
    if is_dataclass(thing):
        return False
    packages = {_package(kind) for kind in type(driver).__mro__ if kind is not object}
    return _package(type(thing)) in packages


def _is_data(thing: Any) -> bool:
    if thing is None or isinstance(
        thing,
        (str, bytes, bytearray, numbers.Number, enum.Enum, type, BaseException, ModuleType),
    ):
        return True
    if isinstance(thing, (dict, list, tuple, set, frozenset)):
        return True
    package = _package(type(thing))
    return package in DATA or (package in sys.stdlib_module_names and package != "__main__")


def _package(kind: type) -> str:
    return kind.__module__.partition(".")[0]
