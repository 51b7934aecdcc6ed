"""Answers that many clients ask for: serialised once for each change of the data, not once for each request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.clock import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

__all__ = ["Body"]

#: What does not change is made anew after so long all the same: ages grow.
MAX_AGE = 0.5
#: Of the time, at most this part goes into making it …
SHARE = 0.1
#: … but so many seconds of work may come at once, after a calmer time.
BURST = 0.1


class Body:
    """A body that is kept until it is outdated.

    Parameters
    ----------
    make
        Makes it.
    """

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._body = b""
        self._version: Hashable = None
        self._made = -1e9
        #: Seconds of work that may be done now.
        self._credit = BURST

    def get(self, version: Hashable) -> bytes:
        """Return the body of a version of the data.

        Where very many ask while the data change all the time, some get that of a moment ago.
        """
        now = SYSTEM.monotonic()
        age = now - self._made
        changed = version != self._version and self._credit + SHARE * age > 0
        if changed or age >= MAX_AGE:
            self._credit = min(BURST, self._credit + SHARE * age)
            self._body = self._make()
            self._version = version
            self._made = SYSTEM.monotonic()
            self._credit -= self._made - now
        return self._body
