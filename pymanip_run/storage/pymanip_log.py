"""The logged values in a database of pymanip: their series, their statistics, as cheaply as its indices allow."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.clock import as_ns
from pymanip_run.records import Event, FloatArray, Statistics, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymanip_run.storage.database import Database

__all__ = ["Log", "as_number"]

#: Rows read in one go: some ten milliseconds, in which a writer has to wait.
STEP = 50_000
#: As many where only an index is gone through.
FAST_STEP = 200_000
LOWEST, HIGHEST = -sys.float_info.max, sys.float_info.max
NUMBERS = frozenset({float, int, type(None)})
#: Smaller than this is no measurement in float32: it is an int32.
LEAST_FLOAT32 = 1e-30

USUAL_NAN = {b"\0\0\xc0\x7f", b"\0\0\xc0\xff"}

Pair = tuple[FloatArray, FloatArray]


class Log:
    """The table ``log`` of one database.

    Rows are only added to it, so what was counted once is not read again. Without an index over name
    and time (before pymanip 0.4.4) one is made in a temporary table, outside of the file.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._has_index = _has_index(database)
        self._indexed_to = -1
        self._counted_to = -1
        self._statistics: dict[str, Statistics] = {}
        self._texts: list[Event] = []
        self._unordered: set[str] = set()
        self._is_new = True

    def has_changed(self) -> None:
        """Look again for what is new."""
        self._is_new = True
        if self._last_rowid() < max(
            self._indexed_to, self._counted_to
        ):  # written anew from the start
            self._forget()

    def _forget(self) -> None:
        if self._indexed_to >= 0:
            self._database.change("DROP TABLE temp.series")
        self._indexed_to = self._counted_to = -1
        self._statistics, self._texts, self._unordered = {}, [], set()

    def _last_rowid(self) -> int:
        return int(self._database.all("SELECT max(rowid) FROM log")[0][0] or 0)

    # -- series ---------------------------------------------------------------------------------

    def series(self, name: str, window: Window) -> Pair:
        """Return (timestamps, values) in time order, shape (n,)."""
        if not self._has_index:
            self._index()
        low = LOWEST if window.since is None else max(window.since, LOWEST)
        high = HIGHEST if window.until is None else min(window.until, HIGHEST)
        if window.tail is None:
            parts = list(self._forward(name, low, high, window.head))
            return _joined([t for t, _ in parts]), _joined([v for _, v in parts])
        query = self._query("<", "DESC")
        rows = self._database.all(query, name, low, high, HIGHEST, 0, window.tail)
        times, values = _columns([row[1:] for row in reversed(rows)])
        return times[: window.head], values[: window.head]

    def _forward(self, name: str, low: float, high: float, head: int | None) -> Iterator[Pair]:
        query, after, count = self._query(">", "ASC"), (LOWEST, -1), 0
        while head is None or count < head:
            limit = STEP if head is None else min(STEP, head - count)
            rows = self._database.all(query, name, low, high, *after, limit)
            if not rows:
                return
            after, count = (rows[-1][1], rows[-1][0]), count + len(rows)
            yield _columns([row[1:] for row in rows])

    def starts(self, name: str, every: int) -> list[tuple[float, int]]:
        """Return where parts of `every` values begin: a time, and how many values of it come before.

        Only the index is gone through.
        """
        if not self._has_index:
            self._index()
        source, number = self._source
        ordered = f"SELECT {number}, timestamp FROM {source} WHERE name = ? AND timestamp >= ? AND timestamp < ? AND (timestamp, {number}) > (?, ?) ORDER BY timestamp, {number} LIMIT 1 OFFSET ?"  # noqa: S608 - words of this module  # fmt: skip
        equal = f"SELECT count(*) FROM {source} WHERE name = ? AND timestamp = ? AND {number} < ?"  # noqa: S608
        found: list[tuple[float, int]] = []
        at, left = (LOWEST, -1), 1
        while True:
            step = min(left, FAST_STEP)
            row = self._database.all(ordered, name, LOWEST, HIGHEST, *at, step - 1)
            if not row:
                return found
            at, left = (row[0][1], row[0][0]), left - step
            if not left:
                before = self._database.all(equal, name, *at)[0][0]
                found.append((float(at[0]), int(before)))
                left = every

    @property
    def _source(self) -> tuple[str, str]:
        """The table whose index has name and time, and the column that numbers its rows."""
        return ("log", "rowid") if self._has_index else ("temp.series", "number")

    def _query(self, sign: str, direction: str) -> str:
        source, number = self._source
        # In pages, none of which keeps a writer waiting for long.
        return (
            f"SELECT {number}, timestamp, value FROM {source} WHERE name = ? AND timestamp >= ? "  # noqa: S608 - words of this module
            f"AND timestamp < ? AND (timestamp, {number}) {sign} (?, ?) "
            f"ORDER BY timestamp {direction}, {number} {direction} LIMIT ?"
        )

    def _index(self) -> None:
        if self._indexed_to < 0:
            self._database.change(
                "CREATE TEMP TABLE series (name, timestamp, number INTEGER, value, "
                "PRIMARY KEY (name, timestamp, number)) WITHOUT ROWID"
            )
            self._indexed_to = 0
        elif not self._is_new:
            return
        last = self._last_rowid()
        while self._indexed_to < last:
            until = self._step(self._indexed_to)
            self._database.change(
                "INSERT INTO temp.series SELECT name, timestamp, rowid, value FROM log "
                "WHERE rowid > ? AND rowid <= ? AND timestamp IS NOT NULL AND name IS NOT NULL",
                self._indexed_to, until,
            )  # fmt: skip
            self._indexed_to = until
        self._is_new = False

    def _step(self, after: int) -> int:
        """Return the rowid some rows further on."""
        found = self._database.all(
            "SELECT max(rowid) FROM (SELECT rowid FROM log WHERE rowid > ? ORDER BY rowid LIMIT ?)",
            after, STEP,
        )  # fmt: skip
        return int(found[0][0] or self._last_rowid())

    # -- everything, in the order of recording --------------------------------------------------

    def parts(self, after: int = 0) -> Iterator[dict[str, Pair]]:
        """Yield the values of all names, in stretches of the order in which they were recorded."""
        for _, rows in self._stretches(after, self._last_rowid()):
            yield {name: _columns(pairs) for name, pairs in rows.items()}

    def _stretches(
        self, after: int, last: int
    ) -> Iterator[tuple[int, dict[str, list[tuple[Any, Any]]]]]:
        query = (
            "SELECT rowid, name, timestamp, value FROM log WHERE rowid > ? AND rowid <= ? "
            "ORDER BY rowid LIMIT ?"
        )
        while rows := self._database.all(query, after, last, STEP):
            after = rows[-1][0]
            found: dict[str, list[tuple[Any, Any]]] = {}
            for _, name, time, value in rows:
                if type(time) in {float, int} and LOWEST <= time < HIGHEST and name is not None:
                    found.setdefault(str(name), []).append((time, value))
            yield after, found

    # -- summaries ------------------------------------------------------------------------------

    def last_values(self) -> dict[str, tuple[float, float]]:
        """Return the last (timestamp, value) of every name that has one."""
        if not self._has_index:
            return {n: (s.last_time, s.last_value) for n, s in self.statistics().items()}
        names = [str(name) for (name,) in self._database.all("SELECT name FROM log_names")]
        last = {name: self.series(name, Window(tail=1)) for name in dict.fromkeys(names)}
        return {n: (float(t[0]), float(v[0])) for n, (t, v) in last.items() if len(t)}

    @property
    def unordered(self) -> frozenset[str]:
        """Names whose values are not in the order of their times."""
        self.statistics()
        return frozenset(self._unordered)

    def earliest(self) -> float:
        """Return the first time of all, 0 where there is none."""
        return min((s.first_time for s in self.statistics().values()), default=0.0)

    def texts(self) -> list[Event]:
        """Return what is no number, as events."""
        self.statistics()
        return sorted(self._texts, key=lambda event: event.ns)

    def statistics(self) -> dict[str, Statistics]:
        """Return the statistics of all names, in the order of their first values."""
        last = self._last_rowid()
        if self._counted_to >= last:
            return self._statistics
        for until, rows in self._stretches(max(0, self._counted_to), last):
            for name, pairs in rows.items():
                self._count(name, pairs)
            self._counted_to = until
        self._counted_to = last
        for name in self._unordered:
            self._statistics[name] = Statistics().extended(*self.series(name, Window()))
        return self._statistics

    def _count(self, name: str, pairs: list[tuple[Any, Any]]) -> None:
        self._texts += [
            Event(as_ns(time), "text", name, text)
            for time, value in pairs
            if (text := _no_number(value)) is not None
        ]
        times, values = _columns(pairs)
        before = self._statistics.get(name, Statistics())
        if np.any(times[1:] < times[:-1]) or (before.n and times[0] < before.last_time):
            self._unordered.add(name)
        self._statistics[name] = before.extended(times, values)


