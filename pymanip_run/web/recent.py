"""What was recorded lately, in memory: most clients only ask for what is new."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from pymanip_run.clock import SYSTEM
from pymanip_run.records import Entry, Event

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymanip_run.core.feed import Subscription
    from pymanip_run.web.settings import Watched

__all__ = ["Recent", "Stretch", "micros"]

#: Of the feed, which the server empties several times a second.
BACKLOG = 50_000
#: Values kept in memory.
KEPT_VALUES = 60_000
KEPT_EVENTS = 1_000
#: Without a question for so long, the recorder need not tell what it records.
UNWATCHED_SECONDS = 60.0


def micros(ns: int) -> int:
    """Return nanoseconds as the whole microseconds that a session keeps."""
    return ns // 1000


class Stretch(NamedTuple):
    """Entries and events, and up to which time (µs) they are all."""

    entries: list[Entry]
    events: list[Event]
    until: int
    #: Whether there is still more.
    more: bool = False


class Recent:
    """Listens to the feed while somebody asks.

    Parameters
    ----------
    watched
        The session.
    """

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._subscription: Subscription | None = None
        self._entries: deque[Entry] = deque()
        self._values = 0
        self._asked = SYSTEM.monotonic()
        #: Later than this time (µs) everything recorded is here.
        self.complete_after = 0
        #: The newest last.
        self.events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        #: Grows with everything that is recorded.
        self.version = 0
        #: Grows when something else than values changed.
        self.changes = 0
        self._names: set[str] = set()

    @property
    def is_listening(self) -> bool:
        """Whether the feed is listened to."""
        return self._subscription is not None

    def asked(self) -> None:
        """Listen from now on, and take in what has come."""
        self._asked = SYSTEM.monotonic()
        feed = self._watched.feed
        if self._subscription is None and feed is not None:
            self._entries.clear()
            self._values = 0
            self._subscription = feed.subscribe(BACKLOG)
            # All that is stored by now is no later than this, and all after it comes by the feed.
            self.complete_after = self._stored_until()
            self.version += 1
        self.absorb()

    def _stored_until(self) -> int:
        position = self._watched.position
        return micros(position()) if position is not None else 0

    def absorb(self) -> None:
        """Take in what the feed brought; listen no more when nobody has asked for long."""
        subscription = self._subscription
        if subscription is None:
            return
        items = subscription.drain()
        if len(items) >= BACKLOG:
            self._entries.clear()
            self._values = 0
            self.complete_after = micros(items[0].ns)
        for item in items:
            if isinstance(item, Entry):
                self._keep(item)
            else:
                self.events.append(item)
                self.changes += 1
        self.version += len(items)
        feed = self._watched.feed
        if feed is not None and SYSTEM.monotonic() - self._asked > UNWATCHED_SECONDS:
            feed.unsubscribe(subscription)
            self._subscription = None

    def _keep(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._values += len(entry.names)
        while self._values > KEPT_VALUES:
            gone = self._entries.popleft()
            self._values -= len(gone.names)
            self.complete_after = micros(gone.ns)
        if not self._names.issuperset(entry.names):
            self._names.update(entry.names)
            self.changes += 1

    def reaches(self, after: int) -> bool:
        """Tell whether all that was recorded after a time (µs) is here."""
        return self.is_listening and after >= self.complete_after

    def since(self, after: int, limit: int) -> Stretch | None:
        """Return what was recorded after a time (µs), at most about `limit` values; None: not all is here."""
        if not self.reaches(after):
            return None
        entries: list[Entry] = []
        left = limit
        until = after
        for entry in self._newer(after):
            left -= len(entry.names)
            if left < 0 and entries:
                return Stretch(entries, self._events(after, until), until, more=True)
            entries.append(entry)
            until = micros(entry.ns)
        events = self._events(after, None)
        if events:
            until = max(until, micros(events[-1].ns))
        return Stretch(entries, events, until)

    def _newer(self, after: int) -> Iterator[Entry]:
        count = 0
        for entry in reversed(self._entries):
            if micros(entry.ns) <= after:
                break
            count += 1
        return islice(self._entries, len(self._entries) - count, None)

    def _events(self, after: int, until: int | None) -> list[Event]:
        return [
            event
            for event in self.events
            if micros(event.ns) > after and (until is None or micros(event.ns) <= until)
        ]
