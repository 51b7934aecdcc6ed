"""What ``add_dataset`` takes, as arrays that HDF5 knows, and back as it was.

No pickle and no object dtype. `python_type` says what to make of the stored array again:

===============  ============================  ===============================================
python_type      what was given                how it is stored
===============  ============================  ===============================================
None             numeric or bytes array        as it is
``str_``         array of fixed-width text     UTF-8 bytes of fixed width
``strings``      array of text of any width    UTF-8 bytes of fixed width
``datetime``     datetime64/timedelta64 array  int64; ``datetime:<M8[ns]`` names the unit
``list``         regular list of one type      array of int64, float64 or bool
``tuple``        the same as a flat tuple      array of int64, float64 or bool
``int`` …        int, float, complex, bool     0-d array
``str``          text                          UTF-8 text
``bytes``        bytes                         array of uint8
``json``         other plain values            JSON; tuples as ``{"__tuple__": […]}``
===============  ============================  ===============================================
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.records import check_text, clean_text

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["MAX_RECORD_BYTES", "decode_value", "encode_value"]

MAX_RECORD_BYTES = 2**32 - 1
#: HDF5 has 32, and one is that of the records.
MAX_DIMENSIONS = 31
_SCALARS: dict[type, str] = {bool: "bool", int: "int", float: "float", complex: "complex"}


def encode_value(name: str, value: Any) -> tuple[NDArray[np.generic] | str, str | None]:
    """Return (array or text, python_type) for a dataset's record.

    Raises
    ------
    TypeError
        If HDF5 cannot hold it; the message names the dataset.
    ValueError
        If the record is 4 GiB or more.
    """
    stored, python_type = _encode(name, value)
    size = (
        stored.nbytes
        if isinstance(stored, np.ndarray)
        else len(stored.encode("utf-8", "surrogatepass"))
    )
    if size > MAX_RECORD_BYTES:
        raise ValueError(
            f"{name}: one record must be smaller than 4 GiB, this one has {size} bytes"
        )
    return stored, python_type


def _encode(name: str, value: Any) -> tuple[NDArray[np.generic] | str, str | None]:
    if isinstance(value, (np.ndarray, np.generic)) and not isinstance(value, np.ma.MaskedArray):
        return _encode_array(name, np.asarray(value))
    kind = type(value)
    if kind in _SCALARS and not (kind is int and not -(2**63) <= value < 2**63):
        return np.asarray(value), _SCALARS[kind]
    if kind is str:
        # JSON spells out what HDF5 texts cannot hold: NUL and lone surrogates.
        return (value, "str") if clean_text(value) == value else (json.dumps(value), "json")
    if kind is bytes:
        return np.frombuffer(value, np.uint8), "bytes"
    if kind in {list, tuple} and (array := _as_regular(value)) is not None:
        return array, kind.__name__
    if kind in {list, tuple, dict, int} or value is None:
        return _encode_json(name, value), "json"
    if hasattr(value, "__array__"):
        return _encode_array(name, np.asarray(value))
    raise TypeError(
        f"{name}: a dataset takes arrays, numbers, texts, and lists, tuples and dicts of them, not {kind.__name__}"
    )


def _encode_array(name: str, array: NDArray[Any]) -> tuple[NDArray[np.generic], str | None]:
    kind = array.dtype.kind
    if array.ndim > MAX_DIMENSIONS:
        raise TypeError(f"{name}: HDF5 holds up to {MAX_DIMENSIONS} dimensions, not {array.ndim}")
    if kind in "biufcSV" and not array.dtype.hasobject:
        _check_dtype(name, array.dtype)
        if array.dtype.itemsize == 0:
            array = array.astype(f"{kind}1")
        return array, None
    if kind in "mM":
        return array.view(np.int64), f"datetime:{array.dtype.str}"
    if kind == "U":
        return _to_utf8(array), "str_"
    if kind == "T" or (kind == "O" and all(type(item) is str for item in array.flat)):
        return _to_utf8(array.astype("U")), "strings"
    raise TypeError(
        f"{name}: arrays of Python objects cannot be stored; give numbers, texts, or a list or dict of plain values"
    )


def _check_dtype(name: str, dtype: np.dtype[Any]) -> None:
    if dtype.names == ():
        raise TypeError(f"{name}: a structured array without fields cannot be stored")
    for title, field in (dtype.fields or {}).items():
        check_text(name, title, "field name")
        if len(field) > 2:
            raise TypeError(f"{name}: structured arrays with titles cannot be stored")
        if field[0].kind == "U":
            raise TypeError(
                f"{name}: structured arrays hold text as bytes ('S'), not as {field[0]}"
            )
        if field[0].kind in "mM":
            raise TypeError(f"{name}: structured arrays hold times as int64, not as {field[0]}")
        _check_dtype(name, field[0].base)
    if dtype.kind == "c" and dtype.itemsize > 16:
        raise TypeError(f"{name}: HDF5 has no {dtype}; convert it to complex128")


def _to_utf8(array: NDArray[Any]) -> NDArray[np.generic]:
    encoded = np.char.encode(array, "utf-8")
    return encoded if encoded.dtype.itemsize else encoded.astype("S1")


def _as_regular(value: list[Any] | tuple[Any, ...]) -> NDArray[np.generic] | None:
    """Return a list of numbers of one type, or of equally long lists of them, as an array."""
    flat: Any = value
    depth = 1
    while flat and type(flat[0]) is list and isinstance(value, list):
        if any(type(row) is not list or len(row) != len(flat[0]) for row in flat):
            return None
        flat = [item for row in flat for item in row]
        depth += 1
        if depth > MAX_DIMENSIONS:
            return None
    kinds = set(map(type, flat))
    if len(kinds) != 1 or not kinds <= {int, float, bool}:
        return None
    try:
        array: NDArray[Any] = np.asarray(
            value, dtype={int: np.int64, float: np.float64, bool: np.bool_}[kinds.pop()]
        )
    except OverflowError:
        return None
    return array if array.size else None


def _encode_json(name: str, value: Any) -> str:
    tagged = _tagged(name, value, 0)
    text = json.dumps(tagged, ensure_ascii=False)
    return text if clean_text(text) == text else json.dumps(tagged)


def _tagged(name: str, value: Any, depth: int) -> Any:
    if depth > 50:
        raise TypeError(f"{name}: the value is nested more than 50 deep, or contains itself")
    if value is None or type(value) in {str, int, bool, float}:
        return value
    if isinstance(value, (np.bool_, np.integer, np.floating)):
        return value.item()
    if type(value) is list:
        return [_tagged(name, item, depth + 1) for item in value]
    if type(value) is tuple:
        return {"__tuple__": [_tagged(name, item, depth + 1) for item in value]}
    if type(value) is dict and all(type(key) is str for key in value):
        tagged = {key: _tagged(name, item, depth + 1) for key, item in value.items()}
        return {"__dict__": tagged} if "__tuple__" in tagged or "__dict__" in tagged else tagged
    raise TypeError(
        f"{name}: a dataset takes plain values (numbers, texts, lists, tuples, dicts with text keys), "
        f"not {type(value).__name__} inside a {'dict with other keys' if type(value) is dict else 'structure'}"
    )


def _untagged(value: Any) -> Any:
    if isinstance(value, list):
        return [_untagged(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {"__tuple__"}:
            return tuple(_untagged(item) for item in value["__tuple__"])
        if value.keys() == {"__dict__"}:
            value = value["__dict__"]
        return {key: _untagged(item) for key, item in value.items()}
    return value


def decode_value(stored: NDArray[Any] | str, python_type: str | None) -> Any:
    """Return what was given to :func:`encode_value`."""
    if isinstance(stored, str):
        return stored if python_type == "str" else _untagged(json.loads(stored))
    match python_type:
        case "list":
            return stored.tolist()
        case "tuple":
            return tuple(stored.tolist())
        case "int" | "float" | "complex" | "bool":
            return stored.item()
        case "bytes":
            return stored.tobytes()
        case "str_":
            return np.char.decode(stored, "utf-8")
        case "strings":
            return np.char.decode(stored, "utf-8").astype(object)
    if python_type and python_type.startswith("datetime:"):
        return stored.view(np.dtype(python_type.removeprefix("datetime:")))
    return stored


def raw_size(shape: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Return the bytes of an array of this shape and dtype."""
    return math.prod(shape) * dtype.itemsize
