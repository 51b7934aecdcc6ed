"""Ready-made tasks of a session: regular mails, and plots."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pymanip_run.plotting.plot import check_backend, plot_of_call
from pymanip_run.session.mailing import RegularMails, account_for, regular_mails
from pymanip_run.session.plots import Plotted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pymanip_run.session.live import AsyncSession
    from pymanip_run.session.state import LiveState

__all__ = ["ReadyMadeTasks"]


class ReadyMadeTasks:
    """What a session makes for :meth:`AsyncSession.monitor`."""

    _session: LiveState

    def plot(
        self,
        varnames: str | Iterable[str] | None = None,
        maxvalues: int | None = 1000,
        yscale: str | Sequence[float] | None = None,
        *,
        x: str | None = None,
        y: str | None = None,
        fixed_ylim: Sequence[float] | None = None,
        fixed_xlim: Sequence[float] | None = None,
        backend: str | None = None,
    ) -> Plotted:
        """Return a task for :meth:`monitor` that plots variables; it never ends the run.

        The plot is on the dashboard, and in a window where there is a screen and matplotlib. It is
        drawn by a process of its own: however slow that is, the tasks do not wait for it.

        Parameters
        ----------
        varnames
            A logged variable, or several, drawn over time.
        maxvalues
            The most values of each that the window shows; None: all, of many the least and largest.
        yscale
            The vertical axis: ``"linear"``, ``"log"``, ``"symlog"`` or ``"logit"``.
        x, y
            Two logged variables, one drawn over the other: each `y` with the nearest earlier `x`.
        fixed_ylim, fixed_xlim
            Pairs of numbers, what the axes show: by default all there is. `fixed_xlim` is for `x`.
        backend
            Of matplotlib, for the window: by default one that is there.

        Raises
        ------
        TypeError
            If a name is no text.
        UsageError
            If the parameters contradict each other.
        """
        plot = plot_of_call(
            varnames, maxvalues, yscale, x=x, y=y, fixed_ylim=fixed_ylim, fixed_xlim=fixed_xlim
        )
        return Plotted(plot, check_backend(backend), self._session.stop)

    def send_email(  # noqa: PLR0917 - as published
        self,
        from_addr: str,
        to_addrs: str | Iterable[str],
        host: str | None = None,
        port: int | None = None,
        subject: str | None = None,
        delay_hours: float = 6,
        initial_delay_hours: float | None = None,
        use_ssl_submission: bool = False,
        use_starttls: bool = False,
        user: str | None = None,
        password: str | None = None,
    ) -> RegularMails:
        """Return a task for :meth:`monitor` that sends regular reports; it never ends the run.

        Parameters
        ----------
        from_addr, to_addrs, subject
            Sender, receivers, and what subjects begin with: by default the session's name.
        host, port, user, password
            The mail server; that of the user's configuration, else this computer. The port is by
            default 587 with STARTTLS, 465 with TLS, else 25.
        delay_hours, initial_delay_hours
            Time between two reports, and until the first: by default half of it.
        use_ssl_submission, use_starttls
            Encrypt by TLS, or by STARTTLS; the server's certificate is checked.

        Raises
        ------
        UsageError
            If an address is none, or the password would cross the network unencrypted.
        """
        account = account_for(
            from_addr, to_addrs, host, port,
            use_ssl_submission=use_ssl_submission, use_starttls=use_starttls,
            user=user, password=password,
        )  # fmt: skip
        session = cast("AsyncSession", self)
        return regular_mails(session, account, subject, delay_hours, initial_delay_hours)
