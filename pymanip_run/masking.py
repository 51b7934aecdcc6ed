"""Secrets in texts that are stored or shown: how they are recognised, and the texts without them."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

__all__ = [
    "MASK",
    "OPEN_BLOCK",
    "WRITTEN",
    "is_secret",
    "known_secrets",
    "masked_arguments",
    "masked_assignment",
    "masked_diff",
    "masked_source",
    "starred",
]

MASK = "***"
# "passw" also takes passwd, and the slip passwrod.
_SECRET = re.compile(r"passw|passphrase|token|secret|api[-_]?key", re.IGNORECASE)
#: What looks like a secret and its value where no tree tells: in comments, in a file that cannot be read.
WRITTEN = re.compile(
    rf"(?:{_SECRET.pattern})[^\s:=,{{}}\[\]]*?[\"']?\s*[:=][ \t]*(\S.*)", re.IGNORECASE
)
#: A line below which a secret may stand, indented.
OPEN_BLOCK = re.compile(rf"\s*(?:- +)*[\"']?[^\s:#]*(?:{_SECRET.pattern})[^:#]*:", re.IGNORECASE)
_LITERAL = re.compile(r"([rbuf]{0,2})(\"{3}|'{3}|[\"'])((?:\\.|(?!\2).)*)(?:\2|$)", re.IGNORECASE)
_FILE = re.compile(r"\+\+\+ (.*)")
#: Shorter secrets, and these, would take away half of what is to be read.
_MIN_LENGTH = 4
#: Shorter ones are only recognised where they are no part of a longer word.
_ALONE_BELOW = 8
_MIN_LINE = 8
_PLAIN_WORDS = {"true", "false", "none", "null"}
#: The secrets of the experiments of this process, and how many know each.
_known: Counter[str] = Counter()
_longest_first: list[str] = []


def is_secret(path: Sequence[object]) -> bool:
    """Tell whether a value under these keys must not be shown."""
    return any(_SECRET.search(str(part)) for part in path)


@contextmanager
def known_secrets(values: Iterable[str]) -> Iterator[None]:
    """Let :func:`starred` know the values of secrets within the context.

    They stay known after an error, whose message and traceback are still to be shown.
    """
    found = set(_recognisable(values))
    _change(found, 1)
    yield
    _change(found, -1)


def _change(secrets: set[str], by: int) -> None:
    for secret in secrets:
        _known[secret] += by
        if not _known[secret]:
            del _known[secret]
    _longest_first[:] = sorted(_known, key=len, reverse=True)


def starred(text: str) -> str:
    """Return `text` with ``***`` in place of each known secret, wherever it came from."""
    for secret in tuple(_longest_first):
        if secret in text and len(secret) < _ALONE_BELOW:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", MASK, text)
        elif secret in text:
            text = text.replace(secret, MASK)
    return text


def _recognisable(values: Iterable[str]) -> Iterator[str]:
    for value in values:
        text = value.strip()
        if len(text) >= _MIN_LENGTH and text.lower() not in _PLAIN_WORDS:
            yield text
            if repr(text)[1:-1] != text:
                yield repr(text)[1:-1]
        if "\n" in text:
            yield from (
                line for line in map(str.strip, text.splitlines()) if len(line) >= _MIN_LINE
            )


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
