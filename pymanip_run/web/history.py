"""Series for clients: decimated, or raw in pages with a cursor that misses nothing and repeats nothing.

A cursor is the time, in microseconds, up to which a client has everything. The stamps of a session
never go back, also after a restart, so that what is recorded later has a later time.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pymanip_run.clock import SYSTEM
from pymanip_run.core.decimate import Decimator
from pymanip_run.web.encode import flags, nonfinite_word
from pymanip_run.web.failures import Refusal
from pymanip_run.web.recent import micros

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymanip_run.core.view import SessionView
    from pymanip_run.records import FloatArray
    from pymanip_run.web.recent import Stretch

__all__ = [
    "PAGE",
    "Asked",
    "decimated",
    "from_memory",
    "last_values",
    "make_cursor",
    "raw_page",
    "read_cursor",
]

#: Values in an answer.
PAGE = 100_000
#: Of one variable, at least so many are read for a page.
LEAST = 256
#: Values of one variable read at a time.
BLOCK = 1 << 16
#: Seconds between two blocks, in which the tasks have the interpreter for themselves.
BREATH = 0.0005


class Asked(NamedTuple):
    """What a client wants of a session."""

    names: tuple[str, ...]
    since: float = -math.inf
    until: float = math.inf
    points: int = 1000
    agg: str = "none"
    #: Only the last so many values of each.
    tail: int | None = None


def make_cursor(uuid: str, until: int) -> str:
    """Return a cursor."""
    return f"{uuid[:8]}.{until:x}"


def read_cursor(text: str, uuid: str) -> int:
    """Return the time in a cursor, µs.

    Raises
    ------
    Refusal
        If it is none, or of another session.
    """
    session, _, until = text.partition(".")
    try:
        time = int(until, 16)
    except ValueError:
        time = -1
    if not 0 <= time < 1 << 62:
        raise Refusal(
            400, "bad_cursor", "this is no cursor", "give the 'next' of an earlier answer"
        )
    if session != uuid[:8]:
        raise Refusal(
            410, "other_session", "another session is served here now",
            "begin anew without a cursor",
        )  # fmt: skip
    return time


def from_memory(stretch: Stretch, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the series of what was recorded lately."""
    wanted = set(names)
    series: dict[str, tuple[list[float], list[float | None]]] = {}
    flagged: dict[str, list[list[Any]]] = {}
    for entry in stretch.entries:
        time = entry.time
        for name, value in zip(entry.names, entry.values, strict=True):
            if (wanted and name not in wanted) or (not wanted and name[:1] == "_"):
                continue
            times, values = series.setdefault(name, ([], []))
            times.append(time)
            if not math.isfinite(value):
                flagged.setdefault(name, []).append([len(values), nonfinite_word(value)])
                values.append(None)
            else:
                values.append(value)
    content = {name: {"t": t, "v": v} for name, (t, v) in series.items()}
    return {"series": content, "nonfinite": flagged}


def decimated(view: SessionView, asked: Asked) -> dict[str, Any]:
    """Return envelopes or means of variables. Reads block by block; call it in a thread."""
    series: dict[str, Any] = {}
    flagged: dict[str, Any] = {}
    for name in asked.names:
        known = view.variables().get(name)
        expected = known.statistics.expected(asked.since, asked.until) if known else 0
        decimator = Decimator(asked.points, expected)
        for times, values in _blocks(view, name, asked.since, asked.until):
            decimator.add(times, values)
        if asked.agg == "mean":
            mean = decimator.means()
            series[name] = {"t": mean.timestamps, "v": mean.values}
            found = flags(mean.values)
        else:
            times, low, high = decimator.envelope()
            series[name] = {"t": times, "min": low, "max": high}
            found = flags(low)
            found = sorted(found + [flag for flag in flags(high) if flag not in found])
        if found:
            flagged[name] = found
    return {"series": series, "nonfinite": flagged}


def _blocks(
    view: SessionView, name: str, since: float, until: float
) -> Iterator[tuple[FloatArray, FloatArray]]:
    while True:
        times, values = _read(view, name, since, until, BLOCK)
        if len(times):
            yield times, values
        if len(times) < BLOCK:
            return
        SYSTEM.pause(BREATH)
        since = math.nextafter(float(times[-1]), math.inf)


def _read(
    view: SessionView, name: str, since: float, until: float, count: int
) -> tuple[FloatArray, FloatArray]:
    part = view.logged_variable(name).between(since, until).head(count)
    return part.timestamps, part.values


def raw_page(
    view: SessionView, names: Sequence[str], since: float, until: float, limit: int = PAGE
) -> tuple[dict[str, Any], int | None]:
    """Return all values with ``since <= time < until``, as far as they go on one page.

    Returns
    -------
    content : dict
        Series and what of them is not finite.
    end : int or None
        The time (µs) up to which they are all; None: up to `until`.
    """
    count = max(LEAST, 2 * limit // max(1, len(names))) + 1
    parts = {name: _read(view, name, since, until, count) for name in names}
    end = _end_of_page([times for times, _ in parts.values()], count, limit)
    series, flagged = {}, {}
    for name, (times, values) in parts.items():
        kept = len(times) if end is None else int(np.searchsorted(times, end, "right"))
        if not kept:
            continue
        series[name] = {"t": times[:kept], "v": values[:kept]}
        if found := flags(values[:kept]):
            flagged[name] = found
    return {"series": series, "nonfinite": flagged}, None if end is None else round(end * 1e6)


def last_values(view: SessionView, asked: Asked) -> dict[str, Any]:
    """Return the last values of variables, at most a page of them."""
    series, flagged = {}, {}
    left = PAGE
    for name in asked.names:
        part = view.logged_variable(name).between(asked.since, asked.until)
        times, values = part.tail(min(asked.tail or 0, left))
        left -= len(times)
        if not len(times):
            continue
        series[name] = {"t": times, "v": values}
        if found := flags(values):
            flagged[name] = found
    return {"series": series, "nonfinite": flagged}


def _end_of_page(columns: list[FloatArray], count: int, limit: int) -> float | None:
    """Return the last time of the page, None when all is on it: entries are never cut in two."""
    cut = [float(times[-1]) for times in columns if len(times) == count]
    if not cut and sum(map(len, columns)) <= limit:
        return None
    merged = np.sort(np.concatenate(columns))
    if cut:
        merged = merged[merged <= min(cut)]
    if len(merged) <= limit:
        return float(merged[-1])
    beyond = merged[limit]
    whole = merged[merged < beyond]
    # A single entry of more values than a page has is a page for itself.
    return float(whole[-1] if len(whole) else beyond)


def seconds(cursor: int) -> float:
    """Return the first time after a cursor."""
    return (cursor + 1) / 1e6


def cursor_of(ns: int) -> int:
    """Return the cursor of a stamp."""
    return micros(ns)
