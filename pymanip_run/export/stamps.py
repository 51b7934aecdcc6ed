"""Times as text: Unix seconds as they were recorded, or ISO 8601 with the offset of a zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from pymanip_run.clock import CALENDAR
from pymanip_run.errors import UsageError
from pymanip_run.export.numbers import as_digits, as_text

if TYPE_CHECKING:
    from datetime import tzinfo

    from numpy.typing import NDArray

    from pymanip_run.records import FloatArray

__all__ = ["all_near", "as_bytes", "as_microseconds", "longest", "texts"]

#: Unix seconds (2001 to 2255) with ten digits before the point, in which all microseconds are exact.
TEN_DIGITS = (1e9, 9e9)
#: Zones change their offset at multiples of it.
QUARTER = 900
#: Where the offset begins in ISO 8601 with seconds.
SECONDS_END = 19
#: Unix seconds whose microseconds 64 bits hold: the years -290 308 to 294 247.
MICROSECONDS = (-9.22e12, 9.22e12)


def texts(times: FloatArray, zone: tzinfo) -> list[str]:
    """Return times as ISO 8601 with microseconds and the offset of a zone.

    Raises
    ------
    UsageError
        If one of them is outside of the years 1 to 9999.
    """
    microseconds, starts, inverse = _quarters(times, zone)
    offsets = [start.utcoffset() for start in starts]
    shifts = np.array(
        [0 if o is None else round(o.total_seconds() * 1e6) for o in offsets], np.int64
    )
    endings = [start.isoformat()[SECONDS_END:] for start in starts]
    local = (microseconds + shifts[inverse]).view("M8[us]")
    stamps = np.datetime_as_string(local, unit="us").tolist()
    return [stamp + endings[i] for stamp, i in zip(stamps, inverse.tolist(), strict=True)]


def longest(times: FloatArray, zone: tzinfo) -> int:
    """Return how many characters the longest of `texts` has: long ago zones had offsets to the second."""
    _, starts, _ = _quarters(times, zone)
    return max((len(start.isoformat(timespec="microseconds")) for start in starts), default=0)


def _quarters(
    times: FloatArray, zone: tzinfo
) -> tuple[NDArray[np.int64], list[datetime], NDArray[np.intp]]:
    """Return times in microseconds, the distinct quarters of an hour they are in, and which each is in."""
    low, high = CALENDAR
    all_near(times, (low <= times) & (times <= high), "--tz writes the years 1 to 9999")
    microseconds = as_microseconds(times)
    quarters, inverse = np.unique(microseconds // (QUARTER * 10**6), return_inverse=True)
    starts = [datetime.fromtimestamp(int(q) * QUARTER, UTC).astimezone(zone) for q in quarters]
    return microseconds, starts, inverse


def as_bytes(times: FloatArray, zone: tzinfo | None) -> NDArray[np.uint8]:
    """Return times as ASCII, uint8 of shape (n, width), padded by NUL: Unix seconds without a zone."""
    if zone is None:
        return _seconds(times)
    found = np.array(texts(times, zone), "S")
    return found.view(np.uint8).reshape(len(times), found.dtype.itemsize)


def as_microseconds(times: FloatArray) -> NDArray[np.int64]:
    """Return Unix microseconds, int64 of shape (n,), which stamps are; others are rounded.

    Raises
    ------
    UsageError
        If one of them does not fit; sessions of other programs may have any float64 as a time.
    """
    low, high = MICROSECONDS
    all_near(
        times, (low <= times) & (times <= high), "the format has whole microseconds of 64 bits"
    )
    return np.rint(times * 1e6).astype(np.int64)


def all_near(times: FloatArray, near: NDArray[np.bool_], why: str) -> None:
    """Refuse times so far away, as sessions of other programs may have, that they cannot be written.

    Raises
    ------
    UsageError
        If not all are `near`; `why` says what can be written.
    """
    if not near.all():
        raise UsageError(
            f"there are values at {times[~near][0]:g} s after 1970, and {why}; leave them out:\n"
            "  --since 1900-01-01 --until 2200-01-01"
        )


def _seconds(times: FloatArray) -> NDArray[np.uint8]:
    """Return the seconds as they were recorded: with six decimals, also where these are zeros."""
    low, high = TEN_DIGITS
    if not len(times) or not (low <= times.min() and times.max() < high - 1):
        return as_text(times)
    # Stamps are whole microseconds, as near as a float64 comes. Other times keep all they have.
    microseconds = as_microseconds(times)
    if np.any(np.abs(microseconds / 1e6 - times) > np.spacing(times)):
        return as_text(times)
    seconds, fraction = np.divmod(microseconds, 1_000_000)
    found = np.empty((len(times), 17), np.uint8)
    found[:, :10] = as_digits(seconds, 12)[:, 2:]
    found[:, 10] = ord(".")
    found[:, 11:] = as_digits(fraction, 8)[:, 2:]
    return found
