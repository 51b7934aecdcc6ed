"""Runs and events as lists that a notebook shows as tables."""

from __future__ import annotations

import math

from pymanip_run.clock import iso_local
from pymanip_run.records.html import wide_table
from pymanip_run.records.kinds import Event, Run

__all__ = ["Events", "Runs"]


#: Of events, the last ones; a page with a hundred thousand of them would not move.
MOST_ROWS = 200


class Runs(list[Run]):
    """Runs, the earliest first; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        rows = [
            (run.index, _time(run.start), _time(run.stop), run.exit_code, run.exit_reason, run.host)
            for run in self
        ]
        return wide_table(("run", "start", "stop", "exit code", "ended by", "host"), rows)


class Events(list[Event]):
    """Events in time order; a notebook shows them as a table."""

    def _repr_html_(self) -> str:
        rows = [(_time(e.time), e.kind, e.source, e.text) for e in self[-MOST_ROWS:]]
        left = len(self) - len(rows)
        earlier = f"<p>{left} earlier events, then</p>" if left else ""
        return earlier + wide_table(("time", "event", "of", "text"), rows)


def _time(time: float | None) -> str | None:
    if time is None or not math.isfinite(time):
        return None
    return iso_local(time)[:19].replace("T", " ")
