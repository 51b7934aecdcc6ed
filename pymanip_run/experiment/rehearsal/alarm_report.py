"""What alarms and mails did in a rehearsal, or would have done with a recorded session."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pymanip_run.alarms.rules import Change
    from pymanip_run.alarms.words import Words
    from pymanip_run.mail.outbox import ListedMail

__all__ = ["AlarmReport", "MailReport", "alarm_reports", "mail_reports"]


@dataclass(frozen=True)
class AlarmReport:
    """What an alarm did: when (Unix seconds), the value that it watches, and what it became."""

    name: str
    time: float
    value: float | None
    state: str
    text: str


@dataclass(frozen=True)
class MailReport:
    """A mail that would have been sent: when (Unix seconds), why, its subject, and to whom."""

    time: float
    kind: str
    subject: str
    to: Sequence[str]


def alarm_reports(changes: Iterable[Change], words: Words) -> tuple[AlarmReport, ...]:
    """Return what the alarms of an experiment did, and which variables with a period fell silent."""
    return tuple(
        AlarmReport(
            change.rule.name,
            change.time,
            change.value if math.isfinite(change.value) else None,
            change.level,
            words.became_active(change) if change.level == "active" else words.cleared(change),
        )
        for change in changes
    )


def mail_reports(mails: Iterable[ListedMail]) -> tuple[MailReport, ...]:
    """Return the mails that would have been sent, in the order of time."""
    return tuple(MailReport(*mail) for mail in sorted(mails, key=lambda mail: mail.time))
