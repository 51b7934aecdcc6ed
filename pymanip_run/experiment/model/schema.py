"""The JSON Schema of the experiment file (draft 2020-12), from its models.

What pydantic makes of them is for values that are there already. A person writes a file: any value
but a text may be a reference such as ``${LAB_PORT}``, and what has no default is left out.
"""

from __future__ import annotations

from typing import Any

from pymanip_run.experiment.model.experiment import Experiment

__all__ = ["experiment_schema"]

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = {
    "type": "string",
    "pattern": r"\$\{",
    "description": "A reference to the environment: ${NAME}, ${NAME:-default} or ${NAME:?message}.",
}
_TO_REFERENCE = {"$ref": "#/$defs/Reference"}
#: What a reference can stand for, besides a text.
_TYPES = {"integer", "number", "boolean"}
#: What tells about a value and does not restrict it.
_ABOUT = ("description", "default", "examples")
_AS_IT_IS = ("examples", "enum", "not", "dependentRequired", "required")


def experiment_schema() -> dict[str, Any]:
    """Return the schema: descriptions, defaults, examples, short forms and references."""
    made = Experiment.model_json_schema()
    definitions = {name: _improved(one) for name, one in made.pop("$defs").items()}
    whole = _improved(made)
    del whole["description"]
    return {
        "$schema": _DIALECT,
        "title": "An experiment of pymanip-run",
        "description": "What is measured, how long, and where the data go.",
        **whole,
        "$defs": {**definitions, "Reference": _REFERENCE},
    }


def _improved(schema: Any) -> Any:
    """Return a schema for what people write."""
    if isinstance(schema, list):
        return [_improved(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    new = {key: _improved_part(key, part) for key, part in schema.items() if key != "title"}
    if new.get("default", 0) is None or (isinstance(new.get("default"), dict) and new["default"]):
        del new["default"]  # an editor would write it
    if _is_restricted(new):
        rest = {key: part for key, part in new.items() if key not in _ABOUT}
        about = {key: part for key, part in new.items() if key in _ABOUT}
        return {**about, "anyOf": [rest, _TO_REFERENCE]}
    return _flat(new)


def _improved_part(key: str, part: Any) -> Any:
    if key in ("properties", "patternProperties"):
        return {name: _improved(one) for name, one in part.items()}
    if key == "default":
        return int(part) if isinstance(part, float) and part.is_integer() else part
    return part if key in _AS_IT_IS else _improved(part)


def _is_restricted(schema: dict[str, Any]) -> bool:
    if "enum" in schema or "const" in schema:
        return True
    kind = schema.get("type")
    return (isinstance(kind, str) and kind in _TYPES) or (kind == "string" and "pattern" in schema)


def _flat(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema without choices among choices, and with each choice once."""
    choices: list[Any] = []
    for choice in schema.get("anyOf", ()):
        inner = choice["anyOf"] if isinstance(choice, dict) and "anyOf" in choice else [choice]
        choices += [one for one in inner if one not in choices]
        for key in _ABOUT:
            if inner[0] is not choice and key in choice:
                schema.setdefault(key, choice[key])
    return {**schema, "anyOf": choices} if choices else schema
