"""Names that other programs accept, made from any; each stays distinct."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["distinct", "file_name", "identifier", "identifiers"]

#: Of MATLAB (``namelengthmax``); netCDF's is longer.
LONGEST = 63
KEYWORDS = frozenset({
    "break", "case", "catch", "classdef", "continue", "else", "elseif", "end", "for", "function", "global", "if",
    "otherwise", "parfor", "persistent", "return", "spmd", "switch", "try", "while",
})  # fmt: skip
#: What NFKD does not take apart.
LETTERS = str.maketrans({"ø": "o", "Ø": "O", "æ": "ae", "Æ": "AE", "ß": "ss", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D"})  # fmt: skip


def identifier(name: str) -> str:
    """Return a name of letters, digits and underscores that begins with a letter, at most 63 long."""
    plain = unicodedata.normalize("NFKD", name.translate(LETTERS))
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    word = re.sub(r"[^A-Za-z0-9_]", "_", plain)
    if not word[:1].isalpha() or word in KEYWORDS:
        word = f"x{word}"
    return word[:LONGEST]


def distinct(
    names: Iterable[str],
    taken: Iterable[str] = (),
    fold: Callable[[str], str] = str,
    longest: int | None = None,
) -> list[str]:
    """Return names of which no two are equal: later ones get a number.

    Parameters
    ----------
    taken
        Names that none may have.
    fold
        Makes equal what the other program takes for equal.
    longest
        How many characters a name may have.
    """
    seen = {fold(name) for name in taken}
    found = []
    for name in names:
        number, made = 1, name
        while fold(made) in seen:
            number += 1
            ending = f"_{number}"
            made = name[: None if longest is None else longest - len(ending)] + ending
        seen.add(fold(made))
        found.append(made)
    return found


def identifiers(names: Iterable[str], taken: Iterable[str] = ()) -> list[str]:
    """Return an identifier for each name, no two of them equal."""
    return distinct(map(identifier, names), taken, longest=LONGEST)


def file_name(name: str) -> str:
    """Return a name without what file systems do not take, at most 200 bytes long."""
    plain = "".join("_" if c in '/\\:*?"<>|' else c for c in name).strip(". ") or "_"
    return plain.encode()[:200].decode("utf-8", "ignore")
