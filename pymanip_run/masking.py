"""Secrets in texts that are stored or shown: how they are recognised, and the texts without them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "MASK",
    "OPEN_BLOCK",
    "WRITTEN",
    "is_secret",
    "masked_arguments",
    "masked_assignment",
    "masked_diff",
    "masked_source",
]

MASK = "***"
_SECRET = re.compile(r"pass(?:word|phrase)|token|secret|api[-_]?key", re.IGNORECASE)
#: What looks like a secret and its value where no tree tells: in comments, in a file that cannot be read.
WRITTEN = re.compile(
    rf"(?:{_SECRET.pattern})[^\s:=,{{}}\[\]]*?[\"']?\s*[:=][ \t]*(\S.*)", re.IGNORECASE
)
#: A line below which a secret may stand, indented.
OPEN_BLOCK = re.compile(rf"\s*(?:- +)*[\"']?[^\s:#]*(?:{_SECRET.pattern})[^:#]*:", re.IGNORECASE)
_LITERAL = re.compile(r"([rbuf]{0,2})(\"{3}|'{3}|[\"'])((?:\\.|(?!\2).)*)(?:\2|$)", re.IGNORECASE)
_FILE = re.compile(r"\+\+\+ (.*)")


def is_secret(path: Sequence[object]) -> bool:
    """Tell whether a value under these keys must not be shown."""
    return any(_SECRET.search(str(part)) for part in path)


def masked_assignment(text: str) -> str:
    """Return a ``path=value``, of ``--set`` for example, without its value where that is a secret."""
    path, equals, value = text.partition("=")
    if equals and (is_secret(path.split(".")) or WRITTEN.search(value)):
        return f"{path}={MASK}"
    return text


def masked_arguments(words: Iterable[str]) -> list[str]:
    """Return the words of a command line, without the values of options that name a secret."""
    masked, follows = [], False
    for word in words:
        is_option = word.startswith("-")
        masked.append(MASK if follows and not is_option else masked_assignment(word))
        follows = is_option and "=" not in word and is_secret([word])
    return masked


def masked_source(text: str) -> str:
    """Return Python source in which the texts assigned to names of secrets are masked."""
    return "".join(map(_masked_code, text.splitlines(keepends=True)))


def masked_diff(text: str) -> str:
    """Return a unified diff without the secrets in its lines; all else is as it was."""
    return "".join(_masked_lines(text.splitlines(keepends=True)))


def _masked_lines(lines: Iterable[str]) -> Iterator[str]:
    code, indent = False, None
    for line in lines:
        if found := _FILE.match(line):
            code, indent = found[1].rstrip().rstrip('"').endswith(".py"), None
        if not line.startswith(("+", "-", " ")) or line.startswith(("+++ ", "--- ")):
            yield line
        elif code:
            yield _masked_code(line)
        else:
            sign, body = line[0], line[1:].rstrip("\r\n")
            width = len(body) - len(body.lstrip())
            if body.strip() and indent is not None and width <= indent:
                indent = None
            if indent is not None and body.strip():
                masked = body[:width] + MASK
            else:
                masked = WRITTEN.sub(lambda m: m[0][: m.start(1) - m.start()] + MASK, body)
                if OPEN_BLOCK.match(body):
                    indent = width
            yield sign + masked + line[1 + len(body) :]


def _masked_code(line: str) -> str:
    """Return a line of Python with the literals masked that follow the name of a secret."""
    found = WRITTEN.search(line)
    if found is None:
        return line
    before, after = line[: found.start(1)], line[found.start(1) :]
    return before + _LITERAL.sub(lambda m: f"{m[1]}{m[2]}{MASK}{m[2]}", after)
