"""What alarms do when they become active: events, mails, functions of the experiment, the stop."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from pymanip_run.core.context import current_task
from pymanip_run.runtime.cancelling import cancel
from pymanip_run.runtime.places import place_of
from pymanip_run.runtime.troubles import AS_EVENT, AT_START, one_line
from pymanip_run.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from pymanip_run.alarms.rules import Change, Rule, Status
    from pymanip_run.alarms.words import Words
    from pymanip_run.runtime.stop import StopSignal
    from pymanip_run.runtime.work import Tell

    #: A function of the experiment and what it is called.
    Named: TypeAlias = tuple[str, Callable[[], Awaitable[object]]]
    #: Sends a mail about an alarm: the change, what is wrong, and the whole text.
    Post: TypeAlias = Callable[[Change, str, str], object]

__all__ = ["STOPPED_BY_ALARM", "Actions", "Orders"]

logger = logging.getLogger(__name__)

STOPPED_BY_ALARM = 5  # exit code
PATIENCE = 1.0  # seconds until it is said what the run waits for
CLEANING_UP = 3.0  # seconds that a cancelled function gets
TOLD_AN_HOUR = 10
HOUR_NS = 3600 * 10**9
MOST_KEPT = 10_000


@dataclass(frozen=True)
class Orders:
    """What one alarm does besides telling of itself.

    Parameters
    ----------
    mail
        Whether it sends a mail.
    stop
        Whether it ends the run.
    run
        Functions that are started, in this order.
    """

    mail: bool = False
    stop: bool = False
    run: tuple[Named, ...] = ()


@dataclass
class _Told:
    """How often one alarm was told of lately."""

    times: deque[int] = field(default_factory=lambda: deque(maxlen=TOLD_AN_HOUR))
    untold: int = 0
    is_told: bool = True
    is_active: bool = False

    def admits(self, ns: int) -> bool:
        """Count an activation; return whether it is told."""
        full = len(self.times) == TOLD_AN_HOUR
        self.is_told = not (full and ns - self.times[0] < HOUR_NS)
        if self.is_told:
            self.times.append(ns)
        else:
            self.untold += 1
        return self.is_told

    @property
    def is_last(self) -> bool:
        """Whether the next one will perhaps not be told."""
        return len(self.times) == TOLD_AN_HOUR and self.times[-1] - self.times[0] < HOUR_NS


class Actions:
    """Does what alarms order. Called with changes in the event loop, or in a thread while it is held.

    Parameters
    ----------
    orders
        By the name of the alarm.
    words
        Puts alarms into words.
    stop
        Ends the run.
    tell
        Makes events.
    post
        Sends a mail about an alarm; None: there is nobody to send to.
    keep
        Is called after each change, also where it was only counted, to store the states.
    """

    def __init__(
        self,
        orders: Mapping[str, Orders],
        words: Words,
        stop: StopSignal,
        tell: Tell,
        *,
        post: Post | None = None,
        keep: Callable[[], object] | None = None,
    ) -> None:
        self._orders = orders
        self._words = words
        self._stop = stop
        self._tell = tell
        self._post = post
        self._keep = keep or (lambda: None)
        self._told: dict[str, _Told] = {}
        self._failures: dict[str, _Told] = {}
        self._jobs: dict[str, tuple[str, asyncio.Task[None]]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0
        #: What became active and was cleared, the latest of it, for reports.
        self.history: deque[Change] = deque(maxlen=MOST_KEPT)

    def open(self) -> None:
        """Be ready to start functions in the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def __call__(self, changes: Sequence[Change]) -> None:
        """Act on changes."""
        self.history += changes
        for change in changes:
            if change.level == "cleared":
                self._cleared(change)
            else:
                self._became(change)
        self._keep()

    def still_active(self, statuses: Iterable[Status]) -> None:
        """Tell of the alarms that are active since an earlier run; nothing else is done about them."""
        words = self._words.at_once()
        for status in statuses:
            if status.restored:
                self._event(status.rule, words.still_active(status), logging.WARNING, AT_START)

    def _became(self, change: Change) -> None:
        name, orders = change.rule.name, self._orders.get(change.rule.name, Orders())
        words = self._words.at_once()
        text = words.became_active(change)
        headline = words.headline(change.rule, change.value, change.time)
        if orders.stop:
            # First of all: whatever goes wrong with the rest, the run must end.
            self._stop.request(f"alarm {name}: {headline}", STOPPED_BY_ALARM)
        told = self._told.setdefault(name, _Told())
        untold, told.is_active = told.untold, True
        if told.admits(change.ns):
            told.untold = 0
            more = f" (active {untold} times more since, which was only counted)" if untold else ""
            if told.is_last:
                more += f" (it comes and goes: told {TOLD_AN_HOUR} times within an hour, now only counted)"
            self._event(change.rule, text + more, logging.WARNING)
        if orders.mail and self._post is not None:
            self._guarded(name, self._post, change, headline, text)
        for named in orders.run:
            self._start(name, *named)

    def _cleared(self, change: Change) -> None:
        told = self._told.get(change.rule.name)
        if told is not None:
            told.is_active = False
        if told is None or told.is_told:
            self._event(change.rule, self._words.cleared(change), logging.INFO)

    def _event(
        self, rule: Rule, text: str, level: int, marks: Mapping[str, bool] = AS_EVENT
    ) -> None:
        source = rule.name if rule.period is None else rule.variable
        logger.log(level, "alarm %s: %s", source, text, extra=marks)
        self._guarded(rule.name, self._tell, "alarm", source, text)

    @staticmethod
    def _guarded(name: str, function: Callable[..., object], *args: object) -> None:
        """Call something whose failure must keep the alarm from nothing else."""
        try:
            function(*args)
        except Exception as error:  # noqa: BLE001 - perhaps the disk is full
            logger.warning("alarm %s: %s", name, one_line(error))

    # Functions of the experiment

    def _start(self, alarm: str, name: str, function: Callable[[], Awaitable[object]]) -> None:
        if self._loop is None:
            return
        if threading.get_ident() == self._thread:
            self._start_here(alarm, name, function)
            return
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._start_here, alarm, name, function)

    def _start_here(self, alarm: str, name: str, function: Callable[[], Awaitable[object]]) -> None:
        if name in self._jobs:
            self._failed(alarm, f"{name} is not started: it still runs since the last time")
            return
        loop = asyncio.get_running_loop()
        job = loop.create_task(self._run(alarm, name, function), name=f"alarm {alarm}: {name}")
        self._jobs[name] = alarm, job
        job.add_done_callback(lambda _: self._jobs.pop(name, None))

    async def _run(self, alarm: str, name: str, function: Callable[[], Awaitable[object]]) -> None:
        current_task.set(name)
        try:
            await function()
        except (Exception, SystemExit, KeyboardInterrupt) as error:
            logger.exception("alarm %s: %s failed", alarm, name, extra=AS_EVENT)
            self._failed(alarm, f"{name} failed: {one_line(error)}")

    def _failed(self, alarm: str, text: str) -> None:
        loop_ns = round((self._loop.time() if self._loop else 0.0) * 1e9)
        if self._failures.setdefault(alarm, _Told()).admits(loop_ns):
            self._guarded(alarm, self._tell, "error", alarm, text)

    async def finish(self, grace: float) -> None:
        """Wait for the functions that still run, for at most `grace` seconds; then cancel them."""
        jobs = {job: name for name, (_, job) in self._jobs.items()}
        alarms = {job: alarm for alarm, job in self._jobs.values()}
        if not jobs:
            return
        try:
            _, left = await asyncio.wait(jobs, timeout=min(PATIENCE, grace))
            if left and grace > PATIENCE:
                names, limit = ", ".join(jobs[job] for job in left), format_duration(grace)
                logger.warning("waiting for %s, for at most %s; Ctrl-C cuts it short", names, limit)
                _, left = await asyncio.wait(left, timeout=grace - PATIENCE)
            for job in left:
                after = format_duration(grace)
                text = f"{jobs[job]} was cancelled after {after}, at {place_of(job)}"
                self._failed(alarms[job], text)
        finally:
            with suppress(asyncio.CancelledError):
                await cancel({job for job in jobs if not job.done()}, CLEANING_UP)

    def close(self) -> None:
        """Tell what was only counted."""
        for name, told in self._told.items():
            if told.untold:
                now = ", and is still active" if told.is_active else ""
                text = f"was active {told.untold} times more, which was only counted{now}"
                self._guarded(name, self._tell, "alarm", name, text)
