"""The alarms that are active, kept in the session: the next run shows them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pymanip_run.alarms.rules import Rule, Status

__all__ = ["KEPT", "kept_of", "restored"]

#: The metadata item that holds them.
KEPT = "_alarms"


def kept_of(statuses: Iterable[Status]) -> dict[str, Any]:
    """Return what is kept: the alarms that are active, with condition, time and value."""
    return {
        status.rule.name: {
            "when": status.rule.when.text,
            "since": status.time,
            "value": status.value if math.isfinite(status.value) else None,
        }
        for status in statuses
        if status.level == "active"
    }


def restored(kept: object, rules: Iterable[Rule]) -> Mapping[str, tuple[int, float]]:
    """Return the alarms that were active, for an engine; those whose condition was changed are new."""
    found: dict[str, tuple[int, float]] = {}
    for rule in rules:
        item = kept.get(rule.name) if isinstance(kept, dict) else None
        if not isinstance(item, dict) or item.get("when") != rule.when.text:
            continue
        since, value = item.get("since"), item.get("value")
        if isinstance(since, (int, float)) and math.isfinite(since):
            number = float(value) if isinstance(value, (int, float)) else math.nan
            found[rule.name] = (round(since * 1e6) * 1000, number)
    return found
