"""Mails of the same kind keep their distance: what comes too early is told at the end of it."""

from __future__ import annotations

from typing import TypeAlias

__all__ = ["Pacing"]

Key: TypeAlias = tuple[str, str]


class Pacing:
    """Decides when a mail may go.

    Parameters
    ----------
    min_interval
        The shortest time between two mails of the same kind and key, in seconds.
    """

    def __init__(self, min_interval: float) -> None:
        self._min_interval = min_interval
        self._last: dict[Key, float] = {}

    def admit(self, key: Key, now: float) -> float | None:
        """Return when a mail may go; None if one will go in any case, which tells this too."""
        last = self._last.get(key)
        when = now if last is None else max(now, last + self._min_interval)
        if last is not None and last > now:
            return None
        self._last[key] = when
        return when
