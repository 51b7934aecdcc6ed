"""What is new in a session since it was last looked at: entries, records of datasets, events.

Within a session stamps only go forward, also from one run to the next: what is later than the last
that was seen is new, whoever wrote it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from pymanip_run.clock import as_ns
from pymanip_run.records import Entry, Event

if TYPE_CHECKING:
    from collections.abc import Collection

    from pymanip_run.core.view import SessionView

__all__ = ["Follower", "Item", "NewRecord"]

#: Of the end of a session, so many events belong to what is shown first.
FIRST_EVENTS = 3


class NewRecord(NamedTuple):
    """That a dataset has one more record."""

    ns: int
    name: str
    number: int
    shape: tuple[int, ...]
    dtype: str


Item: TypeAlias = Entry | NewRecord | Event


class Follower:
    """Tells again and again what has come meanwhile.

    Parameters
    ----------
    view
        The session. It may be written by one run after the other, and be replaced by a new one.
    names
        Only these variables and datasets, and no events; everything that is public when empty.
    tail
        How many of the last values of each variable come first.
    """

    def __init__(self, view: SessionView, names: Collection[str] = (), tail: int = 0) -> None:
        self._view = view
        self._names = frozenset(names)
        self._tail = tail
        self._uuid: str | None = None
        #: Up to when each variable was told, and how many records of each dataset.
        self._seen: dict[str, float] = {}
        self._records: dict[str, int] = {}
        self._event_ns: float = -math.inf

    def news(self) -> list[Item]:
        """Return what is new since the last call, in the order of time; at first the last values."""
        uuid = self._view.info().uuid
        is_first, is_other = self._uuid is None, self._uuid not in {None, uuid}
        if is_other:  # of which all is new
            self._seen, self._records, self._event_ns = {}, {}, -math.inf
        self._uuid = uuid
        found: list[Item] = [*self._entries(is_first=is_first)]
        if not self._names:
            found += self._events(is_first=is_first)
        return sorted([*found, *self._new_records(is_first=is_first)], key=lambda item: item.ns)

    # -- entries ------------------------------------------------------------------------------------

    def _entries(self, *, is_first: bool) -> list[Entry]:
        last = {name: time for name, (time, _) in self._last().items()}
        # What comes while the variables are read one by one is told the next time, of all of them.
        until = math.nextafter(max(last.values(), default=0.0), math.inf)
        at: dict[float, tuple[list[str], list[float]]] = {}
        for name, time in last.items():
            if self._seen.get(name, -math.inf) < time:
                for stamp, value in self._values(name, until, is_first=is_first):
                    names, values = at.setdefault(stamp, ([], []))
                    names.append(name)
                    values.append(value)
        self._seen |= last
        return [Entry(as_ns(t), tuple(n), tuple(v)) for t, (n, v) in at.items()]

    def _last(self) -> dict[str, tuple[float, float]]:
        if not self._names:
            return self._view.logged_last_values()
        return {
            name: self._view.logged_variable(name).last
            for name in self._names
            if name in self._view
        }

    def _values(self, name: str, until: float, *, is_first: bool) -> list[tuple[float, float]]:
        if is_first and not self._tail:
            return []
        seen = self._seen.get(name)
        since = -math.inf if seen is None else math.nextafter(seen, math.inf)
        part = self._view.logged_variable(name).between(since, until)
        if is_first:
            part = part.tail(self._tail)
        return list(zip(part.timestamps.tolist(), part.values.tolist(), strict=True))

    # -- the rest -----------------------------------------------------------------------------------

    def _events(self, *, is_first: bool) -> list[Event]:
        found = [event for event in self._view.events() if event.ns > self._event_ns]
        if found:
            self._event_ns = found[-1].ns
        if is_first:
            return found[-FIRST_EVENTS:] if self._tail else []
        return found

    def _new_records(self, *, is_first: bool) -> list[NewRecord]:
        found = []
        for name, info in self._view.datasets_info().items():
            if self._names and name not in self._names:
                continue
            before = info.n if is_first else self._records.get(name, 0)
            if info.n > before:
                times = self._view.dataset_times(name).tolist()
                # A large record may come after a small one that was stamped later: numbers, not times.
                found += [
                    NewRecord(as_ns(times[i]), name, i, info.shape, info.dtype)
                    for i in range(before, info.n)
                ]
            self._records[name] = info.n
        return found
