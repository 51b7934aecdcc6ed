"""Where mails are put that are to be sent: a thread that sends them, or a list in a rehearsal.

Putting a mail there never waits: neither a slow server nor a dead network holds up anything.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from pymanip_run.clock import SYSTEM
from pymanip_run.mail.compose import bare, compose, subject_of
from pymanip_run.mail.enclosed import MOST_BYTES, room_within
from pymanip_run.mail.letter import one_line, to_message
from pymanip_run.mail.pacing import Pacing
from pymanip_run.mail.smtp import DEADLINE, MailError, deliver
from pymanip_run.runtime.status import TaskStatus
from pymanip_run.runtime.troubles import Troubles
from pymanip_run.units import format_duration

if TYPE_CHECKING:
    from email.message import Message

    from pymanip_run.mail.account import Account
    from pymanip_run.mail.facts import Kind, Occasion, Sources
    from pymanip_run.runtime.work import Tell

__all__ = ["SOURCE", "ListedMail", "ListedOutbox", "Outbox", "SmtpOutbox"]

logger = logging.getLogger(__name__)

#: The source of the events about mails.
SOURCE = "mail"
PATIENCE = 1.0  # seconds until it is said what the run waits for
FIRST_WAIT, LONGEST_WAIT = 10.0, 900.0  # seconds until the next try
MOST_WAITING = 100
LEAST_TIME = 1.0  # seconds for the server, whatever the rest took
DEFAULT_INTERVAL = 900.0
#: The most important first.
ORDER: tuple[Kind, ...] = ("alarm", "error", "finish", "report")


class Outbox(ABC):
    """Takes mails that are to be sent. From any thread, without waiting."""

    @abstractmethod
    def post(self, occasion: Occasion) -> None:
        """Have a mail sent, at once or when those of its kind may go again."""

    @abstractmethod
    async def finish(self, occasion: Occasion | None) -> None:
        """Have the last mail sent, and whatever waits with it; return when it is, or cannot be."""

    def close(self) -> None:  # noqa: B027 - a list has nothing to close
        """Send nothing more."""


class ListedMail(NamedTuple):
    """A mail that would have been sent: when, in Unix seconds, why, about what, and to whom."""

    time: float
    kind: Kind
    subject: str
    to: tuple[str, ...]


class ListedOutbox(Outbox):
    """Lists the mails of a rehearsal.

    Parameters
    ----------
    sources
        What mails are made from.
    recipients
        To whom they would go.
    min_interval
        See `Pacing`.
    """

    def __init__(
        self,
        sources: Sources,
        recipients: tuple[str, ...],
        *,
        min_interval: float = DEFAULT_INTERVAL,
    ) -> None:
        self._sources = sources
        self._recipients = recipients
        self._pacing = Pacing(min_interval)
        self.mails: list[ListedMail] = []

    def post(self, occasion: Occasion) -> None:
        """List a mail, at the time at which it would be sent."""
        when = occasion.time
        if occasion.kind in ("alarm", "error"):
            paced = self._pacing.admit((occasion.kind, occasion.key), occasion.time)
            if paced is None:
                return
            when = paced
        subject = one_line(subject_of([occasion], self._sources))
        self.mails.append(ListedMail(when, occasion.kind, subject, self._recipients))

    async def finish(self, occasion: Occasion | None) -> None:
        """List the last mail; those that still would have waited go with it."""
        if occasion is not None:
            self.mails[:] = [mail for mail in self.mails if mail.time <= occasion.time]
            self.post(occasion)


class _Waiting(NamedTuple):
    """A mail that waits: until when, in monotonic seconds."""

    due: float
    occasion: Occasion


class SmtpOutbox(Outbox):
    """Sends mails from a thread, one after the other; again after a while where that fails.

    Parameters
    ----------
    account
        The server, and to whom.
    sources
        What mails are made from.
    tell
        Makes events of failures; not too many of them.
    min_interval
        See `Pacing`.
    deadline
        Seconds for one mail, and for the last one.
    first_wait
        Seconds until the next try after a failure; twice as long after each further one.
    """

    def __init__(
        self,
        account: Account,
        sources: Sources,
        tell: Tell,
        *,
        min_interval: float = DEFAULT_INTERVAL,
        deadline: float = DEADLINE,
        first_wait: float = FIRST_WAIT,
    ) -> None:
        self._account = account
        self._sources = sources
        self._tell = tell
        self._deadline = deadline
        self._first_wait = self._wait = first_wait
        self._pacing = Pacing(min_interval)
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._on_its_way: list[Occasion] = []
        self._not_before = 0.0
        self._most = MOST_BYTES
        self._last: Occasion | None = None
        self._is_last = False
        self._done: Future[None] = Future()
        self._closed = False
        self._since = sources.now()
        self._status = TaskStatus(SOURCE, "once")
        self._troubles = Troubles(self._status, tell)
        self._thread: threading.Thread | None = None

    def post(self, occasion: Occasion) -> None:
        """Have a mail sent by the thread, which is started with the first one."""
        now = SYSTEM.monotonic()
        with self._changed:
            if self._closed or self._is_last:
                return
            when: float | None = now
            if occasion.kind in ("alarm", "error"):
                when = self._pacing.admit((occasion.kind, occasion.key), now)
            elif occasion.kind == "report":
                # Only the newest report is of interest.
                self._waiting = [w for w in self._waiting if w.occasion.kind != "report"]
            if when is None:
                return
            self._waiting.append(_Waiting(when, occasion))
            del self._waiting[:-MOST_WAITING]
            self._start()
            self._changed.notify()

    async def finish(self, occasion: Occasion | None) -> None:
        """Send the last mail and what waits; for no longer than the deadline, and cancellable."""
        with self._changed:
            if self._closed or (occasion is None and not self._urgent()):
                return
            self._last, self._is_last = occasion, True
            self._start()
            self._changed.notify()
        patience = asyncio.get_running_loop().call_later(PATIENCE, self._ask_for_patience)
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._deadline):
                    await asyncio.wrap_future(self._done)
                return
        finally:
            patience.cancel()
            self.close()
        text = f"the last mail was not sent within {format_duration(self._deadline)}"
        logger.warning("%s", text)
        self._tell("error", SOURCE, text)

    def close(self) -> None:
        """Send nothing more; a mail that is on its way is left to itself."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _ask_for_patience(self) -> None:
        limit = format_duration(self._deadline)
        logger.warning("sending the last mail, for at most %s; Ctrl-C skips it", limit)

    def _urgent(self) -> bool:
        left = [*self._on_its_way, *(w.occasion for w in self._waiting)]
        return any(occasion.kind in ("alarm", "error") for occasion in left)

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="mail", daemon=True)
            self._thread.start()

    # In the thread

    def _work(self) -> None:
        while (occasions := self._next()) is not None:
            # A mail that was on its way when the end came is not the last one.
            is_last = not self._on_its_way
            try:
                self._send(occasions, is_last)
            except Exception:
                logger.exception("a mail could not be made")
            self._on_its_way = []
            if is_last:
                break
        with suppress(Exception):
            self._done.set_result(None)

    def _next(self) -> list[Occasion] | None:
        """Wait for something to send and return it; None at the end."""
        with self._changed:
            while not self._closed:
                if self._is_last:
                    return self._all()
                now = SYSTEM.monotonic()
                due = [w for w in self._waiting if max(w.due, self._not_before) <= now]
                if due:
                    self._waiting = [w for w in self._waiting if w not in due]
                    self._on_its_way = _sorted(due)
                    return self._on_its_way
                times = [max(w.due, self._not_before) - now for w in self._waiting]
                self._changed.wait(min(times, default=None))
            return None

    def _all(self) -> list[Occasion] | None:
        found = _sorted([w for w in self._waiting if w.occasion.kind != "report"])
        self._waiting = []
        if self._last is not None:
            found.insert(0, self._last)
        return found or None

    def _send(self, occasions: list[Occasion], is_last: bool) -> None:
        now, began = self._sources.now(), SYSTEM.monotonic()
        while True:
            message, is_full = self._composed(occasions)
            try:
                # Drawing the plots takes its part of the time.
                left = max(LEAST_TIME, self._deadline - (SYSTEM.monotonic() - began))
                refused = deliver(self._account, message, left)
                break
            except MailError as error:
                if error.limit is None or not is_full:
                    self._most = MOST_BYTES  # it was not the plots
                    self._failed(occasions, error, is_last)
                    return
                # With fewer plots, now and from now on; without any where the server is not clear.
                room = room_within(error.limit)
                self._most = room if room < self._most else 0
        self._since, self._wait, self._not_before = now, self._first_wait, 0.0
        if self._status.failures:
            self._troubles.worked(SYSTEM.monotonic())
        logger.info("mail sent: %s", message["Subject"])
        for text in refused:
            self._tell("error", SOURCE, f"not accepted: {text}")

    def _composed(self, occasions: list[Occasion]) -> tuple[Message, bool]:
        """Return a mail, and whether it could be made smaller."""
        try:
            letter = compose(occasions, self._sources, self._since, self._most)
        except Exception:
            logger.exception("a mail could not be made as it should be")
            letter = bare(occasions, self._sources)
        is_full = bool(letter.figures or letter.attachments)
        return to_message(letter, self._account), is_full

    def _failed(self, occasions: list[Occasion], error: MailError, is_last: bool) -> None:
        now = SYSTEM.monotonic()
        lost = error.lasting or is_last
        if lost:
            what_next = "the mail is given up"
        else:
            what_next = f"tried again in {format_duration(self._wait)}"
            with self._changed:
                self._not_before = now + self._wait
                self._wait = min(2 * self._wait, LONGEST_WAIT)
                back = [_Waiting(now, o) for o in occasions]
                newer = any(w.occasion.kind == "report" for w in self._waiting)
                self._waiting[:0] = [w for w in back if not (newer and w.occasion.kind == "report")]
                del self._waiting[:-MOST_WAITING]
        with suppress(Exception):
            self._troubles.failed(error, now, what_next)


def _sorted(waiting: list[_Waiting]) -> list[Occasion]:
    return [w.occasion for w in sorted(waiting, key=lambda w: ORDER.index(w.occasion.kind))]
