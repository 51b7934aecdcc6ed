"""Statistics of variables, parameters and metadata, as tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.clock import as_seconds
from pymanip_run.export.report.markup import element, pairs, table, text
from pymanip_run.export.report.timeline import dated
from pymanip_run.records.plain import written
from pymanip_run.units import format_duration, format_rate
from pymanip_run.wording import grouped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymanip_run.core.view import SessionView
    from pymanip_run.records import VariableInfo

__all__ = ["metadata", "parameters", "statistics"]

MOST_ROWS = 500
LONGEST = 2000
HEAD = (
    "variable", "unit", "n", "first", "last", "min", "mean", "max", "std", "rate", "longest gap", "not finite",
)  # fmt: skip


def statistics(infos: Mapping[str, VariableInfo]) -> str:
    """Return the exact statistics of all values of each variable."""
    rows = [_row(info) for info in infos.values()]
    width = len(HEAD) if any(row[-1] for row in rows) else len(HEAD) - 1
    shown = _first([row[:width] for row in rows])
    whole = table(HEAD[:width], shown, name="statistics of variables", numbers=range(2, width))
    return whole + _more(rows)


def _first(rows: list[list[str]]) -> list[list[str]]:
    return rows[:MOST_ROWS]


def _more(rows: list[list[str]]) -> str:
    left = len(rows) - MOST_ROWS
    return element("p", f"{left} more are in the session.", class_="quiet") if left > 0 else ""


def _row(info: VariableInfo) -> list[str]:
    known, about = info.statistics, info.description
    name = text(about.label or info.name)
    if about.label:
        name += " " + element("small", text(info.name))
    values = (
        known.first_value,
        known.last_value,
        known.min,
        known.mean,
        known.max,
        known.std,
    )
    gap = known.gap
    return [
        name,
        text(about.unit or ""),
        grouped(known.n),
        *(f"{value:.6g}".replace("-", "−") if known.n else "–" for value in values),
        text(format_rate(known.rate)),
        "–" if gap is None else text(format_duration(gap)),
        grouped(known.nonfinite) if known.nonfinite else "",
    ]


def parameters(view: SessionView) -> str:
    """Return the parameters with their units, and since when they have their values."""
    rows = [
        [
            text(name),
            text(_cut(written(p.value))),
            text(p.unit or ""),
            dated(as_seconds(p.ns)),
        ]
        for name, p in view.parameter_table().items()
    ]
    head = ["parameter", "value", "unit", "since"]
    return table(head, _first(rows), name="all parameters", numbers=(1,)) + _more(rows)


def metadata(view: SessionView) -> str:
    """Return the metadata: as they are written in an experiment file."""
    items = list(view.metadatas().items())
    rows = [
        (name, element("span", text(_cut(written(value))), class_="text")) for name, value in items
    ]
    return pairs(rows[:MOST_ROWS]) + _more([[name] for name, _ in rows])


def _cut(words: str) -> str:
    return words if len(words) <= LONGEST else f"{words[:LONGEST]}…"
