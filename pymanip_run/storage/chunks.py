"""Read long float64 datasets past HDF5: its chunk map, and few large system calls.

HDF5 copies each chunk through its own buffers; for the small chunks of a growing file that takes
several times as long as reading the bytes into place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.errors import DamagedFileError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymanip_run.records import FloatArray
    from pymanip_run.storage.files import Files

__all__ = ["read_floats"]

#: Shorter parts are read by HDF5: its whole chunk map costs more than they do.
WORTHWHILE = 1 << 16
#: Looking up even the first chunk takes as long as walking past this many.
FEW = 8
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
    runs = _runs(dataset, low, high)
    is_whole = sum(stop - first for first, stop, _ in runs) == count
    result = np.empty(count, np.float64) if is_whole else np.full(count, np.nan)
    target = memoryview(result.data).cast("B")
    for first, stop, place in runs:
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


def _runs(dataset: Any, low: int, high: int) -> list[tuple[int, int, int]]:
    """Return (first item, stop item, byte in the file) of stretches that lie together in the file."""
    size = dataset.chunks[0]
    is_quick = _is_quick(dataset, low, high)
    found = _some_chunks(dataset, low, high) if is_quick else _all_chunks(dataset)
    wanted = [chunk for chunk in found if chunk[0] < high and chunk[0] + size > low]
    runs: list[tuple[int, int, int]] = []
    for start, place in sorted(wanted):
        first, stop = max(start, low), min(start + size, high)
        begin = place + (first - start) * ITEM
        if runs and runs[-1][1] == first and runs[-1][2] + (first - runs[-1][0]) * ITEM == begin:
            runs[-1] = (runs[-1][0], stop, runs[-1][2])
        else:
            runs.append((first, stop, begin))
    return runs


def _is_quick(dataset: Any, low: int, high: int) -> bool:
    """Tell whether looking up the chunks of a stretch is quicker than walking through all.

    HDF5 looks a chunk up by going to it from the first one.
    """
    size, total = dataset.chunks[0], dataset.shape[0]
    return bool((high - low) / size * (FEW + high / size) < total / size)


def _all_chunks(dataset: Any) -> list[tuple[int, int]]:
    """Return (first item, byte in the file) of all chunks, in one walk through their index."""
    found: list[tuple[int, int]] = []
    dataset.id.chunk_iter(lambda chunk: found.append((chunk.chunk_offset[0], chunk.byte_offset)))
    return found


def _some_chunks(dataset: Any, low: int, high: int) -> Iterator[tuple[int, int]]:
    """Yield those of a stretch, each looked up in the index; much less of which is read."""
    size = dataset.chunks[0]
    for start in range(low // size * size, high, size):
        place = dataset.id.get_chunk_info_by_coord((start,)).byte_offset
        if place is not None:
            yield start, place
