"""A safe reader of YAML 1.2 that remembers where everything is written.

PyYAML parses; scalars, anchors and merge keys are ours. Refused are duplicate keys, tags, aliases
that stand for more than 10 000 values or for themselves, several documents and deep nesting.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import yaml

from pymanip_run.experiment.text.nodes import (
    Item,
    ListNode,
    MappingNode,
    Node,
    Part,
    Scalar,
    dotted,
)
from pymanip_run.experiment.text.problems import Mark, Problem, Source
from pymanip_run.experiment.text.scalars import resolve
from pymanip_run.experiment.text.syntax import explain, first_bad_character

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MAX_ALIASED", "MAX_DEPTH", "compose"]

MAX_ALIASED = 10_000
MAX_DEPTH = 50

#: The parser in C where PyYAML has it: some twenty times faster. Both give the same events.
PARSER: type = getattr(yaml, "CLoader", yaml.Loader)

_TAG = "tag:yaml.org,2002:"
_KINDS: dict[str, type | tuple[type, ...]] = {
    "int": int,
    "float": (int, float),
    "bool": bool,
    "null": type(None),
}
_Event: TypeAlias = Any  # the events of PyYAML carry no types


def compose(source: Source, problems: list[Problem]) -> Node | None:
    """Return the tree of a source's only document; None when it is empty or cannot be read further.

    What is wrong is added to `problems`.
    """
    bad = first_bad_character(source.text)
    if bad is not None:
        problems.append(Problem(source.mark(bad[0]), "", bad[1]))
        return None
    try:
        return _Composer(source, problems).document()
    except yaml.MarkedYAMLError as error:
        problems.append(Problem(*_where(error, source)))
    except _StopError:
        pass
    return None


def _where(error: yaml.MarkedYAMLError, source: Source) -> tuple[Mark, str, str]:
    mark, message = explain(error, source)
    return mark, "", message


class _StopError(Exception):
    """A problem after which reading on makes no sense."""


class _Composer:
    """Makes nodes from the events of the parser, which does not recurse."""

    def __init__(self, source: Source, problems: list[Problem]) -> None:
        self.source = source
        self.problems = problems
        self.events: Iterator[_Event] = iter(yaml.parse(source.text, Loader=PARSER))
        self.path: list[Part] = []
        self.anchors: dict[str, Node | None] = {}
        self.aliased = 0

    def document(self) -> Node | None:
        """Return the root of the only document."""
        next(self.events)  # the start of the stream
        start = next(self.events)
        if isinstance(start, yaml.StreamEndEvent):
            return None
        if start.version is not None and start.version < (1, 2):
            # on, yes and 12:30 would mean something else than here.
            self.report(start, "an experiment file is YAML 1.2; take the line %YAML out")
        root = self.node(next(self.events))
        next(self.events)  # the end of the document
        following = next(self.events)
        if not isinstance(following, yaml.StreamEndEvent):
            self.report(following, "several documents in one file; an experiment file has one")
        return root

    def report(self, event: _Event, message: str) -> None:
        """Add a problem at an event."""
        self.problems.append(Problem(self.mark(event), dotted(self.path), message))

    def mark(self, event: _Event) -> Mark:
        """Return the place where an event begins."""
        return self.source.mark(event.start_mark.index)

    def node(self, event: _Event) -> Node:
        """Return the value that begins with `event`."""
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event)
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        node: Node
        if isinstance(event, yaml.ScalarEvent):
            node = self.scalar(event)
        elif len(self.path) >= MAX_DEPTH:
            self.report(event, f"nested deeper than {MAX_DEPTH} levels")
            raise _StopError
        elif isinstance(event, yaml.MappingStartEvent):
            node = self.mapping(event)
        else:
            node = self.sequence(event)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def alias(self, event: _Event) -> Node:
        """Return the node that an alias stands for."""
        node = self.anchors.get(event.anchor)
        if node is None:
            itself = event.anchor in self.anchors
            text = "contains itself" if itself else "is not defined above"
            self.report(event, f"the anchor {event.anchor!r} {text}")
            return Scalar(self.mark(event))
        self.aliased += node.size
        if self.aliased > MAX_ALIASED:
            self.report(event, f"the anchors of this file expand to more than {MAX_ALIASED} values")
            raise _StopError
        return node

    def scalar(self, event: _Event) -> Scalar:
        """Return a scalar; one in quotes is a text."""
        node = Scalar(
            self.mark(event),
            event.start_mark.index,
            event.end_mark.index,
            text=event.value,
            value=event.value,
        )
        kind = self.kind(event)
        if "\0" in event.value:
            self.report(event, r"the character NUL (\0) cannot be stored")
        if (event.implicit[0] and not event.style and event.tag is None) or kind in _KINDS:
            try:
                node.value = resolve(event.value)
            except ValueError as error:
                self.report(event, str(error))
        if kind in _KINDS and not isinstance(node.value, _KINDS[kind]):
            self.report(event, f"{event.value!r} is not what its tag '!!{kind}' says")
        return node

    def kind(self, event: _Event) -> str:
        """Return the name of a standard tag, "" without one."""
        tag: str | None = event.tag
        if tag is None or tag == "!":
            return ""
        allowed = {"str", *_KINDS}
        if isinstance(event, yaml.CollectionStartEvent):
            allowed = {"map"} if isinstance(event, yaml.MappingStartEvent) else {"seq"}
        name = tag.removeprefix(_TAG)
        if name in allowed and name != tag:
            return name
        self.report(event, f"tags are not allowed: {tag.replace(_TAG, '!!')!r}")
        return ""

    def sequence(self, event: _Event) -> ListNode:
        """Return a list."""
        self.kind(event)
        node = ListNode(self.mark(event), event.start_mark.index, flow=bool(event.flow_style))
        while not self.ends(event := next(self.events)):
            self.path.append(len(node.items))
            node.items.append(self.node(event))
            self.path.pop()
        node.end = event.end_mark.index
        node.size += sum(item.size for item in node.items)
        return node

    def mapping(self, event: _Event) -> MappingNode:
        """Return a mapping, with what its merge keys bring after its own keys."""
        self.kind(event)
        node = MappingNode(self.mark(event), event.start_mark.index, flow=bool(event.flow_style))
        merged: list[MappingNode] = []
        merges = 0
        while not self.ends(event := next(self.events)):
            key = self.key(event)
            self.path.append(key if key is not None else "?")
            is_merge = key == "<<" and not event.style
            if is_merge and merges:
                self.report(event, "duplicate key '<<'; write  <<: [*one, *other]")
            if is_merge:
                merges += 1
                merged += self.merge(next(self.events))
            elif key in node.items:
                first = node.items[key].key
                self.report(event, f"duplicate key {key!r}; it is already in line {first.line}")
                self.node(next(self.events))
            else:
                value = self.node(next(self.events))
                if key is not None:
                    node.items[key] = Item(self.mark(event), value)
            self.path.pop()
        node.end = event.end_mark.index
        for other in merged:
            for key, item in other.items.items():
                node.items.setdefault(key, item)
        node.size += sum(item.node.size for item in node.items.values())
        return node

    @staticmethod
    def ends(event: _Event) -> bool:
        """Tell whether an event is the end of a list or mapping."""
        return isinstance(event, yaml.CollectionEndEvent)

    def key(self, event: _Event) -> str | None:
        """Return a key as it is written; None if it is none."""
        if isinstance(event, yaml.ScalarEvent) and event.value:
            self.kind(event)
            if event.anchor is not None:
                self.anchors[event.anchor] = self.scalar(event)
            return str(event.value)
        self.report(event, "a key must be a text")
        if not isinstance(event, yaml.ScalarEvent):
            self.path.append("?")
            self.node(event)
            self.path.pop()
        return None

    def merge(self, event: _Event) -> list[MappingNode]:
        """Return the mappings that ``<<: *name`` or ``<<: [*a, *b]`` brings in, the most important first."""
        node = self.node(event)
        nodes = node.items if isinstance(node, ListNode) else [node]
        mappings = [item for item in nodes if isinstance(item, MappingNode)]
        if len(mappings) != len(nodes):
            self.report(event, "'<<' takes mappings, for example  <<: *defaults")
        return mappings
