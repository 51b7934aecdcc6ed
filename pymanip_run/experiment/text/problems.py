"""What is wrong with an experiment, where it is written, and how a person is told."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from pymanip_run.errors import ConfigError
from pymanip_run.masking import MASK, starred

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Mark", "Problem", "Source", "config_error", "inert", "masked"]

MAX_SHOWN = 50
MAX_WIDTH = 100
#: Of a message or a path; only nonsense is longer.
MAX_TEXT = 2000
_BREAK = re.compile(r"\r\n|\r|\n")


class Source:
    """A text in which places are named: the experiment file, or one ``--set``.

    Parameters
    ----------
    label
        What it is called in messages.
    text
        Its text; None where a place is the whole source, without line and column.
    """

    __slots__ = ("hidden", "label", "lines", "starts", "text")

    def __init__(self, label: str, text: str | None = None) -> None:
        self.label = label
        self.text = text or ""
        self.lines: Sequence[str] = _BREAK.split(text) if text is not None else ()
        self.starts = [0, *(found.end() for found in _BREAK.finditer(self.text))]
        #: Parts of the text, as (start, end), that must not be shown.
        self.hidden: list[tuple[int, int]] = []

    def mark(self, index: int) -> Mark:
        """Return the place of a character of the text."""
        if not self.lines:
            return Mark(self, 0, 0)
        line = bisect_right(self.starts, index)
        return Mark(self, line, index - self.starts[line - 1] + 1)


class Mark(NamedTuple):
    """A place in a source; line and column count from 1, line 0 is the whole source."""

    source: Source
    line: int
    column: int

    def __str__(self) -> str:
        label = inert(self.source.label)
        return f"{label}:{self.line}:{self.column}" if self.line else label


class Problem(NamedTuple):
    """One thing that is wrong."""

    mark: Mark
    #: Dotted path of the key, "" where there is none.
    path: str
    message: str
    #: More lines, a traceback for example.
    detail: str = ""

    def line(self) -> str:
        """Return the message with its place, in one line."""
        parts = (str(self.mark), _bounded(inert(self.path)), _bounded(self.message))
        return ": ".join(part for part in parts if part)

    def render(self) -> str:
        """Return the message with its place, the line of the source and a caret under the column."""
        return "\n".join([self.line(), *_excerpt(self.mark), *self.detail.splitlines()])


def config_error(problems: Sequence[Problem]) -> ConfigError:
    """Return one error that tells all `problems`, in the order of the file; overrides and modules follow."""
    order: dict[Source, int] = {}
    for problem in problems:
        rank = 0 if problem.mark.line else 1
        order.setdefault(problem.mark.source, rank)
    ordered = sorted(problems, key=lambda p: (order[p.mark.source], p.mark.line, p.mark.column))
    unique = list(dict.fromkeys(ordered))
    texts = [problem.render() for problem in unique[:MAX_SHOWN]]
    if len(unique) > MAX_SHOWN:
        texts.append(f"… and {len(unique) - MAX_SHOWN} more")
    return ConfigError(starred("\n".join(texts)))


def inert(text: str) -> str:
    """Return `text` with everything that a terminal would obey, or not show, written as an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _bounded(text: str) -> str:
    return (
        text if len(text) <= MAX_TEXT else f"{text[: MAX_TEXT * 3 // 4]} … {text[-MAX_TEXT // 5 :]}"
    )


def masked(source: Source, start: int, end: int) -> str:
    """Return a part of the source's text with ``***`` in place of its secrets."""
    parts, position = [], start
    for low, high in sorted(source.hidden):
        if high <= position or low >= end:
            continue
        parts += [source.text[position : max(low, position)], MASK]
        position = min(high, end)
    return "".join([*parts, source.text[position:end]])


def _excerpt(mark: Mark) -> list[str]:
    if not mark.line or mark.line > len(mark.source.lines):
        return []
    start = mark.source.starts[mark.line - 1]
    end = start + len(mark.source.lines[mark.line - 1])
    here = min(start + mark.column - 1, end)
    # Of a line without end, what is cut away below anyway.
    start, end = max(start, here - 10 * MAX_WIDTH), min(end, here + 10 * MAX_WIDTH)
    before = inert(masked(mark.source, start, here).replace("\t", " "))
    # A place inside a secret: the mask stands before the caret, nothing of the secret after it.
    after = inert(masked(mark.source, here, end).replace("\t", " "))
    if before.endswith(MASK) and after.startswith(MASK):
        before = before.removesuffix(MASK)
    before, after = _cut(before, after)
    number = str(mark.line)
    return [
        f"    {number} | {before}{after}".rstrip(),
        f"    {' ' * len(number)} | {' ' * sum(map(_width, before))}^",
    ]


def _cut(before: str, after: str) -> tuple[str, str]:
    """Return a line of bounded length around the caret."""
    if len(before) + len(after) <= MAX_WIDTH:
        return before, after
    if len(before) > MAX_WIDTH * 2 // 3:
        before = "…" + before[-(MAX_WIDTH // 2) :]
    room = MAX_WIDTH - len(before)
    return before, after if len(after) <= room else after[:room] + "…"


def _width(char: str) -> int:
    """Return how many columns of a terminal a character takes."""
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1
