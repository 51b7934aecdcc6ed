"""Values as JSON has them, which knows no NaN and no infinities, and as people write them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pymanip_run.records.kinds import Run, Statistics

__all__ = ["finite", "plain", "plain_run", "plain_statistics", "written"]


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


def plain_run(run: Run) -> dict[str, Any]:
    """Return what was recorded of a run, without its texts."""
    return {
        "index": run.index,
        "start": finite(run.start),
        "stop": finite(run.stop),
        "exit_code": run.exit_code,
        "exit_reason": run.exit_reason,
        "host": run.host,
        "user": run.user,
        "pid": run.pid,
        "boot_id": run.boot_id,
        "config_sha256": run.config_sha256,
    }


def plain_statistics(known: Statistics) -> dict[str, Any]:
    """Return number, ends, extremes and mean of a variable; first and last are None without values."""
    return {
        "n": known.n,
        "first": [finite(known.first_time), finite(known.first_value)] if known.n else None,
        "last": [finite(known.last_time), finite(known.last_value)] if known.n else None,
        "min": finite(known.min),
        "max": finite(known.max),
        "mean": finite(known.mean),
    }


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
