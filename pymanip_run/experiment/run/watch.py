"""The alarms and the mails of an experiment file, in a run of it."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING

from pymanip_run.alarms.actions import Actions, Orders
from pymanip_run.alarms.board import Board
from pymanip_run.alarms.engine import Engine
from pymanip_run.alarms.keeping import KEPT, Keeper, restored
from pymanip_run.alarms.rules import stale_rules
from pymanip_run.alarms.watcher import Watcher
from pymanip_run.alarms.words import Words
from pymanip_run.clock import as_ns
from pymanip_run.experiment.build.alarms import rules_of
from pymanip_run.mail.account import Account
from pymanip_run.mail.facts import Occasion
from pymanip_run.mail.outbox import SOURCE
from pymanip_run.mail.reports import report_regularly
from pymanip_run.records import Description, Event, VariableInfo
from pymanip_run.session import internals
from pymanip_run.session.described import Described
from pymanip_run.session.mailing import outbox_for, sources_of
from pymanip_run.session.reporting import attached_report
from pymanip_run.session.running import ending
from pymanip_run.units import format_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from pymanip_run.alarms.rules import Change, Rule
    from pymanip_run.experiment.build.plan import Plan, PlannedAlarm
    from pymanip_run.experiment.model.experiment import Email
    from pymanip_run.mail.outbox import Outbox
    from pymanip_run.records import Entry
    from pymanip_run.session import AsyncSession

__all__ = ["account_of", "all_rules", "declared_variables", "mailing", "orders_of", "watching"]

logger = logging.getLogger(__name__)


def orders_of(plan: Plan, sesn: AsyncSession | None = None) -> dict[str, Orders]:
    """Return what the alarms of a plan do; their functions are called with the session."""
    email = plan.loaded.model.email
    return {alarm.name: _orders(alarm, email, sesn) for alarm in plan.alarms}


def _orders(alarm: PlannedAlarm, email: Email | None, sesn: AsyncSession | None) -> Orders:
    settings = alarm.settings
    # An alarm that does not say what it does sends a mail if alarms do.
    unsaid = "do" not in settings.model_fields_set
    mails = "mail" in settings.do or (unsaid and email is not None and "alarm" in email.on)
    functions = tuple((call.__name__, partial(call, sesn)) for call in alarm.calls)
    return Orders(mails, "stop" in settings.do, functions)


def account_of(email: Email) -> Account:
    """Return the account that `email` describes."""
    return Account(
        sender=email.from_ or "",
        recipients=tuple(email.to),
        host=email.host,
        port=email.port,
        security=email.security,
        user=email.user,
        password=email.password,
    )


# -- alarms -----------------------------------------------------------------------------------------


@asynccontextmanager
async def watching(plan: Plan, sesn: AsyncSession, outbox: Outbox | None) -> AsyncIterator[None]:
    """Evaluate the alarms while the tasks run, and let them act.

    Functions that alarms have started are waited for, as tasks are, before teardown and the
    closing of the devices.
    """
    rules, declared = all_rules(plan), declared_variables(plan)
    inside = internals(sesn)
    inside.alarms, inside.alarm_changes = None, ()
    stored = sesn.metadata(KEPT)
    keeper = Keeper(stored, lambda kept: inside.recorder.save_metadata({KEPT: kept}))
    if not rules:
        keeper(())
        yield
        return
    words = Words(Described(sesn, declared))
    engine = Engine(rules, restored(stored, rules))

    def act(changes: Sequence[Change]) -> None:
        actions(changes)

    def keep() -> None:
        keeper(watcher.statuses())

    watcher = Watcher(engine, inside.feed, lambda: as_ns(sesn.now()), act)
    actions = Actions(
        orders_of(plan, sesn),
        words,
        inside.stop,
        inside.recorder.event,
        post=partial(_post, outbox) if outbox is not None else None,
        keep=keep,
    )
    inside.alarms = Board(watcher.statuses, words, sesn.now)
    inside.alarm_changes = actions.history
    grace: float = plan.loaded.model.limits.grace
    loop = asyncio.get_running_loop()
    forget = inside.stop.on_request(lambda: loop.call_soon_threadsafe(watcher.end_ages))
    try:
        async with watcher:
            actions.open()
            watcher.begin(_recorded_before(sesn))
            actions.still_active(watcher.statuses())
            keep()
            try:
                yield
            except BaseException as error:
                if not isinstance(error, Exception):
                    grace = 0.0
                raise
            finally:
                forget()
                watcher.close()
                await actions.finish(grace)
    finally:
        actions.close()
        keep()


def all_rules(plan: Plan) -> list[Rule]:
    """Return the alarms of an experiment, and those that follow from the periods of its variables."""
    rules = rules_of(plan)
    return rules + stale_rules(declared_variables(plan), [rule.name for rule in rules])


def declared_variables(plan: Plan) -> dict[str, VariableInfo]:
    """Return what the experiment says of its variables."""
    # The session knows a variable only when it has a value.
    return {
        name: VariableInfo(name, Description(v.unit, v.label, v.format, v.period))
        for name, v in plan.loaded.model.variables.items()
    }


def _recorded_before(sesn: AsyncSession) -> list[tuple[int, str, float]]:
    """Return the last values that setup has recorded in this run."""
    runs = sesn.runs()
    start = runs[-1].start if runs else 0.0
    last = sesn.logged_last_values().items()
    return sorted((as_ns(time), name, value) for name, (time, value) in last if time >= start)


def _post(outbox: Outbox, change: Change, headline: str, text: str) -> None:
    outbox.post(Occasion("alarm", change.rule.name, headline, text, change.time))


# -- mails ------------------------------------------------------------------------------------------


@asynccontextmanager
async def mailing(plan: Plan, sesn: AsyncSession, duration: float) -> AsyncIterator[Outbox | None]:
    """Send the mails that `email` orders: reports, errors, the end. What alarms send is theirs."""
    email = plan.loaded.model.email
    if email is None or not email.to or email.from_ is None:
        yield None
        return
    inside, start = internals(sesn), sesn.now()
    sources = sources_of(sesn, start, duration, _called(plan, sesn.session_name or ""))
    if email.attach_report:
        sources = replace(sources, report=partial(attached_report, sesn))
    outbox = outbox_for(sesn, account_of(email), sources, email.min_interval)
    errors = _Errors(outbox)
    if "error" in email.on:
        inside.feed.call(errors)
    reports = None
    if email.every is not None:
        coroutine = report_regularly(outbox, sesn.now, email.every, email.every)
        reports = asyncio.get_running_loop().create_task(coroutine, name="reports")
    outcome: BaseException | None = None
    try:
        yield outbox
    except BaseException as error:
        outcome = error
        raise
    finally:
        inside.feed.uncall(errors)
        await _cancelled(reports)
        forced = outcome is not None and not isinstance(outcome, Exception)
        if forced:
            outbox.close()
        else:
            await outbox.finish(_last(email, sesn, start, outcome))


def _called(plan: Plan, name: str) -> str | None:
    """Return what subjects begin with: the session's name without what changes each day."""
    template = plan.loaded.model.session.file or ""
    steady = re.sub(r"[ _.-]*\{\w*\}", "", PurePath(template).stem)
    return steady if steady and "{" in template and name.startswith(steady) else None


async def _cancelled(task: asyncio.Task[None] | None) -> None:
    if task is not None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _last(
    email: Email, sesn: AsyncSession, start: float, outcome: BaseException | None
) -> Occasion | None:
    """Return the mail about the end of the run, None if there is to be none."""
    code, reason = ending(internals(sesn).stop, outcome)
    failed = outcome is not None or code == 1
    if "finish" not in email.on and not (failed and "error" in email.on):
        return None
    now = sesn.now()
    word = "failed" if failed else "stopped" if code else "finished"
    headline = f"{word} after {format_clock(round(now - start))} ({reason})"
    return Occasion("finish", "", headline, headline, now)


class _Errors:
    """Posts a mail for each event that tells of an error, except about mails."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    def __call__(self, item: Entry | Event) -> None:
        if type(item) is Event and item.kind == "error" and item.source != SOURCE:
            text = f"{item.source}: {item.text}" if item.source else item.text
            self._outbox.post(Occasion("error", item.source, text, text, item.time))
