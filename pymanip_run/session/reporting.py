"""The report of a session as it goes with the mail about the end of its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.clock import SYSTEM
from pymanip_run.errors import UsageError
from pymanip_run.mail.letter import Attachment
from pymanip_run.units import format_duration

if TYPE_CHECKING:
    from pymanip_run.mail.facts import Occasion
    from pymanip_run.session.live import AsyncSession

__all__ = ["attached_report"]

#: The mail has 30 s in all, and needs some of them to be sent.
REPORT_SECONDS = 15.0


def attached_report(
    session: AsyncSession, ending: Occasion, seconds: float = REPORT_SECONDS
) -> Attachment:
    """Return the report of a session whose run is about to end.

    Parameters
    ----------
    session
        The session.
    ending
        The end of the run, which is not recorded yet.
    seconds
        How long it may take.

    Raises
    ------
    UsageError
        If it takes longer.
    """
    from pymanip_run.export.report.page import Report, pieces  # noqa: PLC0415 - needed by few runs

    name = session.session_name or "session"
    path = session.session_path
    limit = SYSTEM.monotonic() + seconds

    def check(_: float) -> None:
        if SYSTEM.monotonic() > limit:
            cure = f"; make it: pymanip-run report {path}" if path else ""
            raise UsageError(f"it takes longer than {format_duration(seconds)}{cure}")

    about = Report(session, path.name if path else None, None, ending.headline, check)
    parts = []
    for part in pieces(about):
        check(0.0)
        parts.append(part)
    return Attachment(f"{name}.html", b"".join(parts))
