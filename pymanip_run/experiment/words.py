"""The errors of pydantic in plain words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel

from pymanip_run.errors import did_you_mean, nearest
from pymanip_run.experiment.fields import LATER
from pymanip_run.experiment.nodes import Node, Part, dotted, locate
from pymanip_run.experiment.problems import Problem
from pymanip_run.experiment.scalars import as_written
from pymanip_run.masking import is_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic_core import ErrorDetails

__all__ = ["keys_at", "needs_text", "translate"]

_TRUE, _FALSE = ("yes", "y", "on"), ("no", "n", "off")
_EXAMPLES = {
    "module": "for example  module: tasks.py",
    "tasks": "for example  tasks: [read_temperatures]",
}


def needs_text(error: ErrorDetails) -> bool:
    """Tell whether a text was needed."""
    return error["type"] == "string_type"


def translate(error: ErrorDetails, model: type[BaseModel], root: Node) -> Problem:
    """Return a pydantic error with its place and in plain words."""
    path: list[Part] = [part for part in error["loc"] if part != "[key]"]
    kind = error["type"]
    keys = kind in ("extra_forbidden", LATER) or "[key]" in error["loc"]
    if kind == "missing":
        return _missing(path, model, root)
    found = locate(root, path)
    if kind == "extra_forbidden":
        message = _unknown_key(str(path[-1]), model, path[:-1])
    elif kind == LATER:
        message = f"{str(path[-1])!r} is not available in this version"
    elif is_secret(path):
        message = (
            f"{_NEEDED[kind]} is needed" if kind in _NEEDED else "this value is not valid here"
        )
    else:
        message = _message(error, dotted(path))
    return Problem(found.key_mark if keys else found.mark, dotted(found.path), message)


def _missing(path: list[Part], model: type[BaseModel], root: Node) -> Problem:
    key = str(path[-1])
    found = locate(root, path[:-1])
    given = [name for name in getattr(found.node, "items", ()) if isinstance(name, str)]
    unknown = [name for name in given if name not in keys_at(model, path[:-1])]
    example = f"; {_EXAMPLES[key]}" if key in _EXAMPLES and len(path) == 1 else ""
    near = nearest(key, unknown, n=1)
    if near:
        example = f"; is {near[0]!r} meant to be it?"
    return Problem(found.key_mark, dotted(found.path), f"{key!r} is missing{example}")


def _unknown_key(key: str, model: type[BaseModel], path: Sequence[Part]) -> str:
    possible = keys_at(model, path, later=False)
    hint = did_you_mean(key, keys_at(model, path))
    return f"unknown key {key!r}{hint or '; possible here: ' + ', '.join(possible)}"


def keys_at(model: type[BaseModel], path: Sequence[Part], *, later: bool = True) -> list[str]:
    """Return the keys that the mapping at `path` may have; `later`: also those not yet available."""
    here: Any = model
    for part in path:
        here = _below(here, part)
    found = _model(here)
    if found is None:
        return []
    fields = found.model_fields.items()
    return [name for name, field in fields if later or LATER not in field.metadata]


def _below(annotation: Any, part: Part) -> Any:
    model = _model(annotation)
    if model is not None:
        field = model.model_fields.get(str(part))
        return field.annotation if field else None
    for inner in (annotation, *get_args(annotation)):
        if get_origin(inner) in (dict, list):
            return get_args(inner)[-1]
    return None


def _model(annotation: Any) -> type[BaseModel] | None:
    """Return the model in an annotation such as ``Annotated[Model, …]`` or ``Model | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (dict, list):
        return None
    return next(filter(None, map(_model, get_args(annotation))), None)


def _message(error: ErrorDetails, path: str) -> str:
    kind, value = error["type"], error["input"]
    context = error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "literal_error":
        return _not_one_of(value, str(context["expected"]))
    if kind in _NEEDED:
        needed = _FORMS.get(path, _NEEDED[kind])
        return f"{needed} is needed, not {as_written(value)}{_HINTS.get(kind, _no_hint)(value)}"
    if kind in _BOUNDS:
        word, limit = _BOUNDS[kind]
        return f"must be {word} {context[limit]:g}"
    return _EMPTY.get(kind, f"{as_written(value)} is not valid here")


def _not_one_of(value: Any, expected: str) -> str:
    words = re.findall(r"'([^']*)'", expected)
    if not words:
        return f"only {expected.replace('True', 'true')} is possible, not {as_written(value)}"
    shown = repr(value) if isinstance(value, str) else as_written(value)
    hint = did_you_mean(value, words) if isinstance(value, str) else ""
    return f"{shown} is not one of {', '.join(map(repr, words))}{hint}"


def _no_hint(value: Any) -> str:
    return ""


def _truth_hint(value: Any) -> str:
    word = str(value).lower()
    meant = "true" if word in _TRUE else "false" if word in _FALSE else ""
    return f"; did you mean {meant}?" if meant else ""


def _text_hint(value: Any) -> str:
    if isinstance(value, (dict, list)) or value is None:
        return ""
    return "; write it in quotes"


_NEEDED = {
    "string_type": "a text",
    "float_type": "a number",
    "int_type": "a whole number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
}
#: What is needed where there is a short form.
_FORMS = {
    "session": "a file name or a mapping (key: value)",
    "tasks": "a list of names or a mapping (name: settings)",
}
_HINTS: dict[str, Callable[[Any], str]] = {"bool_type": _truth_hint, "string_type": _text_hint}
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_EMPTY = {"string_too_short": "a text is missing", "too_short": "at least one is needed"}
