"""``--show-config``: everything that a run would use, as YAML, with the origin of each value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from pymanip_run.experiment.text.nodes import Scalar, locate
from pymanip_run.experiment.text.problems import inert
from pymanip_run.experiment.text.redact import is_public, public
from pymanip_run.experiment.text.writing import written, written_key
from pymanip_run.masking import MASK, is_secret, known_secrets, starred

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymanip_run.experiment.load.loading import Draft
    from pymanip_run.experiment.text.nodes import Node, Part

__all__ = ["shown_config"]

_DEFAULT = "default"
_COMMENT_AT = 48


def shown_config(draft: Draft) -> str:
    """Return a valid experiment as YAML; each value has the place that it comes from as a comment.

    Secrets are starred. What is left out and has no default is not shown. Read again, the text means
    the same, but for the secrets.

    Raises
    ------
    ConfigError
        If the experiment is not valid, with everything that is wrong.
    """
    model = draft.loaded().model
    head = f"# {inert(str(draft.path))} with all that changes it; behind each value, where it comes from"
    with known_secrets(draft.secrets):
        return "\n".join([head, *_mapping(draft.root, model, (), 0)]) + "\n"


def _mapping(root: Node, model: BaseModel, path: tuple[Part, ...], indent: int) -> Iterator[str]:
    for name, field in type(model).model_fields.items():
        value, given = getattr(model, name), name in model.model_fields_set
        if value is not None or given:
            key = field.alias or name
            yield from _entry(
                root, f"{' ' * indent}{key}:", value, (*path, key), indent, given=given
            )


def _entry(
    root: Node, start: str, value: Any, path: tuple[Part, ...], indent: int, *, given: bool
) -> Iterator[str]:
    """Yield a key and its value: on the same line, or in a block below it."""
    below = list(_block(root, value, path, indent + 2)) if _has_parts(value) else []
    if below:
        yield start
        yield from below
    else:
        yield _line(start, *(_given(root, value, path) if given else (_default(value), _DEFAULT)))


def _block(root: Node, value: Any, path: tuple[Part, ...], indent: int) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from _mapping(root, value, path, indent)
    elif isinstance(value, dict):
        for key, one in value.items():
            start = f"{' ' * indent}{written_key(key)}:"
            yield from _entry(root, start, one, (*path, key), indent, given=True)
    else:
        for index, one in enumerate(value):
            yield from _item(root, one, (*path, index), indent)


def _item(root: Node, value: Any, path: tuple[Part, ...], indent: int) -> Iterator[str]:
    """Yield an item of a list; its first line has the dash."""
    if isinstance(value, BaseModel):
        first, *others = _mapping(root, value, path, indent + 2)
        yield f"{' ' * indent}- {first.lstrip()}"
        yield from others
    else:
        yield _line(f"{' ' * indent}-", *_given(root, value, path))


def _given(root: Node, value: Any, path: tuple[Part, ...]) -> tuple[str, str]:
    """Return a value as it was written, and where."""
    found = locate(root, path)
    if isinstance(found.node, Scalar) or len(found.path) == len(path):
        value = public(found.node, found.path)
    elif is_secret(path) and not is_public(path, value):
        value = MASK
    return _one_line(value), starred(inert(str(found.mark)))


def _default(value: Any) -> str:
    # Durations: 5, not 5.0.
    return _one_line(int(value) if isinstance(value, float) and value.is_integer() else value)


def _one_line(value: Any) -> str:
    return written({} if isinstance(value, BaseModel) else value)


def _has_parts(value: Any) -> bool:
    if isinstance(value, list):
        return any(isinstance(one, BaseModel) for one in value)
    return isinstance(value, BaseModel) or (isinstance(value, dict) and bool(value))


def _line(start: str, value: str, origin: str) -> str:
    return f"{f'{start} {value}':<{_COMMENT_AT}}  # {origin}"
