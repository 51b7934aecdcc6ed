"""Text in columns and lists that fits a width."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["TITLE", "cells", "cut", "fitting", "listed", "table", "wrapped"]

#: Width of the title of a list, and blanks between two columns.
TITLE, GAP = 12, 2


def table(rows: Sequence[tuple[str, ...]], left: Collection[int]) -> list[str]:
    """Return rows as lines, in columns to the right but those of `left`."""
    widths = [max(cells(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        padded = []
        for i, (text, size) in enumerate(zip(row, widths, strict=True)):
            pad = " " * (size - cells(text))
            padded.append(text + pad if i in left else pad + text)
        lines.append((" " * GAP).join(padded).rstrip())
    return lines


def fitting(rows: Sequence[tuple[str, ...]], width: int, least: Sequence[int]) -> list[int]:
    """Return the columns to show: those of `least` are left out, in this order, as far as is needed."""
    widths = [max(cells(row[i]) for row in rows) for i in range(len(rows[0]))]
    shown = list(range(len(widths)))
    for column in least:
        if sum(widths[i] + GAP for i in shown) - GAP <= width:
            break
        shown.remove(column)
    return shown


def cells(text: str) -> int:
    """Return the width on a terminal; what matters here are wide and combining characters."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def cut(text: str, length: int) -> str:
    """Return a text of at most `length` characters, with an ellipsis where it was longer."""
    return text if len(text) <= length else text[: length - 1] + "…"


def listed(title: str, texts: Sequence[str], width: int) -> list[str]:
    """Return texts joined by dots, a title before the first line of them; nothing of none."""
    if not texts:
        return []
    lines = wrapped(texts, width - TITLE - 1)
    return [f"{title if i == 0 else '':{TITLE}} {line}" for i, line in enumerate(lines)]


def wrapped(parts: Sequence[str], width: int) -> list[str]:
    """Return parts joined by dots, broken between two of them where a line is full."""
    lines: list[str] = []
    for part in parts:
        if lines and cells(lines[-1]) + 3 + cells(part) <= width:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return lines
