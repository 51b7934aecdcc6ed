"""Slips of the pen that are told by name: a decimal comma, a line too far left, a step for a number."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from pymanip_run.experiment.checks.finding import number
from pymanip_run.experiment.text.nodes import MappingNode, Node, Scalar, locate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pydantic import BaseModel

    from pymanip_run.experiment.text.nodes import Part
    from pymanip_run.experiment.text.problems import Mark

__all__ = [
    "DecimalComma",
    "decimal_comma_texts",
    "decimal_commas",
    "decimal_hint",
    "indentation_hint",
    "key_hint",
]

_COMMA_NUMBER = re.compile(r"([+-]?[0-9]+),([0-9]+)")
#: ``every:10s``, which YAML takes for a text.
_TIGHT = re.compile(r"([A-Za-z_]+):(?=\S)")
_MAX_POINTS = 10**6


def decimal_hint(value: object) -> str:
    """Return the number that a text such as ``3,5`` is meant to be, as a hint."""
    found = _COMMA_NUMBER.fullmatch(value) if isinstance(value, str) else None
    return f"; did you mean {found[1]}.{found[2]}? A decimal point is needed" if found else ""


class DecimalComma(NamedTuple):
    """A ``{v: 3,5}``, which YAML reads as v: 3 and a key 5."""

    path: tuple[Part, ...]
    #: Of the key that is none.
    key_path: tuple[Part, ...]
    mark: Mark
    message: str


def decimal_commas(node: Node, path: tuple[Part, ...] = ()) -> Iterator[DecimalComma]:
    """Yield the numbers with a decimal comma in mappings in braces."""
    if isinstance(node, MappingNode) and node.flow:
        before: tuple[str, Node] | None = None
        for key, (mark, value) in node.items.items():
            if before is not None and key.isdecimal() and _is_empty(value):
                name, first = before
                whole = _adjoining(first, mark)
                if whole is not None:
                    text = f"did you mean {whole}.{key}? A decimal point is needed, not a comma"
                    yield DecimalComma((*path, name), (*path, key), first.mark, text)
            before = key, value
    for part, child in node.parts():
        yield from decimal_commas(child, (*path, part))


def _is_empty(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None and not node.text


def _adjoining(node: Node, mark: Mark) -> str | None:
    """Return the whole number that ends one character before `mark`, None if there is something else."""
    if not isinstance(node, Scalar) or number(node.value) is None or "." in node.text:
        return None
    source = mark.source
    touches = mark.source is node.mark.source and source.text[node.end : node.end + 1] == ","
    return node.text if touches and source.mark(node.end + 1)[1:] == mark[1:] else None


def decimal_comma_texts(
    node: Node, path: tuple[Part, ...]
) -> Iterator[tuple[tuple[Part, ...], Scalar, str]]:
    """Yield path, value and message of the texts without quotes that look like such a number."""
    if isinstance(node, Scalar):
        raw = node.mark.source.text[node.start : node.start + 1]
        if decimal_hint(node.value) and raw not in ("'", '"') and not node.interpolated:
            meant = str(node.value).replace(",", ".")
            text = f"this is the text {node.value!r}; write {meant} for the number, or put it in quotes"
            yield path, node, text
        return
    for part, child in node.parts():
        yield from decimal_comma_texts(child, (*path, part))


def key_hint(key: str, path: Sequence[Part], node: Node) -> str:
    """Return what to write in place of a key that other programs have, "" if nothing is known of it."""
    if key == "step" and "sweep" in path:
        return f"; give 'num', the number of points{_number_of_points(node)}"
    if key in ("interval", "period") and len(path) == 2 and path[0] == "tasks":
        return "; did you mean 'every'?"
    return ""


def _number_of_points(node: Node) -> str:
    items = node.items if isinstance(node, MappingNode) else {}
    start, stop, step = (
        number(item.node.value) if item is not None and isinstance(item.node, Scalar) else None
        for item in map(items.get, ("start", "stop", "step"))
    )
    if start is None or stop is None or not step:
        return ""
    points = (stop - start) / step
    if not 0 <= points <= _MAX_POINTS:
        return ""
    return f": num: {round(points) + 1} for steps of {step:g}"


def indentation_hint(
    path: Sequence[Part],
    model: type[BaseModel],
    root: Node,
    keys_at: Callable[[type[BaseModel], Sequence[Part]], Sequence[str]],
) -> str:
    """Return that a line seems to stand too far left, or to lack a blank; "" if none does.

    Parameters
    ----------
    path
        Of a value that is wrong.
    model, root
        What the file may hold, and what it holds.
    keys_at
        Returns the keys that a mapping may have.
    """
    if not path:
        return ""
    above, key = path[:-1], str(path[-1])
    parent = locate(root, above).node
    if not isinstance(parent, MappingNode) or parent.flow or key not in parent.items:
        return ""
    names, node = list(parent.items), parent.items[key].node
    fixed, settings = keys_at(model, above), keys_at(model, path)
    if not fixed and key in settings and names[0] != key:
        return f"; {key!r} is a setting, indent it further than the name above it"
    if not _is_empty(node):
        tight = _TIGHT.match(node.text) if isinstance(node, Scalar) else None
        missing = tight is not None and tight[1] in settings
        return f"; a blank is missing after {tight[0]!r}" if tight and missing else ""
    following = next(iter(names[names.index(key) + 1 :]), None)
    if following is not None and (following not in fixed if fixed else following in settings):
        return f"; indent {following!r} further than {key!r}"
    return ""
