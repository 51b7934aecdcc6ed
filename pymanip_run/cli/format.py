"""A session as text for people: what `pymanip-inspect` prints."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from pymanip_run.cli.origin import code_of
from pymanip_run.cli.tables import TITLE, cells, cut, fitting, listed, table, wrapped
from pymanip_run.clock import iso_local
from pymanip_run.describe import is_healthy
from pymanip_run.livetable.text import event_line
from pymanip_run.records.plain import written
from pymanip_run.units import format_clock, format_duration, format_rate, format_size
from pymanip_run.wording import WITHOUT_A_WORD, end_in_words, grouped, inert

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from pymanip_run.core.view import SessionView
    from pymanip_run.records import DatasetInfo, Event, Parameter, Run, VariableInfo

__all__ = ["events_text", "number", "session_text", "short", "tail_text"]

SHOWN_EVENTS = 3
#: Columns of the table of variables, and which of them are left out first on a narrow terminal.
TITLES = ("Logged variables", "n", "first", "last", "min", "mean", "max", "unit", "rate", "gaps")
UNIT, GAPS = 7, 9
LEAST = (8, 2, 9, 7, 5)


def session_text(
    view: SessionView,
    path: Path,
    names: Collection[str] = (),
    *,
    is_running: Callable[[], bool],
    width: int,
) -> str:
    """Return the summary of a session in lines of at most `width` characters, as far as possible."""
    wanted: Callable[[str], bool] = (lambda name: name in names) if names else (lambda _: True)
    events = view.events()
    blocks = [
        _identity(view, path, events, width, is_running=is_running),
        _variables([v for n, v in view.variables().items() if wanted(n)], width),
        _parameters({n: p for n, p in view.parameter_table().items() if wanted(n)}, width),
        _metadata({n: v for n, v in view.metadatas().items() if wanted(n)}, width),
        _datasets([d for n, d in view.datasets_info().items() if wanted(n)], width),
    ]
    if not names:
        blocks.append(_events(events, width))
    return "\n".join(line for block in blocks for line in block)


# -- identity -----------------------------------------------------------------------------------


def _identity(
    view: SessionView,
    path: Path,
    events: Sequence[Event],
    width: int,
    *,
    is_running: Callable[[], bool],
) -> list[str]:
    info = view.info()
    health = "healthy" if is_healthy(list(events)) else "DAMAGED, see --events"
    kind = f"session, format {info.format_version}"
    if info.program == "pymanip":
        kind = f"session of pymanip, version {info.format_version}"
    lines = wrapped([inert(path), kind, format_size(_size(path)), health], width)
    runs = view.runs()
    parts = [inert(info.title)] if info.title else []
    if not runs:
        parts.append("no run, created " + _local(info.created))
    else:
        parts += [
            f"{len(runs)} run{'s' * (len(runs) > 1)}",
            _span(runs),
            _end(runs[-1], is_running=is_running),
        ]
        parts.append(", ".join(inert(x) for x in (runs[-1].host, runs[-1].user) if x))
    lines += wrapped([part for part in parts if part], width)
    lines += wrapped(code_of(runs[-1]), width) if runs else []
    return [*lines, ""]


def _size(path: Path) -> int:
    side = path.parent.glob(f"{_escaped(path.name)}.wal.*")
    return path.stat().st_size + sum(p.stat().st_size for p in side if p.exists())


def _escaped(name: str) -> str:
    return "".join(f"[{c}]" if c in "*?[" else c for c in name)


def _local(time: float) -> str:
    return iso_local(time)[:19].replace("T", " ") if math.isfinite(time) else "–"


def _span(runs: Sequence[Run]) -> str:
    begin, last = _local(runs[0].start), runs[-1]
    if last.stop is None:
        return f"from {begin}"
    end = _local(last.stop)
    if end[:10] == begin[:10]:
        end = end[11:]
    measured = sum(run.stop - run.start for run in runs if run.stop is not None)
    return f"{begin} → {end} ({format_clock(measured)})"


def _end(run: Run, *, is_running: Callable[[], bool]) -> str:
    if run.stop is None:
        return "running now" if is_running() else f"the last run {WITHOUT_A_WORD}"
    return inert(end_in_words(run.exit_code, run.exit_reason))


# -- tables -------------------------------------------------------------------------------------


def _variables(variables: Sequence[VariableInfo], width: int) -> list[str]:
    if not variables:
        return ["Logged variables   none", ""]
    rows = [TITLES, *map(_variable, variables)]
    unneeded = [
        column
        for column, nothing in ((UNIT, ""), (GAPS, "–"))
        if all(row[column] == nothing for row in rows[1:])
    ]
    wide = [tuple(cell for i, cell in enumerate(row) if i not in unneeded) for row in rows]
    places = [i for i in range(len(TITLES)) if i not in unneeded]
    shown = fitting(wide, width, [places.index(i) for i in LEAST if i not in unneeded])
    left = {i for i, column in enumerate(shown) if places[column] in (0, UNIT)}
    return [*table([tuple(row[i] for i in shown) for row in wide], left), ""]


def _variable(info: VariableInfo) -> tuple[str, ...]:
    known = info.statistics
    numbers = (known.first_value, known.last_value, known.min, known.mean, known.max)
    gap = known.gap
    return (
        f"  {cut(inert(info.name), 36)}",
        grouped(known.n),
        *(tuple(map(number, numbers)) if known.n else ("–",) * 5),
        cut(inert(info.description.unit or ""), 12),
        format_rate(known.rate),
        "–" if gap is None else format_duration(gap),
    )


def number(value: float) -> str:
    """Return a value with five digits."""
    return f"{value:.5g}"


# -- the rest -----------------------------------------------------------------------------------


def _parameters(parameters: dict[str, Parameter], width: int) -> list[str]:
    texts = [
        f"{inert(n)} {short(p.value)}{' ' + inert(p.unit) if p.unit else ''}"
        for n, p in parameters.items()
    ]
    return listed("Parameters", texts, width)


def _metadata(items: dict[str, object], width: int) -> list[str]:
    return listed("Metadata", [f"{inert(n)}: {short(v)}" for n, v in items.items()], width)


def short(value: object) -> str:
    """Return a value as it is written in an experiment file, not too long."""
    return cut(inert(written(value)), 60)


def _datasets(infos: Sequence[DatasetInfo], width: int) -> list[str]:
    lines: list[str] = []
    for info in infos:
        shape = f" {info.shape}" if info.shape else ""
        text = f"{inert(info.name)}  {grouped(info.n)} ×{shape} {inert(info.dtype)}, {format_size(info.nbytes)}"
        if info.n > 1 and info.last_time > info.first_time:
            step = (info.last_time - info.first_time) / (info.n - 1)
            every = f", every {format_duration(step)}"
            text += every if TITLE + 1 + cells(text + every) <= width else ""
        lines += listed("" if lines else "Datasets", [text], width)
    return lines


def _events(events: Sequence[Event], width: int) -> list[str]:
    if not events:
        return []
    last = [_event(event) for event in events[-SHOWN_EVENTS:]]
    more = ["… see --events"] if len(events) > SHOWN_EVENTS else []
    return listed("Events", [f"{len(events)}: {last[0]}", *last[1:], *more], width)


def _event(event: Event) -> str:
    return f"{iso_local(event.time)[11:19]} {event_line(event.kind, event.source, event.text)}"


def events_text(events: Sequence[Event]) -> str:
    """Return all events, one a line."""
    return "\n".join(f"{_local(e.time)} {event_line(e.kind, e.source, e.text)}" for e in events)


def tail_text(view: SessionView, names: Sequence[str], count: int) -> str:
    """Return the last values of some variables, one a line, with their times."""
    lines: list[str] = []
    for name in names:
        series = view.logged_variable(name).tail(count)
        unit = f" {inert(series.unit)}" if series.unit else ""
        times, values = series
        lines += [
            f"{iso_local(t, 'milliseconds')}  {inert(name)}  {v!r}{unit}"
            for t, v in zip(times.tolist(), values.tolist(), strict=True)
        ]
    return "\n".join(lines)
