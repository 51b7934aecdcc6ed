"""The names of a session: devices are hung on it, and none of them takes the place of a method."""

from __future__ import annotations

from typing import Any

from pymanip_run.errors import did_you_mean

__all__ = ["GuardedAttributes"]


class GuardedAttributes:
    """Says so where an attribute cannot be set, or is not there."""

    def __setattr__(self, name: str, value: object) -> None:
        if name == "_session" or name in _reserved(type(self)):
            raise AttributeError(
                f"{name!r} is a part of the session itself; give the device another name"
            )
        super().__setattr__(name, value)

    def __getattr__(self, name: str) -> Any:
        if "_session" not in self.__dict__ and (name == "_session" or hasattr(type(self), name)):
            raise AttributeError(
                f"{type(self).__name__}.__init__ did not call super().__init__(); call it before anything else"
            )
        if hasattr(type(self), name):
            return object.__getattribute__(
                self, name
            )  # a property of a subclass failed: with its own words
        names = [*vars(self), *(n for n in dir(type(self)) if not n.startswith("_"))]
        hint = did_you_mean(name, names)
        raise AttributeError(f"the session has no attribute {name!r}{hint}", name=name, obj=self)


def _reserved(kind: type) -> frozenset[str]:
    """Return the public names of the session class itself; those that subclasses add are theirs."""
    known = _known.get(kind)
    if known is None:
        session = next(c for c in kind.__mro__ if GuardedAttributes in c.__bases__)
        known = frozenset(name for name in dir(session) if not name.startswith("_"))
        known = _known[kind] = known - {"running"}
    return known


_known: dict[type, frozenset[str]] = {}
