"""Lets alarms live beside a run: fed by what is recorded, woken when something is due by time.

Recording is not held up: an entry is put into a queue, which is emptied in the next turn of the
event loop. Timers are those of the loop, thus virtual in a rehearsal. Where a task holds the loop,
a thread evaluates in its place.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from pymanip_run.records import Entry
from pymanip_run.runtime.virtual import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import TracebackType
    from typing import Self

    from pymanip_run.alarms.engine import Engine
    from pymanip_run.alarms.rules import Change, Status
    from pymanip_run.core.feed import Feed
    from pymanip_run.records import Event

__all__ = ["Watcher"]

logger = logging.getLogger(__name__)

BACKLOG = 100_000  # entries; more can only wait where something holds the loop
GUARD_PERIOD = 1.0  # seconds
SHORTEST = 1e-6  # seconds, the resolution of a session's time


class Watcher:
    """Evaluates alarms while a run goes on; an asynchronous context.

    Parameters
    ----------
    engine
        The alarms.
    feed
        Announces what is recorded.
    now_ns
        Returns the session's time in nanoseconds; from any thread.
    act
        Is called with what changed: in the event loop, or in a thread while something holds it.
    """

    def __init__(
        self,
        engine: Engine,
        feed: Feed,
        now_ns: Callable[[], int],
        act: Callable[[Sequence[Change]], object],
    ) -> None:
        self._engine = engine
        self._feed = feed
        self._now_ns = now_ns
        self._act = act
        self._items: deque[Entry | Event] = deque(maxlen=BACKLOG)
        self._asked = False
        # Reentrant: acting on a change may ask for the states.
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._evaluations = 0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_due = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._feed.call(self._arrived)
        if not isinstance(self._loop, VirtualLoop):
            threading.Thread(target=self._guard, name="alarms", daemon=True).start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def begin(self, last: Sequence[tuple[int, str, float]] = ()) -> None:
        """Let ages count from now on, after the values that were recorded before."""
        changes: list[Change] = []
        with self._lock:
            for ns, name, value in last:
                changes += self._engine.take(ns, (name,), (value,))
            self._engine.count_ages(self._now_ns())
        self._evaluate(changes)
        self._set_timer()

    def end_ages(self) -> None:
        """Let ages count no more: the run is ending, and its values with it. From any thread."""
        with self._lock:
            self._engine.count_ages(None)

    def close(self) -> None:
        """Evaluate what is left, and end."""
        if self._over.is_set():
            return
        self._feed.uncall(self._arrived)
        self._evaluate()
        self._over.set()
        if self._timer is not None:
            self._timer.cancel()

    def statuses(self) -> list[Status]:
        """Return how each alarm is doing; from any thread."""
        with self._lock:
            return self._engine.statuses()

    # Where something is recorded, in any thread

    def _arrived(self, item: Entry | Event) -> None:
        self._items.append(item)
        if not self._asked:
            self._asked = True
            self._wake()

    def _wake(self) -> None:
        loop = self._loop
        if loop is None:
            return
        with suppress(RuntimeError):  # the loop is closed
            if threading.get_ident() == self._thread:
                loop.call_soon(self._turn)
            else:
                loop.call_soon_threadsafe(self._turn)

    # In the event loop

    def _turn(self) -> None:
        if not self._over.is_set():
            self._evaluate()
            self._set_timer()

    def _set_timer(self) -> None:
        due, timer = self._engine.due, self._timer
        if timer is not None and (due is None or due < self._timer_due):
            timer.cancel()
            self._timer = None
        if due is not None and self._timer is None and self._loop is not None:
            delay = max(SHORTEST, (due - self._now_ns()) / 1e9)
            self._timer_due = due
            self._timer = self._loop.call_later(delay, self._time_is_up)

    def _time_is_up(self) -> None:
        self._timer = None
        self._turn()

    # In the event loop, or where something holds it in the thread beside

    def _evaluate(self, before: Sequence[Change] = ()) -> None:
        with self._lock:
            self._asked = False
            self._evaluations += 1
            changes = [*before, *self._drain()]
            changes += self._engine.advance(self._now_ns())
            if changes:
                try:
                    self._act(changes)
                except Exception:
                    logger.exception("an alarm could not act")

    def _drain(self) -> list[Change]:
        changes: list[Change] = []
        take = self._items.popleft
        with suppress(IndexError):
            for _ in range(len(self._items)):
                item = take()
                if isinstance(item, Entry):
                    changes += self._engine.take(item.ns, item.names, item.values)
                elif item.kind == "clock":
                    # Nothing has become older by that the clock was set.
                    self._engine.clock_stepped(item.ns)
        return changes

    def _guard(self) -> None:
        """Evaluate in the place of a loop that is held."""
        seen = -1
        while not self._over.wait(GUARD_PERIOD):
            idle, seen = seen == self._evaluations, self._evaluations
            due = self._engine.due
            late = due is not None and self._now_ns() > due + GUARD_PERIOD * 1e9
            if idle and (late or self._items):
                self._evaluate()
