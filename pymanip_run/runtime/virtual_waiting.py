"""How a dry run waits: the selector that moves the clock instead of waiting for it.

When no callback is ready, no descriptor is, and nothing is in flight, the clock jumps to the next
timer. While something is in flight (a function in a thread, a sub-process, an answer that a socket
is owed) the clock stands still for a while, then follows real time, and finally gives it up.
"""

from __future__ import annotations

import selectors
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from pymanip_run.clock import SYSTEM
from pymanip_run.runtime.virtual_jobs import Calls, Job
from pymanip_run.runtime.virtual_processes import Children
from pymanip_run.runtime.virtual_sockets import Sockets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pymanip_run.clock import VirtualClock

__all__ = ["Cost", "Flight", "VirtualSelector"]

STILL = 0.5  # real seconds for which time stands still …
PATIENCE = 10.0  # … and after which what is waited for does not count any more
SLICE = 0.01  # real seconds between two looks while time follows real time
TURNS = 64  # turns of the loop between two looks whether it ever comes to rest

Ready: TypeAlias = list[tuple[selectors.SelectorKey, int]]


@dataclass
class Cost:
    """Real time that was spent waiting for something.

    Attributes
    ----------
    kind : str
        ``"thread"``, ``"process"``, ``"connection"``, ``"answer"``, ``"writing"`` or ``"loop"``.
    label : str
        What it is.
    seconds : float
        How much in all.
    longest : float
        The longest time at once.
    place : str
        Where it was when it was given up; empty if it never was.
    """

    kind: str
    label: str
    seconds: float = 0.0
    longest: float = 0.0
    place: str = ""

    def add(self, seconds: float, held: float, place: str = "") -> None:
        """Put down some more."""
        self.seconds += seconds
        self.longest = max(self.longest, held)
        self.place = place or self.place


class Flight:
    """Everything that virtual time waits for."""

    def __init__(self, clock: VirtualClock, selector: VirtualSelector) -> None:
        self.calls = Calls(clock, lambda: selector.poke(), selector.is_held)  # noqa: PLW0108 - it is set later
        self.children = Children()
        self.sockets = Sockets(selector.is_read)
        #: Descriptors that wait to be writable.
        self.writers: dict[int, Job] = {}
        self.others: set[Job] = set()
        self.costs: dict[str, Cost] = {}

    def pending(self) -> list[Job]:
        """Return what is in flight now."""
        jobs: list[Job] = []
        if self.calls:
            jobs += self.calls.pending()
        if self.children:
            jobs += self.children.pending()
        if self.sockets:
            jobs += self.sockets.pending()
        if self.writers:
            jobs += (job for job in self.writers.values() if not job.given_up)
        if self.others:
            jobs += (job for job in self.others if not job.given_up)
        return jobs

    @contextmanager
    def other(self, kind: str, label: str) -> Iterator[None]:
        """Let something count within the context."""
        job = Job(kind, label)
        self.others.add(job)
        try:
            yield
        finally:
            self.others.discard(job)

    def charge(self, jobs: list[Job], began: float, now: float) -> None:
        """Put down the real time that was waited, and give up what took too long."""
        for job in jobs:
            held = now - (began if job.since is None else job.since)
            job.given_up = held >= PATIENCE
            if job.label:
                self._cost_of(job).add(now - began, held, job.place if job.given_up else "")

    def _cost_of(self, job: Job) -> Cost:
        cost = self.costs.get(job.label)
        if cost is None:
            cost = self.costs[job.label] = Cost(job.kind, job.label)
        return cost


