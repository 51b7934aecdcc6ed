"""``${NAME}``, ``${NAME:-default}``, ``${NAME:?message}`` in values; ``$${`` is a literal ``${``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pymanip_run.experiment.nodes import MappingNode, Node, Part, Scalar, dotted
from pymanip_run.experiment.problems import Problem
from pymanip_run.experiment.scalars import resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["interpolate"]

_REFERENCE = re.compile(
    r"\$(?:(?P<literal>\$\{)"
    r"|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}"
    r"|(?P<broken>\{))"
)


def interpolate(root: Node, environ: Mapping[str, str]) -> list[Problem]:
    """Put the values of environment variables into the scalars below `root`; return what is wrong.

    It happens after parsing: a variable cannot bring in keys. A value that is exactly one
    reference is then read as a YAML scalar, so that ports and voltages work.
    """
    problems: list[Problem] = []
    _walk(root, [], environ, problems, set())
    return problems


def _walk(
    node: Node,
    path: list[Part],
    environ: Mapping[str, str],
    problems: list[Problem],
    done: set[int],
) -> None:
    if id(node) in done:  # an alias
        return
    done.add(id(node))
    if isinstance(node, Scalar):
        if "${" in node.text:
            try:
                _replace(node, environ)
            except ValueError as error:
                problems.append(Problem(node.mark, dotted(path), str(error)))
        return
    parts: Iterable[Part] = (
        node.items if isinstance(node, MappingNode) else range(len(node.children()))
    )
    for part, child in zip(parts, node.children(), strict=True):
        _walk(child, [*path, part], environ, problems, done)


def _replace(node: Scalar, environ: Mapping[str, str]) -> None:
    whole = _REFERENCE.fullmatch(node.text)
    node.text = _REFERENCE.sub(lambda found: _value(found, environ), node.text)
    if whole is None or whole["name"] is None:
        node.value = node.text
        return
    node.interpolated = True
    node.value = resolve(node.text)


def _value(found: re.Match[str], environ: Mapping[str, str]) -> str:
    if found["literal"]:
        return "${"
    if found["broken"]:
        raise ValueError(
            "'${' begins a reference such as ${NAME} or ${NAME:-default}; write $${ for the text itself"
        )
    name, kind, rest = found["name"], found["kind"], found["rest"]
    value = environ.get(name)
    if value or (value is not None and kind is None):
        return value
    if kind == "-":
        return str(rest)
    if kind == "?" and rest:
        raise ValueError(f"{name} is not set: {rest}")
    raise ValueError(
        f"the environment variable {name} is not set; set it or write ${{{name}:-default}}"
    )
