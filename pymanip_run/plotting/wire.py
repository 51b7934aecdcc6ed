"""What goes through the pipes between a run and the child that draws: frames of a kind and a content."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymanip_run.plotting.sheets import Pair

__all__ = [
    "ABOUT",
    "MISSED",
    "PICTURE",
    "START",
    "VALUES",
    "Frame",
    "packed",
    "read_frame",
    "read_values",
    "values_content",
]

#: What is to be drawn, and how: the first frame. JSON.
START = b"S"
#: Values of variables; see `values_content`.
VALUES = b"V"
#: Units and labels of variables that are not in a file. JSON.
ABOUT = b"A"
#: Values were left out: they are to be read from the session file. Empty.
MISSED = b"M"
#: From the child: a picture. A PNG file.
PICTURE = b"P"

_HEAD = struct.Struct("<cI")
#: Index of the variable in the list of the first frame, number of values.
_SERIES = struct.Struct("<II")


class Frame(NamedTuple):
    """What comes through a pipe."""

    kind: bytes
    content: bytes


def packed(kind: bytes, content: bytes = b"") -> bytes:
    """Return a frame as it goes through the pipe."""
    return _HEAD.pack(kind, len(content)) + content


def read_frame(pipe: BinaryIO) -> Frame | None:
    """Return the next frame; None at the end of the pipe."""
    head = pipe.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    kind, size = _HEAD.unpack(head)
    content = pipe.read(size)
    return None if len(content) < size else Frame(kind, content)


def values_content(series: Mapping[int, tuple[Any, Any]]) -> bytes:
    """Return times and values of variables, by their indices, as the content of a frame."""
    return b"".join(
        _SERIES.pack(index, len(times)) + _floats(times) + _floats(values)
        for index, (times, values) in series.items()
    )


def _floats(values: Any) -> bytes:
    return np.ascontiguousarray(values, np.float64).tobytes()


def read_values(content: bytes, names: Sequence[str]) -> dict[str, Pair]:
    """Return times and values of variables from the content of a frame."""
    found: dict[str, Pair] = {}
    place = 0
    while place < len(content):
        index, count = _SERIES.unpack_from(content, place)
        place += _SERIES.size
        times = np.frombuffer(content, np.float64, count, place)
        values = np.frombuffer(content, np.float64, count, place + times.nbytes)
        place += 2 * times.nbytes
        found[names[index]] = times, values
    return found
