"""The session as a whole: its runs, when they were, and how they ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.core.origin import Origin
from pymanip_run.export.report.markup import element, pairs, table, text
from pymanip_run.export.report.timeline import dated, moment
from pymanip_run.units import format_clock, format_size
from pymanip_run.wording import WITHOUT_A_WORD, end_in_words, grouped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymanip_run.export.report.page import Report
    from pymanip_run.records import Run

__all__ = ["run_card", "runs_table", "subtitle"]

MOST_RUNS = 100


def subtitle(report: Report) -> list[str]:
    """Return what stands under the title: what the session is, and whether it is whole."""
    info, events = report.view.info(), report.view.events()
    parts = [report.file or "in memory"]
    parts += [] if report.size is None else [format_size(report.size)]
    program = "" if info.program == "pymanip-run" else f" of {info.program}"
    parts.append(f"session{program}, format {info.format_version}")
    lines = [element("p", text(" · ".join(parts)), class_="quiet")]
    if any(event.kind == "damage" for event in events):
        lines.append(
            element(
                "p", "Something of this session was lost to damage: see the events.", class_="bad"
            )
        )
    return lines


def run_card(report: Report) -> str:
    """Return what one wants to know first: when, how long, how it ended, where, how much."""
    view, runs = report.view, report.view.runs()
    info = view.info()
    last = runs[-1] if runs else None
    rows = [
        ("Created" if not runs else "Begun", text(moment(runs[0].start if runs else info.created))),
        ("Ended", text(moment(last.stop)) if last and last.stop is not None else ""),
        ("Measured", text(_measured(runs)) if runs else ""),
        ("Result", result(last, report.state) if last else ""),
        ("Runs", str(len(runs)) if len(runs) > 1 else ""),
        ("Computer", text(last.host) if last and last.host else ""),
        ("User", text(last.user) if last and last.user else ""),
        ("Code", text(Origin(last).git) if last else ""),
        ("Overrides", text(", ".join(Origin(last).lines("overrides"))) if last else ""),
        ("Recorded", text(_recorded(report))),
        ("Session", element("code", text(info.uuid))),
    ]
    return pairs(rows)


def result(run: Run, state: str | None = None) -> str:
    """Return how a run ended, as markup: what went wrong is not said by its colour alone."""
    if run.stop is None:
        return text(state or f"going on, or {WITHOUT_A_WORD}")
    words = text(end_in_words(run.exit_code, run.exit_reason))
    return element("strong", words, class_="bad" if run.exit_code else "good")


def _measured(runs: Sequence[Run]) -> str:
    return format_clock(sum(run.stop - run.start for run in runs if run.stop is not None))


def _recorded(report: Report) -> str:
    view = report.view
    values = sum(info.statistics.n for info in view.variables().values())
    count = len(view.logged_variables())
    parts = [f"{grouped(values)} values of {count} variable{'s' * (count != 1)}"]
    frames = sum(info.n for info in view.datasets_info().values())
    parts += [f"{grouped(frames)} record{'s' * (frames != 1)} of datasets"] if frames else []
    events = len(view.events())
    return ", ".join([*parts, f"{grouped(events)} event{'s' * (events != 1)}"])


def runs_table(runs: Sequence[Run], state: str | None) -> str:
    """Return the runs as a table, where there are several."""
    if len(runs) < 2:
        return ""
    shown = runs[-MOST_RUNS:]
    rows = [
        [
            str(run.index),
            dated(run.start),
            dated(run.stop),
            "–" if run.stop is None else text(format_clock(run.stop - run.start)),
            result(run, state if run is runs[-1] else None),
            text(Origin(run).git),
            text(" ".join(Origin(run).lines("overrides"))),
        ]
        for run in shown
    ]
    left = len(runs) - len(shown)
    earlier = (
        element("p", f"{left} earlier runs are in the session.", class_="quiet") if left else ""
    )
    head = ["run", "begun", "ended", "time", "result", "code", "overrides"]
    return earlier + table(head, rows, name="all runs", numbers=(0, 3), stacks=True)
