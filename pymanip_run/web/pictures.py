"""Arrays as PNG (ISO/IEC 15948), as NPY, and smaller than they are."""

from __future__ import annotations

import io
import math
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["as_npy", "as_png", "envelope", "first", "thinned"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB = 0, 2
#: Lines of an array that are shown together.
LINES = 8


def as_npy(array: NDArray[Any]) -> bytes:
    """Return an array in the format of ``numpy.save``, without pickles."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def as_png(array: NDArray[Any], low: float | None = None, high: float | None = None) -> bytes:
    """Return an image: RGB as it is, all else in grey between two values; not finite is black.

    Parameters
    ----------
    array
        Of shape (rows, columns), or (rows, columns, 3) of uint8.
    low, high
        What is black and white; the extremes where they are left out.

    Raises
    ------
    ValueError
        If it is no image.
    """
    if array.ndim == 3 and array.shape[2] == 3 and array.dtype == np.uint8:
        return _png(array.reshape(array.shape[0], -1), array.shape[1], RGB)
    if array.ndim != 2 or array.dtype.kind not in "biuf" or not array.size:
        raise ValueError(f"an array of shape {array.shape} and type {array.dtype} is no image")
    values = array.astype(np.float64)
    finite = np.isfinite(values)
    inside = values[finite]
    bottom = float(inside.min()) if low is None and inside.size else low or 0.0
    top = float(inside.max()) if high is None and inside.size else high or 0.0
    span = top - bottom
    with np.errstate(all="ignore"):
        scaled = (values - bottom) / span * 255.0 if span > 0 else np.zeros_like(values)
    grey = np.where(finite, np.clip(scaled, 0, 255), 0).astype(np.uint8)
    return _png(grey, array.shape[1], GREY)


def _png(rows: NDArray[np.uint8], width: int, kind: int) -> bytes:
    height = rows.shape[0]
    filtered = np.zeros((height, rows.shape[1] + 1), np.uint8)  # filter 0 before each row
    filtered[:, 1:] = rows
    header = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    data = zlib.compress(filtered.tobytes(), 1)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def thinned(array: NDArray[Any], size: int) -> NDArray[Any]:
    """Return an array with at most `size` rows and columns, by leaving some out."""
    steps = [max(1, math.ceil(length / size)) for length in array.shape[:2]]
    return array[tuple(slice(None, None, step) for step in steps)]


def first(array: NDArray[Any], size: int) -> NDArray[Any]:
    """Return the first `size` rows and columns of an array; its last axis is that of the columns."""
    if array.ndim < 2:
        return array[:size]
    return array.reshape(-1, array.shape[-1])[:size, :size]


def envelope(array: NDArray[Any], size: int) -> NDArray[np.float64]:
    """Return the smallest and largest value of each of at most `size` bins along the last axis.

    Returns
    -------
    array
        Of shape (lines, bins, 2), of the first few lines; NaN where a bin has nothing finite.

    Raises
    ------
    ValueError
        If there is nothing of which one is the smallest.
    """
    if array.dtype.kind not in "biuf" or not array.size:
        raise ValueError(f"an array of shape {array.shape} and type {array.dtype} is no line")
    lines = array.reshape(-1, array.shape[-1])[:LINES].astype(np.float64)
    lines[~np.isfinite(lines)] = math.nan
    length = lines.shape[1]
    begins = np.linspace(0, length, min(size, length), endpoint=False).astype(np.int64)
    ends = (np.fmin.reduceat(lines, begins, axis=1), np.fmax.reduceat(lines, begins, axis=1))
    return np.stack(ends, axis=-1)
