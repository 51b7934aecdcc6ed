"""Read long float64 datasets past HDF5: its chunk map, and few large system calls.

HDF5 copies each chunk through its own buffers; for the small chunks of a growing file that takes
several times as long as reading the bytes into place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.errors import DamagedFileError

if TYPE_CHECKING:
    from pymanip_run.records import FloatArray
    from pymanip_run.storage.files import Files

__all__ = ["read_floats"]

#: Shorter parts are read by HDF5: its whole chunk map costs more than they do.
WORTHWHILE = 1 << 16
ITEM = 8


def read_floats(dataset: Any, low: int, high: int, files: Files, fd: int | None) -> FloatArray:
    """Return ``dataset[low:high]``, float64 of shape (high - low,).

    Parameters
    ----------
    dataset
        A one-dimensional dataset of float64.
    files, fd
        The open file that the dataset is in; None reads by HDF5 alone.

    Raises
    ------
    DamagedFileError
        If the chunk map points outside of the file.
    """
    count = max(0, high - low)
    if fd is None or count < WORTHWHILE or not _is_plain(dataset):
        result = np.empty(count, np.float64)
        if count:
            dataset.read_direct(result, np.s_[low:high])
        return result
    result = np.full(count, np.nan) if _has_holes(dataset) else np.empty(count, np.float64)
    target = memoryview(result.data).cast("B")
    for first, stop, place in _runs(dataset, low, high):
        view = target[(first - low) * ITEM : (stop - low) * ITEM]
        if files.preadv(fd, [view], place) != len(view):
            raise DamagedFileError(f"{dataset.name}: the file ends before its data")
    return result


def _is_plain(dataset: Any) -> bool:
    return bool(
        dataset.chunks
        and dataset.dtype == np.dtype("<f8")
        and dataset.ndim == 1
        and not dataset.id.get_create_plist().get_nfilters()
    )


def _has_holes(dataset: Any) -> bool:
    return bool(dataset.id.get_num_chunks() * dataset.chunks[0] < dataset.shape[0])


def _runs(dataset: Any, low: int, high: int) -> list[tuple[int, int, int]]:
    """Return (first item, stop item, byte in the file) of stretches that lie together in the file."""
    size = dataset.chunks[0]
    found: list[tuple[int, int]] = []

    def see(chunk: Any) -> None:
        start = chunk.chunk_offset[0]
        if start < high and start + size > low:
            found.append((start, chunk.byte_offset))

    dataset.id.chunk_iter(see)
    runs: list[tuple[int, int, int]] = []
    for start, place in sorted(found):
        first, stop = max(start, low), min(start + size, high)
        begin = place + (first - start) * ITEM
        if runs and runs[-1][1] == first and runs[-1][2] + (first - runs[-1][0]) * ITEM == begin:
            runs[-1] = (runs[-1][0], stop, runs[-1][2])
        else:
            runs.append((first, stop, begin))
    return runs
