"""``--set path=value`` and its like: values that are read as YAML and put into the tree of the file."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from pymanip_run.errors import did_you_mean
from pymanip_run.experiment.text.nodes import (
    Item,
    ListNode,
    MappingNode,
    Node,
    Scalar,
    dotted,
    index_of,
)
from pymanip_run.experiment.text.problems import Mark, Problem, Source
from pymanip_run.experiment.text.yaml12 import compose
from pymanip_run.masking import masked_assignment

__all__ = ["Assignment", "apply_override", "assign", "new_names"]


class Assignment(NamedTuple):
    """A value for a path, from outside of the file."""

    #: Where it comes from, for messages; without secrets.
    label: str
    path: list[str]
    #: As YAML.
    value: str


def apply_override(root: MappingNode, text: str, problems: list[Problem]) -> MappingNode:
    """Return the tree with one ``path=value`` of ``--set`` put in; `root` itself stays as it is."""
    label = f"--set {masked_assignment(text)}"
    dotted_path, equals, value = text.partition("=")
    path = [part.strip() for part in dotted_path.split(".")]
    if not equals or not all(path):
        message = "write path=value, for example --set parameters.voltage=4"
        problems.append(Problem(Mark(Source(label), 0, 0), "", message))
        return root
    return assign(root, Assignment(label, path, value), problems)


def assign(root: MappingNode, assignment: Assignment, problems: list[Problem]) -> MappingNode:
    """Return the tree with a value put in; `root` itself stays as it is.

    Nothing (an empty value or ``null``) takes the key away. A bare value over ``session`` or over a
    parameter that has a unit changes the file's name or the parameter's value and nothing else.
    """
    mark = Mark(Source(assignment.label), 0, 0)
    node = _parse(assignment.value, mark, assignment.path, problems)
    if node is None:
        return root
    try:
        return _in_mapping(root, assignment.path, (), node)
    except ValueError as error:
        problems.append(Problem(mark, dotted(assignment.path), str(error)))
        return root


def new_names(file: MappingNode, overridden: MappingNode) -> list[Problem]:
    """Return a warning for each parameter and variable that only an override has: it may be a slip."""
    found = []
    for section, word in (("parameters", "parameter"), ("variables", "variable")):
        before, after = (_keys(root, section) for root in (file, overridden))
        for name, mark in after.items():
            if name in before:
                continue
            near = did_you_mean(name, before)
            # Any task may log a variable that nobody has declared.
            if near or section == "parameters":
                text = f"a new {word}; the file does not declare {name!r}{near}"
                found.append(Problem(mark, dotted([section, name]), text))
    return found


def _keys(root: MappingNode, section: str) -> dict[str, Mark]:
    item = root.items.get(section)
    found = item.node.items if item is not None and isinstance(item.node, MappingNode) else {}
    return {str(key): item.key for key, item in found.items()}


def _parse(value: str, mark: Mark, path: list[str], problems: list[Problem]) -> Node | None:
    """Return the value's tree, in which every place is the whole override; None if it is not YAML."""
    found: list[Problem] = []
    node = compose(Source(mark.source.label, value), found)
    for problem in found:
        inside = [problem.path] if problem.path else []
        problems.append(Problem(mark, dotted([*path, *inside]), problem.message))
    if found:
        return None
    if node is None:
        return Scalar(mark)
    _move(node, mark)
    return node


def _move(node: Node, mark: Mark) -> None:
    """Give all places of a tree the same mark."""
    node.mark = mark
    if isinstance(node, MappingNode):
        node.items = {key: Item(mark, item.node) for key, item in node.items.items()}
    for child in node.children():
        _move(child, mark)


def _put(node: Node | None, path: list[str], above: tuple[str, ...], value: Node) -> Node:
    """Return what stands at `above` after `value` was set at `path` below it."""
    short = _short_form(above)
    if not path:
        bare = isinstance(value, Scalar) and value.value is not None
        if bare and short and isinstance(node, MappingNode):
            return _in_mapping(node, [short], above, value)
        return value
    if isinstance(node, ListNode):
        return _in_list(node, path, above, value)
    if isinstance(node, MappingNode):
        return _in_mapping(node, path, above, value)
    if node is None or (isinstance(node, Scalar) and node.value is None):
        return _in_mapping(MappingNode(value.mark), path, above, value)
    if short:
        return _in_mapping(
            MappingNode(node.mark, items={short: Item(node.mark, node)}), path, above, value
        )
    raise ValueError(f"{dotted(above)!r} is not a mapping: it has no {path[0]!r}")


def _short_form(path: tuple[str, ...]) -> str | None:
    """Return the key that a bare value at `path` is short for."""
    if path == ("session",):
        return "file"
    return "value" if len(path) == 2 and path[0] == "parameters" else None


def _in_mapping(
    node: MappingNode, path: list[str], above: tuple[str, ...], value: Node
) -> MappingNode:
    key, rest = path[0], path[1:]
    old = node.items.get(key)
    if not rest and isinstance(value, Scalar) and value.value is None:
        return replace(node, items={k: item for k, item in node.items.items() if k != key})
    new = _put(old.node if old else None, rest, (*above, key), value)
    mark = old.key if old and rest else value.mark
    return replace(node, items={**node.items, key: Item(mark, new)})


def _in_list(node: ListNode, path: list[str], above: tuple[str, ...], value: Node) -> ListNode:
    key, rest = path[0], path[1:]
    named = above == ("tasks",)
    index = index_of(node, key, named=named)
    items = list(node.items)
    if index is None:
        if not named:
            raise ValueError(f"{dotted(above)!r} is a list of {len(items)}: it has no {key!r}")
        items.append(_in_mapping(MappingNode(value.mark), path, above, value))
        return replace(node, items=items)
    old = items[index]
    if not named or key.isdecimal():
        items[index] = _put(old, rest, (*above, key), value)
    elif isinstance(old, MappingNode):
        items[index] = _in_mapping(old, path, above, value)
    else:  # a name alone
        settings = _put(None, rest, (*above, key), value)
        items[index] = MappingNode(old.mark, items={key: Item(old.mark, settings)})
    return replace(node, items=items)
