"""The envelope of a long series: what a screen of some hundred columns can show of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from pymanip_run.records import FloatArray

__all__ = ["Envelope", "envelope"]


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
