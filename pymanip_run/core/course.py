"""How far the sweeps of a run came: their plans, stored at its start, and the points that are over.

The text ``sweeps`` of a run is JSON::

    {"file_sha256": …, "file": {…},
     "sweeps": {name: {"plan": {…}, "points": 11, "resumes": 3, "first": 7, "accepted": […]}}}

`points` is null where their number is not known beforehand. A sweep that goes on after an earlier
run has the number of that run as `resumes`, the first point that was left as `first`, and what was
different and accepted. `file` is the resolved experiment file without its secrets.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymanip_run.storage.untrusted import check_nesting

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymanip_run.records import Run, SweepPoint
    from pymanip_run.storage.contract import ReadableStore

__all__ = ["Course", "PastSweep", "course_of", "course_text", "hash_of", "plainly", "resumed_runs"]

TEXT = "sweeps"


@dataclass(frozen=True)
class PastSweep:
    """A sweep of a run, with the points of the runs that it went on after.

    Attributes
    ----------
    name : str
        Its name.
    plan : mapping
        What its points are, as it was stored.
    total : int or None
        How many points there are; None if that is not known.
    points : tuple of SweepPoint
        Those that are over, from the first on, without a gap.
    ended : bool
        Whether there are no more.
    """

    name: str
    plan: Mapping[str, Any] = field(default_factory=dict)
    total: int | None = None
    points: tuple[SweepPoint, ...] = ()
    ended: bool = False

    @property
    def done(self) -> int:
        """The number of points that are over, and of the first that is not."""
        return len(self.points)

    @property
    def progress(self) -> str:
        """How far it is in words: ``37 of 121 points``."""
        return (
            f"{self.done} points" if self.total is None else f"{self.done} of {self.total} points"
        )


@dataclass(frozen=True)
class Course:
    """The sweeps of a run."""

    run: Run
    sweeps: Mapping[str, PastSweep]
    #: The resolved experiment file; empty for a script.
    file: Mapping[str, Any] = field(default_factory=dict)

    @property
    def unfinished(self) -> dict[str, PastSweep]:
        """Those that have points left."""
        return {name: one for name, one in self.sweeps.items() if not one.ended}


def plainly(value: Any) -> Any:
    """Return a value as it comes back from JSON, so that it can be compared with what was stored."""
    return json.loads(json.dumps(value, default=str))


def hash_of(file: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a resolved experiment file; the order of its keys does not matter."""
    return hashlib.sha256(json.dumps(file, sort_keys=True).encode()).hexdigest()


def course_text(sweeps: Mapping[str, Mapping[str, Any]], file: Mapping[str, Any]) -> str:
    """Return what is stored with a run of its sweeps."""
    about = {"file_sha256": hash_of(file), "file": file} if file else {}
    return json.dumps({**about, "sweeps": sweeps}, ensure_ascii=False)


def course_of(store: ReadableStore, runs: Sequence[Run], index: int) -> Course | None:
    """Return how far the sweeps of a run came; None if it had none.

    Parameters
    ----------
    store
        The session.
    runs
        Its runs.
    index
        The number of one of them.
    """
    stories = _stories(runs, index)
    if index not in stories:
        return None
    run = next(run for run in runs if run.index == index)
    found = _Points(store)
    sweeps = {name: _past(name, index, stories, found) for name in stories[index]["sweeps"]}
    return Course(run, sweeps, stories[index].get("file", {}))


def resumed_runs(runs: Sequence[Run]) -> set[int]:
    """Return the numbers of the runs after which another run of the session has gone on."""
    stories = filter(None, map(_story, runs))
    before = {sweep.get("resumes") for story in stories for sweep in story["sweeps"].values()}
    return before - {None}


class _Points:
    """The points of each run, read once."""

    def __init__(self, store: ReadableStore) -> None:
        self._store = store
        self._read: dict[int, list[SweepPoint]] = {}

    def of(self, run: int, sweep: str) -> list[SweepPoint]:
        if run not in self._read:
            self._read[run] = self._store.sweep_points(run)
        return [point for point in self._read[run] if point.sweep == sweep]


def _story(run: Run) -> dict[str, Any] | None:
    """Return what a run says of its sweeps; None if it says nothing that makes sense."""
    try:
        story = check_nesting(json.loads(run.texts.get(TEXT, "")))
        for sweep in story["sweeps"].values():
            first, total, plan = sweep.get("first", 0), sweep.get("points"), sweep["plan"]
            before = sweep.get("resumes")
            if not (_is_count(first) and isinstance(plan, dict)):
                return None
            if not (total is None or _is_count(total)) or not (before is None or _is_count(before)):
                return None
        return story if isinstance(story.get("file", {}), dict) else None
    except (ValueError, TypeError, LookupError, AttributeError, OSError, RecursionError):
        return None


def _stories(runs: Sequence[Run], index: int) -> dict[int, dict[str, Any]]:
    """Return what a run says of its sweeps, and those that it went on after: there may be many others."""
    by_index = {run.index: run for run in runs}
    stories: dict[int, dict[str, Any]] = {}
    left = [index]
    while left:
        run = by_index.pop(left.pop(), None)
        if run is not None and (story := _story(run)):
            stories[run.index] = story
            left += [
                sweep["resumes"]
                for sweep in story["sweeps"].values()
                if sweep.get("resumes") is not None
            ]
    return stories


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _past(name: str, run: int, stories: Mapping[int, dict[str, Any]], found: _Points) -> PastSweep:
    """Return a sweep with what was done before its run: each run counts up to where the next began."""
    here = stories[run]["sweeps"][name]
    by_number: dict[int, SweepPoint] = {}
    end: int | None = None
    limit: int | None = None
    current: int | None = run
    while current is not None:
        sweep = stories[current]["sweeps"][name]
        for point in found.of(current, name):
            if point.state == "end":
                end = point.number if current == run else end
            elif limit is None or point.number < limit:
                by_number.setdefault(point.number, point)
        limit = min(sweep.get("first", 0), limit if limit is not None else sweep.get("first", 0))
        before = sweep.get("resumes")
        known = (
            before is not None and before < current and name in stories.get(before, _NONE)["sweeps"]
        )
        current = before if known else None
    points: list[SweepPoint] = []
    while len(points) in by_number:
        points.append(by_number[len(points)])
    total = here.get("points") if end is None else end
    ended = total is not None and len(points) >= total
    return PastSweep(name, here["plan"], total, tuple(points), ended)


_NONE: dict[str, Any] = {"sweeps": {}}
