"""Times as text: Unix seconds as they were recorded, or ISO 8601 with the offset of a zone."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import numpy as np

from pymanip_run.clock import CALENDAR
from pymanip_run.export.numbers import as_digits, as_text

if TYPE_CHECKING:
    from datetime import tzinfo

    from numpy.typing import NDArray

    from pymanip_run.records import FloatArray

__all__ = ["as_bytes", "as_microseconds", "texts"]

#: Unix seconds (2001 to 2255) with ten digits before the point, in which all microseconds are exact.
TEN_DIGITS = (1e9, 9e9)
#: Zones change their offset at multiples of it.
QUARTER = 900


def texts(times: FloatArray, zone: tzinfo) -> list[str]:
    """Return times as ISO 8601 with microseconds and the offset of a zone, within the years 1 to 9999."""
    microseconds = as_microseconds(np.clip(times, *CALENDAR))
    quarters, inverse = np.unique(microseconds // (QUARTER * 10**6), return_inverse=True)
    starts = [datetime.fromtimestamp(int(q) * QUARTER, UTC).astimezone(zone) for q in quarters]
    offsets = [start.utcoffset() for start in starts]
    shifts = np.array(
        [0 if o is None else round(o.total_seconds() * 1e6) for o in offsets], np.int64
    )
    endings = [start.isoformat()[19:] for start in starts]
    local = (microseconds + shifts[inverse]).view("M8[us]")
    stamps = np.datetime_as_string(local, unit="us").tolist()
    return [stamp + endings[i] for stamp, i in zip(stamps, inverse.tolist(), strict=True)]


def as_bytes(times: FloatArray, zone: tzinfo | None) -> NDArray[np.uint8]:
    """Return times as ASCII, uint8 of shape (n, width), padded by NUL: Unix seconds without a zone."""
    if zone is None:
        return _seconds(times)
    found = np.array(texts(times, zone), "S")
    return found.view(np.uint8).reshape(len(times), found.dtype.itemsize)


def as_microseconds(times: FloatArray) -> NDArray[np.int64]:
    """Return Unix microseconds, int64 of shape (n,), which stamps are; others are rounded."""
    return np.rint(times * 1e6).astype(np.int64)


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
