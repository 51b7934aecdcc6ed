"""The errors of pydantic in plain words."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, get_args, get_origin

from pydantic import BaseModel

from pymanip_run.errors import did_you_mean, nearest
from pymanip_run.experiment.checks.slips import decimal_hint, indentation_hint, key_hint
from pymanip_run.experiment.model.fields import PLACED
from pymanip_run.experiment.text.nodes import Node, Part, dotted, locate, within
from pymanip_run.experiment.text.problems import Problem
from pymanip_run.experiment.text.scalars import as_written
from pymanip_run.experiment.text.writing import written
from pymanip_run.masking import is_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

__all__ = ["keys_at", "needs_text", "path_of", "translate"]

#: Parts of pydantic's paths that are no part of the file's.
_TAGS = ("[key]", "[word]", "[run]")
MAX_HINT = 60
LONG_NUMBER = 10**5
_TRUE, _FALSE = ("yes", "y", "on"), ("no", "n", "off")
_EXAMPLES = {
    "module": "for example  module: tasks.py",
    "tasks": "for example  tasks: [read_temperatures]",
}


def needs_text(error: ErrorDetails) -> bool:
    """Tell whether a text was needed."""
    return error["type"] == "string_type"


def path_of(error: ErrorDetails) -> list[Part]:
    """Return the path of an error in the file."""
    return [part for part in error["loc"] if part not in _TAGS]


def translate(error: ErrorDetails, model: type[BaseModel], root: Node) -> Problem:
    """Return a pydantic error with its place and in plain words."""
    path = path_of(error)
    kind = error["type"]
    if kind == "missing":
        return _missing(path, model, root)
    found = locate(root, path)
    is_key = kind == "extra_forbidden" or "[key]" in error["loc"]
    mark = found.key_mark if is_key else found.mark
    if kind == "extra_forbidden":
        above = locate(root, path[:-1]).node
        message = _unknown_key(str(path[-1]), model, path[:-1], above)
    elif is_secret(path) or getattr(found.node, "secret", False):
        message = _without_value(error)
    else:
        message = _message(error, path) + indentation_hint(found.path, model, root, keys_at)
        if kind == PLACED:
            column = error["ctx"]["column"]
            here = within(found.node, column)
            mark, message = (
                (here, message) if here else (mark, f"{message} (character {column + 1})")
            )
    return Problem(mark, dotted(found.path), message)


def _without_value(error: ErrorDetails) -> str:
    kind = error["type"]
    if kind == "literal_error":
        return f"this value is not one of {', '.join(_words_of(error))}"
    return f"{_NEEDED[kind]} is needed" if kind in _NEEDED else "this value is not valid here"


def _words_of(error: ErrorDetails) -> list[str]:
    return re.findall(r"'[^']*'", str(error.get("ctx", {}).get("expected", "")))


def _missing(path: list[Part], model: type[BaseModel], root: Node) -> Problem:
    key = str(path[-1])
    found = locate(root, path[:-1])
    given = [name for name in getattr(found.node, "items", ()) if isinstance(name, str)]
    unknown = [name for name in given if name not in keys_at(model, path[:-1])]
    example = f"; {_EXAMPLES[key]}" if key in _EXAMPLES and len(path) == 1 else ""
    near = nearest(key, unknown, n=1)
    if near:
        example = f"; is {near[0]!r} meant to be it?"
    elif not found.mark.line and len(path) > 1:  # an override made it, perhaps by a slip
        others = getattr(locate(root, path[:-2]).node, "items", ())
        names = [name for name in others if isinstance(name, str) and name != path[-2]]
        example = did_you_mean(str(path[-2]), names)
    return Problem(found.key_mark, dotted(found.path), f"{key!r} is missing{example}")


def _unknown_key(key: str, model: type[BaseModel], path: Sequence[Part], above: Node) -> str:
    possible = keys_at(model, path)
    hint = key_hint(key, path, above) or did_you_mean(key, possible)
    return f"unknown key {key!r}{hint or '; possible here: ' + ', '.join(possible)}"


def keys_at(model: type[BaseModel], path: Sequence[Part]) -> list[str]:
    """Return the keys that the mapping at `path` may have."""
    here: Any = model
    for part in path:
        here = _below(here, part)
    found = _model(here)
    return list(_fields(found)) if found is not None else []


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {field.alias or name: field for name, field in model.model_fields.items()}


def _below(annotation: Any, part: Part) -> Any:
    model = _model(annotation)
    if model is not None:
        field = _fields(model).get(str(part))
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


def _message(error: ErrorDetails, path: Sequence[Part]) -> str:
    kind, value = error["type"], error["input"]
    context = error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == PLACED:
        return str(context["message"])
    if kind == "literal_error":
        also = ", {run: name}" if path[:1] == ["alarms"] and "do" in path[2:] else ""
        return _not_one_of(value, str(context["expected"]), also)
    if kind in _NEEDED:
        needed, hint = _needed(kind, path), _HINTS.get(kind, _no_hint)
        if path[:1] == ["tasks"] and len(path) == 1:
            hint = _list_hint
        elif "such as" in needed and kind == "list_type":
            hint = _no_hint  # an example says more than what could be made of the value
        return f"{needed} is needed, not {as_written(value)}{hint(value)}"
    if kind in _BOUNDS:
        word, limit = _BOUNDS[kind]
        return f"must be {word} {_bound(context[limit])}"
    return _EMPTY.get(kind, f"{as_written(value)} is not valid here")


def _needed(kind: str, path: Sequence[Part]) -> str:
    if not path:
        return _NEEDED[kind]
    keys = [part for part in path if isinstance(part, str)]
    by_key = _MAPPINGS.get(keys[-1]) if len(path) > 2 and kind in _OF_MAPPINGS else None
    return _FORMS.get((str(path[0]), len(path))) or by_key or _NEEDED[kind]


def _bound(limit: float) -> str:
    """Return a limit as it is written in the file."""
    return f"{limit:_}" if isinstance(limit, int) and limit >= LONG_NUMBER else f"{limit:g}"


def _not_one_of(value: Any, expected: str, also: str = "") -> str:
    words = re.findall(r"'([^']*)'", expected)
    if not words:
        hint = (
            "" if expected != "True" else "; leave it out" if value is False else _truth_hint(value)
        )
        return f"only {expected.replace('True', 'true')} is possible, not {as_written(value)}{hint}"
    shown = repr(value) if isinstance(value, str) else as_written(value)
    hint = did_you_mean(value, words) if isinstance(value, str) else ""
    return f"{shown} is not one of {', '.join(map(repr, words))}{also}{hint}"


def _no_hint(value: Any) -> str:
    return ""


def _truth_hint(value: Any) -> str:
    word = str(value).lower()
    meant = "true" if word in _TRUE else "false" if word in _FALSE else ""
    return f"; did you mean {meant}?" if meant else ""


def _list_hint(value: Any) -> str:
    if isinstance(value, (dict, list)) or value is None:
        return ""
    parts = value.split(",") if isinstance(value, str) else [value]
    text = f"[{', '.join(written(p.strip() if isinstance(p, str) else p) for p in parts)}]"
    return f"; did you mean {text}?" if len(text) < MAX_HINT else ""


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
_OF_MAPPINGS = ("dict_type", "model_type", "model_attributes_type")
_SETTINGS = "a mapping (name: settings)"
#: What is needed under a key of the file, and one level below it.
_FORMS = {
    ("module", 1): "a file such as tasks.py or a dotted name",
    ("session", 1): "a file name or a mapping (key: value)",
    ("devices", 1): _SETTINGS,
    ("devices", 2): "a mapping such as {use: module:Name}",
    ("parameters", 1): "a mapping (name: value)",
    ("variables", 1): _SETTINGS,
    ("variables", 2): "a mapping such as {unit: V}",
    ("tasks", 1): "a list of names or a mapping (name: settings)",
    ("tasks", 2): "a mapping such as {every: 10s}",
    ("plots", 1): "a list of plots such as [[T_top, T_bottom]]",
    ("alarms", 1): _SETTINGS,
    ("alarms", 2): "a mapping such as {when: T > 60}",
    ("alarm_tests", 1): "a list of mappings",
    ("email", 1): "a mapping with host, from and to",
    ("server", 1): "a mapping such as {enabled: false}",
    ("limits", 1): "a mapping such as {duration: 1h}",
}
#: What is needed under a key of a part of the file.
_MAPPINGS = {
    "on_error": "a mapping such as {retry: 3, then: continue}",
    "reconnect": "a mapping such as {wait: 1s}",
    "safe": "the name of a method or a mapping such as {call: output, args: [false]}",
    "sweep": "a mapping such as {values: [0, 1, 3]}",
    "tls": "a mapping such as {cert: lab.crt, key: lab.key}",
    "tunable": "a mapping such as {min: 0, max: 10}",
}
_HINTS: dict[str, Callable[[Any], str]] = {
    "list_type": _list_hint,
    "bool_type": _truth_hint,
    "float_type": decimal_hint,
    "string_type": _text_hint,
}
_BOUNDS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_EMPTY = {"string_too_short": "a text is missing", "too_short": "at least one is needed"}
