"""What a mail says, as text and as HTML: the same in the same order.

First what a telephone shows of it: what is wrong, or that all is well; then the last values.
"""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymanip_run.clock import iso_local
from pymanip_run.mail.enclosed import MOST_BYTES, Enclosed, enclosed
from pymanip_run.mail.letter import Letter, one_line
from pymanip_run.masking import starred
from pymanip_run.units import format_clock, format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymanip_run.mail.facts import AlarmLine, Occasion, Sources, SweepLine
    from pymanip_run.records import Event

__all__ = ["bare", "compose", "subject_of"]

MOST_ROWS = 300
MOST_EVENTS = 50
_STYLE = "border-collapse:collapse;font-family:sans-serif;font-size:14px"
_CELL = "padding:3px 10px;border-bottom:1px solid #ccc;text-align:"
_WRONG = "color:#b00020;font-weight:bold"


@dataclass(frozen=True)
class _Row:
    """A logged variable: all of it as text."""

    label: str
    value: str
    unit: str
    age: str
    remark: str
    is_wrong: bool


@dataclass(frozen=True)
class _Content:
    """Everything that a mail says."""

    top: Sequence[str]
    is_wrong: bool
    state: str
    rows: Sequence[_Row]
    more_rows: int
    sweeps: Sequence[str]
    alarms: Sequence[str]
    events: Sequence[str]
    more_events: int
    address: str | None
    enclosed: Enclosed


def subject_of(occasions: Sequence[Occasion], sources: Sources) -> str:
    """Return the subject of a mail: ``convection: T_bottom above 60 °C (61.2)``."""
    return f"{sources.name}: {starred(one_line(_headline(occasions, sources)))}"


def _headline(occasions: Sequence[Occasion], sources: Sources) -> str:
    first = occasions[0]
    if first.kind == "report":
        return f"report {iso_local(first.time)[11:16]}, {_wellbeing(_active(sources))}"
    if first.kind == "finish":
        return f"{first.headline}, {_wellbeing(_active(sources))}"
    rest = len(occasions) - 1
    more = f" and {rest} more" if rest else ""
    return f"{first.headline}{more}"


def _active(sources: Sources) -> list[AlarmLine]:
    return [line for line in sources.alarms() if line.level == "active"]


def _wellbeing(active: Sequence[AlarmLine]) -> str:
    if not active:
        return "all well"
    if len(active) == 1:
        return f"1 alarm: {active[0].headline}"
    return f"{len(active)} alarms: {', '.join(line.name for line in active)}"


def compose(
    occasions: Sequence[Occasion], sources: Sources, since: float, most: int = MOST_BYTES
) -> Letter:
    """Return the mail about one or more occasions.

    Parameters
    ----------
    occasions
        Why it is sent, the most important first.
    sources
        The state of the run.
    since
        Time of the last mail, in Unix seconds: later events are listed.
    most
        Bytes that figures and files may have in all; those that do not fit are named.
    """
    content = _content(occasions, sources, since, most)
    return Letter(
        subject_of(occasions, sources),
        _as_text(content),
        _as_html(content),
        content.enclosed.figures,
        content.enclosed.attachments,
    )


def bare(occasions: Sequence[Occasion], sources: Sources) -> Letter:
    """Return a mail that says only what happened: better than none where the rest cannot be had."""
    lines = [starred(one_line(o.text)) for o in occasions if o.text]
    text = "\n".join([*lines, "The values could not be read."]) + "\n"
    subject = f"{sources.name}: {starred(one_line(occasions[0].headline)) or occasions[0].kind}"
    return Letter(subject, text, f"<pre>{html.escape(text)}</pre>")


def _content(occasions: Sequence[Occasion], sources: Sources, since: float, most: int) -> _Content:
    alarms = list(sources.alarms())
    active = [line for line in alarms if line.level == "active"]
    top = [one_line(o.text) for o in occasions if o.text]
    if not top or all(o.kind in ("report", "finish") for o in occasions):
        top.append(_wellbeing(active))
    rows = _rows(sources, sources.now())
    events = sources.view.events(after=since)
    return _Content(
        top=[starred(text) for text in top],
        is_wrong=bool(active) or any(o.kind in ("alarm", "error") for o in occasions),
        state=one_line(f"{sources.name}: {sources.state()}"),
        rows=rows[:MOST_ROWS],
        more_rows=max(0, len(rows) - MOST_ROWS),
        sweeps=[_sweep(sweep) for sweep in sources.sweeps()],
        alarms=[one_line(f"{a.name}: {a.text}") for a in alarms if a.level != "ok"],
        events=[_event(event) for event in events[-MOST_EVENTS:]],
        more_events=max(0, len(events) - MOST_EVENTS),
        address=sources.address(),
        enclosed=enclosed(occasions, sources, most),
    )


