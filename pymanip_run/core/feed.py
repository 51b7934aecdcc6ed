"""The fan-out from the recorder to displays, plots, alarms and the web.

Publishing never waits and never raises: each subscriber has a bounded queue of its own, which
drops its oldest items when the subscriber does not come to empty it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import TYPE_CHECKING, TypeAlias

from pymanip_run.records import Entry, Event

if TYPE_CHECKING:
    from collections.abc import Callable

logger = logging.getLogger(__name__)

Item: TypeAlias = Entry | Event

DEFAULT_BACKLOG = 10_000


class Subscription:
    """One subscriber's queue of what was recorded, oldest first."""

    __slots__ = ("_queue", "put")

    def __init__(self, backlog: int = DEFAULT_BACKLOG) -> None:
        self._queue: deque[Item] = deque(maxlen=backlog)
        #: Add an item; the oldest falls out of a full queue.
        self.put: Callable[[Item], None] = self._queue.append

    def drain(self) -> list[Item]:
        """Take and return all waiting items."""
        items: list[Item] = []
        take = self._queue.popleft
        try:
            # Bounded: a producer in another thread must not keep us here for ever.
            for _ in range(len(self._queue)):
                items.append(take())  # noqa: PERF401 - popleft empties the queue
        except IndexError:
            pass
        return items

    def __len__(self) -> int:
        return len(self._queue)


class Feed:
    """Announces what is already safely stored. All methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._subscriptions: tuple[Subscription, ...] = ()
        self._callbacks: tuple[Callable[[Item], None], ...] = ()
        #: False while nobody listens; lets the recorder skip building the item.
        self.active = False

    def subscribe(self, backlog: int = DEFAULT_BACKLOG) -> Subscription:
        """Return a new queue that receives every item from now on."""
        subscription = Subscription(backlog)
        with self._lock:
            self._subscriptions = (*self._subscriptions, subscription)
            self.active = True
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Stop filling the queue. Unknown ones are ignored."""
        with self._lock:
            self._subscriptions = tuple(s for s in self._subscriptions if s is not subscription)
            self._update()

    def call(self, callback: Callable[[Item], None]) -> None:
        """Call `callback(item)` in the recording thread for every item; it must be quick.

        One that raises is logged and not called again.
        """
        with self._lock:
            self._callbacks = (*self._callbacks, callback)
            self.active = True

    def uncall(self, callback: Callable[[Item], None]) -> None:
        """Stop calling it. Unknown ones are ignored."""
        with self._lock:
            self._callbacks = tuple(c for c in self._callbacks if c != callback)
            self._update()

    def publish(self, item: Item) -> None:
        """Announce an item. Never waits, never raises."""
        for subscription in self._subscriptions:
            subscription.put(item)
        for callback in self._callbacks:
            try:
                callback(item)
            except Exception:
                logger.exception("a listener failed on %r and is not called again", item)
                self.uncall(callback)

    def _update(self) -> None:
        self.active = bool(self._subscriptions or self._callbacks)
