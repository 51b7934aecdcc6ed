"""The page: what was measured, by whom and how it ended, then plots, numbers, events, and where it all comes from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any, BinaryIO

from pymanip_run.clock import SYSTEM
from pymanip_run.export.report.compared import compared
from pymanip_run.export.report.markup import element, section, text
from pymanip_run.export.report.origin import origin
from pymanip_run.export.report.plots import plots
from pymanip_run.export.report.records import records
from pymanip_run.export.report.sweeps import sweeps
from pymanip_run.export.report.timeline import events_table, marks_of, moment, timeline
from pymanip_run.export.report.values import metadata, parameters, statistics
from pymanip_run.export.report.whole import run_card, runs_table, subtitle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pymanip_run.core.view import SessionView

__all__ = ["Report", "pieces", "write_report"]

#: The page asks nobody for anything, and runs nothing, whatever is in it.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Report:
    """What is to be reported, and how.

    Parameters
    ----------
    view
        The session. Its series are read in blocks; the page does not grow with their lengths.
    file
        How its file is called; None: it is in memory.
    state
        How a run that goes on is doing, in words.
    progress
        Is called with the share that is done, 0 to 1.
    difference
        In what another session differs from this one, as ``inspect --diff OTHER THIS --json`` has it.
    """

    view: SessionView
    file: str | None = None
    size: int | None = None
    state: str | None = None
    progress: Callable[[float], None] | None = None
    difference: Mapping[str, Any] | None = None


def write_report(report: Report, file: BinaryIO) -> None:
    """Write the page to an open binary file, piece by piece."""
    file.writelines(pieces(report))


def pieces(report: Report) -> Iterator[bytes]:
    """Yield the page in pieces, UTF-8."""
    for part in _page(report):
        yield part.encode("utf-8", "replace")


def _page(report: Report) -> Iterator[str]:
    view = report.view
    title = view.info().title or view.session_name or "session in memory"
    style = files(__package__).joinpath("style.css").read_text("utf-8")
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n'
    yield element("meta", charset="utf-8") + "\n"
    yield element("meta", http_equiv="Content-Security-Policy", content=POLICY) + "\n"
    yield element("meta", name="viewport", content="width=device-width, initial-scale=1") + "\n"
    yield element("meta", name="color-scheme", content="light dark") + "\n"
    yield element("title", text(f"{title} – report")) + "\n"
    yield f"<style>\n{style}</style>\n</head>\n<body>\n"
    yield element("header", element("h1", text(title)), *subtitle(report)) + "\n<main>\n"
    yield from _sections(report)
    made = f"made {moment(SYSTEM.time())} by pymanip-run"
    yield f"</main>\n{element('footer', text(made))}\n</body>\n</html>\n"


def _sections(report: Report) -> Iterator[str]:
    view = report.view
    infos, events, runs = view.variables(), view.events(), view.runs()
    yield section("Run", run_card(report), runs_table(runs, report.state), name="run")
    yield section(
        "Plots", *plots(view, infos, marks_of(events, runs), report.progress), name="plots"
    )
    yield section("Statistics", statistics(infos), name="statistics")
    yield section("Sweeps", *sweeps(view, runs, infos), name="sweeps")
    end = max(
        (time for time in (view.last_timestamp, *(e.time for e in events)) if time),
        default=math.nan,
    )
    yield section("Events", timeline(runs, events, end), events_table(events), name="events")
    yield section("Parameters", parameters(view), name="parameters")
    yield section("Metadata", metadata(view), name="metadata")
    yield section("Datasets", *records(view), name="datasets")
    yield section("Provenance", *origin(runs), name="provenance")
    yield section("Comparison", *compared(report.difference), name="comparison")
