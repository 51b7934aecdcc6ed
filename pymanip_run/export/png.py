"""PNG files (https://www.w3.org/TR/png-3), of arrays that are images."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["NotAnImageError", "Scale", "encoded", "write"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
#: By the number of channels: gray, gray and alpha, colours, colours and alpha.
COLOUR = {1: 0, 2: 4, 3: 2, 4: 6}
TOP = 65535
#: Of a side.
LARGEST = 2**31 - 1


class NotAnImageError(ValueError):
    """An array that cannot be shown as an image; the message says why."""


class Scale(NamedTuple):
    """The values that black and white stand for; None where the pixels are the values themselves."""

    black: float | None = None
    white: float | None = None


def write(array: NDArray[Any], path: Path) -> Scale:
    """Write an array as a PNG file.

    Parameters
    ----------
    array
        Shape (height, width) or (height, width, channels) with 1 to 4 channels. Truth values, uint8 and
        uint16 are written as they are; other numbers are spread over 16 bits, NaN is black.

    Raises
    ------
    NotAnImageError
        If it is none.
    """
    pixels, scale = _pixels(array)
    with path.open("wb") as file:
        _write(pixels, file)
    return scale


def encoded(array: NDArray[Any]) -> bytes:
    """Return an array as the bytes of a PNG file, as `write` writes it.

    Raises
    ------
    NotAnImageError
        If it is none.
    """
    file = io.BytesIO()
    _write(_pixels(array)[0], file)
    return file.getvalue()


def _write(pixels: NDArray[Any], file: BinaryIO) -> None:
    height, width, channels = pixels.shape
    bits = 8 * pixels.dtype.itemsize
    head = struct.pack(">IIBBBBB", width, height, bits, COLOUR[channels], 0, 0, 0)
    rows = pixels.astype(pixels.dtype.newbyteorder(">")).reshape(height, -1)
    packer = zlib.compressobj(6)
    file.write(SIGNATURE)
    _chunk(file, b"IHDR", head)
    step = max(1, (1 << 20) // max(1, rows[0].nbytes))
    for low in range(0, height, step):
        part = rows[low : low + step]
        # Every row begins with its filter: none.
        filtered = np.zeros((len(part), 1 + part[0].nbytes), np.uint8)
        filtered[:, 1:] = np.ascontiguousarray(part).view(np.uint8).reshape(len(part), -1)
        _chunk(file, b"IDAT", packer.compress(filtered.tobytes()))
    _chunk(file, b"IDAT", packer.flush())
    _chunk(file, b"IEND", b"")


def _chunk(file: Any, kind: bytes, data: bytes) -> None:
    if data or kind != b"IDAT":
        checksum = zlib.crc32(kind + data)
        file.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum))


def _pixels(array: NDArray[Any]) -> tuple[NDArray[Any], Scale]:
    if array.ndim == 2:
        array = array[:, :, np.newaxis]
    if (
        array.ndim != 3
        or array.shape[2] not in COLOUR
        or not array.size
        or max(array.shape) > LARGEST
    ):
        raise NotAnImageError(f"an array of shape {_shape(array)} is no image")
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * 255, Scale(0.0, 1.0)
    if array.dtype.kind == "u" and array.dtype.itemsize <= 2:
        return array, Scale()
    if array.dtype.kind not in "iuf":
        raise NotAnImageError(f"an array of {array.dtype} is no image")
    values = array.astype(np.float64)
    finite = values[np.isfinite(values)]
    black, white = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    span = (white - black) or 1.0
    scaled = np.nan_to_num((values - black) / span, nan=0.0, posinf=1.0, neginf=0.0)
    return np.rint(scaled.clip(0, 1) * TOP).astype(np.uint16), Scale(black, black + span)


def _shape(array: NDArray[Any]) -> str:
    return " × ".join(map(str, array.shape)) or "()"
