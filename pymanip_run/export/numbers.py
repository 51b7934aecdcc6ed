"""Numbers as the shortest decimal text that reads back as the same float64: as `repr` writes them, many at once.

A decimal of 15 digits always comes back from float64 (``DBL_DIG``), so the nearest one is the shortest text, but
for zeros at its end, if it reads back at all; else the nearest of 16, else of 17 digits. Scaling by powers of ten is done
in numbers of 64 bits, in which these are exact; where their rounding could matter, and for numbers with an exponent,
`repr` itself is asked. Texts are rows of bytes of equal length, padded by NUL, which a caller removes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from pymanip_run.records import FloatArray

__all__ = ["as_digits", "as_text"]

#: Longest text of `repr`: -2.2250738585072014e-308.
LONGEST = 24
#: Numbers between these have no exponent.
LEAST, MOST = 1e-4, 1e15
#: Half of the numbers may need `repr` before it is quicker to ask it for all.
MANY = 0.5
POINT, MINUS, ZERO = b".-0"
#: Powers of ten, exact to 10**27 in numbers of 64 bits.
POWERS = np.array([10**k for k in range(28)], np.longdouble)
WHOLE_POWERS = np.array([10**k for k in range(19)], np.int64)
#: The same numbers are not there on every computer.
IS_EXACT = np.finfo(np.longdouble).nmant == 63  # with more, as on ARM, they are slower than `repr`
#: Four digits for each number below 10000, as four bytes in one word.
FOUR = np.frombuffer(b"".join(b"%04d" % i for i in range(10_000)), np.uint32)


def as_text(values: FloatArray) -> NDArray[np.uint8]:
    """Return the text of each number, uint8 of shape (n, width), NUL at unused places."""
    if not IS_EXACT:
        return _asked(values)
    size = np.abs(values)
    plain = ((size >= LEAST) & (size < MOST)) | (size == 0)
    digits, places, sure = _shortest(np.where(plain, size, 1.0))
    sure &= plain
    if len(values) and np.mean(sure) < MANY:
        return _asked(values)
    found = _laid_out(digits, places, np.signbit(values))
    others = np.flatnonzero(~sure)
    if len(others):
        found[others] = 0
        found[others, :LONGEST] = _asked(values[others])
    return found


def _asked(values: FloatArray) -> NDArray[np.uint8]:
    texts = np.array(list(map(repr, values.tolist())), f"S{LONGEST}")
    return texts.view(np.uint8).reshape(len(values), LONGEST)


def _shortest(size: FloatArray) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return integers, how many of their digits are behind the point, and whether they are the shortest for sure."""
    with np.errstate(divide="ignore"):
        order = np.where(size > 0, np.floor(np.log10(size)), 0).astype(np.int64)
    order = np.minimum(order, 14)  # the logarithm of what is just below 10**15 is 15
    digits, places, sure, good = _nearest(size, order, 15)
    left = np.flatnonzero(sure & ~good)
    if len(left):
        # Below a power of two numbers are nearer than above it: the nearest text need not be the one.
        sure[left] = np.frexp(size[left])[0] != 0.5
    for count in (16, 17):
        if not len(left):
            break
        some, where, certain, good = _nearest(size[left], order[left], count)
        digits[left], places[left] = some, where
        sure[left] &= certain
        left = left[certain & ~good]
    sure[left] = False
    return digits, places, sure


def _nearest(size: FloatArray, order: NDArray[np.int64], count: int) -> tuple[Any, Any, Any, Any]:
    """Return the nearest decimals of `count` digits; whether that is for sure, and whether they read back."""
    places = count - 1 - order
    scale = POWERS[places]
    scaled = size * scale
    whole = np.rint(scaled)
    back = whole / scale
    nearest = back.astype(np.float64)
    # Rounded twice, once to 64 bits: that matters in the middle between two float64.
    off = (back - nearest).astype(np.float64)
    sure = np.abs(off) * 2 != np.spacing(nearest)
    digits = whole.astype(np.int64)
    sure &= digits <= WHOLE_POWERS[count]
    if count > 15:
        sure &= np.abs((scaled - whole).astype(np.float64)) < 0.495
    return digits, places, sure, nearest == size


def _laid_out(
    digits: NDArray[np.int64], places: NDArray[np.int64], negative: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    """Return ``-123.045`` of 123045 with 3 places, in columns: sign, digits, point, zeros, digits."""
    few = np.minimum(places, 18)
    power = WHOLE_POWERS[few]
    whole = digits // power
    behind = _behind(digits - whole * power, np.maximum(few, 1))
    before = _before(whole)
    zeros = places - few
    most = int(zeros.max(initial=0))
    at = 1 + before.shape[1]
    found = np.zeros((len(digits), max(LONGEST, at + 1 + most + behind.shape[1])), np.uint8)
    found[:, 0] = np.where(negative, MINUS, 0)
    found[:, 1:at] = before
    found[:, at] = POINT
    if most:
        found[:, at + 1 : at + 1 + most] = np.where(np.arange(most) < zeros[:, None], ZERO, 0)
    found[:, at + 1 + most : at + 1 + most + behind.shape[1]] = behind
    return found


def _before(whole: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the digits before the point, without zeros that begin them."""
    width = len(str(int(whole.max(initial=0))))
    found = as_digits(whole, -(-width // 4) * 4)[:, -width:]
    for at in range(width - 1):
        found[whole < WHOLE_POWERS[width - 1 - at], at] = 0
    return found


def _behind(rest: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the digits behind the point, without zeros that end them, but for a single one."""
    most = int(places.max(initial=1))
    found = as_digits(rest, -(-most // 4) * 4)[:, -most:]
    shorter = np.flatnonzero(places < most)
    if len(shorter):
        part = found[shorter]
        part[np.arange(most) < (most - places[shorter])[:, None]] = 0
        found[shorter] = part
    ending = np.flatnonzero(found[:, -1] == ZERO)
    for back in range(1, most):
        ending = ending[(found[ending, -back] == ZERO) & (places[ending] > back)]
        if not len(ending):
            break
        found[ending, -back] = 0
    return found


def as_digits(numbers: NDArray[np.int64], width: int) -> NDArray[np.uint8]:
    """Return the digits of whole numbers, uint8 of shape (n, width), with zeros before them; `width` is a multiple of 4."""
    words = np.empty((len(numbers), width // 4), np.uint32)
    for at in range(width // 4 - 1, -1, -1):
        upper = numbers // 10_000
        words[:, at] = FOUR[numbers - upper * 10_000]
        numbers = upper
    return words.view(np.uint8)
