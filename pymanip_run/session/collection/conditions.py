"""Conditions on sessions as people write them: ``voltage > 3``, ``operator = Ann``, ``start >= 2026-11-01``."""

from __future__ import annotations

import operator
import re
from functools import partial
from typing import TYPE_CHECKING, Any

from pymanip_run.errors import UsageError
from pymanip_run.records import as_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["condition", "is_met"]

_FORM = re.compile(r"\s*(.+?)\s*(<=|>=|!=|==|=|<|>)\s*(.+?)\s*", re.DOTALL)
_SIGNS: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq, "==": operator.eq, "!=": operator.ne,
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_TIMES = {"created", "start", "stop"}
_WORDS = {"true": True, "false": False}


def condition(text: str) -> tuple[str, Callable[[Any], bool]]:
    """Return the name in a condition, and what tells whether a value meets it.

    Raises
    ------
    UsageError
        If the text is none.
    """
    match = _FORM.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise UsageError(f"{text!r} is no condition; write for example 'voltage > 3'")
    name, sign, wanted = match.groups()
    return name, partial(_meets, _SIGNS[sign], _value(name, wanted), wanted)


def is_met(wanted: Any, value: Any) -> bool:
    """Tell whether a value is the wanted one, or the function that is wanted says yes of it."""
    return bool(wanted(value)) if callable(wanted) else _holds(operator.eq, wanted, value)


def _value(name: str, text: str) -> Any:
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    try:
        return float(text)
    except ValueError:
        pass
    if name in _TIMES:
        try:
            return as_timestamp(text)
        except ValueError as error:
            raise UsageError(f"{name}: {error}") from None
    return _WORDS.get(text.lower(), text)


def _meets(compare: Callable[[Any, Any], bool], wanted: Any, text: str, value: Any) -> bool:
    """Compare a value with what was typed: ``sample = 12`` holds for a text ``12``, too."""
    is_same = compare in (operator.eq, operator.ne)
    as_typed = is_same and isinstance(value, str) and not isinstance(wanted, str)
    return _holds(compare, text if as_typed else wanted, value)


def _holds(compare: Callable[[Any, Any], bool], wanted: Any, value: Any) -> bool:
    """Compare a value; a text with a number is different from it, and neither more nor less."""
    if isinstance(value, str) != isinstance(wanted, str):
        wanted, value = str(wanted), str(value)
        return compare in (operator.eq, operator.ne) and bool(compare(value, wanted))
    try:
        return bool(compare(value, wanted))
    except TypeError:  # a list, say, of the metadata
        return False
