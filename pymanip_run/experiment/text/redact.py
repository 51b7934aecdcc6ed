"""The secrets of an experiment file: where they are written, and its text without them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pymanip_run.experiment.text.nodes import ListNode, MappingNode, Node, Part, Scalar, dotted
from pymanip_run.experiment.text.problems import Problem
from pymanip_run.masking import MASK, OPEN_BLOCK, WRITTEN, is_secret, starred

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymanip_run.experiment.text.problems import Source

__all__ = [
    "hide_secrets",
    "is_public",
    "literal_secrets",
    "redacted",
    "redacted_values",
    "secret_scalars",
]

_COMMENT = re.compile(r"(?<!\S)#.*")
#: Under these keys, which look like those of secrets, a word says which kind of one is used.
_PUBLIC: dict[tuple[Part, ...], tuple[object, ...]] = {("server", "token"): ("user", "run", "none")}


def hide_secrets(source: Source, root: Node | None) -> None:
    """Note in `source` which parts of it must not be shown; without a tree, a little more than needed."""
    source.hidden = [] if root is None else list(_places(root, source))
    whole = root is None
    for start, line in zip(source.starts, source.lines, strict=False):
        comment = _COMMENT.search(line)
        part = (0, line) if whole else (comment.start(), comment[0]) if comment else None
        found = WRITTEN.search(part[1]) if part else None
        if part and found and found.end(1) > found.start(1):
            source.hidden.append((start + part[0] + found.start(1), start + part[0] + found.end(1)))
    if whole:
        source.hidden += _indented_secrets(source)


def secret_scalars(
    node: Node, path: tuple[Part, ...] = (), secret: bool = False
) -> Iterator[tuple[tuple[Part, ...], Scalar]]:
    """Yield the scalars under secret keys with their paths, and those that hold such a variable."""
    if isinstance(node, Scalar):
        if (secret and not is_public(path, node.value)) or node.secret:
            yield path, node
        return
    for part, child in node.parts():
        yield from secret_scalars(child, (*path, part), secret or is_secret([part]))


def literal_secrets(root: Node) -> Iterator[Problem]:
    """Yield a warning for each secret that is written out where others may read it."""
    seen: set[int] = set()
    for path, node in secret_scalars(root):
        if id(node) in seen or not isinstance(node.value, str) or not node.text.strip():
            continue
        seen.add(id(node))
        if "${" not in node.text:
            where = "in the file" if node.mark.line else "on the command line, for all to see"
            text = f"a secret stands {where}; write ${{NAME}} and set NAME in the environment"
            yield Problem(node.mark, dotted(path), text)


def is_public(path: Sequence[Part], value: object) -> bool:
    """Tell whether a value under a secret key is one of the words that can stand there."""
    return value in _PUBLIC.get(tuple(path), ())


def _places(root: Node, source: Source) -> Iterator[tuple[int, int]]:
    """Yield where the secret scalars are written."""
    for _, node in secret_scalars(root):
        if node.end > node.start and node.mark.source is source:
            yield node.start, node.start + len(source.text[node.start : node.end].rstrip())


def _indented_secrets(source: Source) -> Iterator[tuple[int, int]]:
    """Yield the lines that are indented below a secret key."""
    indent: int | None = None
    for start, line in zip(source.starts, source.lines, strict=True):
        width = len(line) - len(line.lstrip())
        if line.strip() and indent is not None and width <= indent:
            indent = None
        if indent is not None:
            yield start + width, start + len(line)
        elif OPEN_BLOCK.match(line):
            indent = width


def public(node: Node, path: tuple[Part, ...], secret: bool = False) -> Any:
    """Return dicts, lists and scalars with ``***`` for the secrets among them."""
    secret = secret or is_secret(path)
    if isinstance(node, MappingNode):
        return {key: public(one.node, (*path, key), secret) for key, one in node.items.items()}
    if isinstance(node, ListNode):
        return [public(one, (*path, index), secret) for index, one in enumerate(node.items)]
    if not isinstance(node, Scalar):
        return None
    hidden = (secret and not is_public(path, node.value)) or node.secret
    return MASK if hidden and node.value is not None else node.value


def redacted(source: Source) -> str:
    """Return the source's text with ``'***'`` for its secrets; it is still YAML."""
    text, position = [], 0
    for start, end in _joined(source.hidden):
        text += [source.text[position:start], f"'{MASK}'"]
        position = end
    return "".join([*text, source.text[position:]])


def redacted_values(value: Any) -> Any:
    """Return plain values with ``***`` for what is under secret keys, and for known secrets elsewhere."""
    if isinstance(value, dict):
        return {
            key: _starred(one) if is_secret([key]) else redacted_values(one)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [redacted_values(one) for one in value]
    return starred(value) if isinstance(value, str) else value


def _starred(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _starred(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_starred(one) for one in value]
    return value if value is None or isinstance(value, bool) else MASK


def _joined(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    position = 0
    for start, end in sorted(spans):
        if end > position:
            yield max(start, position), end
            position = end
