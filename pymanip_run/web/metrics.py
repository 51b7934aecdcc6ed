"""The session in the text format of Prometheus (exposition format 0.0.4)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pymanip_run.web import summary

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pymanip_run.web.knowledge import Known
    from pymanip_run.web.settings import Watched

__all__ = ["MEDIA", "metrics"]

MEDIA = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "pymanip_run_"
Sample = tuple["Mapping[str, str]", float]


def metrics(watched: Watched, known: Known) -> str:
    """Return all metrics."""
    return "\n".join(_lines(watched, known)) + "\n"


def _lines(watched: Watched, known: Known) -> Iterator[str]:
    how = summary.progress(watched)
    last = watched.view.logged_last_values()
    named = [(_labels(name, known), pair) for name, pair in last.items()]
    state = how["state"]
    yield from _family("up", "gauge", "Whether the run goes on.", [({}, float(state == "running"))])
    yield from _family(
        "value",
        "gauge",
        "The last value of a logged variable.",
        [(labels, v) for labels, (_, v) in named],
    )
    yield from _family(
        "value_timestamp_seconds",
        "gauge",
        "When it was logged.",
        [(labels, t) for labels, (t, _) in named],
    )
    if how.get("entries") is not None:
        yield from _family("entries_total", "counter", "Entries recorded.", [({}, how["entries"])])
    if how.get("started") is not None:
        yield from _family(
            "start_time_seconds", "gauge", "When the run began.", [({}, how["started"])]
        )
    for key, text in (("errors", "Steps that failed."), ("missed", "Ticks that were missed.")):
        samples = [({"task": task["name"]}, float(task[key])) for task in how["tasks"]]
        yield from _family(f"task_{key}_total", "counter", text, samples)
    active = [({"alarm": a["name"]}, float(a["state"] == "active")) for a in how["alarms"]]
    yield from _family("alarm_active", "gauge", "Whether an alarm is active.", active)
    for name, size, text in (
        ("file_size_bytes", known.size, "Size of the session file."),
        ("disk_free_bytes", known.free, "Room on its disk."),
    ):
        if size is not None:
            yield from _family(name, "gauge", text, [({}, float(size))])


def _labels(name: str, known: Known) -> dict[str, str]:
    info = known.variables.get(name)
    unit = info.description.unit if info is not None else None
    return {"name": name, "unit": unit or ""}


def _family(name: str, kind: str, text: str, samples: Iterable[Any]) -> Iterator[str]:
    first = True
    for labels, value in samples:
        if first:
            yield f"# HELP {PREFIX}{name} {text}"
            yield f"# TYPE {PREFIX}{name} {kind}"
            first = False
        shown = ",".join(f'{key}="{_escaped(word)}"' for key, word in labels.items())
        yield (
            f"{PREFIX}{name}{{{shown}}} {_number(value)}"
            if shown
            else f"{PREFIX}{name} {_number(value)}"
        )


def _escaped(text: str) -> str:
    clean = text.encode("utf-8", "replace").decode()
    return clean.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return repr(float(value))
