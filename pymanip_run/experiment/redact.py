"""The secrets of an experiment file: where they are written, and its text without them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pymanip_run.experiment.nodes import ListNode, MappingNode, Node, Scalar
from pymanip_run.masking import MASK, OPEN_BLOCK, WRITTEN, is_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymanip_run.experiment.problems import Source

__all__ = ["hide_secrets", "redacted", "redacted_values"]

_COMMENT = re.compile(r"(?<!\S)#.*")


def hide_secrets(source: Source, root: Node | None) -> None:
    """Note in `source` which parts of it must not be shown; without a tree, a little more than needed."""
    source.hidden = [] if root is None else list(_values(root, source))
    whole = root is None
    for start, line in zip(source.starts, source.lines, strict=False):
        comment = _COMMENT.search(line)
        part = (0, line) if whole else (comment.start(), comment[0]) if comment else None
        found = WRITTEN.search(part[1]) if part else None
        if part and found and found.end(1) > found.start(1):
            source.hidden.append((start + part[0] + found.start(1), start + part[0] + found.end(1)))
    if whole:
        source.hidden += _indented_secrets(source)


def _values(node: Node, source: Source, secret: bool = False) -> Iterator[tuple[int, int]]:
    """Yield where the secret scalars are written."""
    if isinstance(node, Scalar):
        if secret and node.end > node.start and node.mark.source is source:
            yield node.start, node.start + len(source.text[node.start : node.end].rstrip())
    elif isinstance(node, MappingNode):
        for key, item in node.items.items():
            yield from _values(item.node, source, secret or is_secret([key]))
    elif isinstance(node, ListNode):
        for child in node.items:
            yield from _values(child, source, secret)


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


def redacted(source: Source) -> str:
    """Return the source's text with ``'***'`` for its secrets; it is still YAML."""
    text, position = [], 0
    for start, end in _joined(source.hidden):
        text += [source.text[position:start], f"'{MASK}'"]
        position = end
    return "".join([*text, source.text[position:]])


def redacted_values(value: Any) -> Any:
    """Return metadata with ``***`` for the texts under secret keys."""
    if isinstance(value, dict):
        return {
            key: _starred(one) if is_secret([key]) else redacted_values(one)
            for key, one in value.items()
        }
    return [redacted_values(one) for one in value] if isinstance(value, list) else value


def _starred(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _starred(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_starred(one) for one in value]
    return MASK if isinstance(value, str) else value


def _joined(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    position = 0
    for start, end in sorted(spans):
        if end > position:
            yield max(start, position), end
            position = end
