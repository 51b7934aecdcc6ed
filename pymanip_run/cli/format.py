"""A session as text for people: what `pymanip-inspect` prints."""

from __future__ import annotations

import math
import unicodedata
from typing import TYPE_CHECKING

from pymanip_run.cli.origin import code_of
from pymanip_run.cli.reasons import WITHOUT_A_WORD, end_in_words
from pymanip_run.clock import iso_local
from pymanip_run.describe import is_healthy
from pymanip_run.livetable.text import event_line, grouped, inert
from pymanip_run.units import format_clock, format_duration, format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from pymanip_run.core.view import SessionView
    from pymanip_run.records import DatasetInfo, Event, Parameter, Run, Statistics, VariableInfo

__all__ = ["events_text", "session_text", "tail_text"]

SHOWN_EVENTS = 3
#: A pause this many times longer than the usual step is a gap.
GAP_FACTOR = 5.0
MIN_GAP = 2.0


def session_text(
    view: SessionView, path: Path, names: Collection[str] = (), *, running: bool, width: int
) -> str:
    """Return the summary of a session in lines of at most `width` characters, as far as possible."""
    wanted: Callable[[str], bool] = (lambda name: name in names) if names else (lambda _: True)
    events = view.events()
    blocks = [
        _identity(view, path, events, width, running=running),
        _variables([v for n, v in view.variables().items() if wanted(n)], width),
        _parameters({n: p for n, p in view.parameter_table().items() if wanted(n)}, width),
        _metadata({n: v for n, v in view.metadatas().items() if wanted(n)}, width),
        _datasets([d for n, d in view.datasets_info().items() if wanted(n)]),
    ]
    if not names:
        blocks.append(_events(events, width))
    return "\n".join(line for block in blocks for line in block)


# -- identity -----------------------------------------------------------------------------------


def _identity(
    view: SessionView, path: Path, events: Sequence[Event], width: int, *, running: bool
) -> list[str]:
    info = view.info()
    health = "healthy" if is_healthy(list(events)) else "DAMAGED, see --events"
    kind = f"session, format {info.format_version}"
    if info.program == "pymanip":
        kind = f"session of pymanip, version {info.format_version}"
    lines = [f"{inert(path)} · {kind} · {format_size(_size(path))} · {health}"]
    runs = view.runs()
    parts = [inert(info.title)] if info.title else []
    if not runs:
        parts.append("no run, created " + _local(info.created))
    else:
        parts += [
            f"{len(runs)} run{'s' * (len(runs) > 1)}",
            _span(runs),
            _end(runs[-1], running=running),
        ]
        parts.append(", ".join(inert(x) for x in (runs[-1].host, runs[-1].user) if x))
    lines += _wrapped([part for part in parts if part], width)
    lines += _wrapped(code_of(runs[-1]), width) if runs else []
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


def _end(run: Run, *, running: bool) -> str:
    if run.stop is None:
        return "running now" if running else f"the last run {WITHOUT_A_WORD}"
    return inert(end_in_words(run.exit_code, run.exit_reason))


# -- tables -------------------------------------------------------------------------------------


def _variables(variables: Sequence[VariableInfo], width: int) -> list[str]:
    if not variables:
        return ["Logged variables   none", ""]
    titles = (
        "Logged variables",
        "n",
        "first",
        "last",
        "min",
        "mean",
        "max",
        "unit",
        "rate",
        "gaps",
    )
    rows = [_variable(info) for info in variables]
    shown = _fitting(titles, rows, width)
    return [
        *_table(
            [tuple(row[i] for i in shown) for row in (titles, *rows)], {0, *_text_columns(shown)}
        ),
        "",
    ]


def _text_columns(shown: Sequence[int]) -> set[int]:
    return {place for place, column in enumerate(shown) if column == 7}


def _variable(info: VariableInfo) -> tuple[str, ...]:
    known = info.statistics
    numbers = (known.first_value, known.last_value, known.min, known.mean, known.max)
    written = tuple(_number(x) for x in numbers) if known.n else ("–",) * 5
    return (
        f"  {_cut(inert(info.name), 36)}",
        grouped(known.n),
        *written,
        _cut(inert(info.description.unit or ""), 12),
        _rate(known),
        _gap(known),
    )


