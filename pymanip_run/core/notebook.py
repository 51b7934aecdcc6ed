"""What a notebook shows of a session: what it is, how it ended, what is in it."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from pymanip_run.clock import iso_local
from pymanip_run.records.html import wide_table
from pymanip_run.units import format_duration, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymanip_run.core.view import SessionView
    from pymanip_run.records import Run, VariableInfo

__all__ = ["session_html"]

#: So many rows of a table, and characters of a text, are shown.
MOST_ROWS, MOST_CHARACTERS = 100, 200


def session_html(view: SessionView) -> str:
    """Return a session as HTML; all texts are escaped, and colours are left to the notebook."""
    return "".join(_parts(view))


def _parts(view: SessionView) -> Iterator[str]:
    info, runs = view.info(), view.runs()
    name = view.session_name or "session in memory"
    title = f" · {escape(info.title)}" if info.title not in ("", name) else ""
    yield f"<b>{escape(name)}</b>{title}<br>"
    yield escape(_ended(runs[-1], len(runs)) if runs else f"created {_local(info.created)}, no run")
    for heading, items in (("Parameters", _parameters(view)), ("Metadata", _metadata(view))):
        if items:
            yield f'<p style="overflow-wrap:anywhere">{heading}: {" · ".join(map(escape, items))}</p>'
    variables = list(view.variables().values())
    titles = ("variable", "values", "last", "unit", "least", "mean", "largest", "last at")
    yield wide_table(titles, map(_variable, variables[:MOST_ROWS]))
    if len(variables) > MOST_ROWS:
        yield f"<p>… and {len(variables) - MOST_ROWS} more</p>"
    datasets = view.datasets_info().values()
    if datasets:
        rows = [
            (d.name, d.n, " × ".join(map(str, d.shape)), d.dtype, format_size(d.nbytes), d.unit)
            for d in datasets
        ]
        yield wide_table(("dataset", "records", "shape", "type", "size", "unit"), rows)


def _ended(run: Run, count: int) -> str:
    runs = "1 run" if count == 1 else f"{count} runs, the last"
    if run.stop is None:
        return f"{runs} from {_local(run.start)}, not ended or killed"
    how = run.exit_reason or ""
    code = f" (exit code {run.exit_code})" if run.exit_code else ""
    lasted = format_duration(run.stop - run.start)
    return f"{runs} from {_local(run.start)}, {lasted}{', ' if how else ''}{how}{code}"


def _variable(info: VariableInfo) -> tuple[object, ...]:
    known, unit = info.statistics, info.description.unit
    if not known.n:
        return info.name, 0, None, unit, None, None, None, None
    return (
        info.name, known.n, known.last_value, unit, known.min, known.mean, known.max, _local(known.last_time),
    )  # fmt: skip


def _parameters(view: SessionView) -> list[str]:
    return [
        _short(f"{name} = {_plain(p.value)} {p.unit or ''}".rstrip())
        for name, p in view.parameter_table().items()
    ]


def _metadata(view: SessionView) -> list[str]:
    return [_short(f"{name}: {value}") for name, value in view.metadatas().items()]


def _plain(value: float | bool | str) -> str:
    return f"{value:.10g}" if isinstance(value, float) else str(value)


def _short(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"


def _local(time: float) -> str:
    return iso_local(time)[:19].replace("T", " ") if math.isfinite(time) else "an unknown time"
