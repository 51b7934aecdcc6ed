"""The tree of an experiment file, in which every key and value knows its place."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pymanip_run.experiment.text.problems import Mark

__all__ = [
    "Item",
    "ListNode",
    "MappingNode",
    "Node",
    "Part",
    "Scalar",
    "dotted",
    "index_of",
    "locate",
    "plain",
    "within",
]

Part = str | int


@dataclass(slots=True, eq=False)
class Node:
    """A value: where it begins, and the part of the text that it takes."""

    mark: Mark
    start: int = 0
    end: int = 0
    #: Nodes from here down, with what aliases stand for.
    size: int = 1

    def children(self) -> list[Node]:
        """Return the values right below."""
        return []

    def parts(self) -> Iterable[tuple[Part, Node]]:
        """Return the values right below with their keys, or their indices."""
        return enumerate(self.children())


@dataclass(slots=True, eq=False)
class Scalar(Node):
    """A text, number, truth value or nothing."""

    text: str = ""
    value: str | int | float | bool | None = None
    #: Its text came from outside; where text is needed, it is not read as a number.
    interpolated: bool = False
    #: A part of it is the value of an environment variable whose name is that of a secret.
    secret: bool = False


class Item(NamedTuple):
    """An item of a mapping: the place of its key, and its value."""

    key: Mark
    node: Node


@dataclass(slots=True, eq=False)
class MappingNode(Node):
    """Values under keys; keys are texts, as they are written."""

    items: dict[str, Item] = field(default_factory=dict)
    flow: bool = False

    def children(self) -> list[Node]:
        """Return the values."""
        return [item.node for item in self.items.values()]

    def parts(self) -> Iterable[tuple[Part, Node]]:
        """Return the values with their keys."""
        return ((key, item.node) for key, item in self.items.items())


@dataclass(slots=True, eq=False)
class ListNode(Node):
    """Values in order."""

    items: list[Node] = field(default_factory=list)
    flow: bool = False
    #: Of items that have a name, when they were asked for.
    names: dict[str, int] | None = field(default=None, init=False)

    def children(self) -> list[Node]:
        """Return the values."""
        return self.items


def plain(node: Node) -> Any:
    """Return dicts, lists and scalars; aliases become copies."""
    if isinstance(node, MappingNode):
        return {key: plain(item.node) for key, item in node.items.items()}
    if isinstance(node, ListNode):
        return [plain(item) for item in node.items]
    return node.value if isinstance(node, Scalar) else None


def dotted(path: Sequence[Part]) -> str:
    """Return a path as it is written for ``--set``."""
    return ".".join(str(part) for part in path)


class Found(NamedTuple):
    """Where a path leads: the part of it that exists, the key's place, the value."""

    path: tuple[Part, ...]
    key: Mark | None
    node: Node

    @property
    def mark(self) -> Mark:
        """The place of the value; of its key where the value is a block below it."""
        if self.key is None or isinstance(self.node, Scalar) or getattr(self.node, "flow", False):
            return self.node.mark
        return self.key

    @property
    def key_mark(self) -> Mark:
        """The place of the key; of the value in a list."""
        return self.key or self.node.mark


def locate(root: Node, path: Sequence[Part]) -> Found:
    """Follow `path` as far as it exists; short forms end it before its end."""
    found = Found((), None, root)
    for part, following in zip_longest(path, path[1:]):
        step = _step(found.node, part, named=found.path == ("tasks",))
        if step is None and _is_left_out(found.node, part, following):
            continue
        if step is None:
            break
        found = Found((*found.path, part), *step)
    return found


def _is_left_out(node: Node, part: Part, following: Part | None) -> bool:
    """Tell whether a part is not written in a short form: the index of a single item, the key of a list."""
    if isinstance(part, int):
        return not isinstance(node, ListNode)
    return isinstance(node, ListNode) and isinstance(following, int)


def _step(node: Node, part: Part, *, named: bool) -> tuple[Mark | None, Node] | None:
    if isinstance(node, MappingNode):
        return node.items.get(str(part))
    if not isinstance(node, ListNode):
        return None
    index = index_of(node, part, named=named)
    if index is None:
        return None
    child = node.items[index]
    if named and isinstance(child, MappingNode) and _name(child) == part:
        return child.items[str(part)]
    return None, child


def within(node: Node, column: int) -> Mark | None:
    """Return the place of a character of a text, from 0; None if the text is not in the source as it is."""
    if not isinstance(node, Scalar) or not node.mark.line or node.interpolated:
        return None
    source = node.mark.source
    written = source.text[node.start : node.end]
    quotes = int(written[:1] in ("'", '"'))
    if not written[quotes:].startswith(node.text):
        return None
    return source.mark(node.start + quotes + column)


def index_of(node: ListNode, part: Part, *, named: bool) -> int | None:
    """Return the index of an item, given as such, or in a list of names and one-key mappings by its name."""
    text = str(part)
    if named:
        if node.names is None:
            # The first of two with the same name; the second one is refused.
            pairs = (
                (_name(child), index) for index, child in reversed(list(enumerate(node.items)))
            )
            node.names = {name: index for name, index in pairs if name is not None}
        if text in node.names:
            return node.names[text]
    if text.isdecimal() and len(text) < 8 and int(text) < len(node.items):
        return int(text)
    return None


def _name(node: Node) -> str | None:
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, MappingNode) and len(node.items) == 1:
        return next(iter(node.items))
    return None
