"""A session elsewhere as a store: the primitives from which all its reads are derived."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import numpy as np

from pymanip_run.clock import as_ns
from pymanip_run.errors import UsageError
from pymanip_run.observe.connection import RefusedError
from pymanip_run.records import (
    DatasetInfo,
    Description,
    Event,
    FloatArray,
    Parameter,
    Run,
    SessionInfo,
    Statistics,
    SweepPoint,
    VariableInfo,
    Window,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pymanip_run.observe.connection import Connection

__all__ = ["RemoteStore", "finite_again"]

API = "/api/v1"
#: Of the values of a variable, the server gives at most so many from the end; more are cut out of all.
MAX_TAIL = 100_000
#: By what an answer is known; that of other questions has their own name.
TOLD_BY = {"info": "uuid", "snapshot": "values", "data": "series"}
WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class RemoteStore:
    """Reads a session over HTTP; every call shows its present state.

    Parameters
    ----------
    connection
        The server.
    """

    path: Path | None = None

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def get(self, what: str, query: Any = ()) -> Any:
        """Return the JSON that answers a question.

        Raises
        ------
        RemoteError
            If there is none, or it answers something else: then it comes from another kind of server.
        """
        found = self._connection.get(f"{API}/{what}", query)
        key = "times" if what.startswith("datasets/") else TOLD_BY.get(what, what)
        if not isinstance(found, dict) or key not in found:
            raise self._connection.no_server()
        return found

    def info(self) -> SessionInfo:
        """Return the identity of the session."""
        found = self.get("info")
        return SessionInfo(
            found["uuid"], found["format_version"], found["created"], found["title"], ""
        )

    def variables(self) -> dict[str, VariableInfo]:
        """Return descriptions and statistics of all logged variables."""
        found = self.get("variables")["variables"]
        return {
            name: VariableInfo(name, _description(v), _statistics(v)) for name, v in found.items()
        }

    def last_values(self) -> dict[str, tuple[float, float]]:
        """Return the last (timestamp, value) of every variable."""
        found = self.get("snapshot")
        words = dict(found["nonfinite"])
        return {
            name: (one["t"], WORDS[words[name]] if name in words else float(one["value"]))
            for name, one in found["values"].items()
        }

    def read_series(self, name: str, window: Window) -> tuple[FloatArray, FloatArray]:
        """Return (timestamps, values) of shape (n,), page by page."""
        query: dict[str, Any] = {"name": name}
        if window.since is not None and window.since > -math.inf:
            query["since"] = repr(window.since)
        if window.until is not None and window.until < math.inf:
            query["until"] = repr(window.until)
        if window.tail == 0:
            return np.empty(0), np.empty(0)
        if window.tail is not None and window.tail <= MAX_TAIL:
            query["tail"] = window.tail
        parts: list[tuple[list[float], list[float]]] = []
        count = 0
        while True:
            try:
                page = self.get("data", query)
            except RefusedError as error:
                if error.code == "no_such_variable":
                    return np.empty(0), np.empty(0)
                raise
            parts.append(finite_again(page, name))
            count += len(parts[-1][0])
            if not page["more"] or (window.head is not None and count >= window.head):
                break
            query = {k: v for k, v in query.items() if k not in ("since", "tail")}
            query["after"] = page["next"]
        times = np.concatenate([np.array(t, np.float64) for t, _ in parts])
        values = np.concatenate([np.array(v, np.float64) for _, v in parts])
        if window.tail is not None:
            times, values = times[-window.tail :], values[-window.tail :]
        return times[: window.head], values[: window.head]

    def parameters(self) -> dict[str, Parameter]:
        """Return all parameters."""
        found = self.get("parameters")["parameters"]
        return {
            name: Parameter(
                WORDS[p["nonfinite"]] if "nonfinite" in p else p["value"], as_ns(p["t"]), p["unit"]
            )
            for name, p in found.items()
        }

    def metadata(self) -> dict[str, Any]:
        """Return all metadata."""
        found: dict[str, Any] = self.get("metadata")["metadata"]
        return found

    def datasets(self) -> dict[str, DatasetInfo]:
        """Return a summary of every dataset."""
        found = self.get("datasets")["datasets"]
        return {
            name: DatasetInfo(
                name, one["n"], tuple(one["shape"]), one["dtype"], one["bytes"], one["unit"],
                _number(one["first"]), _number(one["last"]),
            )
            for name, one in found.items()
        }  # fmt: skip

    def dataset_times(self, name: str) -> FloatArray:
        """Return the timestamps of the records, shape (n,)."""
        found = self.get(f"datasets/{quote(name, safe='')}")
        return np.array(found["times"], np.float64)

    def dataset_record(self, name: str, index: int) -> Any:
        """Return the index-th record, in the order of time."""
        path = f"{API}/datasets/{quote(name, safe='')}/{index}"
        try:
            body = self._connection.raw(f"{path}.npy")
        except RefusedError as error:
            if error.code != "no_array":
                raise
            return self._connection.get(f"{path}.json")["value"]
        return np.load(io.BytesIO(body), allow_pickle=False)

    def events(self, after_ns: float = -math.inf) -> list[Event]:
        """Return the events later than `after_ns`, in time order."""
        found = self.get("events", {"after": repr(after_ns / 1e9)})["events"]
        return [Event(as_ns(e["t"]), e["kind"], e["source"], e["text"]) for e in found]

    def runs(self) -> list[Run]:
        """Return all runs, the earliest first."""
        keys = (
            "index", "start", "stop", "exit_code", "exit_reason", "host", "user", "pid", "boot_id",
            "config_sha256", "texts",
        )  # fmt: skip
        found = self.get("runs")["runs"]
        return [
            Run(**{k: run[k] for k in keys if k in run} | {"start": _number(run["start"])})
            for run in found
        ]

    def sweep_points(self, run: int) -> list[SweepPoint]:
        """Refuse: the points of sweeps are needed where the file is.

        Raises
        ------
        UsageError
            Always.
        """
        raise UsageError(f"the points of the sweeps of run {run} are read from the session file")

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def finite_again(page: dict[str, Any], name: str) -> tuple[list[float], list[float]]:
    """Return times and values of a series, with what JSON does not have in its places."""
    series = page["series"].get(name)
    if series is None:
        return [], []
    values: list[float] = series["v"]
    for index, word in page["nonfinite"].get(name, ()):
        values[index] = WORDS[word]
    return series["t"], values


def _number(value: float | None, word: str | None = None) -> float:
    return WORDS.get(word or "", math.nan) if value is None else float(value)


def _description(found: dict[str, Any]) -> Description:
    return Description(found["unit"], found["label"], found["format"], found["period"])


def _statistics(found: dict[str, Any]) -> Statistics:
    if not found["n"]:
        return Statistics()
    (first_time, first_value), (last_time, last_value) = found["first"], found["last"]
    words = dict(found.get("nonfinite", ()))
    return Statistics(
        n=found["n"],
        nonfinite=found.get("bad", 0),
        first_time=_number(first_time), first_value=_number(first_value, words.get("first")),
        last_time=_number(last_time), last_value=_number(last_value, words.get("last")),
        min=_number(found["min"]), max=_number(found["max"]), mean=_number(found["mean"]),
        m2=_number(found.get("m2")), longest_gap=_number(found.get("gap")),
    )  # fmt: skip
