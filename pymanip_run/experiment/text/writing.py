"""Values as YAML that versions 1.1 and 1.2 read alike; in one line."""

from __future__ import annotations

import math
import re
from typing import Any

from pymanip_run.experiment.text.scalars import resolve
from pymanip_run.masking import starred

__all__ = ["written", "written_key"]

# Without a blank before it, ':' is part of a text.
_PLAIN = re.compile(
    r"[^\W\d][\w./%-]*(?::[\w./-]+)*(?: [\w./%-]+)*|[0-9]+(?:\.[0-9]+)?[a-z]+(?:[0-9]+[a-z]+)*"
)
_YAML_1_1 = {"y", "n", "yes", "no", "on", "off"}


def written(value: Any) -> str:
    """Return a value as YAML in one line."""
    if isinstance(value, dict):
        return (
            f"{{{', '.join(f'{written_key(key)}: {written(one)}' for key, one in value.items())}}}"
        )
    if isinstance(value, list):
        return f"[{', '.join(map(written, value))}]"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return _number(value) if isinstance(value, float) else _text(starred(str(value)))


def written_key(key: str) -> str:
    """Return a key as YAML."""
    return _text(starred(key), reference=False)


def _number(value: float) -> str:
    if not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    mantissa, e, exponent = repr(value).partition("e")
    return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}{e}{exponent}"


def _text(text: str, *, reference: bool = True) -> str:
    if (
        _PLAIN.fullmatch(text)
        and text.isprintable()
        and text.lower() not in _YAML_1_1
        and _is_text(text)
    ):
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    if reference:
        escaped = escaped.replace("${", "$${")
    return f'"{"".join(c if c.isprintable() else _escaped(c) for c in escaped)}"'


def _is_text(text: str) -> bool:
    try:
        return isinstance(resolve(text), str)
    except ValueError:
        return False


def _escaped(char: str) -> str:
    number = ord(char)
    if char == "\n":
        return "\\n"
    return (
        f"\\x{number:02x}"
        if number < 0x100
        else f"\\u{number:04x}"
        if number < 0x10000
        else f"\\U{number:08x}"
    )
