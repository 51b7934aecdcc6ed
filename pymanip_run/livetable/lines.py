"""The displays that are no screen: timestamped lines, and JSON lines."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from pymanip_run.clock import iso_local
from pymanip_run.livetable.text import inert
from pymanip_run.records import Entry
from pymanip_run.units import format_clock

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymanip_run.livetable.model import Model, Trace
    from pymanip_run.livetable.state import RunState, SweepProgress
    from pymanip_run.records import Event

__all__ = ["item_json", "status_line", "sweep_json", "to_json"]


def status_line(model: Model, state: RunState) -> str:
    """Return ``2026-11-22T15:02:17+0100 T_bottom=41.273 flow=stale(247s) voltage_scan=7/11 voltage_scan.left=0:02:10``.

    Tasks that are not well are added: ``read.failures=3`` (in a row), ``read.missed=12``, ``read.hung=1``.
    """
    now = state.now()
    stamp = iso_local(now)
    words = [stamp[:-3] + stamp[-2:] if stamp[-3] == ":" else stamp]
    words += [
        f"{_word(t.name)}={_value(t, now, model.started)}"
        for t in model.traces.values()
        if _shown(t)
    ]
    words += [f"{_word(sweep.name)}={_points(sweep)}" for sweep in state.sweeps()]
    for sweep in state.sweeps():
        if sweep.remaining and math.isfinite(sweep.remaining):
            words.append(f"{_word(sweep.name)}.left={format_clock(sweep.remaining)}")
        if sweep.failed:
            words.append(f"{_word(sweep.name)}.failed={sweep.failed}")
    for task in state.tasks():
        counts = {"failures": task.failures, "missed": task.missed, "hung": int(bool(task.hung))}
        words += [f"{_word(task.name)}.{what}={count}" for what, count in counts.items() if count]
    alarms = state.alarms().items()
    words += [f"alarm={_word(a.name or name)}" for name, a in alarms if a.level == "active"]
    return " ".join(words)


def _shown(trace: Trace) -> bool:
    # A line is a reading of its time: what only an earlier run logged is none.
    return trace.count > 0 or bool(trace.description.period)


def _value(trace: Trace, now: float, started: float) -> str:
    stale = trace.stale_since(now, started)
    if stale is not None:
        return f"stale({stale:.0f}s)"
    return trace.number(trace.last[1]).replace(" ", "") if trace.last and trace.count else "-"


def _points(sweep: SweepProgress) -> str:
    return f"{sweep.done}/{sweep.total}" if sweep.total is not None else str(sweep.done)


def _word(name: str) -> str:
    """Return a name that can stand in a line of words: quoted where it would not be one."""
    plain = inert(name)
    return json.dumps(plain, ensure_ascii=False) if any(c in ' ="' for c in plain) else plain


def item_json(item: Entry | Event) -> str:
    """Return an entry or event as one line of JSON."""
    if not isinstance(item, Entry):
        return to_json({
            "type": "event", "time": item.time, "kind": item.kind, "source": item.source, "text": item.text,
        })  # fmt: skip
    return to_json(entry_object(item.time, item.names, item.values))


def entry_object(time: float, names: Sequence[str], values: Sequence[float]) -> dict[str, Any]:
    """Return an entry for JSON: NaN and infinities are null, and named under ``nonfinite``."""
    answer: dict[str, Any] = {"type": "entry", "time": time}
    finite = all(map(math.isfinite, values))
    answer["values"] = {
        n: v if finite or math.isfinite(v) else None for n, v in zip(names, values, strict=True)
    }
    if not finite:
        answer["nonfinite"] = {
            n: repr(v) for n, v in zip(names, values, strict=True) if not math.isfinite(v)
        }
    return answer


def sweep_json(now: float, sweep: SweepProgress) -> str:
    """Return the progress of a sweep as one line of JSON; ``left`` is in seconds, null where it is not known."""
    left = sweep.remaining
    known = left is not None and math.isfinite(left)
    return to_json({
        "type": "sweep", "time": now, "name": sweep.name, "done": sweep.done, "total": sweep.total,
        "failed": sweep.failed, "left": left if known else None,
    })  # fmt: skip


def to_json(value: Mapping[str, Any]) -> str:
    """Return one line of standard JSON; a lone surrogate in a text is escaped, not an error."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
