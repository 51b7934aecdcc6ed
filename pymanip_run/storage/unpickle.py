"""Numpy arrays and plain values out of a pickle, without running anything that it says.

A pickle is a program. This is an interpreter of the harmless part of its language, which
`pickletools` describes: nothing is imported or called, a few names of numpy stand for themselves,
and memory is counted before it is used. All else is refused by name.
"""

from __future__ import annotations

import pickletools
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from pymanip_run.storage.pickled_arrays import (
    MOST_ITEMS,
    Array,
    Dtype,
    UnsafePickleError,
    made_from_buffer,
    made_scalar,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["UnsafePickleError", "unpickle"]

#: Bytes of Python objects that one pickle may make, beside the contents of arrays and texts.
MOST_BYTES = 256 << 20
#: What an object takes in CPython, rounded up.
SMALL, CONTAINER = 64, 240
ONLY = "only numpy arrays and plain values are read"
#: Lists in lists, and so on.
DEEPEST = 100
ATOMS = frozenset({type(None), bool, int, float, complex, str, bytes, bytearray})
KEYS = ATOMS - {bytearray}
#: Keys whose hashes nobody can choose to be equal, or who can choose few; a dict with many such would take for ever.
EVEN_KEYS = frozenset({type(None), bool, float, str, bytes})
SMALL_INTEGER, MOST_ODD_KEYS = 1 << 60, 10_000


class _Name(NamedTuple):
    """What a pickle would import."""

    module: str
    name: str


class _Mark:
    """Where the items of a container begin on the stack."""


MARK = _Mark()


def unpickle(data: bytes) -> Any:
    """Return the arrays, numbers, texts, lists, tuples and dicts that a pickle describes.

    Raises
    ------
    UnsafePickleError
        If there is anything else in it, it is damaged, or it would take much more memory than its size.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP":
                break
            machine.step(opcode.name, argument)
        (value,) = machine.stack
    except UnsafePickleError:
        raise
    except (
        ValueError,
        TypeError,
        LookupError,
        OverflowError,
        AttributeError,
        RecursionError,
    ) as error:
        raise UnsafePickleError(f"it is damaged ({_line(error)})") from error
    return _Walk().plain(value, 0)


class _Machine:
    """The stack and the memory of the interpreter."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.spent = 0
        self._odd_keys = 0

    def step(self, name: str, argument: Any) -> None:
        """Carry out one instruction."""
        if name in SILENT:
            return
        if name in LITERALS:
            self.push(LITERALS[name] if argument is None else argument, SMALL)
        elif name in ACTIONS:
            ACTIONS[name](self, argument)
        else:
            _refuse(name)

    def push(self, value: Any, size: int = 0) -> None:
        """Put a value on the stack; `size` is what it takes."""
        self.spent += size
        if self.spent > MOST_BYTES:
            raise UnsafePickleError("it would take much more memory than a measurement does")
        self.stack.append(value)

    def items(self) -> list[Any]:
        """Take what is above the last mark."""
        at = len(self.stack) - 1
        while self.stack[at] is not MARK:
            at -= 1
            if at < 0:
                raise ValueError("a mark is missing")
        found = self.stack[at + 1 :]
        del self.stack[at:]
        self.spent += 16 * len(found)
        return found

    def taken(self, count: int) -> tuple[Any, ...]:
        """Take the `count` topmost values."""
        found = tuple(self.stack[-count:])
        if len(found) < count or any(item is MARK for item in found):
            raise ValueError("a value is missing")
        del self.stack[-count:]
        return found

    def name(self, module: Any, name: Any) -> None:
        """Put a name on the stack, if it is one of those that stand for themselves."""
        found = _Name(str(module), str(name))
        if found not in ALLOWED:
            raise UnsafePickleError(
                f"it holds a {_printable(found.module)}.{_printable(found.name)}; {ONLY}"
            )
        self.push(found, SMALL)

    def extend(self, items: list[Any]) -> None:
        """Append to the list on top."""
        target = self.stack[-1]
        if type(target) is not list:
            raise ValueError("a list is missing")
        target.extend(items)

    def fill(self, items: list[Any]) -> None:
        """Put pairs into the dict on top."""
        target = self.stack[-1]
        if type(target) is not dict or len(items) % 2:
            raise ValueError("a dict is missing")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # A tuple of tuples of tuples, all the same one, takes for ever to hash.
            flat = type(key) is tuple and all(type(part) in KEYS for part in key)
            if not flat and type(key) not in KEYS:
                raise UnsafePickleError(f"it has a dict with a key that is a {type(key).__name__}")
            self.spent += SMALL
            self._count_odd(key)
            target[key] = value

    def _count_odd(self, key: Any) -> None:
        is_small = type(key) is int and -SMALL_INTEGER < key < SMALL_INTEGER
        self._odd_keys += not (is_small or type(key) in EVEN_KEYS)
        if self._odd_keys > MOST_ODD_KEYS:
            raise UnsafePickleError(
                f"it has dicts with more than {MOST_ODD_KEYS} keys that are tuples, complex or very large numbers"
            )

    def reduce(self) -> None:
        """Make what a name and its arguments describe."""
        name, arguments = self.taken(2)
        if not isinstance(name, _Name):
            raise UnsafePickleError("it calls something that is no name")
        self.push(MAKERS[ALLOWED[name]](arguments), CONTAINER)

    def build(self) -> None:
        """Give what was made its content."""
        target, state = self.stack[-2], self.taken(1)[0]
        if not isinstance(target, (Array, Dtype)):
            raise UnsafePickleError(f"it changes a {type(target).__name__}")
        target.build(state)


def _refuse(name: str) -> NoReturn:
    what = {"EMPTY_SET": "set", "FROZENSET": "frozenset"}.get(name, f"{name} of pickle")
    raise UnsafePickleError(f"it holds a {what}; {ONLY}")


class _Walk:
    """Puts the arrays in their places, and counts what a reader will have to walk through."""

    def __init__(self) -> None:
        self._done: dict[int, tuple[Any, int]] = {}
        self._open: set[int] = set()

    def plain(self, value: Any, depth: int) -> Any:
        """Return the value without what only the interpreter knows."""
        return self._plain(value, depth)[0]

    def _plain(self, value: Any, depth: int) -> tuple[Any, int]:
        if type(value) in ATOMS or isinstance(value, np.generic):
            return value, 1
        if isinstance(value, (_Name, Dtype, _Mark)):
            raise UnsafePickleError("it has a type or a function where a value should be")
        key = id(value)
        if key in self._done:
            return self._done[key]
        if depth > DEEPEST or key in self._open:
            raise UnsafePickleError(f"it is nested more than {DEEPEST} deep, or contains itself")
        self._open.add(key)
        made, weight = self._container(value, depth + 1)
        self._open.discard(key)
        if weight > MOST_ITEMS:
            raise UnsafePickleError("it stands for many millions of values, most of them the same")
        self._done[key] = made, weight
        return made, weight

    def _container(self, value: Any, depth: int) -> tuple[Any, int]:
        if isinstance(value, Array):
            array = value.value
            if array.dtype != np.dtype(object):
                return array, 1
            found = [self._plain(item, depth) for item in array.ravel()]
            flat = np.empty(len(found), object)
            flat[:] = [item for item, _ in found]
            return flat.reshape(array.shape), 1 + sum(w for _, w in found)
        if type(value) is dict:
            pairs = {k: self._plain(item, depth) for k, item in value.items()}
            return {k: item for k, (item, _) in pairs.items()}, 1 + sum(
                w for _, w in pairs.values()
            )
        found = [self._plain(item, depth) for item in value]
        return type(value)(item for item, _ in found), 1 + sum(w for _, w in found)


def _complex(arguments: Any) -> complex:
    real, imaginary = arguments
    if type(real) is not float or type(imaginary) is not float:
        raise UnsafePickleError("it has a complex number whose content is damaged")
    return complex(real, imaginary)


def _encoded(arguments: Any) -> bytes:
    """Bytes, as Python 3 writes them for Python 2."""
    text, encoding = arguments
    if encoding != "latin1" or type(text) is not str:
        raise UnsafePickleError("it has bytes in an unknown encoding")
    return text.encode("latin1")


def _bytes(arguments: Any) -> bytes:
    if arguments and type(arguments[0]) in {bytes, bytearray, str}:
        content = arguments[0]
        return content.encode("latin1") if isinstance(content, str) else bytes(content)
    if arguments:
        raise UnsafePickleError("it has bytes whose content is damaged")
    return b""


MAKERS: dict[str, Callable[[Any], Any]] = {
    "array": lambda _: Array(),
    "buffer": made_from_buffer,
    "scalar": made_scalar,
    "dtype": Dtype,
    "complex": _complex,
    "bytes": _bytes,
    "encoded": _encoded,
    "ndarray": lambda _: Array(),
}
#: What may be named, and what it stands for.
ALLOWED: dict[_Name, str] = {
    _Name("numpy", "ndarray"): "ndarray",
    _Name("numpy", "dtype"): "dtype",
    _Name("_codecs", "encode"): "encoded",
}
for _package in ("numpy.core", "numpy._core"):
    ALLOWED[_Name(f"{_package}.multiarray", "_reconstruct")] = "array"
    ALLOWED[_Name(f"{_package}.multiarray", "scalar")] = "scalar"
    ALLOWED[_Name(f"{_package}.numeric", "_frombuffer")] = "buffer"
for _package in ("builtins", "__builtin__"):
    ALLOWED[_Name(_package, "complex")] = "complex"
    ALLOWED[_Name(_package, "bytearray")] = "bytes"
    ALLOWED[_Name(_package, "bytes")] = "bytes"

SILENT = frozenset({"PROTO", "FRAME"})
LITERALS: dict[str, Any] = dict.fromkeys(
    ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
     "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
     "STRING", "BINSTRING", "SHORT_BINSTRING", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
) | {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}  # fmt: skip


def _put(machine: _Machine, index: Any) -> None:
    machine.spent += SMALL
    machine.memo[int(index)] = machine.stack[-1]


def _tuple(count: int) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.push(machine.taken(count), CONTAINER)


def _dict(machine: _Machine, _: Any) -> None:
    items = machine.items()
    machine.push({}, CONTAINER)
    machine.fill(items)


ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": lambda m, _: m.push(MARK),
    "POP": lambda m, _: m.stack.pop(),
    "POP_MARK": lambda m, _: m.items().clear(),
    "DUP": lambda m, _: m.push(m.stack[-1]),
    "EMPTY_LIST": lambda m, _: m.push([], CONTAINER),
    "EMPTY_DICT": lambda m, _: m.push({}, CONTAINER),
    "EMPTY_TUPLE": lambda m, _: m.push((), SMALL),
    "LIST": lambda m, _: m.push(m.items(), CONTAINER),
    "DICT": _dict,
    "TUPLE": lambda m, _: m.push(tuple(m.items()), CONTAINER),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "APPEND": lambda m, _: m.extend(list(m.taken(1))),
    "APPENDS": lambda m, _: m.extend(m.items()),
    "SETITEM": lambda m, _: m.fill(list(m.taken(2))),
    "SETITEMS": lambda m, _: m.fill(m.items()),
    "PUT": _put,
    "BINPUT": _put,
    "LONG_BINPUT": _put,
    "MEMOIZE": lambda m, _: _put(m, len(m.memo)),
    "GET": lambda m, i: m.push(m.memo[int(i)]),
    "BINGET": lambda m, i: m.push(m.memo[i]),
    "LONG_BINGET": lambda m, i: m.push(m.memo[i]),
    "GLOBAL": lambda m, text: m.name(*text.split(" ", 1)),
    "STACK_GLOBAL": lambda m, _: m.name(*m.taken(2)),
    "REDUCE": lambda m, _: m.reduce(),
    "BUILD": lambda m, _: m.build(),
}


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text[:80])


def _line(error: Exception) -> str:
    return _printable(" ".join(str(error).split())) or type(error).__name__
