"""Text that is safe on a terminal: inert, of a known width, and within what the encoding has."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymanip_run.wording import grouped, inert

if TYPE_CHECKING:
    from pymanip_run.records import FloatArray

__all__ = [
    "ASCII",
    "UNICODE",
    "Glyphs",
    "Number",
    "event_line",
    "glyphs_for",
    "grouped",
    "inert",
    "sparkline",
]

_TRANSLITERATED = str.maketrans({
    "°": "deg", "µ": "u", "μ": "u", "\u2126": "Ohm", "\u03a9": "Ohm", "·": "-", "…": "...", "–": "-", "—": "-", "−": "-",
    "²": "2", "³": "3", "×": "x", "→": "->", "±": "+-", "Å": "A", "½": "1/2",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Glyphs:
    """The signs a display draws with."""

    spark: str
    bar_done: str
    bar_open: str
    dot: str
    dash: str
    ellipsis: str
    encoding: str | None = None

    def encodable(self, text: str) -> str:
        """Return the text within the encoding: ``°C`` becomes ``degC`` where it must."""
        if self.encoding is None or text.isascii():
            return text
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            plain = unicodedata.normalize("NFKD", text.translate(_TRANSLITERATED))
            plain = "".join(c for c in plain if not unicodedata.combining(c))
            return plain.encode(self.encoding, "replace").decode(self.encoding)
        return text


UNICODE = Glyphs("▁▂▃▄▅▆▇█", "█", "░", "·", "–", "…")
ASCII = Glyphs("_.-~=+*#", "#", ".", "-", "-", "...", "ascii")


def glyphs_for(encoding: str | None) -> Glyphs:
    """Return the signs that the encoding of a stream can show."""
    encoding = encoding or "ascii"
    try:
        "▁▂▃▄▅▆▇█░·–…".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return Glyphs(ASCII.spark, "#", ".", "-", "-", "...", _known(encoding))
    return UNICODE


def _known(encoding: str) -> str:
    try:
        "a".encode(encoding)
    except LookupError:
        return "ascii"
    return encoding


class Number:
    """Writes the values of one variable so that they keep their width while they change.

    About five significant digits of the largest value seen, always the same number of decimals;
    values too small for these, and variables beyond them, in scientific notation. A `spec` of the
    experiment (``".3f"``) goes before all this.
    """

    __slots__ = ("_decimals", "_scale", "_whole", "spec")

    def __init__(self, spec: str | None = None) -> None:
        self.spec = spec
        self._scale = 0.0
        self._whole = True
        self._decimals = 0

    def saw(self, value: float) -> None:
        """Take into account that this value has to fit."""
        if not math.isfinite(value):
            return
        size = abs(value)
        if self._whole and not size.is_integer():
            self._whole = False
            self._decide()
        if size > self._scale:
            self._scale = size
            self._decide()

    def _decide(self) -> None:
        exponent = math.floor(math.log10(self._scale)) if self._scale > 0 else 0
        self._decimals = 0 if self._whole else min(7, max(0, 4 - max(exponent, -3)))

    def __call__(self, value: float) -> str:
        """Return the value in words of a steady width; NaN as ``nan``."""
        if not math.isfinite(value):
            return repr(value)
        if self.spec:
            try:
                return inert(format(value, self.spec))
            except (ValueError, TypeError):
                self.spec = None
        size = abs(value)
        largest = max(size, self._scale)
        plain = largest == 0 or 1e-3 <= largest < (1e9 if self._whole else 1e6)
        if not plain or 0 < size < 10.0**-self._decimals:
            return f"{value:.4e}"
        return f"{value:.{self._decimals}f}"


def sparkline(cells: FloatArray, glyphs: Glyphs = UNICODE) -> str:
    """Return one sign for each cell, shape (n,); a space for NaN."""
    import numpy as np  # noqa: PLC0415 - what only writes text does not wait for it

    shown = np.isfinite(cells)
    if not shown.any():
        return " " * len(cells)
    halved = cells / 2  # so that the range of ±1e308 does not overflow
    low, high = float(halved[shown].min()), float(halved[shown].max())
    top = len(glyphs.spark) - 1
    if high > low:
        with np.errstate(invalid="ignore", over="ignore"):
            share = np.where(shown, (halved - low) / (high - low), 0.0)
        levels = np.rint(np.clip(share, 0.0, 1.0) * top).astype(int)
    else:
        levels = np.full(len(cells), top // 2)
    return "".join(
        glyphs.spark[i] if ok else " "
        for i, ok in zip(levels.tolist(), shown.tolist(), strict=True)
    )


def event_line(kind: str, source: str, text: str) -> str:
    """Return what is shown of an event: ``flow: no fresh value`` or ``note: refilled nitrogen``."""
    head = source or kind
    if kind == "note":
        head = f"note ({source})" if source else "note"
    return inert(f"{head}: {text}")
