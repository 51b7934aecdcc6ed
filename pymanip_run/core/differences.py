"""What is different between two sets of settings, in lines that a person reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from pymanip_run.core.plainly import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["changed", "differences", "in_words"]

_MISSING: Final = object()
_LONGEST = 60
_FEW = 5
#: How values of sweeps are kept that JSON does not have; see `plainly`.
_TAGS: Final = {"tuple", "scalar", "array", "complex", "bytes"}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return a line for each value that is not what it was: ``settle: 30.0, was 10.0``.

    Parameters
    ----------
    old, new
        What JSON holds; the keys of mappings in mappings are joined by dots.
    """
    return [text for _, text in changed(old, new)]


def changed(
    old: Mapping[str, Any], new: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the path of each value that is not what it was, and a line about it."""
    for key in dict.fromkeys((*new, *old)):
        before, now = old.get(key, _MISSING), new.get(key, _MISSING)
        if isinstance(before, dict) and isinstance(now, dict):
            yield from changed(before, now, (*path, key))
        elif not _same(before, now):
            name = ".".join((*path, key))
            yield (*path, key), f"{name}: {_new(before, now)}"


def _same(a: Any, b: Any) -> bool:
    if a is _MISSING or b is _MISSING:
        return a is b
    # As text: true is not 1, nan is nan.
    return json.dumps(_normal(a), sort_keys=True) == json.dumps(_normal(b), sort_keys=True)


def _normal(value: Any) -> Any:
    """Return a value in which 3 and 3.0 are the same."""
    if isinstance(value, dict):
        return {key: _normal(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_normal(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _new(before: Any, now: Any) -> str:
    if before is _MISSING:
        return f"{in_words(now)}, was not there"
    if now is _MISSING:
        return f"not there any more, was {in_words(before)}"
    new, old = in_words(now), in_words(before)
    if new == old and isinstance(now, list) and isinstance(before, list):
        index = next(i for i, pair in enumerate(zip(now, before, strict=False)) if not _same(*pair))
        return f"{new}, but point {index} is {in_words(now[index])}, was {in_words(before[index])}"
    return f"{new}, was {old}"


def in_words(value: Any) -> str:
    """Return a value in at most 60 characters: of a list of more than 5 their number, the first and the last."""
    text = _text(value)
    if isinstance(value, list) and len(value) > _FEW:
        return f"{len(value)} values from {in_words(value[0])} to {in_words(value[-1])}"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, dict) and len(value) == 1 and value.keys() <= _TAGS:
        return shown(json.dumps(value))
    return json.dumps(value, ensure_ascii=False)
