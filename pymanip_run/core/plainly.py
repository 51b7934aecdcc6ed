"""Values as text, and back exactly as they were: what the tasks of sweeps return.

JSON, with tags for what it does not have::

    {"tuple": […]}   {"dict": {…}}   {"items": [[key, value], …]}   {"complex": [re, im]}
    {"bytes": base64}   {"array": [dtype, shape, base64]}   {"scalar": [dtype, base64]}
    {"object": name of the type}

The last one stands for what cannot be written: it does not come back.
"""

from __future__ import annotations

import base64
import json
import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from pymanip_run.storage.decode import decode_dtype, encode_dtype
from pymanip_run.storage.untrusted import check_nesting

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MOST", "as_text", "from_text", "shown"]

#: Characters of a text. What steers a sweep is a few numbers; data belong into entries and datasets.
MOST: Final = 1 << 20
_DEEPEST = 50
_WITH_PARTS = {list, tuple, dict}
_PLAIN = {str, int, float, bool, type(None)}


def as_text(value: Any, *, lenient: bool = False) -> str:
    """Return a value as text.

    Parameters
    ----------
    value
        Numbers, texts, None, bytes, arrays of numbers or texts, and lists, tuples and dicts of them.
    lenient
        Only name the type of what cannot be written.

    Raises
    ------
    TypeError
        If it is or has something else; the message names the type.
    ValueError
        If it is too long.
    """
    text = json.dumps(_tagged(value, lenient, 0), ensure_ascii=True, separators=(",", ":"))
    if len(text) <= MOST:
        return text
    if lenient:
        return json.dumps({"object": type(value).__name__})
    raise ValueError(f"it is longer than {MOST >> 20} MiB as text")


def from_text(text: str) -> Any:
    """Return the value of a text.

    Raises
    ------
    ValueError
        If the text is none of :func:`as_text`, or stands for a value that could not be written.
    """
    try:
        return _untagged(check_nesting(json.loads(text)))
    except (TypeError, LookupError, OSError, AttributeError, RecursionError) as error:
        raise ValueError(f"{text[:60]!r} is no stored value ({error})") from None


def shown(text: str) -> str:
    """Return the value of a text as a person writes it, in at most 60 characters."""
    try:
        words = repr(from_text(text))
    except ValueError:
        words = text
    return words if len(words) <= 60 else f"{words[:59]}…"


def _tagged(value: Any, lenient: bool, depth: int) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind in _WITH_PARTS and depth < _DEEPEST:
        return _tagged_parts(value, lenient, depth + 1)
    if kind is complex:
        return {"complex": [value.real, value.imag]}
    if kind is bytes:
        return {"bytes": base64.b64encode(value).decode("ascii")}
    if kind is np.ndarray or isinstance(value, np.generic):
        array = np.asarray(value)
        if not array.dtype.hasobject and array.nbytes <= MOST:
            return _tagged_array(array, scalar=kind is not np.ndarray)
    if lenient:
        return {"object": kind.__name__}
    raise TypeError(_why_not(value, depth))


def _tagged_parts(value: Any, lenient: bool, depth: int) -> Any:
    if type(value) is dict:
        return _tagged_dict(value, lenient, depth)
    items = [_tagged(item, lenient, depth) for item in value]
    return items if type(value) is list else {"tuple": items}


def _tagged_array(array: NDArray[Any], *, scalar: bool) -> Any:
    dtype, raw = encode_dtype(array.dtype), base64.b64encode(array.tobytes()).decode("ascii")
    return {"scalar": [dtype, raw]} if scalar else {"array": [dtype, list(array.shape), raw]}


def _tagged_dict(value: dict[Any, Any], lenient: bool, depth: int) -> Any:
    if all(type(key) is str for key in value):
        return {"dict": {key: _tagged(item, lenient, depth) for key, item in value.items()}}
    pairs = value.items()
    return {"items": [[_tagged(part, lenient, depth) for part in pair] for pair in pairs]}


def _why_not(value: Any, depth: int) -> str:
    if depth >= _DEEPEST:
        return f"it is nested more than {_DEEPEST} deep, or contains itself"
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype}, {value.nbytes} bytes"
    return f"a {type(value).__name__}"


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(item) for item in value]
    if not isinstance(value, dict):
        return value
    ((tag, content),) = value.items()
    match tag:
        case "tuple":
            return tuple(_untagged(item) for item in content)
        case "dict":
            return {key: _untagged(item) for key, item in content.items()}
        case "items":
            return {_untagged(key): _untagged(item) for key, item in content}
        case "complex":
            return complex(*content)
        case "bytes":
            return base64.b64decode(content)
        case "array":
            return _array(*content)
        case "scalar":
            return _array(content[0], [], content[1])[()]
    raise ValueError(f"a {content} could not be stored" if tag == "object" else f"a tag {tag!r}")


def _array(described: Any, shape: list[int], raw: str) -> Any:
    dtype, data = decode_dtype(described), base64.b64decode(raw)
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != len(data):
        raise ValueError("an array of another size")
    # A copy: the user may write into it.
    return np.frombuffer(bytearray(data), dtype).reshape(shape)
