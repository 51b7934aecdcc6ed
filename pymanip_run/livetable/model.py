"""What a display keeps of the data: last values, rates, ten minutes of history, last events."""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from pymanip_run.livetable.text import Number
from pymanip_run.records import Description, Entry, Event

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pymanip_run.records import FloatArray, VariableInfo

__all__ = ["HISTORY", "Model", "Trace"]

HISTORY = 600  # seconds, one bin each
SPANS = (60, 120, 300, HISTORY)
RATE_SAMPLES = 40
#: A value is carried on for so many periods.
CARRIED_PERIODS = 3
#: Below this a missing value is a hiccup, whatever the rate.
HICCUP = 2.0  # seconds
#: Of more rows of one kind at once, only so many are averaged into the history.
SAMPLED_ROWS = 64


class Trace:
    """What is shown of one variable."""

    __slots__ = (
        "_counts",
        "_second",
        "_sums",
        "count",
        "description",
        "last",
        "name",
        "number",
        "samples",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.description = Description()
        self.number = Number()
        #: The last (timestamp, value), None before the first.
        self.last: tuple[float, float] | None = None
        #: Values seen in this run.
        self.count = 0
        #: (timestamp, count) at most a few times a second, for the rate.
        self.samples: deque[tuple[float, int]] = deque(maxlen=RATE_SAMPLES)
        self._second = -1
        self._sums: FloatArray | None = None
        self._counts: FloatArray | None = None

    def add(self, rows: list[Entry], index: int, count: int) -> None:
        """Take in the index-th values of `rows`, which stand for `count` rows."""
        time = rows[-1].time
        if not self.samples:
            self.samples.append((rows[0].time, self.count + 1))
        self.count += count
        if time > self.samples[-1][0]:
            self.samples.append((time, self.count))
        if self.last is None or time >= self.last[0]:
            self.last = (time, rows[-1].values[index])
        for row in rows:
            value = row.values[index]
            if math.isfinite(value):
                self.number.saw(value)
                self._bin(int(row.ns // 1_000_000_000), value)

    def _bin(self, second: int, value: float) -> None:
        if self._sums is None or self._counts is None:
            self._sums, self._counts = np.zeros(HISTORY), np.zeros(HISTORY)
            self._second = second
        if second > self._second:
            gone = np.arange(max(self._second, second - HISTORY) + 1, second + 1) % HISTORY
            self._sums[gone] = 0.0
            self._counts[gone] = 0.0
            self._second = second
        elif second <= self._second - HISTORY:
            return
        self._sums[second % HISTORY] += value
        self._counts[second % HISTORY] += 1.0

    def rate(self, now: float) -> float:
        """Return values per second lately; NaN when unknown or when they stopped coming."""
        if len(self.samples) < 2:
            return math.nan
        (t0, n0), (t1, n1) = self.samples[0], self.samples[-1]
        rate = (n1 - n0) / (t1 - t0)
        return rate if now - t1 < max(10.0 / rate, HICCUP) else math.nan

    def stale_since(self, now: float, started: float) -> float | None:
        """Return the age of the last value when it is older than a few periods, else None."""
        limit = self.description.stale_after
        if limit is None:
            return None
        since = max(self.last[0], started) if self.last else started
        age = now - since
        if age <= limit:
            return None
        return now - self.last[0] if self.last else age

    def history(self, now: float, cells: int, span: int) -> FloatArray:
        """Return the means of the last `span` seconds in `cells` equal parts; NaN without values.

        A value is carried on until the next one is due. The borders of the parts are multiples of
        their length, so that the picture moves without flickering.
        """
        width = span // cells
        last_cell = int(now) // width
        if self._sums is None or self._counts is None:
            return np.full(cells, np.nan)
        first = (last_cell - cells + 1) * width
        seconds = np.arange(first, first + cells * width)
        known = (seconds > self._second - HISTORY) & (seconds <= self._second)
        places = seconds % HISTORY
        sums = np.where(known, self._sums[places], 0.0).reshape(cells, width).sum(axis=1)
        counts = np.where(known, self._counts[places], 0.0).reshape(cells, width).sum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            means = sums / counts
        return self._carried(means, width, now)

    def _carried(self, means: FloatArray, width: int, now: float) -> FloatArray:
        rate = self.rate(now)
        step = self.description.period or (1.0 / rate if rate > 0 else 0.0)
        hold = math.ceil(min(CARRIED_PERIODS * step, float(HISTORY)) / width)
        filled = np.flatnonzero(np.isfinite(means))
        if not hold or not len(filled):
            return means
        source = np.full(len(means), -1)
        source[filled] = filled
        source = np.maximum.accumulate(source)
        gap = np.arange(len(means)) - source
        return np.where((source >= 0) & (gap <= hold), means[source], np.nan)


class Model:
    """Everything that a display shows of the data.

    Parameters
    ----------
    started
        Session time of the start of the run, in Unix seconds.
    events
        How many events are kept.
    """

    def __init__(self, started: float, events: int = 50) -> None:
        self.started = started
        self.traces: dict[str, Trace] = {}
        #: The newest last.
        self.events: deque[Event] = deque(maxlen=events)

    def describe(
        self,
        variables: Mapping[str, VariableInfo],
        last: Mapping[str, tuple[float, float]] | None = None,
    ) -> None:
        """Take in what is known of the variables, and of the values before this run."""
        for name, info in variables.items():
            trace = self._trace(name)
            if trace is None:
                continue
            if info.description != trace.description:
                trace.description = info.description
                trace.number.spec = info.description.format
            if last is not None and trace.last is None:
                trace.last = last.get(name)
                if trace.last is not None:
                    trace.number.saw(info.statistics.max)
                    trace.number.saw(info.statistics.min)
                    trace.number.saw(trace.last[1])

    def absorb(self, items: Iterable[Entry | Event]) -> None:
        """Take in what the feed brought; the work is bounded by the number of variables."""
        groups: dict[tuple[str, ...], list[Entry]] = {}
        for item in items:
            if isinstance(item, Entry):
                groups.setdefault(item.names, []).append(item)
            else:
                self.events.append(item)
        for names, rows in groups.items():
            sampled = rows
            if len(rows) > SAMPLED_ROWS:
                # The last row is what is shown, the first one is where the rate counts from.
                sampled = [rows[0], *rows[-1 : 0 : -(len(rows) // SAMPLED_ROWS)][::-1]]
            for index, name in enumerate(names):
                trace = self._trace(name)
                if trace is not None:
                    trace.add(sampled, index, len(rows))

    def _trace(self, name: str) -> Trace | None:
        trace = self.traces.get(name)
        if trace is None and not name.startswith("_"):
            trace = self.traces[name] = Trace(name)
        return trace

    def span(self, now: float) -> int:
        """Return how many seconds the history shows: more while the run grows older."""
        elapsed = now - self.started
        return next((span for span in SPANS if elapsed <= span), HISTORY)
