"""Mails about a session: where their content comes from, and ``sesn.send_email``."""

from __future__ import annotations

import asyncio
import math
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pymanip_run.errors import UsageError
from pymanip_run.mail.account import Account, addresses
from pymanip_run.mail.facts import Sources, SweepLine
from pymanip_run.mail.outbox import ListedOutbox, Outbox, SmtpOutbox
from pymanip_run.mail.reports import report_regularly
from pymanip_run.masking import known_secrets
from pymanip_run.runtime.virtual import VirtualLoop
from pymanip_run.session.beside import Beside
from pymanip_run.session.described import Described
from pymanip_run.session.state import internals
from pymanip_run.units import format_clock, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pymanip_run.mail.account import Security
    from pymanip_run.session.live import AsyncSession

__all__ = ["RegularMails", "account_for", "outbox_for", "regular_mails", "sources_of"]

#: Found by its name: what reads the user's configuration is above us, and not needed by scripts
#: that say which server they use.
USERS_ACCOUNT = "pymanip_run.experiment.load.users_account"


def sources_of(
    session: AsyncSession, start: float, duration: float = math.inf, subject: str | None = None
) -> Sources:
    """Return where the content of mails about a run comes from.

    Parameters
    ----------
    session
        The session that runs.
    start
        When the run began, in session time.
    duration
        Seconds after which it ends by itself.
    subject
        What subjects begin with; the session's name by default.
    """
    inside = internals(session)

    def state() -> str:
        if inside.stop.is_set:
            return f"stopping ({inside.stop.reason})"
        limit = f" of {format_duration(duration)}" if duration < math.inf else ""
        return f"running {format_clock(session.now() - start)}{limit}"

    def sweeps() -> list[SweepLine]:
        supervisor = inside.supervisor
        found = supervisor.sweeps if supervisor is not None else ()
        return [SweepLine(s.name, s.done, s.total, s.eta) for s in found]

    return Sources(
        name=subject or session.session_name or "session in memory",
        title=session.info().title,
        view=session,
        now=session.now,
        state=state,
        alarms=lambda: inside.alarms.lines() if inside.alarms is not None else (),
        sweeps=sweeps,
        variables=Described(session),
        address=lambda: inside.address,
        figures=lambda: inside.figures(),  # noqa: PLW0108 - they may come later
    )


def outbox_for(
    session: AsyncSession, account: Account, sources: Sources, min_interval: float = 0.0
) -> Outbox:
    """Return where mails of the running loop go: to the server, or, in a rehearsal, to a list."""
    inside = internals(session)
    if isinstance(asyncio.get_running_loop(), VirtualLoop):
        listed = ListedOutbox(sources, account.recipients, min_interval=min_interval)
        inside.listed_mails = listed.mails
        return listed
    return SmtpOutbox(account, sources, inside.recorder.event, min_interval=min_interval)


class RegularMails(Beside):
    """Reports at regular times, as ``sesn.send_email`` orders them.

    Parameters
    ----------
    session
        What is reported on.
    account
        From whom, to whom, through which server.
    subject
        What subjects begin with.
    every, first
        Seconds between two reports, and until the first one.
    """

    def __init__(
        self,
        session: AsyncSession,
        account: Account,
        subject: str | None,
        every: float,
        first: float,
    ) -> None:
        super().__init__("send_email", internals(session).stop)
        self._session = session
        self._account = account
        self._subject = subject
        self._every = every
        self._first = first

    async def run(self) -> None:
        """Report until it is cancelled."""
        session, password = self._session, self._account.password
        with known_secrets([password] if password else []):
            sources = sources_of(session, session.now(), subject=self._subject)
            outbox = outbox_for(session, self._account, sources)
            try:
                await report_regularly(outbox, session.now, self._every, self._first)
            finally:
                outbox.close()


def regular_mails(
    session: AsyncSession,
    account: Account,
    subject: str | None,
    delay_hours: float,
    initial_delay_hours: float | None,
) -> RegularMails:
    """Return what sends reports every `delay_hours`.

    Raises
    ------
    UsageError
        If a delay is none.
    """
    every = _seconds("delay_hours", delay_hours)
    if every == 0:
        raise UsageError("delay_hours is a number of hours above 0")
    first = (
        every / 2
        if initial_delay_hours is None
        else _seconds("initial_delay_hours", initial_delay_hours)
    )
    return RegularMails(session, account, subject, every, first)


def _seconds(name: str, hours: object) -> float:
    if not isinstance(hours, (int, float)) or not 0 <= hours < math.inf:
        raise UsageError(f"{name} is a number of hours, not {hours!r}")
    return hours * 3600.0


def account_for(
    from_addr: str,
    to_addrs: str | Iterable[str],
    host: str | None,
    port: int | None,
    *,
    use_ssl_submission: bool,
    use_starttls: bool,
    user: str | None,
    password: str | None,
) -> Account:
    """Return the account that the parameters of ``send_email`` describe.

    Without a host that of the user's configuration, else this computer.

    Raises
    ------
    UsageError
        If they contradict each other, an address is none, or the password would not be encrypted.
    """
    if use_ssl_submission and use_starttls:
        raise UsageError("choose one of use_ssl_submission (TLS) and use_starttls")
    security: Security | None = (
        "tls" if use_ssl_submission else "starttls" if use_starttls else None
    )
    found: dict[str, Any] = {} if host is not None else _users_account()
    return Account(
        sender=from_addr,
        recipients=tuple(addresses(to_addrs)),
        host=host or found.get("host") or "localhost",
        port=port if port is not None else found.get("port"),
        security=security or found.get("security") or "none",
        user=user if user is not None else found.get("user"),
        password=password if password is not None else found.get("password"),
    )


def _users_account() -> dict[str, Any]:
    return import_module(USERS_ACCOUNT).users_account(os.environ)  # type: ignore[no-any-return]
