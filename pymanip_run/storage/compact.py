"""Rewrite a finished session smaller: large compressed chunks with checksums, verified, then replaced.

The original keeps its name until the copy was read back and compared; an interruption at any
moment leaves it untouched.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Any, NamedTuple

import h5py
import numpy as np

from pymanip_run.errors import DamagedFileError, NewerFormatError
from pymanip_run.storage import layout
from pymanip_run.storage.base import check_structure
from pymanip_run.storage.child import run_recovery
from pymanip_run.storage.files import SYSTEM_FILES, Files, SessionPaths
from pymanip_run.storage.opening import lock_session
from pymanip_run.storage.source import open_to_read
from pymanip_run.storage.untrusted import (
    SMALL,
    Budget,
    check_stored,
    check_table,
    check_texts,
    plain_attributes,
)
from pymanip_run.storage.values import raw_size

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Compacted", "compact"]

#: Scalars in a compressed chunk, and bytes of an array's.
CHUNK_SCALARS = 1 << 16
CHUNK_BYTES = 1 << 20
#: Bytes read and written at a time.
SLICE = 16 << 20
#: Rows with texts that are compared at a time.
TEXTS = 256
#: Groups in groups; a session has four.
DEEPEST = 32
#: Written anew by `make_scale` and `attach_scale`.
_SCALE_ATTRIBUTES = {"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"}


class Compacted(NamedTuple):
    """Sizes of the file in bytes."""

    before: int
    after: int


def compact(
    path: Path,
    *,
    level: int = 4,
    files: Files = SYSTEM_FILES,
    progress: Callable[[float], None] | None = None,
) -> Compacted:
    """Rewrite a session with gzip, fletcher32, and shuffle where that helps.

    Parameters
    ----------
    path
        The session; nobody may be writing it. What a crash left in its journal is taken in first.
    level
        Of gzip, 1 (quick) to 9 (small).
    progress
        Is called with the part that is done, 0 to 1.

    Raises
    ------
    SessionLockedError
        If it is being written.
    DamagedFileError
        If something in it cannot be read, or is not what was read when the copy is compared; the
        original is untouched.
    StorageError, OSError
        If there is no room, or the folder is not writable.
    """
    paths = SessionPaths(path)
    lock_fd = lock_session(files, paths)
    try:
        if files.segments(paths.main) or files.exists(paths.redo):
            run_recovery(paths, lock_fd, remove_lock=False)
        before = path.stat().st_size
        files.unlink(paths.temporary)
        try:
            _rewrite(path, paths.temporary, level, progress or (lambda _part: None))
            _make_durable(files, paths)
        except BaseException:
            files.unlink(paths.temporary)
            raise
        return Compacted(before, path.stat().st_size)
    finally:
        files.unlink(paths.lock)
        files.close(lock_fd)


def _make_durable(files: Files, paths: SessionPaths) -> None:
    fd = files.open(paths.temporary, os.O_RDWR)
    try:
        files.resemble(fd, files.path_stat(paths.main))
        files.fdatasync(fd)
    finally:
        files.close(fd)
    files.replace(paths.temporary, paths.main)
    files.sync_directory(paths.main)


def _rewrite(source: Path, target: Path, level: int, progress: Callable[[float], None]) -> None:
    try:
        with (
            open_to_read(source) as old,
            h5py.File(target, "x", libver=layout.LIBVER, locking=False) as new,
        ):
            layout.read_identity(old, source)
            check_structure(old)
            copied = _Copy(_survey(old), level, progress)
            copied.group(old, new)
        with (
            open_to_read(source) as old,
            open_to_read(target) as new,
        ):
            _compare(old, new)
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, MemoryError) as error:
        if isinstance(error, NewerFormatError) or getattr(error, "errno", None):
            raise
        reason = " ".join(str(error).split()) or "there is not enough memory"
        raise DamagedFileError(
            f"{source} could not be rewritten, it is as it was: {reason}"
        ) from error


class _Copy:
    """Copies groups and datasets, and says how far it is."""

    def __init__(self, total: int, level: int, progress: Callable[[float], None]) -> None:
        self._total = max(1, total)
        self._done = 0
        self._level = level
        self._progress = progress

    def group(self, old: Any, new: Any) -> None:
        """Copy the content of a group, and of those in it."""
        _copy_attributes(old, new)
        for name, item in layout.members(old, object):
            if isinstance(item, h5py.Group):
                self.group(item, new.create_group(name))
            elif _is_series(item):
                self._series(item, new, name)
            else:
                old.copy(item, new, name)
        # A series' axis exists only when both of its datasets do.
        if "time" in new and "value" in new and new.name.startswith("/variables/"):
            new["time"].make_scale("time")
            new["value"].dims[0].attach_scale(new["time"])

    def _series(self, item: Any, folder: Any, name: str) -> None:
        chunks = _chunks(item)
        target = folder.create_dataset(
            name, item.shape, item.dtype, maxshape=item.maxshape, chunks=chunks, fillvalue=item.fillvalue,
            shuffle=_gains_by_shuffling(item, chunks, self._level), compression="gzip", compression_opts=self._level, fletcher32=True,
        )  # fmt: skip
        _copy_attributes(item, target)
        for start, stop in _slices(item, chunks[0]):
            target[start:stop] = item[start:stop]
            self._done += (stop - start) * _record_bytes(item)
            self._progress(min(1.0, self._done / self._total))


def _is_series(item: Any) -> bool:
    """Tell whether a dataset is numbers that grow along the first axis."""
    return (
        bool(item.chunks)
        and item.dtype.kind in "biufc"
        and item.dtype.names is None
        and item.ndim > 0
    )


def _gains_by_shuffling(item: Any, chunks: tuple[int, ...], level: int) -> bool:
    """Tell from a chunk whether its bytes compress better when they are sorted by their place in the number.

    Smooth numbers do; numbers of a few decimal digits repeat as a whole, and are three times smaller as they are.
    """
    raw = item[tuple(slice(n) for n in chunks)].tobytes()
    shuffled = np.frombuffer(raw, np.uint8).reshape(-1, item.dtype.itemsize).T.tobytes()
    return len(zlib.compress(shuffled, level)) < len(zlib.compress(raw, level))


def _copy_attributes(old: Any, new: Any) -> None:
    for key in old.attrs:
        if key not in _SCALE_ATTRIBUTES:
            new.attrs[key] = old.attrs[key]


def _record_bytes(item: Any) -> int:
    return max(1, raw_size(item.shape[1:], item.dtype))


def _chunks(item: Any) -> tuple[int, ...]:
    if item.ndim == 1:
        return (max(1, min(CHUNK_SCALARS, item.shape[0])),)
    room = max(1, CHUNK_BYTES // item.dtype.itemsize)
    chunk = []
    for n in reversed(item.shape[1:]):
        chunk.append(max(1, min(n, room)))
        room = max(1, room // max(1, n))
    return (max(1, min(room, item.shape[0])), *reversed(chunk))


def _slices(item: Any, step: int) -> list[tuple[int, int]]:
    """Return (start, stop) along the first axis, of whole chunks and bounded bytes."""
    rows = max(step, SLICE // _record_bytes(item) // step * step)
    return [(start, min(start + rows, item.shape[0])) for start in range(0, item.shape[0], rows)]


def _survey(old: Any) -> int:
    """Return the bytes of all series, after looking whether everything can be copied.

    Raises
    ------
    DamagedFileError
        If something is not in the file, leads in a circle, or grows without end when it is copied.
    """
    total, seen, budget = 0, set(), Budget(old)
    waiting = [(old, 0)]
    while waiting:
        folder, depth = waiting.pop()
        for _, item in layout.members(folder, object):
            place = h5py.h5o.get_info(item.id).addr
            if place in seen or depth > DEEPEST:
                raise DamagedFileError(f"{item.name[:80]!r} is nested too deep, or has two names")
            seen.add(place)
            for key, value in plain_attributes(item, _SCALE_ATTRIBUTES).items():
                budget.take(key)
                budget.take(value)
            if isinstance(item, h5py.Group):
                waiting.append((item, depth + 1))
            elif isinstance(item, h5py.Dataset):
                total += _checked_size(item, budget)
    return total


def _checked_size(item: Any, budget: Budget) -> int:
    if item.shape is None:
        return 0
    size = raw_size(item.shape, item.dtype)
    check_stored(item, size, SMALL)
    if _is_series(item):
        return size
    if h5py.check_string_dtype(item.dtype) is not None and item.dtype.hasobject:
        if item.ndim:
            check_texts(item)
        else:
            budget.take(item[()])
    elif item.dtype.hasobject:
        _check_texts_of_table(item)
    return 0


def _check_texts_of_table(item: Any) -> None:
    """Refuse what is none of the tables of a session that have texts among their columns."""
    tables = (layout.EVENT_DTYPE, layout.POINT_DTYPE)
    if item.dtype not in tables:
        raise DamagedFileError(f"{item.name!r} is neither numbers nor texts")
    check_table(item, item.dtype)


def _compare(old: Any, new: Any) -> None:
    """Read everything back.

    Raises
    ------
    DamagedFileError
        If anything differs.
    """
    if set(old) != set(new):
        raise DamagedFileError(f"{old.name} differs in the copy")
    for name in old:
        a, b = old[name], new[name]
        if isinstance(a, h5py.Group):
            _compare(a, b)
        elif a.shape != b.shape or a.dtype != b.dtype or not _same_content(a, b):
            raise DamagedFileError(f"{a.name} differs in the copy")


def _same_content(a: Any, b: Any) -> bool:
    if not a.shape:
        return repr(np.asarray(a[()]).tolist()) == repr(np.asarray(b[()]).tolist())
    if a.dtype.hasobject:  # in words, for these are texts; a slice at a time
        return all(
            repr(a[i : i + TEXTS].tolist()) == repr(b[i : i + TEXTS].tolist())
            for i in range(0, a.shape[0], TEXTS)
        )
    # As bytes: NaN is not equal to itself.
    return all(
        np.ascontiguousarray(a[i:j]).tobytes() == np.ascontiguousarray(b[i:j]).tobytes()
        for i, j in _slices(a, _chunks(a)[0])
    )
