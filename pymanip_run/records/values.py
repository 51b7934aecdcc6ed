"""The rules for names, texts and values of what is recorded."""

from __future__ import annotations

import operator

import numpy as np

__all__ = ["PLAIN_SCALARS", "as_float", "as_parameter", "check_name", "check_text", "clean_text"]

MAX_NAME_BYTES = 255


def check_name(name: object, what: str = "variable", prefix: str = "") -> str:
    """Return `name` if it is one: 1 to 255 UTF-8 bytes, no control characters, not ``.`` or ``..``.

    With a `prefix` it is to be stored under both together, so that it must be shorter.

    Raises
    ------
    TypeError
        If it is not a text.
    ValueError
        If it is empty, too long, ``.`` or ``..``, or has control characters.
    """
    if not isinstance(name, str):
        raise TypeError(f"a {what} name must be a text, not {type(name).__name__}: {name!r}")
    try:
        size = len(name.encode())
        room = MAX_NAME_BYTES - len(prefix.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{what} name {name!r} cannot be written as UTF-8") from None
    if not 1 <= size <= room:
        raise ValueError(
            f"a {what} name has 1 to {room} bytes in UTF-8, this one has {size}: {name[:40]!r}"
        )
    if name in {".", ".."}:
        raise ValueError(f"{name!r} cannot be a {what} name")
    if any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or ord(c) in (0x2028, 0x2029) for c in name):
        raise ValueError(f"{what} name {name!r} has a control character")
    return name


def check_text(name: str, value: object, what: str = "text") -> str:
    """Return `value` if it is a text that HDF5 can hold: all of Unicode but NUL and lone surrogates.

    Parameters
    ----------
    name
        What it belongs to, for the message.
    what
        What it is, for the message.

    Raises
    ------
    TypeError
        If it is not a text.
    ValueError
        If it has characters that cannot be stored.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name}: a {what} is a text, not {type(value).__name__} {_short(value)}")
    if clean_text(value) != value:
        raise ValueError(
            f"{name}: the {what} {_short(value)} has NUL or undecodable characters, which the session file "
            "cannot hold; remove them, for example by text.strip('\\0')"
        )
    return str(value)


def clean_text(text: str) -> str:
    r"""Return `text` with NUL and lone surrogates spelled out as ``\\x00`` and ``\\udc80``."""
    if text.isascii() and "\0" not in text:
        return text
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace").decode()


#: Types whose float() is exact enough and cannot fail, but for integers beyond float64.
PLAIN_SCALARS: frozenset[type] = frozenset(
    {float, int, bool, np.float64, np.float32, np.float16, np.bool_,
     np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64}
)  # fmt: skip


def as_float(name: str, value: object) -> float:
    """Return a value of an entry as float64.

    Parameters
    ----------
    name
        The variable, for the message.
    value
        float, int, bool, a numpy real scalar or a 0-d real array.

    Raises
    ------
    TypeError
        If it is anything else.
    OverflowError
        If it is an integer that float64 cannot hold.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if not isinstance(value, (float, int, np.floating, np.integer, np.bool_)):
        hint = ""
        if isinstance(value, (np.ndarray, list, tuple, dict)):
            hint = "; use add_dataset for arrays"
        elif isinstance(value, str):
            hint = "; use save_parameter, save_metadata or note for text"
        raise TypeError(
            f"{name}: a value must be a number, not {type(value).__name__} {_short(value)}{hint}"
        )
    try:
        return float(value)
    except TypeError:  # numpy counts timedelta64 among the integers
        raise TypeError(
            f"{name}: a value must be a number, not {type(value).__name__} {_short(value)}"
        ) from None
    except OverflowError:
        raise OverflowError(
            f"{name}: the integer {_short(value)} is too large for float64"
        ) from None


def as_parameter(name: str, value: object) -> float | int | bool | str:
    """Return a parameter's value as float, int, bool or str.

    Raises
    ------
    TypeError
        If it is anything else.
    OverflowError
        If it is an integer beyond 64 bits.
    ValueError
        If it is a text with NUL or lone surrogates.
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        number = operator.index(value)
        if not -(2**63) <= number < 2**63:
            raise OverflowError(f"{name}: the integer {_short(value)} does not fit into 64 bits")
        return number
    if isinstance(value, (float, np.floating)):
        return float(value)
    if isinstance(value, str):
        return check_text(name, value)
    raise TypeError(
        f"{name}: a parameter is a number, a truth value or a text, not {type(value).__name__} "
        f"{_short(value)}; use save_metadata for structured values"
    )


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception:  # noqa: BLE001 - a user's __repr__ may raise anything
        return "(unprintable)"
    return text if len(text) <= 60 else text[:57] + "..."
