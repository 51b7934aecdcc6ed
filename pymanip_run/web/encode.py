"""Values as JSON has them: what is not finite is null, and said beside.

The encoder of the standard library holds the interpreter until it is through, 1 ms for some thousand
numbers. What is long is therefore written in pieces, in a thread, with a breath between them in which
the tasks of the run have their turn.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.clock import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymanip_run.records import FloatArray

__all__ = ["BREATH", "dumps", "dumps_slowly", "flags", "is_long", "nonfinite_word", "numbers"]

#: Numbers that are written at a time: about 0.1 ms.
PIECE = 256
#: Pieces between two breaths, and seconds of a breath.
PIECES = 2
BREATH = 0.0002
#: What has more values is written in pieces.
LONG = 1500
CONTAINERS = (dict, list, tuple, str, np.ndarray)


def dumps(content: Any) -> bytes:
    """Return JSON; NaN must have been replaced before, but in arrays of shape (n,) it becomes null."""
    return _text(content).encode("utf-8", "replace")


def dumps_slowly(content: Any) -> bytes:
    """Return the same in pieces, letting other threads in between; call it in a thread."""
    parts: list[bytes] = []
    for number, piece in enumerate(_pieces(content), 1):
        parts.append(piece.encode("utf-8", "replace"))
        if number % PIECES == 0:
            SYSTEM.pause(BREATH)
    return b"".join(parts)


def is_long(content: Any) -> bool:
    """Tell whether content has so many values that it should be written slowly."""
    return _count(content, LONG) > LONG


def _text(content: Any) -> str:
    return json.dumps(
        content, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_listed
    )


def _listed(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return numbers(value)[0]
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")


def _pieces(content: Any) -> Iterator[str]:
    if isinstance(content, dict) and _count(content, PIECE) > PIECE:
        yield "{"
        for index, (key, value) in enumerate(content.items()):
            yield f"{',' if index else ''}{_text(str(key))}:"
            yield from _pieces(value)
        yield "}"
    elif isinstance(content, (list, tuple, np.ndarray)) and _count(content, PIECE) > PIECE:
        yield "["
        for start, stretch in _stretches(content):
            separator = "," if start else ""
            if isinstance(stretch, list):
                yield separator + _text(stretch)[1:-1]
            else:
                yield separator
                yield from _pieces(stretch[0])
        yield "]"
    else:
        yield _text(content)


def _stretches(items: Any) -> Iterator[tuple[int, Any]]:
    """Yield parts of a sequence as lists that are short when written; a long item as a tuple of itself."""
    for start in range(0, len(items), PIECE):
        part = items[start : start + PIECE]
        if isinstance(part, np.ndarray):
            yield start, numbers(part)[0]
        elif not any(isinstance(item, CONTAINERS) for item in part):
            yield start, list(part)
        else:
            yield from _unequal(start, list(part))


def _unequal(start: int, items: list[Any]) -> Iterator[tuple[int, Any]]:
    begin, kept = 0, 0
    for index, item in enumerate(items):
        size = _count(item, PIECE)
        if index > begin and kept + size > PIECE:
            yield start + begin, items[begin:index]
            begin, kept = index, 0
        if size > PIECE:
            yield start + index, (item,)
            begin = index + 1
        else:
            kept += size
    if begin < len(items):
        yield start + begin, items[begin:]


def _count(content: Any, enough: int) -> int:
    """Return about how many values there are; no further than is enough."""
    if isinstance(content, np.ndarray):
        return int(content.size)
    if isinstance(content, str):
        return 1 + len(content) // 16
    if not isinstance(content, CONTAINERS):
        return 1
    found = len(content)
    for item in content.values() if isinstance(content, dict) else content:
        if found > enough:
            break
        if isinstance(item, CONTAINERS):
            found += _count(item, enough - found)
    return found


def nonfinite_word(value: float) -> str:
    """Return how a number is called that JSON does not have."""
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def numbers(values: FloatArray) -> tuple[list[float | None], list[list[Any]]]:
    """Return an array as a list with None in some places, and [index, word] for each of these."""
    listed: list[float | None] = values.tolist()
    flagged = flags(values)
    for index, _ in flagged:
        listed[index] = None
    return listed, flagged


def flags(values: FloatArray) -> list[list[Any]]:
    """Return [index, word] for each number of an array, shape (n,), that is not finite."""
    if values.dtype.kind != "f":
        return []
    places = np.flatnonzero(~np.isfinite(values)).tolist()
    return [[index, nonfinite_word(float(values[index]))] for index in places]
