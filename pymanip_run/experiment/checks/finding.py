"""What the checks across keys find, and how they read the plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from pymanip_run.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymanip_run.experiment.text.nodes import Part

__all__ = ["Finding", "choice", "given", "listed", "mapping", "number", "seconds", "texts"]


class Finding(NamedTuple):
    """Something wrong at a path."""

    path: tuple[Part, ...]
    message: str
    #: It is the value, not the key, that is to be changed.
    value: bool = False
    #: The run can go on.
    warning: bool = False
    #: Where in the value, from 0.
    column: int = 0


def mapping(data: object, key: str | None = None) -> Mapping[str, Any]:
    """Return a mapping, or the one below a key; an empty one where there is something else."""
    if key is not None:
        data = data.get(key) if isinstance(data, dict) else None
    return data if isinstance(data, dict) else {}


def listed(data: Mapping[str, Any], key: str) -> list[Any]:
    """Return the list below a key, of one where there is a value by itself."""
    value = data.get(key)
    return value if isinstance(value, list) else [] if value is None else [value]


def texts(data: Mapping[str, Any], key: str) -> list[str]:
    """Return the texts of the list below a key."""
    return [value for value in listed(data, key) if isinstance(value, str)]


def given(data: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    """Return those of `keys` that have a value, in their order in `data`."""
    return [key for key in data if key in keys and data[key] is not None]


def number(value: object) -> float | None:
    """Return a number, None for anything else."""
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def seconds(value: object) -> float | None:
    """Return a duration in seconds, None for anything else."""
    if not isinstance(value, (str, int, float)) or isinstance(value, bool):
        return None
    try:
        return parse_duration(value)
    except ValueError:
        return None


def choice(words: Sequence[str], word: str = "or") -> str:
    """Return words as an enumeration: ``a, b or c``."""
    *others, last = words
    return f"{', '.join(others)} {word} {last}" if others else last
