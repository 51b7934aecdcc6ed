"""The envelope of a long series: what a screen of some hundred columns can show of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from pymanip_run.core.pages import pages
from pymanip_run.records import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from pymanip_run.records import FloatArray

__all__ = ["Decimator", "Envelope", "Means", "decimated", "envelope"]


#: A series that is not longer is decimated as a whole.
AT_ONCE = 1 << 22


class Envelope(NamedTuple):
    """Minimum and maximum of each of n stretches of a series: three float64 arrays of shape (n,)."""

    timestamps: FloatArray
    min: FloatArray
    max: FloatArray


def envelope(times: FloatArray, values: FloatArray, points: int) -> Envelope:
    """Return the envelope of a series in at most `points` stretches of equally many values.

    A stretch without a number is NaN. Its time is that of its first value.

    Raises
    ------
    ValueError
        If `points` is less than 1.
    """
    if points < 1:
        raise ValueError(f"an envelope has at least 1 point, not {points}")
    if len(times) <= points:
        return Envelope(times, values, values)
    starts = np.linspace(0, len(times), points, endpoint=False).astype(np.intp)
    low = np.fmin.reduceat(values, starts)
    high = np.fmax.reduceat(values, starts)
    return Envelope(times[starts], low, high)


def decimated(
    read: Callable[[Window], tuple[FloatArray, FloatArray]],
    points: int,
    since: float | None = None,
    until: float | None = None,
    expected: int = 0,
) -> Envelope:
    """Return the envelope of a series of any length, which is read in parts where it is long.

    Parameters
    ----------
    read
        Reads the part of the series in a window.
    since, until
        Only ``since <= time < until``.
    expected
        About how many values are expected there.
    """
    if expected <= AT_ONCE:
        times, values = read(Window(since, until, head=AT_ONCE))
        if len(times) < AT_ONCE:
            return envelope(times, values, points)
    decimator = Decimator(points, expected)
    for page in pages(read, since, until):
        decimator.add(*page)
    return decimator.envelope()


class Means(NamedTuple):
    """The mean of each of n stretches of a series: two float64 arrays of shape (n,)."""

    timestamps: FloatArray
    values: FloatArray


class Decimator:
    """Decimates a series that is read in parts, in memory that does not grow with its length.

    Stretches hold equally many values, all but the last. Two neighbours become one whenever there
    are more than wanted.

    Parameters
    ----------
    points
        The most stretches there may be, at least 1.
    expected
        How many values are expected; what is joined at once need not be joined later.
    """

    def __init__(self, points: int, expected: int = 0) -> None:
        if points < 1:
            raise ValueError(f"an envelope has at least 1 point, not {points}")
        self._points = points
        self._size = max(1, -(-expected // points))
        self._open = 0  # values in the last stretch, when it is not full
        self._columns: list[FloatArray] = [np.empty(0) for _ in range(5)]
        #: Values taken in.
        self.count = 0

    def add(self, times: FloatArray, values: FloatArray) -> None:
        """Take in the next part, arrays of shape (n,)."""
        self.count += len(times)
        if self._open and len(times):
            room = min(self._size - self._open, len(times))
            self._extend(times[:room], values[:room], merge=True)
            times, values = times[room:], values[room:]
        if len(times):
            self._extend(times, values, merge=False)
        while len(self._columns[0]) > self._points:
            self._halve()

    def _extend(self, times: FloatArray, values: FloatArray, *, merge: bool) -> None:
        new = _stretches(times, values, self._size)
        before = self._columns
        if merge:
            new = [np.concatenate(pair) for pair in zip([c[-1:] for c in before], new, strict=True)]
            new = _merged(new)
            before = [column[:-1] for column in before]
        self._open = (self._open + len(times)) % self._size
        self._columns = [np.concatenate(pair) for pair in zip(before, new, strict=True)]

    def _halve(self) -> None:
        odd = len(self._columns[0]) % 2
        if odd:
            # The last one stays alone, as the first half of a stretch that is not full.
            self._open = (self._open or self._size) % (2 * self._size)
        elif self._open:
            self._open += self._size
        self._size *= 2
        self._columns = _merged(self._columns)

    def forget(self, before: float = -math.inf, most: int | None = None) -> None:
        """Forget the oldest stretches.

        Parameters
        ----------
        before
            Those that begin before this time.
        most
            Those that are not needed for the last so many values, at least 1.
        """
        gone = int(np.searchsorted(self._columns[0], before))
        if most is not None:
            gone = max(gone, len(self._columns[0]) - -(-most // self._size))
        if gone:
            self._columns = [column[gone:] for column in self._columns]
            if not len(self._columns[0]):
                self._open = 0

    def envelope(self) -> Envelope:
        """Return minimum and maximum of each stretch; NaN for one without a number."""
        times, low, high, _, _ = self._columns
        return Envelope(times, low, high)

    def means(self) -> Means:
        """Return the mean of the finite values of each stretch; NaN for one without."""
        times, _, _, sums, counts = self._columns
        with np.errstate(invalid="ignore", divide="ignore"):
            return Means(times, sums / counts)


def _stretches(times: FloatArray, values: FloatArray, size: int) -> list[FloatArray]:
    """Return first time, minimum, maximum, sum and count of each stretch."""
    finite = np.isfinite(values)
    plain = np.where(finite, values, 0.0)
    if size == 1:
        return [times, values, values, plain, finite.astype(np.float64)]
    whole = len(times) // size * size
    parts = [_reduced(times[:whole], values[:whole], plain[:whole], finite[:whole], size)]
    if whole < len(times):
        rest = slice(whole, None)
        parts.append(_reduced(times[rest], values[rest], plain[rest], finite[rest], 0))
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _reduced(
    times: FloatArray, values: FloatArray, plain: FloatArray, finite: NDArray[np.bool_], size: int
) -> list[FloatArray]:
    """Return the columns of stretches of exactly `size` values; 0: of a single one of them all."""
    shape = (-1, size) if size else (1, -1)
    return [
        times.reshape(shape)[:, 0],
        np.fmin.reduce(values.reshape(shape), axis=1),
        np.fmax.reduce(values.reshape(shape), axis=1),
        np.add.reduce(plain.reshape(shape), axis=1),
        np.add.reduce(finite.reshape(shape), axis=1, dtype=np.float64),
    ]


def _merged(columns: list[FloatArray]) -> list[FloatArray]:
    """Return pairs of neighbouring stretches as one each."""
    starts = np.arange(0, len(columns[0]), 2)
    times, low, high, sums, counts = columns
    with np.errstate(over="ignore"):
        return [
            times[starts],
            np.fmin.reduceat(low, starts),
            np.fmax.reduceat(high, starts),
            np.add.reduceat(sums, starts),
            np.add.reduceat(counts, starts),
        ]
