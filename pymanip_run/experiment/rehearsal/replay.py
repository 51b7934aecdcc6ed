"""Feeding a recorded session through the alarms of an experiment file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.alarms.actions import STOPPED_BY_ALARM, Orders
from pymanip_run.alarms.replay import replayed
from pymanip_run.alarms.words import Words
from pymanip_run.clock import SYSTEM, iso_local
from pymanip_run.errors import did_you_mean
from pymanip_run.experiment.rehearsal.alarm_report import alarm_reports, mail_reports
from pymanip_run.experiment.rehearsal.report import Report, variable_reports
from pymanip_run.experiment.run.watch import all_rules, declared_variables, orders_of
from pymanip_run.mail.facts import Occasion, Sources
from pymanip_run.mail.outbox import ListedOutbox
from pymanip_run.session import SavedAsyncSession

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from os import PathLike

    from pymanip_run.alarms.rules import Change
    from pymanip_run.experiment.build.plan import Plan
    from pymanip_run.mail.outbox import ListedMail

__all__ = ["replay"]


def replay(plan: Plan, session: str | PathLike[str]) -> Report:
    """Return what the alarms of an experiment make of a recorded session; nothing acts.

    Parameters
    ----------
    plan
        The experiment, prepared.
    session
        The session file.

    Raises
    ------
    FileNotFoundError, StorageError
        If it cannot be read.
    """
    began = SYSTEM.monotonic()
    with SavedAsyncSession(session, verbose=False) as view:
        rules, orders = all_rules(plan), orders_of(plan)
        words = Words(lambda: {**view.variables(), **declared_variables(plan)})
        changes = list(replayed(view, rules))
        stop = next((c for c in changes if _stops(c, orders)), None)
        spans = [(run.stop or view.last_timestamp or run.start) - run.start for run in view.runs()]
        return Report(
            tasks={},
            variables=variable_reports(view.variables()),
            sweeps={},
            alarms=alarm_reports(changes, words),
            mails=mail_reports(_mails(plan, view, changes, orders, words)),
            warnings=tuple(_warnings(plan, view, stop)),
            bytes_per_day=0.0,
            virtual_seconds=round(sum(spans), 6),
            real_seconds=round(SYSTEM.monotonic() - began, 3),
            exit_code=0 if stop is None else STOPPED_BY_ALARM,
        )


def _stops(change: Change, orders: Mapping[str, Orders]) -> bool:
    return change.level == "active" and orders.get(change.rule.name, Orders()).stop


def _mails(
    plan: Plan,
    view: SavedAsyncSession,
    changes: Sequence[Change],
    orders: Mapping[str, Orders],
    words: Words,
) -> Sequence[ListedMail]:
    email = plan.loaded.model.email
    name = view.session_name or "session"
    sources = Sources(name, plan.title, view, lambda: view.last_timestamp or 0.0)
    if email is None:
        return ()
    outbox = ListedOutbox(sources, tuple(email.to), min_interval=email.min_interval)
    for change in changes:
        if change.level == "active" and orders.get(change.rule.name, Orders()).mail:
            headline = words.headline(change.rule, change.value, change.time)
            text = words.became_active(change)
            outbox.post(Occasion("alarm", change.rule.name, headline, text, change.time))
    return outbox.mails


def _warnings(plan: Plan, view: SavedAsyncSession, stop: Change | None) -> Iterator[str]:
    known = view.logged_variables()
    for name in dict.fromkeys(c.variable for rule in all_rules(plan) for c in rule.conditions):
        if name not in known:
            yield f"the session has no variable {name!r}{did_you_mean(name, known)}"
    if stop is not None:
        time = iso_local(stop.time)[:19].replace("T", " ")
        yield (
            f"alarm {stop.rule.name!r} would have ended the run at {time}; "
            "what follows was measured without it"
        )
