"""Durations and sizes as people write them: ``250ms``, ``2h30m``, ``1.5d``, ``PT10S``, ``2GB``."""

from __future__ import annotations

import math
import re

__all__ = [
    "DURATION_PATTERN",
    "SIZE_PATTERN",
    "format_clock",
    "format_duration",
    "format_rate",
    "format_size",
    "parse_duration",
    "parse_size",
]

_SECONDS = {
    "ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3,
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hour": 3600.0, "hours": 3600.0,
    "d": 86400.0, "day": 86400.0, "days": 86400.0,
    "w": 604800.0, "week": 604800.0, "weeks": 604800.0,
}  # fmt: skip
_BYTES = {
    "": 1, "B": 1,
    "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_NUMBER = r"(?:\d[\d_]*(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_PART = re.compile(rf"\s*({_NUMBER})\s*([a-zµ]+)\s*")
# ISO 8601 4.4.4.2, without years and months, whose lengths vary.
_ISO = re.compile(
    rf"P(?:({_NUMBER})W)?(?:({_NUMBER})D)?(?:T(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?"
)


#: Both as regular expressions that JSON Schema knows too.
DURATION_PATTERN = (
    rf"^\s*(?:[+-]?{_NUMBER}|(?:{_NUMBER}\s*(?:{'|'.join(sorted(_SECONDS, key=len, reverse=True))})\s*)+"
    rf"|P(?:[0-9.]+[WD])*(?:T(?:[0-9.]+[HMS])+)?)\s*$"
)
SIZE_PATTERN = rf"^\s*{_NUMBER}\s*(?:{'|'.join(unit for unit in _BYTES if unit)})?\s*$"


def parse_duration(value: str | float) -> float:
    """Return a duration in seconds.

    Parameters
    ----------
    value
        A number of seconds, or a text such as ``"250ms"``, ``"10 s"``, ``"2h30m"``, ``"1.5d"`` or
        ISO 8601 ``"PT10S"``.

    Raises
    ------
    ValueError
        If the text is not a duration, or it is negative or not finite.
    """
    if isinstance(value, bool):
        raise ValueError(f"{value!r} is not a duration")  # noqa: TRY004 - one error for all bad input
    seconds = float(value) if isinstance(value, (int, float)) else _parse_text(value)
    if not math.isfinite(seconds) or seconds < 0:
        raise ValueError(f"{value!r} is not a duration: it must be finite and not negative")
    return seconds


def _parse_text(text: str) -> float:
    stripped = text.strip()
    try:
        return float(stripped)
    except ValueError:
        pass
    if stripped.startswith("P"):
        return _parse_iso(stripped, text)
    position, total = 0, 0.0
    while position < len(stripped):
        part = _PART.match(stripped, position)
        if part is None or part[2] not in _SECONDS:
            raise ValueError(
                f"{text!r} is not a duration; write for example 250ms, 10s, 2h30m or 1.5d"
            )
        total += float(part[1]) * _SECONDS[part[2]]
        position = part.end()
    if position == 0:
        raise ValueError("an empty text is not a duration")
    return total


def _parse_iso(stripped: str, text: str) -> float:
    match = _ISO.fullmatch(stripped)
    if match is None or not any(match.groups()):
        raise ValueError(f"{text!r} is not an ISO 8601 duration; write for example PT10S or P1DT2H")
    factors = (604800.0, 86400.0, 3600.0, 60.0, 1.0)
    return sum(float(g) * f for g, f in zip(match.groups(), factors, strict=True) if g)


def parse_size(value: str | int) -> int:
    """Return a size in bytes from a number or a text such as ``"2GB"`` or ``"512MiB"``.

    Raises
    ------
    ValueError
        If the text is not a size.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    match = re.fullmatch(rf"\s*({_NUMBER})\s*([A-Za-z]*)\s*", str(value))
    if isinstance(value, bool) or match is None or match[2] not in _BYTES:
        raise ValueError(f"{value!r} is not a size; write for example 500MB, 2GB or 512MiB")
    return round(float(match[1]) * _BYTES[match[2]])


def format_clock(seconds: float) -> str:
    """Return a running time as ``0:02:07``, ``2:14:07`` or ``3 d 2:14:07``; its width is steady."""
    if not math.isfinite(seconds):
        return "–"
    whole = max(0, int(seconds))
    days, rest = divmod(whole, 86400)
    hours, rest = divmod(rest, 3600)
    clock = f"{hours}:{rest // 60:02}:{rest % 60:02}"
    return f"{days} d {clock}" if days else clock


def format_duration(seconds: float) -> str:
    """Return a duration in words of one or two units: ``250 ms``, ``10 s``, ``2 h 30 min``."""
    if not math.isfinite(seconds):
        return "–"
    # The limits are where the next unit begins when rounded: never 1000 ms or 60 s.
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 59.5:
        return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.0f} s"
    whole = round(seconds)
    for size, unit, small, small_unit in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // small
            return (
                f"{whole // size} {unit} {rest} {small_unit}" if rest else f"{whole // size} {unit}"
            )
    return f"{whole} s"


def format_rate(rate: float) -> str:
    """Return values per second as ``10/s``, rarer ones as ``every 1 min``; a dash for none."""
    if not rate > 0 or math.isinf(rate):
        return "–"
    return f"every {format_duration(1 / rate)}" if rate < 0.1 else f"{rate:.3g}/s"


def format_size(size: float) -> str:
    """Return a size with a decimal prefix: ``812 B``, ``3.1 MB``, ``42 GB``."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 999.5:
            digits = 0 if unit == "B" or size >= 99.5 else 1
            return f"{size:.{digits}f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
