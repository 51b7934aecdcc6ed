"""Mean, minimum, maximum and count of stretches of equal length, in bounded memory."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pymanip_run.export.stamps import all_near
from pymanip_run.export.table import Block, Column

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from pymanip_run.records import FloatArray

__all__ = ["resampled"]

#: Unix seconds up to which all microseconds are exact in float64.
EXACT = 9e9


class _Sums(NamedTuple):
    """Of one variable in consecutive stretches, each of shape (n,)."""

    total: FloatArray
    least: FloatArray
    most: FloatArray
    #: How many there are; whole numbers.
    number: FloatArray


class _Bins(NamedTuple):
    """Some stretches: their numbers since 1970, and the sums of every variable.

    The numbers are whole ones in float64, as far as a time is: sessions of other programs may have any.
    """

    numbers: FloatArray
    sums: list[_Sums]

    def part(self, low: int, high: int | None = None) -> _Bins:
        """Return some of the stretches."""
        return _Bins(
            self.numbers[low:high], [_Sums(*(a[low:high] for a in one)) for one in self.sums]
        )


def resampled(blocks: Iterator[Block], variables: int, step: float) -> Iterator[Block]:
    """Yield one row for each stretch of `step` seconds in which there are values.

    Stretches begin at multiples of `step` since 1970, and a row has the time of its beginning. There are
    four columns for each variable: mean, minimum, maximum, count. NaN is not counted; where all values
    are NaN, or there are none, the count is 0 and the other cells are missing.

    Raises
    ------
    UsageError
        If a time is too far away to be counted in stretches.
    """
    last: _Bins | None = None
    done = 0.0
    for block in blocks:
        found = _binned(block, step)
        if last is not None:
            found = _joined(last, found)
        if len(found.numbers) > 1:
            yield _block(found.part(0, -1), step, block.done)
        last, done = found.part(-1), block.done
    if last is not None and variables:
        yield _block(last, step, done)


def _binned(block: Block, step: float) -> _Bins:
    with np.errstate(over="ignore"):
        places = np.floor(block.times / step)
    width = _microseconds(step)
    if width is not None:  # 0.3 / 0.1 is 2.9999999999999996
        near = np.abs(block.times) < EXACT
        places[near] = np.rint(block.times[near] * 1e6) // width
    all_near(block.times, np.isfinite(places), f"so many stretches of {step:g} s cannot be counted")
    numbers, inverse = np.unique(places, return_inverse=True)
    return _Bins(
        numbers, [_summed(column, inverse.ravel(), len(numbers)) for column in block.columns]
    )


def _microseconds(step: float) -> int | None:
    """Return a step in whole microseconds, as stamps are; None where it is none of them."""
    width = round(step * 1e6) if step < EXACT else 0
    return width if width and math.isclose(step * 1e6, width, rel_tol=1e-12) else None


def _beginnings(numbers: FloatArray, step: float) -> FloatArray:
    """Return the times at which stretches begin, in Unix seconds, shape (n,)."""
    begins = numbers * step
    width = _microseconds(step)
    if width is not None:
        near = np.abs(begins) < EXACT
        begins[near] = numbers[near] * width / 1e6
    return begins


def _summed(column: Column, inverse: NDArray[np.intp], size: int) -> _Sums:
    at = inverse if column.rows is None else inverse[column.rows]
    numbers = ~np.isnan(column.values)
    at, values = at[numbers], column.values[numbers]
    total, least, most = np.zeros(size), np.full(size, np.inf), np.full(size, -np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        if len(values) and np.all(at[1:] >= at[:-1]):  # quicker than one by one
            starts = np.flatnonzero(np.r_[True, at[1:] != at[:-1]])
            total[at[starts]] = np.add.reduceat(values, starts)
            least[at[starts]] = np.minimum.reduceat(values, starts)
            most[at[starts]] = np.maximum.reduceat(values, starts)
        else:
            np.add.at(total, at, values)
            np.minimum.at(least, at, values)
            np.maximum.at(most, at, values)
    return _Sums(total, least, most, np.bincount(at, minlength=size).astype(np.float64))


def _joined(last: _Bins, found: _Bins) -> _Bins:
    """Return the last stretch of what came before, and what follows; they may share a stretch."""
    if last.numbers[0] != found.numbers[0]:
        sums = [_Sums(*map(np.concatenate, zip(a, b, strict=True))) for a, b in zip(last.sums, found.sums, strict=True)]  # fmt: skip
        return _Bins(np.concatenate([last.numbers, found.numbers]), sums)
    with np.errstate(over="ignore", invalid="ignore"):
        for before, after in zip(last.sums, found.sums, strict=True):
            after.total[0] += before.total[0]
            after.least[0] = min(before.least[0], after.least[0])
            after.most[0] = max(before.most[0], after.most[0])
            after.number[0] += before.number[0]
    return found


def _block(bins: _Bins, step: float, done: float) -> Block:
    columns = []
    for one in bins.sums:
        rows = np.flatnonzero(one.number)
        kept = None if len(rows) == len(one.number) else rows
        counts = one.number[rows]
        with np.errstate(over="ignore", invalid="ignore"):
            columns.append(Column(one.total[rows] / counts, kept))
        columns += [Column(one.least[rows], kept), Column(one.most[rows], kept)]
        columns.append(Column(one.number, None))
    return Block(_beginnings(bins.numbers, step), columns, done)