def _rows(sources: Sources, now: float) -> list[_Row]:
    infos, rows = (sources.variables or sources.view.variables)(), []
    for name, (time, value) in sources.view.logged_last_values().items():
        info = infos.get(name)
        about = info.description if info is not None else None
        age = max(0.0, now - time)
        limit = about.stale_after if about is not None else None
        is_stale = limit is not None and age > limit
        rows.append(
            _Row(
                label=one_line(about.label if about and about.label else name),
                value=format(value, about.format if about and about.format else ".6g"),
                unit=one_line(about.unit or "") if about else "",
                age=format_duration(age),
                remark="no fresh value" if is_stale else "",
                is_wrong=is_stale,
            )
        )
    return rows


def _sweep(sweep: SweepLine) -> str:
    total = f" of {sweep.total}" if sweep.total is not None else ""
    left = f", {format_clock(sweep.remaining)} left" if sweep.remaining is not None else ""
    return one_line(f"{sweep.name}: {sweep.done}{total} points{left}")


def _event(event: Event) -> str:
    source = f"{event.source}: " if event.source else ""
    return one_line(
        f"{iso_local(event.time)[:19].replace('T', ' ')} {event.kind}: {source}{event.text}"
    )


# -- as text ----------------------------------------------------------------------------------------


def _as_text(content: _Content) -> str:
    return "\n".join(_text_lines(content)) + "\n"


def _text_lines(content: _Content) -> Iterator[str]:
    yield from content.top
    yield content.state
    if content.rows:
        yield ""
        widths = [max(len(getattr(r, c)) for r in content.rows) for c in ("label", "value", "unit")]
        for r in content.rows:
            remark = f"  {r.remark}" if r.remark else ""
            yield (
                f"{r.label:<{widths[0]}}  {r.value:>{widths[1]}} {r.unit:<{widths[2]}}  "
                f"{r.age} ago{remark}"
            )
    if content.more_rows:
        yield f"and {content.more_rows} more variables"
    for title, lines in (("Sweeps", content.sweeps), ("Alarms", content.alarms)):
        if lines:
            yield from ("", title, *lines)
    if content.enclosed.figures:
        titles = "; ".join(one_line(figure.title) for figure in content.enclosed.figures)
        yield from ("", f"Plots, shown with the HTML of this mail: {titles}")
    for remark in content.enclosed.remarks:
        yield from ("", remark)
    if content.address:
        yield from ("", f"Dashboard: {content.address}")
    if content.events:
        yield from ("", "Events since the last mail", *_earlier(content), *content.events)


def _earlier(content: _Content) -> list[str]:
    return [f"… {content.more_events} earlier ones"] if content.more_events else []


# -- as HTML ----------------------------------------------------------------------------------------


def _as_html(content: _Content) -> str:
    return (
        "<!DOCTYPE html>\n<html><body>\n" + "\n".join(_html_parts(content)) + "\n</body></html>\n"
    )


def _html_parts(content: _Content) -> Iterator[str]:
    style = f' style="{_WRONG}"' if content.is_wrong else ""
    for line in content.top:
        yield f"<p{style}>{html.escape(line)}</p>"
    yield f"<p>{html.escape(content.state)}</p>"
    if content.rows:
        yield f'<table style="{_STYLE}">'
        heads = ("variable", "left"), ("value", "right"), ("unit", "left"), ("age", "right")
        cells = "".join(f'<th style="{_CELL}{align}">{name}</th>' for name, align in heads)
        yield f"<tr>{cells}<th></th></tr>"
        yield from map(_html_row, content.rows)
        yield "</table>"
    if content.more_rows:
        yield f"<p>and {content.more_rows} more variables</p>"
    for title, lines in (("Sweeps", content.sweeps), ("Alarms", content.alarms)):
        yield from _html_list(title, lines)
    for number, figure in enumerate(content.enclosed.figures):
        title = html.escape(one_line(figure.title))
        yield f'<p>{title}<br><img src="cid:figure-{number}" alt="{title}" style="max-width:100%"></p>'
    for remark in content.enclosed.remarks:
        yield f"<p>{html.escape(remark)}</p>"
    if content.address:
        link = html.escape(content.address)
        yield f'<p>Dashboard: <a href="{link}">{link}</a></p>'
    yield from _html_list("Events since the last mail", [*_earlier(content), *content.events])


def _html_row(row: _Row) -> str:
    style = f";{_WRONG}" if row.is_wrong else ""
    cells = (
        (row.label, "left"), (row.value, "right"), (row.unit, "left"),
        (row.age, "right"), (row.remark, "left"),
    )  # fmt: skip
    inner = "".join(
        f'<td style="{_CELL}{align}{style}">{html.escape(t)}</td>' for t, align in cells
    )
    return f"<tr>{inner}</tr>"


def _html_list(title: str, lines: Sequence[str]) -> Iterator[str]:
    if lines:
        items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
        yield f"<h3>{title}</h3><ul>{items}</ul>"
