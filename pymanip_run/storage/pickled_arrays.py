"""Numpy arrays as pickles describe them, made by hand: nothing of numpy is called by name.

The layout of the states is that of ``ndarray.__reduce__`` and ``dtype.__reduce__`` (numpy, *multiarray*).
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.errors import DamagedFileError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["MOST_ITEMS", "Array", "Dtype", "UnsafePickleError", "made_scalar"]

#: Items of a list, or of an array of objects, when what is shared is counted each time.
MOST_ITEMS = 10_000_000
_DTYPE = re.compile(r"[|<>=]?(?:[?bBhHiIlLqQefdgFDGO]|[biufcSUVOMm]\d{1,9})")
_ORDERS = {"<", ">"}


class UnsafePickleError(DamagedFileError):
    """A pickle with something else than arrays and plain values; the message names it."""


class Dtype:
    """A dtype: what it was made with, and what was said of it then."""

    def __init__(self, arguments: Any) -> None:
        text = arguments[0] if isinstance(arguments, tuple) and arguments else None
        if not isinstance(text, str) or not _DTYPE.fullmatch(text):
            raise UnsafePickleError("it has an array of an unknown type")
        self._plain = np.dtype(text)
        self._made: np.dtype[Any] | None = None

    def build(self, state: Any) -> None:
        """Take the byte order, the fields and the unit."""
        if self._made is not None:
            raise UnsafePickleError("it describes an array twice")
        try:
            self._made = self._of_state(state)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise UnsafePickleError("it has an array whose type is damaged") from error

    def _of_state(self, state: Sequence[Any]) -> np.dtype[Any]:
        order, sub, names, fields, size = state[1:6]
        if sub is not None:
            base, shape = sub
            return np.dtype((base.made, shape))
        if names is not None:
            parts = [fields[name] for name in names]
            described = {
                "names": list(names),
                "formats": [part[0].made for part in parts],
                "offsets": [part[1] for part in parts],
                "itemsize": size,
            }
            if any(len(part) > 2 for part in parts):
                described["titles"] = [part[2] if len(part) > 2 else None for part in parts]
            return np.dtype(described)  # type: ignore[call-overload,no-any-return]
        plain = self._plain
        if plain.kind in "mM":
            plain = np.dtype(f"{plain.kind}8{_unit(state)}")
        return plain.newbyteorder(order) if order in _ORDERS else plain

    @property
    def made(self) -> np.dtype[Any]:
        """The dtype."""
        return self._plain if self._made is None else self._made


def _unit(state: Sequence[Any]) -> str:
    """Return the unit of a dtype of times, as it is written behind it."""
    if len(state) < 9:
        return ""
    unit, count = state[8][1][:2]
    name = unit.decode("ascii")
    return "" if name == "generic" else f"[{int(count)}{name}]"


class Array:
    """An array that a pickle has begun, and will fill."""

    def __init__(self, value: Any = None) -> None:
        self._value = value

    def build(self, state: Any) -> None:
        """Take shape, dtype, order and content."""
        if self._value is not None or not isinstance(state, tuple) or len(state) != 5:
            raise UnsafePickleError("it has an array whose content is damaged")
        _, shape, dtype, fortran, content = state
        if not isinstance(dtype, Dtype):
            raise UnsafePickleError("it has an array without a type")
        array = _array(shape, dtype.made, content, fortran=bool(fortran))
        if (
            array.dtype.names is None
        ):  # as numpy does it: what is read has the byte order of this computer
            array = array.astype(array.dtype.newbyteorder("="), order="K", copy=False)
        self._value = array

    @property
    def value(self) -> Any:
        """The array."""
        if self._value is None:
            raise UnsafePickleError("it has an array without content")
        return self._value


def made_scalar(arguments: Any) -> Any:
    """Return a numpy scalar from its dtype and its bytes."""
    if (
        not isinstance(arguments, tuple)
        or len(arguments) != 2
        or not isinstance(arguments[0], Dtype)
    ):
        raise UnsafePickleError("it has a number whose content is damaged")
    return _array((), arguments[0].made, arguments[1], fortran=False)[()]


def made_from_buffer(arguments: Any) -> Array:
    """Return an array from (bytes, dtype, shape, order), as of protocol 5."""
    if not isinstance(arguments, tuple) or len(arguments) != 4:
        raise UnsafePickleError("it has an array whose content is damaged")
    content, dtype, shape, order = arguments
    if not isinstance(dtype, Dtype):
        raise UnsafePickleError("it has an array without a type")
    return Array(_array(shape, dtype.made, content, fortran=order == "F"))


def _array(shape: Any, dtype: np.dtype[Any], content: Any, *, fortran: bool) -> Any:
    if not isinstance(shape, tuple) or not all(type(n) is int and n >= 0 for n in shape):
        raise UnsafePickleError("it has an array whose shape is damaged")
    size = math.prod(shape)
    order: Any = "F" if fortran else "C"
    if dtype.hasobject:
        return _of_objects(shape, dtype, content, size, order)
    if not isinstance(content, (bytes, bytearray)) or len(content) != size * dtype.itemsize:
        raise UnsafePickleError(
            f"it promises an array of the shape {_short(shape)} and has not its content"
        )
    if size > MOST_ITEMS and not dtype.itemsize:
        raise UnsafePickleError(f"it has an array of {size} empty items")
    try:
        array = np.ndarray(shape, dtype, bytes(content) if size else b"", order=order)
        return array.copy(order)
    except (ValueError, TypeError) as error:
        raise UnsafePickleError(f"it has an array of the shape {_short(shape)}: {error}") from error


def _of_objects(
    shape: tuple[int, ...], dtype: np.dtype[Any], content: Any, size: int, order: Any
) -> Any:
    if dtype != np.dtype(object) or not isinstance(content, list) or len(content) != size:
        raise UnsafePickleError("it has an array of Python objects that is damaged")
    flat = np.empty(size, object)
    flat[:] = content
    try:
        return flat.reshape(shape, order=order)
    except ValueError as error:
        raise UnsafePickleError(f"it has an array of the shape {_short(shape)}: {error}") from error


def _short(shape: tuple[int, ...]) -> str:
    text = repr(shape[:5])
    return text if len(text) < 60 else text[:57] + "..."
