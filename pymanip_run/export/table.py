"""Logged variables as one table, block by block: one row for each distinct timestamp."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pymanip_run.core.pages import pages, reader
from pymanip_run.records import Statistics, VariableInfo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from pymanip_run.core.view import SessionView
    from pymanip_run.records import FloatArray, Series

__all__ = ["Block", "Column", "blocks", "columns_of", "filled", "in_full"]

#: Values read at a time, all variables together: some megabytes.
BLOCK_VALUES = 500_000
BLOCK_ROWS = 2_000
#: How much longer one window may be than the one before.
GROWTH = 2.0
#: Of a block's values, a variable may always have one in so many.
SHARE = 8


class Column(NamedTuple):
    """The values of one variable in a block: at every row, or at `rows` only."""

    values: FloatArray
    rows: NDArray[np.intp] | None


class Block(NamedTuple):
    """Some consecutive rows."""

    times: FloatArray
    columns: list[Column]
    #: Share of the whole that has been read, 0 to 1.
    done: float


def in_full(column: Column, size: int) -> FloatArray:
    """Return a value for every row, shape (size,); NaN where it is missing."""
    if column.rows is None:
        return column.values
    cells = np.full(size, np.nan)
    cells[column.rows] = column.values
    return cells


def filled(
    blocks: Iterator[Block], before: Sequence[float | None], complete: Sequence[bool]
) -> Iterator[Block]:
    """Yield blocks in which missing cells have the last value before them.

    Parameters
    ----------
    before
        The value of each column before the first row, None where there is none.
    complete
        Columns in which nothing is missing.
    """
    last = list(before)
    for block in blocks:
        columns = []
        for i, column in enumerate(block.columns):
            if complete[i]:
                columns.append(column)
                continue
            one, last[i] = _filled(column, len(block.times), last[i])
            columns.append(one)
        yield block._replace(columns=columns)


def _filled(column: Column, size: int, last: float | None) -> tuple[Column, float | None]:
    if column.rows is None:
        return column, float(column.values[-1])
    order = np.argsort(column.rows, kind="stable")
    rows, values = column.rows[order], column.values[order]
    if last is not None:
        rows, values = np.r_[-1, rows], np.r_[last, values]
    if not len(rows):
        return column, None
    place = np.searchsorted(rows, np.arange(size), "right") - 1
    there = place >= 0
    kept = None if there.all() else np.flatnonzero(there)
    return Column(values[place[there]], kept), float(values[-1])


def columns_of(view: SessionView, names: Sequence[str] = ()) -> list[VariableInfo]:
    """Return the variables of a table: the named ones in this order, or all public ones.

    Raises
    ------
    NotFoundError
        If the session does not have one of the names; the message offers the nearest.
    """
    # A variable may be described before it has values, perhaps for ever.
    known = {name: info for name, info in view.variables().items() if info.statistics.n}
    if names:
        return [known.get(name) or _internal(view, name) for name in dict.fromkeys(names)]
    return list(known.values())


def _internal(view: SessionView, name: str) -> VariableInfo:
    series = view.logged_variable(name)  # not there: says so, with the nearest names
    statistics = Statistics()
    for times, values in pages(reader(series)):
        statistics = statistics.extended(times, values)
    return VariableInfo(name, statistics=statistics)


def blocks(
    view: SessionView,
    columns: Sequence[VariableInfo],
    since: float = -math.inf,
    until: float = math.inf,
) -> Iterator[Block]:
    """Yield the table in time order, in blocks of bounded memory.

    Of a session that is being written, what was there at the call is returned.

    Parameters
    ----------
    view
        The session.
    columns
        As from `columns_of`.
    since, until
        Only rows with ``since <= time < until``, in Unix seconds.
    """
    filled = [c.statistics for c in columns if c.statistics.n]
    if not filled:
        return
    begin = max(since, min(s.first_time for s in filled))
    end = min(until, math.nextafter(max(s.last_time for s in filled), math.inf))
    wanted = max(BLOCK_VALUES, BLOCK_ROWS * len(columns))
    length = _first_length(columns, wanted)
    series = [view.logged_variable(c.name) for c in columns]
    most = max(int(GROWTH * wanted) // len(columns), BLOCK_VALUES // SHARE, 1)
    low = begin
    while low < end:
        high = min(end, max(low + length, math.nextafter(low, math.inf)))
        high, parts = _read(series, low, high, most)
        count = sum(len(t) for t, _ in parts)
        if count:
            half = end / 2 - begin / 2  # so that ±1e308 has no infinite span
            done = (high / 2 - begin / 2) / half if half else 1.0
            yield Block(*_merged(parts), done)
        length = (high - low) * min(GROWTH, wanted / count if count else GROWTH)
        low = high


def _read(
    series: Sequence[Series], low: float, high: float, most: int
) -> tuple[float, list[tuple[FloatArray, FloatArray]]]:
    """Return what a window holds, and its end: it is shorter where a variable has more than `most` values in it."""
    parts = []
    for one in series:
        times, values = one.between(low, high).head(most)
        if len(times) == most:
            high = max(float(times[-1]), math.nextafter(low, math.inf))
            if times[-1] == low:  # perhaps not all of a time that a variable has again and again
                times, values = one.between(low, high)
        parts.append((times, values))
    ends = [int(np.searchsorted(times, high)) for times, _ in parts]
    return high, [(t[:end], v[:end]) for (t, v), end in zip(parts, ends, strict=True)]


def _first_length(columns: Sequence[VariableInfo], wanted: int) -> float:
    """Return the seconds in which about `wanted` values are expected."""
    density = 0.0
    for column in columns:
        rate = column.statistics.rate
        density += rate if math.isfinite(rate) else 0.0
    return wanted / density if density > 0 else 3600.0


def _merged(parts: Sequence[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, list[Column]]:
    filled = [t for t, _ in parts if len(t)]
    first = filled[0]
    same = all(t is first or np.array_equal(t, first) for t in filled[1:])
    nowhere = Column(np.empty(0), np.empty(0, np.intp))
    if same:
        return first, [Column(v, None) if len(t) else nowhere for t, v in parts]
    times, inverse = _union([t for t, _ in parts])
    borders = np.cumsum([len(t) for t, _ in parts])[:-1]
    rows = np.split(inverse, borders)
    return times, [Column(v, row) for (_, v), row in zip(parts, rows, strict=True)]


def _union(arrays: Sequence[FloatArray]) -> tuple[FloatArray, NDArray[np.intp]]:
    """Return the sorted distinct times, and the row of every value.

    A time that one variable has twice (sessions of other programs may) gives two rows.
    """
    joined = np.concatenate(arrays)
    if not any(np.any(t[1:] <= t[:-1]) for t in arrays):
        times, inverse = np.unique(joined, return_inverse=True)
        return times, inverse.ravel()
    pairs = np.column_stack([joined, np.concatenate([_occurrence(t) for t in arrays])])
    rows, inverse = np.unique(pairs, axis=0, return_inverse=True)
    return rows[:, 0], inverse.ravel()


def _occurrence(times: FloatArray) -> FloatArray:
    """Return how often each time came before in the array, shape (n,)."""
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    new = np.ones(len(times), bool)
    new[1:] = ordered[1:] != ordered[:-1]
    starts = np.flatnonzero(new)
    counts = np.arange(len(times)) - np.repeat(starts, np.diff([*starts, len(times)]))
    result = np.empty(len(times))
    result[order] = counts
    return result