class VirtualSelector(selectors.DefaultSelector):
    """Polls instead of waiting, and moves the clock."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.poke: Callable[[], object] = lambda: None
        self.on_stall: Callable[[], object] = lambda: None
        self.busy_place: Callable[[], str] = str
        self.clock = clock
        #: Real time at which the loop was given something to do; None while it waits.
        self.turn_began: float | None = None
        self.flight = Flight(clock, self)
        #: Real seconds without anything ready, any timer, and anything in flight.
        self.stalled = 0.0
        self._turns = 0
        self._looked = SYSTEM.monotonic()
        self._restless = 0.0

    # What is registered

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Register a descriptor."""
        key = super().register(fileobj, events, data)
        self._note_writer(key)
        return key

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        """Change what a descriptor is registered for."""
        key = super().modify(fileobj, events, data)
        self._note_writer(key)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        """Forget a descriptor."""
        key = super().unregister(fileobj)
        self.flight.writers.pop(key.fd, None)
        return key

    def is_held(self) -> bool:
        """Return whether something has held the loop for a while."""
        began = self.turn_began
        return began is not None and SYSTEM.monotonic() - began >= STILL

    def is_read(self, fd: int) -> bool:
        """Return whether a descriptor is registered for reading."""
        try:
            return bool(self.get_key(fd).events & selectors.EVENT_READ)
        except KeyError:
            return False

    def _note_writer(self, key: selectors.SelectorKey) -> None:
        if not key.events & selectors.EVENT_WRITE:
            self.flight.writers.pop(key.fd, None)
        elif key.fd not in self.flight.writers:
            self.flight.writers[key.fd] = Job("writing", f"descriptor {key.fd} to be writable")

    # Waiting

    def select(self, timeout: float | None = None) -> Ready:
        """Return what is ready; wait or move the clock if the loop has nothing else to do."""
        self.turn_began = None
        events = self._poll(0)
        if events or (timeout is not None and timeout <= 0):
            self._turns += 1
            if self._turns >= TURNS:
                self._look_for_rest()
        else:
            events = self._rest(timeout)
        self.turn_began = SYSTEM.monotonic()
        return events

    def _poll(self, seconds: float | None) -> Ready:
        events = super().select(seconds)
        for key, mask in events:
            if mask & selectors.EVENT_READ:
                self.flight.sockets.readable(key.fd)
        return events

    def _rest(self, timeout: float | None) -> Ready:
        """Nothing is ready: wait for what is in flight, or move the clock."""
        clock, flight = self.clock, self.flight
        self._turns, self._restless = 0, 0.0
        due = None if timeout is None else clock.ns + max(1, round(timeout * 1e9))
        while True:
            asleep = None
            if flight.calls:
                if flight.calls.let_next():
                    continue
                asleep = flight.calls.next_waking()
            target = asleep if due is None else due if asleep is None else min(asleep, due)
            events: Ready = []
            jobs = flight.pending()
            is_due = due is not None and clock.ns >= due
            # A function that woke at the same instant has its turn first.
            if jobs and not (is_due and _stood(jobs) >= STILL):
                events = self._hold(jobs, target)
            elif is_due:
                return []
            elif target is not None:
                clock.move_to(target)
                if target != asleep:
                    return []
            else:
                return self._stall()
            if events:
                return events

    def _hold(self, jobs: list[Job], target: int | None) -> Ready:
        """Wait for what is in flight: for a while time stands still, then it follows real time."""
        began = SYSTEM.monotonic()
        for job in jobs:
            if job.since is None:
                job.since = began
        stood = _stood(jobs)
        follows = stood >= STILL
        seconds = SLICE if follows or self.flight.calls.waits_for_its_turn() else STILL - stood
        left = None if target is None else target - self.clock.ns
        if follows and left is not None:
            seconds = min(seconds, left / 1e9)
        events = self._poll(max(0.0, seconds))
        now = SYSTEM.monotonic()
        if follows:
            passed = round((now - began) * 1e9)
            self.clock.move_to(self.clock.ns + (passed if left is None else min(passed, left)))
        self.flight.charge(jobs, began, now)
        return events

    def _stall(self) -> Ready:
        """Wait for something from outside, for a signal: nothing in the loop will ever happen."""
        began = SYSTEM.monotonic()
        events = self._poll(SLICE if self.stalled >= STILL else STILL)
        passed = SYSTEM.monotonic() - began
        if self.stalled >= STILL:  # somebody out there may wait for a time
            self.clock.move_to(self.clock.ns + round(passed * 1e9))
        self.stalled = 0.0 if events else self.stalled + passed
        if self.stalled >= PATIENCE:
            self.stalled = 0.0
            self.on_stall()
        return events

    def _look_for_rest(self) -> None:
        """See whether the loop has been busy for long without any time to pass; then let it pass."""
        now = SYSTEM.monotonic()
        # A single long callback is no restless loop.
        passed, self._looked, self._turns = now - self._looked, now, 0
        if self.flight.calls:
            self.flight.calls.let_next()
        if self._restless >= STILL:
            self.clock.move_to(self.clock.ns + round(passed * 1e9))
            self._charge_restless(passed)
        else:
            self._restless += min(passed, STILL / 5)

    def _charge_restless(self, passed: float) -> None:
        cost = self.flight.costs.get("")
        if cost is None:
            cost = self.flight.costs[""] = Cost("loop", self.busy_place())
        cost.add(passed, cost.seconds + passed)


def _stood(jobs: list[Job]) -> float:
    """Return for how many real seconds time has been held for the oldest of the jobs."""
    now = SYSTEM.monotonic()
    return now - min(now if job.since is None else job.since for job in jobs)