def _has_index(database: Database) -> bool:
    """Tell whether values can be found by name and time."""
    for row in database.all("PRAGMA index_list(log)"):
        # As a function, which takes an argument.
        columns = database.all("SELECT name FROM pragma_index_info(?) ORDER BY seqno", row[1])
        if [name for (name,) in columns[:2]] == ["name", "timestamp"] and not row[4]:
            return True
    return False


def _joined(parts: list[FloatArray]) -> FloatArray:
    return np.concatenate(parts) if parts else np.empty(0)


def _columns(pairs: list[tuple[Any, Any]]) -> Pair:
    if not pairs:
        return np.empty(0), np.empty(0)
    times, values = zip(*pairs, strict=True)
    if set(map(type, values)) <= NUMBERS:
        numbers = np.array(values, np.float64)  # None, which SQLite makes of NaN, is NaN
    else:
        numbers = np.array([as_number(value) for value in values], np.float64)
    return np.array(times, np.float64), numbers


def as_number(cell: Any) -> float:
    """Return what a cell holds as a number; NaN for an empty cell, and for what is none.

    numpy's scalars, but for float64, went into SQLite as their bytes.
    """
    if type(cell) in NUMBERS:
        return float("nan") if cell is None else float(cell)
    if isinstance(cell, bytes):
        return _of_bytes(cell)
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def _of_bytes(cell: bytes) -> float:
    if len(cell) == 4:
        number = float(np.frombuffer(cell, "<f4")[0])
        # Small integers, taken as float32, are tiny; negative ones NaN, but not the usual one.
        if number == 0 or abs(number) > LEAST_FLOAT32 or cell in USUAL_NAN:
            return number
    if len(cell) in {1, 2, 4, 8}:
        return float(int.from_bytes(cell, "little", signed=True))
    return float(np.frombuffer(cell, np.longdouble)[0]) if len(cell) == 16 else float("nan")


def _no_number(cell: Any) -> str | None:
    """Return the text of a cell that is no number, else None."""
    if type(cell) in NUMBERS or (isinstance(cell, bytes) and len(cell) in {1, 2, 4, 8, 16}):
        return None
    if isinstance(cell, bytes):
        return f"{len(cell)} bytes: {cell[:64].hex()}"
    try:
        float(cell)
    except ValueError:
        return str(cell)
    return None
