"""``pymanip-run run --replay OLD.h5``: what the alarms make of a recorded session."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from pymanip_run.cli.outcome import TALK, say
from pymanip_run.cli.streams import data_only

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymanip_run.experiment.rehearsal.report import Report

__all__ = ["alarm_lines", "mail_lines", "replay_session"]


def replay_session(file: str, overrides: Sequence[str], session: str, *, as_json: bool) -> int:
    """Feed a session through the alarms of an experiment, print the report, return its exit code."""
    from pymanip_run.cli.files import found
    from pymanip_run.experiment.build.plan import prepare
    from pymanip_run.experiment.rehearsal.replay import replay
    from pymanip_run.experiment.run.watch import all_rules
    from pymanip_run.livetable.text import glyphs_for

    path = found(session, f"{file} --replay")
    with data_only(as_json), prepare(file, overrides) as plan:
        for warning in plan.loaded.warnings if TALK.level >= 0 else ():
            say(f"warning: {warning}")
        report = replay(plan, path)
        has_alarms = bool(all_rules(plan))
    if as_json:
        text = json.dumps(report.as_json(), allow_nan=False)
    else:
        lines = _lines(report, session, has_alarms=has_alarms)
        text = glyphs_for(sys.stdout.encoding).encodable("\n".join(lines))
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    return report.exit_code


def _lines(report: Report, session: str, *, has_alarms: bool) -> Iterator[str]:
    from pymanip_run.livetable.text import inert
    from pymanip_run.units import format_duration

    virtual = format_duration(round(report.virtual_seconds, 3))
    real = format_duration(float(f"{report.real_seconds:.2g}"))
    yield f"replayed {virtual} of {inert(session)} in {real} · no alarm acted, nothing was written"
    if not has_alarms:
        yield "the experiment has no alarms"
    elif not report.alarms:
        yield "no alarm would have become active"
    yield from alarm_lines(report)
    yield from mail_lines(report)
    for warning in report.warnings:
        yield f"warning: {inert(warning)}"
    if report.exit_code:
        yield f"exit code {report.exit_code}, as the real run would have had"


def alarm_lines(report: Report) -> Iterator[str]:
    """Yield a line for each alarm that became active or was cleared."""
    from pymanip_run.livetable.text import inert

    width = max((len(alarm.name) for alarm in report.alarms), default=0)
    if report.alarms:
        yield "alarms"
    for alarm in report.alarms:
        yield f"  {_time(alarm.time)}  {inert(alarm.name):<{width}}  {inert(alarm.text)}"


def mail_lines(report: Report) -> Iterator[str]:
    """Yield a line for each mail that would have been sent."""
    from pymanip_run.livetable.text import inert

    if report.mails:
        yield "mails that would have been sent"
    for mail in report.mails:
        yield f"  {_time(mail.time)}  {inert(mail.subject)}  → {inert(', '.join(mail.to))}"


def _time(seconds: float) -> str:
    from pymanip_run.clock import iso_local

    return iso_local(seconds)[:19].replace("T", " ")
