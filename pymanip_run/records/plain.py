"""Values as JSON has them, which knows no NaN and no infinities, and as people write them."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["finite", "plain", "written"]


def finite(value: float | None) -> float | None:
    """Return the value, None in the place of NaN and infinities, which JSON does not have."""
    return value if value is not None and math.isfinite(value) else None


def plain(value: Any) -> Any:
    """Return a value with None in the place of every float that is not finite, at any depth."""
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def written(value: object) -> str:
    """Return a value as it is written in an experiment file, not as Python would."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {written(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return f"{value:.10g}" if isinstance(value, float) else str(value)
