"""The words of a YAML parser in plain words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import yaml

    from pymanip_run.experiment.text.problems import Mark, Source

__all__ = ["explain", "first_bad_character"]

# YAML 1.2, c-printable, without those that other programs take for line breaks, that have no width,
# or that turn the direction of the line around.
_UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\u200a\u200c-\u2027\u202f-\u205f\u2070-\ud7ff\ue000-\ufefe\uff00-\ufffd"
    "\U00010000-\U0010ffff]"
)
# It looks like a blank and is none where YAML needs one: before a key, after '-' or its ':'.
_NO_BREAK = re.compile(r"^ *(?:- +)*(?:[\w.-]+:)?(\xa0)", re.MULTILINE)
# A tab does no harm after a '#', in a comment.
_TAB = re.compile(r"(?:^|(?<=\r))(?:(?!(?<!\S)#)[^\t\r\n])*(\t)", re.MULTILINE)

# A key with its value, in a block or after the '{' or ',' of a flow mapping.
_VALUE = re.compile(r"(?:^|[{,])\s*(?:- +)?[^\s:{},]+: +[^\s{\[][^{},]*$")
_TIGHT = re.compile(r" *(?:- +)?[^\s:#]+:[^ :]+ *(?:#.*)?$")

# Two parsers, in C and in Python, say the same in different words.
_CASES = (
    ("mapping values are not allowed",
     "':' is not expected here; is the line indented like the others of its mapping, and has the key above its ': '?"),
    ("sequence entries are not allowed", "a list item '- ' must begin on a line of its own"),
    ("mapping keys are not allowed", "a text that begins with '?' needs quotes"),
    ("'-' indicator|found '\\?'", "this is not an item of the list begun in line {context}; is the indentation right?"),
    ("expected key|<block end>",
     "this does not continue the mapping begun in line {context}; is the indentation right, or is a quote missing?"),
    ("expected ':'", "this line has no ':' after its key"),
    ("cannot start any token", "a text that begins with {char} needs quotes"),
    ("unknown escape", "unknown escape in double quotes; write \\\\ for a backslash, or use single quotes"),
    ("node content", "a value is missing before {char}"),
    ("end of stream", "this quote is not closed"),
    ("document start", "several documents in one file; an experiment file has one"),
    ("incompatible YAML document", "this is not YAML 1.2"),
    ("tag", "tags ('!…') are not allowed"),
    ("alias|anchor", "a name of letters and digits is needed after '&' and '*'"),
)  # fmt: skip
_AT_CONTEXT = re.compile("expected ':'|end of stream")


def explain(error: yaml.MarkedYAMLError, source: Source) -> tuple[Mark, str]:
    """Return the place and the plain words of a parser's error."""
    problem = error.problem or error.context or ""
    mark, context = error.problem_mark or error.context_mark, error.context_mark
    if _AT_CONTEXT.search(problem) and context is not None:
        mark = context
    index = mark.index if mark is not None else 0
    line = context.line + 1 if context is not None else 1
    if "unknown escape" in problem and source.text[index : index + 1] != "\\":
        index -= 1
    if source.text.startswith("```", index):
        return source.mark(index), "``` belongs to Markdown, not to YAML; take this line out"
    if (opened := _closed_before(source.text, index)) is not None:
        begun, bracket = opened
        return source.mark(begun), f"a text that begins with {bracket!r} needs quotes"
    place = source.mark(index)
    text = _colon(problem, source.lines, place) or _flow(problem, source.text, index, line)
    return place, text or _case(problem, source.text[index : index + 1], line)


def _closed_before(text: str, index: int) -> tuple[int, str] | None:
    """Return where the bracket opens that closes before `index`, as in ``{date}.h5`` and ``[old] run``."""
    line = text.rfind("\n", 0, index) + 1
    before, rest = text[line:index].rstrip(" "), text[index:].partition("\n")[0]
    bracket = {"}": "{", "]": "["}.get(before[-1:])
    is_key = line + len(before) < index and ": " in rest  # of a second mapping in this line
    if bracket is None or is_key or not rest[:1].strip(" \r,:#{}[]"):
        return None
    begun = before.rfind(bracket)
    return None if begun < 0 else (line + begun, bracket)


def _colon(problem: str, lines: Sequence[str], mark: Mark) -> str | None:
    """Return what is wrong with the ':' at a place."""
    here = lines[mark.line - 1] if 0 < mark.line <= len(lines) else ""
    if here[mark.column - 1 : mark.column] != ":":
        return None
    if "mapping values" in problem or "',' or" in problem:
        if _VALUE.search(here[: mark.column - 1]):
            return "a text with ': ' in it needs quotes"
        above = next((n for n in range(mark.line - 1, 0, -1) if lines[n - 1].strip()), 0)
        if above and _TIGHT.match(lines[above - 1]):
            return f"a blank is missing after the ':' in line {above}"
    return None


def _flow(problem: str, text: str, index: int, line: int) -> str | None:
    found = re.search(r"',' or '([\]}])'", problem)
    if found is None:
        return None
    if text[max(index - 1, 0) : index + 1] == "${":
        return 'inside [ ] and { } a reference needs quotes: "${NAME}"'
    opened = {"]": "[", "}": "{"}[found[1]]
    rest = text.split("\n")[line - 1 : line] if "\r" not in text else [""]
    comment = (
        "; what follows ' #' is a comment, a text with it needs quotes" if " #" in rest[0] else ""
    )
    return f"the {opened!r} in line {line} is not closed: ',' or {found[1]!r} is expected here{comment}"


def _case(problem: str, char: str, line: int) -> str:
    for pattern, text in _CASES:
        if re.search(pattern, problem):
            return text.format(context=line, char=repr(char) if char else "the end")
    return "this is not YAML"


def first_bad_character(text: str) -> tuple[int, str] | None:
    """Return index and message of the first character that an experiment file must not have, or None."""
    tab, no_break, other = _TAB.search(text), _NO_BREAK.search(text), _UNPRINTABLE.search(text)
    found = []
    if tab is not None:
        found.append((tab.start(1), "a tab; use spaces (in a text, write \\t in double quotes)"))
    if no_break is not None:
        index = no_break.end() - 1
        found.append((index, "a no-break space (U+00A0), which looks like a space and is none"))
    if other is not None:
        code = ord(other[0])
        found.append(
            (other.start(), f"the character U+{code:04X} cannot be seen and is not allowed")
        )
    return min(found, default=None)
