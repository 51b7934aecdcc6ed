"""``${NAME}``, ``${NAME:-default}``, ``${NAME:?message}`` in values; ``$${`` is a literal ``${``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pymanip_run.experiment.text.nodes import Node, Part, Scalar, dotted
from pymanip_run.experiment.text.problems import Problem
from pymanip_run.experiment.text.scalars import resolve
from pymanip_run.masking import is_secret

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["interpolate"]

_REFERENCE = re.compile(
    r"\$(?:(?P<literal>\$\{)"
    r"|\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::(?P<kind>[-?])(?P<rest>[^}]*))?\}"
    r"|(?P<broken>\{))"
)


def interpolate(
    root: Node, environ: Mapping[str, str], secrets: set[str] | None = None
) -> list[Problem]:
    """Put the values of environment variables into the scalars below `root`; return what is wrong.

    It happens after parsing: a variable cannot bring in keys. A value that is exactly one
    reference is then read as a YAML scalar, so that ports and voltages work. The values of variables
    whose name is that of a secret are added to `secrets`, and their scalars are marked.
    """
    problems: list[Problem] = []
    _walk(root, [], _Environment(environ, secrets), problems, set())
    return problems


class _Environment:
    """The environment, which remembers the secrets that were asked for."""

    def __init__(self, environ: Mapping[str, str], secrets: set[str] | None) -> None:
        self._environ = environ
        self._secrets = secrets if secrets is not None else set()
        #: Whether a secret was asked for.
        self.asked = False

    def get(self, name: str) -> str | None:
        """Return a variable's value."""
        value = self._environ.get(name)
        if is_secret([name]):
            self.asked = True
            if value:
                self._secrets.add(value)
        return value


def _walk(
    node: Node,
    path: list[Part],
    environ: _Environment,
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
    for part, child in node.parts():
        _walk(child, [*path, part], environ, problems, done)


def _replace(node: Scalar, environ: _Environment) -> None:
    whole = _REFERENCE.fullmatch(node.text)
    environ.asked = False
    node.text = _REFERENCE.sub(lambda found: _value(found, environ), node.text)
    node.secret = environ.asked
    if whole is None or whole["name"] is None:
        node.value = node.text
        return
    node.interpolated = True
    node.value = resolve(node.text)


def _value(found: re.Match[str], environ: _Environment) -> str:
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
