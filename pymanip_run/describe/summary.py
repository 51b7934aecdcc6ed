"""A session in a summary that JSON can hold: what `inspect --json` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymanip_run.records.plain import finite, plain, plain_statistics

if TYPE_CHECKING:
    from collections.abc import Collection

    from pymanip_run.core.view import SessionView
    from pymanip_run.records import DatasetInfo, Event, Run, VariableInfo

__all__ = [
    "Described",
    "describe",
    "described_run",
    "described_variable",
    "is_healthy",
    "plain",
]

#: What `describe` returns: only what JSON holds.
Described = dict[str, Any]


def describe(view: SessionView, file: str | None, names: Collection[str] = ()) -> Described:
    """Return the summary of a session; times are Unix seconds, what is not finite is None.

    Parameters
    ----------
    view
        The session. Its series are not read: the cost does not depend on their lengths.
    file
        The path to be stated.
    names
        Only these variables, parameters, metadata and datasets; all when empty.
    """
    info = view.info()
    events = view.events()
    return {
        "file": file,
        "format_version": info.format_version,
        "created": finite(info.created),
        "title": info.title,
        "runs": [described_run(run) for run in view.runs()],
        "variables": {
            n: described_variable(v) for n, v in view.variables().items() if _wanted(n, names)
        },
        "parameters": {
            n: plain(p.value) for n, p in view.parameter_table().items() if _wanted(n, names)
        },
        "metadata": {n: plain(v) for n, v in view.metadatas().items() if _wanted(n, names)},
        "datasets": {n: _dataset(d) for n, d in view.datasets_info().items() if _wanted(n, names)},
        "events": [_event(event) for event in events],
        "checkpointed": info.checkpointed,
        "healthy": is_healthy(events),
    }


def is_healthy(events: list[Event]) -> bool:
    """Return whether nothing of the session was ever lost to damage."""
    return not any(event.kind == "damage" for event in events)


def _wanted(name: str, names: Collection[str]) -> bool:
    return name in names if names else not name.startswith("_")


def described_run(run: Run) -> Described:
    """Return when a run was, and how it ended."""
    return {
        "start": finite(run.start),
        "stop": finite(run.stop),
        "exit_code": run.exit_code,
        "exit_reason": run.exit_reason,
    }


def described_variable(info: VariableInfo) -> Described:
    """Return unit and statistics of a variable."""
    return {"unit": info.description.unit} | plain_statistics(info.statistics)


def _dataset(info: DatasetInfo) -> Described:
    return {"n": info.n, "shape": list(info.shape), "dtype": info.dtype, "bytes": info.nbytes}


def _event(event: Event) -> Described:
    return {"time": event.time, "kind": event.kind, "source": event.source, "text": event.text}
