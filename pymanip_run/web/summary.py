"""The parts of a session as the JSON API gives them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pymanip_run.clock import as_seconds
from pymanip_run.records import Description
from pymanip_run.records.plain import finite, plain_run, plain_statistics
from pymanip_run.web.encode import nonfinite_word

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pymanip_run.records import DatasetInfo, Event, Parameter, Run, SessionInfo, VariableInfo
    from pymanip_run.web.knowledge import Known
    from pymanip_run.web.settings import Tunable, Watched

__all__ = [
    "datasets",
    "events",
    "identity",
    "parameters",
    "progress",
    "runs",
    "snapshot",
    "variables",
]

SHOWN_EVENTS = 100


def identity(info: SessionInfo) -> dict[str, Any]:
    """Return which session it is."""
    return {
        "uuid": info.uuid,
        "format_version": info.format_version,
        "created": info.created,
        "title": info.title,
    }


def variables(infos: Mapping[str, VariableInfo]) -> dict[str, Any]:
    """Return description and statistics of the logged variables."""
    return {name: _variable(info) for name, info in infos.items()}


def _variable(info: VariableInfo) -> dict[str, Any]:
    known, shown = info.statistics, info.description
    ends = {"first": known.first_value, "last": known.last_value} if known.n else {}
    return {
        "unit": shown.unit,
        "label": shown.label,
        "format": shown.format,
        "period": finite(shown.period),
        **plain_statistics(known),
        "m2": finite(known.m2),
        "gap": finite(known.longest_gap),
        "bad": known.nonfinite,
        "nonfinite": [
            [key, nonfinite_word(value)] for key, value in ends.items() if not math.isfinite(value)
        ],
    }


def parameters(
    known: Mapping[str, Parameter], tunable: Mapping[str, Tunable]
) -> dict[str, dict[str, Any]]:
    """Return the parameters with their units, and the limits of those that may be changed."""
    return {
        name: {
            "value": finite(one.value) if isinstance(one.value, float) else one.value,
            "unit": one.unit,
            "t": as_seconds(one.ns),
            **_flagged(one.value),
            **({"tunable": tunable[name]._asdict()} if name in tunable else {}),
        }
        for name, one in known.items()
    }


def _flagged(value: object) -> dict[str, str]:
    if isinstance(value, float) and not math.isfinite(value):
        return {"nonfinite": nonfinite_word(value)}
    return {}


def datasets(infos: Mapping[str, DatasetInfo]) -> dict[str, Any]:
    """Return the summaries of the datasets."""
    return {
        name: {
            "n": info.n,
            "shape": list(info.shape),
            "dtype": info.dtype,
            "bytes": info.nbytes,
            "unit": info.unit,
            "first": finite(info.first_time),
            "last": finite(info.last_time),
        }
        for name, info in infos.items()
    }


def runs(known: Iterable[Run]) -> list[dict[str, Any]]:
    """Return the runs."""
    return [plain_run(run) | {"texts": dict(run.texts)} for run in known]


def event(one: Event) -> dict[str, Any]:
    """Return an event."""
    return {"t": one.time, "kind": one.kind, "source": one.source, "text": one.text}


def simulated(runs: Iterable[Run]) -> str | None:
    """Return the devices that were simulated in any of the runs; None: all values were measured."""
    found = [run.texts["simulated"] for run in runs if run.texts.get("simulated")]
    return found[-1] if found else None


def events(known: Iterable[Event]) -> list[dict[str, Any]]:
    """Return events."""
    return [event(one) for one in known]


def merged_events(stored: Sequence[Event], recent: Iterable[Event]) -> list[Event]:
    """Return the events of the session with those that came since it was read."""
    last = stored[-1].ns if stored else -1
    return [*stored, *(one for one in recent if one.ns > last)]


def progress(watched: Watched) -> dict[str, Any]:
    """Return how the run is doing; that of a session that is not being recorded is over."""
    if watched.progress is not None:
        return watched.progress()
    return {"state": "saved", "reason": None, "started": None, "duration": None,
            "tasks": [], "sweeps": [], "alarms": []}  # fmt: skip


def snapshot(
    watched: Watched, known: Known, recent: Iterable[Event], cursor: str, *, control: bool
) -> dict[str, Any]:
    """Return all that the first page of a dashboard shows."""
    how = progress(watched)
    view = watched.view
    last = view.logged_last_values()
    now = watched.now() if watched.now is not None else view.last_timestamp or 0.0
    is_live = watched.feed is not None
    started = how.get("started")
    duration = how.get("duration")
    elapsed = now - started if started is not None else None
    alarms = {one["variable"]: one["state"] for one in how["alarms"] if one.get("variable")}
    path = view.session_path
    values, flags = {}, []
    for name, (time, value) in last.items():
        info = known.variables.get(name)
        shown = info.description if info is not None else Description()
        age = max(0.0, now - time)
        limit = shown.stale_after
        shown_value = finite(value)
        if shown_value is None:
            flags.append([name, nonfinite_word(value)])
        values[name] = {
            "t": time,
            "value": shown_value,
            "unit": shown.unit,
            "label": shown.label,
            "format": shown.format,
            "age": round(age, 3),
            "stale": is_live and limit is not None and age > limit,
            "stale_after": limit,
            "alarm": alarms.get(name),
        }
    return {
        "title": watched.title,
        "session": view.session_name,
        "file": path.name if path is not None else None,
        "version": watched.version,
        **how,
        "now": now,
        "elapsed": elapsed,
        "remaining": None if elapsed is None or duration is None else max(0.0, duration - elapsed),
        "values": values,
        "nonfinite": flags,
        "parameters": parameters(known.parameters, watched.tunable),
        "datasets": datasets(known.datasets),
        "events": events(merged_events(known.events, recent)[-SHOWN_EVENTS:]),
        "plots": list(watched.plots),
        "simulated": simulated(known.runs),
        "size": known.size,
        "free": known.free,
        "control": control,
        "next": cursor,
    }
