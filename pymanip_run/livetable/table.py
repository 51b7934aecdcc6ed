"""The table of a screen: one row a variable, as many rows and columns as there is room for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from rich.cells import cell_len, set_cell_size

from pymanip_run.livetable.text import Glyphs, inert, sparkline

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pymanip_run.livetable.model import Model, Trace
    from pymanip_run.livetable.state import AlarmState

__all__ = ["Line", "Table", "age_text", "fit", "rate_text"]

Line: TypeAlias = list[tuple[str, str]]

STALE = "no fresh value"
SPARK_WIDTHS = (60, 30, 20, 15, 12, 10)


def age_text(seconds: float) -> str:
    """Return an age as ``2 s``, ``4 min``, ``3 h``, ``5 d``."""
    seconds = max(0.0, seconds)
    for limit, size, unit in ((100, 1, "s"), (6000, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds // 86400)} d"


def rate_text(rate: float, dash: str = "–") -> str:
    """Return a rate as ``0.1/s``, ``12/s``, ``6/h``."""
    if not rate > 0 or math.isinf(rate):
        return dash
    scales = ((1.0, "s", 0.0995), (60.0, "min", 0.995), (3600.0, "h", 0.0))
    number, unit = next((rate * factor, u) for factor, u, least in scales if rate * factor >= least)
    if number >= 9_950:
        return f"{number / 1000:.0f}k/{unit}"
    text = f"{number:.0f}" if number >= 9.95 else f"{number:.1f}"
    return f"{text}/{unit}"


@dataclass(slots=True)
class _Row:
    name: str
    value: str
    unit: str
    age: str
    rate: str
    trace: Trace
    alarm: str = ""
    alarm_style: str = ""
    value_style: str = ""
    dim: bool = False


@dataclass(slots=True)
class Table:
    """Composes the table. Column widths only grow, so that nothing jumps."""

    model: Model
    glyphs: Glyphs
    #: Called after each row, to let others run.
    breathe: Callable[[], object]
    #: When the run began to stop: from then on nothing grows stale.
    ended: float | None = None
    _widths: dict[str, int] = field(default_factory=dict)

    def lines(
        self, width: int, room: int, now: float, alarms: Mapping[str, AlarmState]
    ) -> list[Line]:
        """Return at most `room` lines of about `width` cells."""
        traces = list(self.model.traces.values())
        if room < 1:
            return []
        if not traces:
            return [[("  nothing logged yet", "dim")]]
        rows = [
            self._row(trace, alarms.get(trace.name), now)
            for trace in self._chosen(traces, room - 1, now, alarms)
        ]
        watched = any(t.description.period for t in traces) or bool(alarms)
        columns = self._columns(rows, width, watched=watched)
        lines = [self._titles(columns, now)]
        for row in rows:
            lines.append(self._line(row, columns, now))
            self.breathe()
        hidden = len(traces) - len(rows)
        if hidden:
            lines.append([(f"  {self.glyphs.ellipsis} and {hidden} more", "dim")])
        return lines[:room]

    def _chosen(
        self, traces: Sequence[Trace], room: int, now: float, alarms: Mapping[str, AlarmState]
    ) -> Sequence[Trace]:
        """Return the traces that fit, in their order; those with something wrong go first."""
        if len(traces) <= room:
            return traces
        room = max(0, room - 1)
        ranked = sorted(range(len(traces)), key=lambda i: not self._wrong(traces[i], alarms, now))
        return [traces[i] for i in sorted(ranked[:room])]

    def _wrong(self, trace: Trace, alarms: Mapping[str, AlarmState], now: float) -> bool:
        alarm = alarms.get(trace.name)
        return (alarm is not None and alarm.level != "ok") or self._stale(trace, now) is not None

    def _stale(self, trace: Trace, now: float) -> float | None:
        # When the run stops, values end: that is no fault of theirs.
        if self.ended is not None:
            now = min(now, self.ended)
        return trace.stale_since(now, self.model.started)

    def _row(self, trace: Trace, alarm: AlarmState | None, now: float) -> _Row:
        dash = self.glyphs.dash
        stale = self._stale(trace, now)
        age = now - trace.last[0] if trace.last else math.nan
        row = _Row(
            name=self._plain(trace.description.label or trace.name),
            value=trace.number(trace.last[1]) if trace.last and stale is None else dash,
            unit=self._plain(trace.description.unit or ""),
            age=age_text(age) if trace.last else dash,
            rate=rate_text(trace.rate(now), dash),
            trace=trace,
        )
        if stale is not None:
            row.alarm, row.alarm_style, row.value_style = STALE, "red", "red"
            row.age = age_text(stale)
        elif trace.description.period and trace.last:
            row.alarm = "ok"
        if alarm is not None and (alarm.level != "ok" or stale is None):
            row.alarm = self._plain(alarm.text or alarm.level)
            row.alarm_style = {"active": "red", "pending": "yellow"}.get(alarm.level, "")
            row.value_style = row.value_style or row.alarm_style
        row.dim = not trace.count and stale is None
        return row

    def _plain(self, text: str) -> str:
        return self.glyphs.encodable(inert(text))

    def _columns(self, rows: Sequence[_Row], width: int, *, watched: bool) -> dict[str, int]:
        """Return the columns that fit with their widths; the least important ones go first."""
        wanted = {
            "variable": self._grown(
                "variable", [r.name for r in rows], 8, 36 if width >= 120 else 20
            ),
            "value": self._grown("value", [r.value for r in rows], 8, 16),
            "unit": self._grown("unit", [r.unit for r in rows], 4, 12),
            "age": self._grown("age", [r.age for r in rows], 6, 8),
            "rate": self._grown("rate", [r.rate for r in rows], 6, 8),
        }
        if not any(r.unit for r in rows):
            del wanted["unit"]
        if watched:
            longest = max((cell_len(r.alarm) for r in rows), default=0)
            wanted["alarm"] = min(max(len(STALE), longest), 40 if width >= 120 else 20)
        for least in ("rate", "unit", "age", "alarm"):
            if _total(wanted) <= width:
                break
            wanted.pop(least, None)
        over = _total(wanted) - width
        if over > 0:
            wanted["variable"] = max(4, wanted["variable"] - over)
        spark = next((w for w in SPARK_WIDTHS if _total(wanted) + w + 2 <= width), 0)
        if spark:
            wanted["history"] = spark
        order = ("variable", "value", "unit", "age", "rate", "history", "alarm")
        return {name: wanted[name] for name in order if name in wanted}

    def _grown(self, name: str, texts: Sequence[str], least: int, most: int) -> int:
        longest = max(map(cell_len, texts), default=0)
        width = min(max(least, longest, self._widths.get(name, 0)), most)
        self._widths[name] = width
        return width

    def _titles(self, columns: dict[str, int], now: float) -> Line:
        span = self.model.span(now)
        history = "last minute" if span == 60 else f"last {span // 60} minutes"
        texts = {name: history if name == "history" else name for name in columns}
        return [("  " + "  ".join(self._cell(texts[c], c, w) for c, w in columns.items()), "dim")]

    def _line(self, row: _Row, columns: dict[str, int], now: float) -> Line:
        line: Line = []
        for column, width in columns.items():
            style = "dim" if row.dim else ""
            if column == "history":
                cells = row.trace.history(now, width, self.model.span(now))
                text, style = sparkline(cells, self.glyphs), style or "cyan"
            elif column == "variable":
                text = row.name
            else:
                text = getattr(row, column)
                if column == "alarm":
                    style = row.alarm_style
                elif column in ("value", "age"):
                    style = row.value_style or style
            line.append(("  " + self._cell(text, column, width), style))
        return line

    def _cell(self, text: str, column: str, width: int) -> str:
        text = fit(text, width, self.glyphs)
        pad = " " * (width - cell_len(text))
        return pad + text if column in ("value", "age", "rate") else text + pad


def _total(columns: dict[str, int]) -> int:
    return sum(columns.values()) + 2 * len(columns)


def fit(text: str, width: int, glyphs: Glyphs) -> str:
    """Return the text within `width` cells, with an ellipsis where it was cut."""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, max(0, width - len(glyphs.ellipsis))).rstrip() + glyphs.ellipsis
