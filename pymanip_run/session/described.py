"""What is known of the variables of a session, for those who ask often."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pymanip_run.session.state import internals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymanip_run.records import VariableInfo
    from pymanip_run.session.live import AsyncSession

__all__ = ["Described"]

LIFETIME = 10.0  # seconds; reading what is known of all variables holds up who records


class Described:
    """Tells units and formats of the variables of a session; what is older than 10 s is read anew.

    Parameters
    ----------
    session
        The session.
    declared
        What is known of variables without it; goes before what the session knows.
    """

    def __init__(
        self, session: AsyncSession, declared: Mapping[str, VariableInfo] | None = None
    ) -> None:
        self._session = session
        self._declared = declared or {}
        self._known: Mapping[str, VariableInfo] = self._declared
        self._read = -math.inf
        self._entries = -1

    def __call__(self) -> Mapping[str, VariableInfo]:
        """Return what is known."""
        # The session's time: in a rehearsal each time the same is read anew.
        now, entries = self._session.now(), internals(self._session).recorder.entries
        if entries != self._entries and not 0 <= now - self._read < LIFETIME:
            self._read, self._entries = now, entries
            self._known = {**self._session.variables(), **self._declared}
        return self._known
