"""The alarms that are active, kept in the session: the next run shows them."""

from __future__ import annotations

import logging
import math
from typing import TYPE_CHECKING, Any

from pymanip_run.errors import PymanipError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pymanip_run.alarms.rules import Rule, Status

__all__ = ["KEPT", "Keeper", "kept_of", "restored"]

logger = logging.getLogger(__name__)

#: The metadata item that holds them.
KEPT = "_alarms"


class Keeper:
    """Stores the alarms that are active, each time that they are others.

    Parameters
    ----------
    stored
        What is stored already.
    save
        Stores them. That it cannot, on a full disk for example, is said once and keeps nobody.
    """

    def __init__(self, stored: object, save: Callable[[dict[str, Any]], object]) -> None:
        self._stored = stored or {}
        self._save = save
        self._has_failed = False

    def __call__(self, statuses: Iterable[Status]) -> None:
        """Store them if need be."""
        kept = kept_of(statuses)
        # Compared with what is known here: reading it anew takes longer than storing it.
        if kept == self._stored:
            return
        try:
            self._save(kept)
        except PymanipError as error:
            if not self._has_failed:
                logger.warning("the states of the alarms could not be stored: %s", error)
            self._has_failed = True
        else:
            self._stored, self._has_failed = kept, False


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
