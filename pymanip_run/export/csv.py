"""Logged variables as CSV: streamed, exact, and complete or not there at all."""

from __future__ import annotations

import csv
import io
import math
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from pymanip_run.export.table import blocks, columns_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pymanip_run.core.view import SessionView
    from pymanip_run.export.table import Column
    from pymanip_run.records import FloatArray, VariableInfo

__all__ = ["Exported", "export_csv", "write_csv"]

#: Cells turned into text at a time; more only falls out of the processor's cache.
CHUNK_CELLS = 16_000
#: Unix seconds (2001 to 2255) with ten digits before the point, in which all microseconds are exact.
TEN_DIGITS = (1e9, 9e9)


class Exported(NamedTuple):
    """What was written."""

    rows: int
    columns: int


def export_csv(
    view: SessionView,
    target: Path,
    names: Sequence[str] = (),
    *,
    since: float = -math.inf,
    until: float = math.inf,
    progress: Callable[[float], None] | None = None,
) -> Exported:
    """Write logged variables to the file `target`, which appears when it is complete.

    Parameters
    ----------
    view
        The session.
    target
        The file; an existing one is replaced.
    names
        The variables, in this order; all when empty.
    since, until
        Only rows with ``since <= time < until``, in Unix seconds.
    progress
        Is called with the share that is done, 0 to 1.

    Raises
    ------
    NotFoundError
        If the session does not have one of the names.
    OSError
        If the file cannot be written; nothing is left of it.
    """
    columns = columns_of(view, names)
    with _appearing(target) as file:
        return write_csv(view, file, columns, since=since, until=until, progress=progress)


def write_csv(
    view: SessionView,
    file: BinaryIO,
    columns: Sequence[VariableInfo],
    *,
    since: float = -math.inf,
    until: float = math.inf,
    progress: Callable[[float], None] | None = None,
) -> Exported:
    """Write variables to an open binary file, as `export_csv` does."""
    file.write(_header(columns))
    rows = 0
    for block in blocks(view, columns, since, until):
        for text in _texts(block.times, block.columns):
            file.write(text)
        rows += len(block.times)
        if progress is not None:
            progress(block.done)
    return Exported(rows, len(columns))


@contextmanager
def _appearing(target: Path) -> Iterator[BinaryIO]:
    if target.exists() and not target.is_file():  # /dev/stdout, a pipe: renaming would replace it
        with target.open("wb") as file:
            yield file
        return
    part = target.with_name(f"{target.name}.part")
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise


def _header(columns: Sequence[VariableInfo]) -> bytes:
    line = io.StringIO()
    names = [f"{c.name} [{c.description.unit}]" if c.description.unit else c.name for c in columns]
    csv.writer(line, lineterminator="\n").writerow(["time", *names])
    return line.getvalue().encode()


def _texts(times: FloatArray, columns: Sequence[Column]) -> Iterator[bytes]:
    """Yield the rows, a chunk at a time."""
    step = max(64, CHUNK_CELLS // (len(columns) + 1))
    for low in range(0, len(times), step):
        high = min(low + step, len(times))
        yield _rows(times[low:high], [_cells(column, low, high) for column in columns])


def _cells(column: Column, low: int, high: int) -> list[str]:
    if column.rows is None:
        # float.__repr__ is the shortest text that reads back as the same number: 'nan', '-inf' too.
        return list(map(repr, column.values[low:high].tolist()))
    if column.rows.size and np.all(column.rows[1:] > column.rows[:-1]):
        first, last = np.searchsorted(column.rows, (low, high))
        chosen: slice | NDArray[np.bool_] = slice(int(first), int(last))
    else:
        chosen = (column.rows >= low) & (column.rows < high)
    cells = np.full(high - low, "", object)
    cells[column.rows[chosen] - low] = list(map(repr, column.values[chosen].tolist()))
    answer: list[str] = cells.tolist()
    return answer


def _rows(times: FloatArray, columns: Sequence[list[str]]) -> bytes:
    width = len(columns) + 1
    cells = [""] * (len(times) * width)
    cells[::width] = _stamps(times)
    for index, column in enumerate(columns, 1):
        cells[index::width] = column
    # Every stamp begins with a newline, which the join put a comma before.
    text = ",".join(cells).replace(",\n", "\n")
    return (text[1:] + "\n").encode("ascii")


def _stamps(times: FloatArray) -> list[str]:
    r"""Return ``"\n1795359617.123456"`` for every time: as it was recorded, and 3 times faster than repr."""
    low, high = TEN_DIGITS
    if not len(times) or not (low <= times.min() and times.max() < high - 1):
        return [f"\n{t!r}" for t in times.tolist()]
    # Stamps are whole microseconds, as near as a float64 comes. Other times keep all they have.
    microseconds = np.rint(times * 1e6).astype(np.int64)
    if np.any(np.abs(microseconds / 1e6 - times) > np.spacing(times)):
        return [f"\n{t!r}" for t in times.tolist()]
    seconds, fraction = np.divmod(microseconds, 1_000_000)
    signs = np.empty((len(times), 18), np.uint32)
    signs[:, 0], signs[:, 11] = ord("\n"), ord(".")
    tens_of_thousands = seconds // 10_000
    signs[:, 1:3] = _digits(2)[tens_of_thousands // 10_000]
    signs[:, 3:7] = _digits(4)[tens_of_thousands % 10_000]
    signs[:, 7:11] = _digits(4)[seconds % 10_000]
    signs[:, 12:15] = _digits(3)[fraction // 1000]
    signs[:, 15:18] = _digits(3)[fraction % 1000]
    texts: list[str] = signs.view("U18").ravel().tolist()
    return texts


def _digits(count: int, _known: dict[int, NDArray[np.uint32]] = {}) -> NDArray[np.uint32]:  # noqa: B006 - a cache
    """Return the code points of all numbers of `count` digits, shape (10**count, count)."""
    if count not in _known:
        texts = np.array([f"{i:0{count}d}" for i in range(10**count)], f"U{count}")
        _known[count] = texts.view(np.uint32).reshape(-1, count)
    return _known[count]
