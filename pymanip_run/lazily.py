"""Packages whose public names are imported when they are first used."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pymanip_run.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["importer", "need", "provide", "provided"]

#: What modules may ask of those above them, which they do not import: where each is.
_PROVIDED: dict[str, tuple[str, str]] = {}


def importer(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the ``__getattr__`` of a package (PEP 562).

    Parameters
    ----------
    package
        Its ``__name__``.
    homes
        The module, relative to the package, of each public name.
    """

    def find(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{homes[name]}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return find


def need(module: str, extra: str) -> Any:
    """Return a module that an optional library has.

    Parameters
    ----------
    extra
        What of pymanip-run is to be installed to have it.

    Raises
    ------
    UsageError
        If it is not installed; the message says how to get it.
    """
    try:
        return import_module(module)
    except ImportError:
        library = module.partition(".")[0]
        raise UsageError(
            f"this needs {library}; install it: pip install 'pymanip-run[{extra}]'"
        ) from None


def provide(what: str, module: str, name: str) -> None:
    """Say where something is that :func:`provided` returns, without importing it yet."""
    _PROVIDED[what] = (module, name)


def provided(what: str) -> Any:
    """Return what a module above provides, imported now."""
    module, name = _PROVIDED[what]
    return getattr(import_module(module), name)