def _number(value: float) -> str:
    return f"{value:.5g}"


def _rate(known: Statistics) -> str:
    rate = known.rate
    if not rate > 0 or math.isinf(rate):
        return "–"
    if rate < 0.1:
        return f"every {format_duration(1 / rate)}"
    return f"{rate:.3g}/s"


def _gap(known: Statistics) -> str:
    if known.n < 3 or not known.rate > 0:
        return "–"
    gap = known.longest_gap
    # The mean step includes the gap itself.
    step = max((known.last_time - known.first_time - gap) / (known.n - 2), 0.0)
    return format_duration(gap) if gap > max(GAP_FACTOR * step, MIN_GAP) else "–"


def _fitting(titles: Sequence[str], rows: Sequence[tuple[str, ...]], width: int) -> list[int]:
    """Return the columns to show, the least important left out where the width asks for it."""
    widths = [max(_cells(row[i]) for row in (titles, *rows)) for i in range(len(titles))]
    shown = list(range(len(titles)))
    if not any(row[7].strip() for row in rows):
        shown.remove(7)
    if all(row[9] == "–" for row in rows):
        shown.remove(9)
    for least in (8, 2, 9, 7, 5):
        if sum(widths[i] + 2 for i in shown) - 2 <= width:
            break
        if least in shown:
            shown.remove(least)
    return shown


def _table(rows: Sequence[tuple[str, ...]], left: Collection[int]) -> list[str]:
    widths = [max(_cells(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = []
        for i, (text, size) in enumerate(zip(row, widths, strict=True)):
            pad = " " * (size - _cells(text))
            cells.append(text + pad if i in left else pad + text)
        lines.append("  ".join(cells).rstrip())
    return lines


def _cells(text: str) -> int:
    """Return the width on a terminal; what matters here are wide and combining characters."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


# -- the rest -----------------------------------------------------------------------------------


def _parameters(table: dict[str, Parameter], width: int) -> list[str]:
    texts = [
        f"{inert(n)} {_short(p.value)}{' ' + inert(p.unit) if p.unit else ''}"
        for n, p in table.items()
    ]
    return _listed("Parameters", texts, width)


def _metadata(items: dict[str, object], width: int) -> list[str]:
    return _listed("Metadata", [f"{inert(n)}: {_short(v)}" for n, v in items.items()], width)


def _short(value: object) -> str:
    return _cut(inert(_written(value)), 60)


def _written(value: object) -> str:
    """Return a value as it is written in an experiment file, not as Python would."""
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_written(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "null"
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _datasets(infos: Sequence[DatasetInfo]) -> list[str]:
    lines: list[str] = []
    for info in infos:
        text = f"{inert(info.name)}  {grouped(info.n)} × {info.shape} {inert(info.dtype)}, {format_size(info.nbytes)}"
        if info.n > 1 and info.last_time > info.first_time:
            text += f", every {format_duration((info.last_time - info.first_time) / (info.n - 1))}"
        lines.append(f"{'Datasets' if not lines else '':12} {text}")
    return lines


def _events(events: Sequence[Event], width: int) -> list[str]:
    if not events:
        return []
    last = [_event(event) for event in events[-SHOWN_EVENTS:]]
    more = ["… see --events"] if len(events) > SHOWN_EVENTS else []
    return _listed("Events", [f"{len(events)}: {last[0]}", *last[1:], *more], width)


def _event(event: Event) -> str:
    return f"{iso_local(event.time)[11:19]} {event_line(event.kind, event.source, event.text)}"


def _listed(title: str, texts: Sequence[str], width: int) -> list[str]:
    if not texts:
        return []
    lines = _wrapped(texts, width - 13)
    return [f"{title if i == 0 else '':12} {line}" for i, line in enumerate(lines)]


def _wrapped(parts: Sequence[str], width: int) -> list[str]:
    """Return parts joined by dots, broken between two of them where a line is full."""
    lines: list[str] = []
    for part in parts:
        if lines and _cells(lines[-1]) + 3 + _cells(part) <= width:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return lines


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
