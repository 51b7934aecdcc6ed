"""``pymanip-run run --dry-run``: the report of a rehearsal, as text for people or as JSON."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING

from pymanip_run.cli.outcome import TALK, failure_text, say
from pymanip_run.cli.streams import data_only

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from pymanip_run.experiment.rehearsal.rehearse import Rehearsal
    from pymanip_run.experiment.rehearsal.report import Report, VariableReport

__all__ = ["rehearse", "report_text"]

MATTERS = 0.1  # real seconds of waiting that are worth a line


def rehearse(
    file: str,
    overrides: Sequence[str],
    *,
    duration: float | None,
    seed: int | None,
    session: str | None,
    as_json: bool,
) -> int:
    """Rehearse an experiment, print the report, and return the exit code of the run that it was."""
    from pymanip_run.cli.logs import logging_to
    from pymanip_run.experiment.rehearsal.rehearse import rehearsed

    with (
        data_only(as_json),
        logging_to(None, TALK.level),
        rehearsed(file, overrides, duration=duration, seed=seed, file=session) as rehearsal,
    ):
        for warning in rehearsal.warnings if TALK.level >= 0 else ():
            say(f"warning: {warning}")
        if rehearsal.failure is not None and not isinstance(rehearsal.failure, KeyboardInterrupt):
            say(failure_text(rehearsal.failure, in_run=True))
        code = exit_code_of(rehearsal)
        report = rehearsal.report(code)
        if as_json:
            text = json.dumps(report.as_json(), allow_nan=False)
        else:
            text = report_text(report, rehearsal.waits)
    _print(text)
    return code


def exit_code_of(rehearsal: Rehearsal) -> int:
    """Return what a real run would have exited with."""
    from pymanip_run.errors import run_exit_code

    failure, asked = rehearsal.failure, rehearsal.asked
    if failure is None or asked > 128:
        return asked
    if isinstance(failure, SystemExit):
        return asked or 1
    if isinstance(failure, KeyboardInterrupt):
        return 130
    return asked if asked > 1 else run_exit_code(failure)


def report_text(report: Report, waits: Sequence[tuple[str, float]] = ()) -> str:
    """Return the report for people.

    Parameters
    ----------
    report
        What is told.
    waits
        Why real time was spent, and how much.
    """
    from pymanip_run.cli.replay import alarm_lines, mail_lines
    from pymanip_run.livetable.text import glyphs_for

    blocks = [
        list(_head(report, waits)),
        _table(("task", "runs", "errors", "missed"), _tasks(report)),
        _table(("variable", "values", "least", "greatest", "rate"), _variables(report)),
        _table(("sweep", "points", "time"), _sweeps(report)),
        list(alarm_lines(report)),
        list(mail_lines(report)),
        list(_rest(report)),
    ]
    text = "\n\n".join("\n".join(block) for block in blocks if block)
    return glyphs_for(sys.stdout.encoding).encodable(text)


def _head(report: Report, waits: Sequence[tuple[str, float]]) -> Iterator[str]:
    from pymanip_run.livetable.text import inert
    from pymanip_run.units import format_duration

    virtual = format_duration(round(report.virtual_seconds, 3))
    real = format_duration(float(f"{report.real_seconds:.2g}"))
    yield f"rehearsed {virtual} in {real} · nothing was written, no instrument was opened"
    for what, seconds in waits:
        if seconds >= MATTERS:
            yield f"  {float(f'{seconds:.2g}'):g} s of it for {inert(what.rstrip(','))}"


def _tasks(report: Report) -> Iterator[tuple[str, ...]]:
    from pymanip_run.livetable.text import grouped

    for name, task in report.tasks.items():
        yield (name, grouped(task.runs), _or_dash(task.errors), _or_dash(task.missed))


def _or_dash(number: int) -> str:
    from pymanip_run.livetable.text import grouped

    return grouped(number) if number else "–"


def _variables(report: Report) -> Iterator[tuple[str, ...]]:
    from pymanip_run.livetable.text import grouped

    for name, variable in report.variables.items():
        low, high = (
            "–" if value is None else f"{value:.5g}" for value in (variable.min, variable.max)
        )
        yield (name, grouped(variable.n), low, high, _rate(variable))


def _rate(variable: VariableReport) -> str:
    from pymanip_run.units import format_duration

    rate = variable.rate
    if rate is None or rate <= 0 or math.isinf(rate):
        return "–"
    return (
        f"every {format_duration(float(f'{1 / rate:.4g}'))}" if rate < 0.9995 else f"{rate:.3g}/s"
    )


def _sweeps(report: Report) -> Iterator[tuple[str, ...]]:
    from pymanip_run.livetable.text import grouped
    from pymanip_run.units import format_clock

    for name, sweep in report.sweeps.items():
        yield (name, grouped(sweep.points), format_clock(sweep.seconds))


def _rest(report: Report) -> Iterator[str]:
    from pymanip_run.livetable.text import inert
    from pymanip_run.units import format_size

    yield f"file     about {format_size(report.bytes_per_day)} a day"
    for warning in report.warnings:
        yield f"warning: {inert(warning)}"
    if report.exit_code:
        yield f"exit code {report.exit_code}, as the real run would have"


def _table(titles: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    from pymanip_run.livetable.text import inert

    table = [titles, *((inert(row[0]), *row[1:]) for row in rows)]
    if len(table) == 1:
        return []
    widths = [max(len(row[i]) for row in table) for i in range(len(titles))]
    return [
        "   ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
