"""Values as JSON has them: what is not finite is null, and said beside."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pymanip_run.records import FloatArray

__all__ = ["dumps", "nonfinite_word", "numbers"]


def dumps(content: Any) -> bytes:
    """Return JSON; NaN must have been replaced before."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(
        "utf-8", "replace"
    )


def nonfinite_word(value: float) -> str:
    """Return how a number is called that JSON does not have."""
    return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"


def numbers(values: FloatArray) -> tuple[list[float | None], list[list[Any]]]:
    """Return an array as a list with None in some places, and [index, word] for each of these."""
    listed: list[float | None] = values.tolist()
    places = np.flatnonzero(~np.isfinite(values)).tolist()
    flags = [[index, nonfinite_word(float(values[index]))] for index in places]
    for index in places:
        listed[index] = None
    return listed, flags
