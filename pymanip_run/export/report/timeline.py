"""Runs, alarms and events on one line of time, and as a table."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from pymanip_run.clock import iso_local
from pymanip_run.core.ticks import has_dates
from pymanip_run.export.report.axes import time_axis
from pymanip_run.export.report.markup import element, table, text
from pymanip_run.export.report.svg import Mark, percent, x_ticks
from pymanip_run.units import format_clock
from pymanip_run.wording import end_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymanip_run.export.report.axes import Axis
    from pymanip_run.records import Event, Run

__all__ = ["Episode", "dated", "episodes", "events_table", "marks_of", "moment", "timeline"]

#: What matters most is kept where there is more than a page takes.
IMPORTANCE = ("damage", "alarm", "error", "note", "recovery", "warning", "start", "stop", "clock")
IN_PLOTS = ("damage", "error", "note")
MOST_ROWS, MOST_TICKS, MOST_LANES, MOST_RUNS = 400, 200, 12, 500
#: They are in each plot again.
MOST_MARKS = 50
LANE = 26
LONGEST_TEXT, LONGEST_LABEL = 1000, 120


class Episode(NamedTuple):
    """A time in which an alarm was active; `end` is infinite where it was still so at the end."""

    name: str
    begin: float
    end: float
    text: str


def moment(time: float | None) -> str:
    """Return a local time as people write it; a dash where no calendar has it."""
    if time is None or not has_dates(time, time):
        return "–"
    return iso_local(time)[:19].replace("T", " ")


def dated(time: float | None) -> str:
    """Return a local time as markup."""
    return element("time", text(moment(time)))


def episodes(events: Sequence[Event]) -> list[Episode]:
    """Return when which alarm was active."""
    found: list[Episode] = []
    active: dict[str, Event] = {}
    for event in events:
        if event.kind != "alarm":
            continue
        begun = active.pop(event.source, None)
        if event.text.startswith("cleared") or event.text == "values come again":
            if begun is not None:
                found.append(Episode(event.source, begun.time, event.time, begun.text))
        else:
            # Where it became active again, its clearing was not told.
            active[event.source] = begun or event
    found += [Episode(e.source, e.time, math.inf, e.text) for e in active.values()]
    return sorted(found, key=lambda one: one.begin)


def marks_of(events: Sequence[Event], runs: Sequence[Run]) -> list[Mark]:
    """Return what is marked in plots: alarms, errors, notes, and starts of further runs."""
    chosen = _most_important([e for e in events if e.kind in IN_PLOTS], MOST_MARKS)
    marks = [Mark(e.time, e.kind, f"{moment(e.time)} {_line(e)}") for e in chosen]
    alarms = [Mark(one.begin, "alarm", _episode(one)) for one in episodes(events)[-MOST_MARKS:]]
    later = [run for run in runs[1:] if math.isfinite(run.start)][:MOST_MARKS]
    starts = [Mark(r.start, "run", f"{moment(r.start)} start of run {r.index}") for r in later]
    return [*starts, *alarms, *marks]


def _episode(one: Episode) -> str:
    until = "not cleared" if math.isinf(one.end) else f"cleared {moment(one.end)}"
    return f"{moment(one.begin)} {_cut(f'{one.name}: {one.text}', LONGEST_LABEL)}, {until}"


def _most_important(events: Sequence[Event], most: int) -> list[Event]:
    if len(events) <= most:
        return list(events)
    rank = {kind: number for number, kind in enumerate(IMPORTANCE)}
    latest = sorted(enumerate(events), key=lambda one: (rank.get(one[1].kind, 99), -one[0]))[:most]
    return [event for _, event in sorted(latest)]


def _line(event: Event) -> str:
    source = f"{event.source}: " if event.source and event.source != "run" else ""
    return _cut(f"{event.kind}: {source}{event.text}", LONGEST_LABEL)


def events_table(events: Sequence[Event]) -> str:
    """Return the events as a table, the most important ones of very many."""
    shown = _most_important(events, MOST_ROWS)
    rows = [
        [
            dated(event.time),
            element("span", text(event.kind), class_=f"kind {_css(event.kind)}"),
            text(event.source),
            text(_cut(event.text)),
        ]
        for event in shown
    ]
    left = len(events) - len(shown)
    more = element("p", f"{left} more events are in the session.", class_="quiet") if left else ""
    return table(["time", "kind", "source", "text"], rows, name="all events", stacks=True) + more


def _css(kind: str) -> str:
    return kind if kind in IMPORTANCE else "other"


def _cut(words: str, longest: int = LONGEST_TEXT) -> str:
    return words if len(words) <= longest else f"{words[:longest]}…"


# -- the line -----------------------------------------------------------------------------------


def timeline(runs: Sequence[Run], events: Sequence[Event], end: float) -> str:
    """Return a picture of runs, alarms, and what else has happened; nothing where nothing has.

    Parameters
    ----------
    end
        The last moment of all, in Unix seconds: until then goes what has no end.
    """
    runs = [run for run in runs if math.isfinite(run.start)][:MOST_RUNS]
    alarms = episodes(events)
    others = [e for e in events if e.kind in ("damage", "error", "note")]
    if not (alarms or others or len(runs) > 1):
        return ""
    times = [*(run.start for run in runs), *(e.time for e in events)]
    known = [time for time in [*times, end] if math.isfinite(time)]
    x = time_axis(min(known), max(known))
    names = list(dict.fromkeys(one.name for one in alarms))[:MOST_LANES]
    lanes = ["runs"] * bool(runs) + names + ["events"] * bool(others)
    shapes = [*_runs(runs, x, end)]
    for lane, name in enumerate(names, bool(runs)):
        shapes += _episodes([one for one in alarms if one.name == name], x, lane, end)
    shapes += _others(_most_important(others, MOST_TICKS), x, len(lanes) - 1)
    return _drawn(lanes, shapes, x)


def _drawn(lanes: Sequence[str], shapes: Sequence[str], x: Axis) -> str:
    height = LANE * len(lanes)
    titles = [
        element("span", text(name), style=f"top:{LANE * i}px", title=name)
        for i, name in enumerate(lanes)
    ]
    picture = element(
        "svg",
        element("title", "timeline of runs, alarms and events"),
        *x_ticks(x),
        *shapes,
        element("rect", width="100%", height="100%", class_="frame"),
        role="img",
        width="100%",
        height="100%",
    )
    chart = element("div", picture, class_="chart", style=f"height:{height}px")
    return element("div", element("div", *titles, class_="lanes"), chart, class_="timeline")


def _runs(runs: Sequence[Run], x: Axis, end: float) -> Iterator[str]:
    for run in runs:
        stop = end if run.stop is None else run.stop
        how = "no end" if run.stop is None else end_in_words(run.exit_code, run.exit_reason)
        label = f"run {run.index}: {moment(run.start)}, {format_clock(stop - run.start)}, {how}"
        yield _bar(x, 0, (run.start, stop), "bad" if run.exit_code else "run", label)


def _episodes(found: Sequence[Episode], x: Axis, lane: int, end: float) -> Iterator[str]:
    for one in found[-MOST_TICKS:]:
        stop = min(one.end, end)
        yield _bar(x, lane, (one.begin, stop), "alarm", _episode(one))


def _others(events: Sequence[Event], x: Axis, lane: int) -> Iterator[str]:
    for event in events:
        label = element("title", text(f"{moment(event.time)} {_line(event)}"))
        at = percent(x.place(event.time))
        kind = "note" if event.kind == "note" else "error"
        top, bottom = str(lane * LANE + 4), str((lane + 1) * LANE - 4)
        yield element(
            "g", label, element("line", x1=at, x2=at, y1=top, y2=bottom, class_=f"tick {kind}")
        )


def _bar(x: Axis, lane: int, times: tuple[float, float], kind: str, label: str) -> str:
    begin, end = times
    place = min(1.0, max(0.0, x.place(begin)))
    width = max(0.0, min(1.0, x.place(end)) - place)
    bar = element(
        "rect", x=percent(place), y=str(lane * LANE + 5), width=percent(width), height=str(LANE - 10),
        class_=f"bar {kind}",
    )  # fmt: skip
    return element("g", element("title", text(label)), bar)
