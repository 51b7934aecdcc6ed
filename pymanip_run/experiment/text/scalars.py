"""Scalars of YAML 1.2, chapter 10.3.2 (core schema): what a text without quotes means."""

from __future__ import annotations

import math
import re

__all__ = ["as_written", "resolve"]

_NAMED: dict[str, bool | float | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **dict.fromkeys(
        (f"{sign}{inf}" for sign in ("", "+") for inf in (".inf", ".Inf", ".INF")), math.inf
    ),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), -math.inf),
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = {"0o": (re.compile(r"0o[0-7]+"), 8), "0x": (re.compile(r"0x[0-9a-fA-F]+"), 16)}
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_MAX_DIGITS = 300  # longer ones have no float, and Python refuses to read the longest


def resolve(text: str) -> str | int | float | bool | None:
    """Return the value of a plain scalar.

    Raises
    ------
    ValueError
        If it is a number beyond what a float64 can hold.
    """
    if text in _NAMED:
        return _NAMED[text]
    if _INTEGER.fullmatch(text):
        return int(_bounded(text))
    pattern, base = _BASED.get(text[:2], (None, 0))
    if pattern is not None and pattern.fullmatch(text):
        return int(_bounded(text)[2:], base)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if math.isinf(number):
            raise ValueError(f"the number {_short(text)} is too large")
        return number
    return text


def as_written(value: object) -> str:
    """Return a value as a person would write it in the file, for messages."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return f"the text {_short(repr(value))}"
    return f"the number {_short(repr(value))}"


def _bounded(text: str) -> str:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"the number {_short(text)} is too large")
    return text


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
