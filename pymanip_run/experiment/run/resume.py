"""Going on where an earlier run of the experiment left its sweeps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pymanip_run.core.course import Course, course_of, plainly, resumed_runs
from pymanip_run.core.differences import changed, differences
from pymanip_run.errors import UsageError
from pymanip_run.experiment.build.sweep_plan import concerns_points, resolved_file, sweep_plan
from pymanip_run.registry import RegisteredRun, registered_runs
from pymanip_run.session.sweeping import Resumption
from pymanip_run.storage.reading import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from pymanip_run.experiment.build.plan import Plan
    from pymanip_run.records import Run

__all__ = ["Comparison", "Past", "compare", "find_past", "last_run"]


@dataclass(frozen=True)
class Past:
    """What a session has of earlier runs.

    Attributes
    ----------
    path : Path
        The session.
    run : Run or None
        The run that is looked at.
    course : Course or None
        Its sweeps; None if it had none.
    earlier : Course or None
        The latest run before it that left a sweep unfinished, further than this one, with which
        nothing went on.
    """

    path: Path
    run: Run | None
    course: Course | None
    earlier: Course | None = None

    @property
    def left(self) -> Course | None:
        """The last run that left a sweep unfinished; None if there is none."""
        return self.course if self.course is not None and self.course.unfinished else self.earlier


@dataclass(frozen=True)
class Comparison:
    """What is different from the run that is to go on.

    Attributes
    ----------
    changes : mapping
        For each sweep what is different of it; ``""`` for what concerns all of them.
    asides : tuple of str
        What is different and does not concern the points.
    overrides : tuple of str or None
        What the earlier run was started with, where it was something else.
    """

    changes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    asides: tuple[str, ...] = ()
    overrides: tuple[str, ...] | None = None

    def lines(self) -> list[str]:
        """Return all that concerns the points, in lines."""
        return [
            f"{name}: {line}" if name else line
            for name, found in self.changes.items()
            for line in found
        ]

    def resumption(self, course: Course, *, anyway: bool) -> Resumption:
        """Return what the run is to go on after, with what was accepted."""
        common = self.changes.get("", ())
        accepted = {name: (*self.changes.get(name, ()), *common) for name in course.sweeps}
        return Resumption(course, {n: a for n, a in accepted.items() if a}, anyway=anyway)


def last_run(plan: Plan) -> RegisteredRun | None:
    """Return the last run of the experiment that wrote a session on this computer, None if none is known."""
    experiment = str(plan.loaded.path.absolute())
    for run in registered_runs():
        if run.experiment == experiment and run.is_here and run.session:
            return run
    return None


def find_past(path: Path, number: int | None = None) -> Past:
    """Return how far the sweeps of a run in a session came; nothing is written.

    Parameters
    ----------
    path
        The session.
    number
        Of the run; the last one if left out.

    Raises
    ------
    UsageError
        If there is no such run.
    FileNotFoundError, StorageError
        If the session cannot be read.
    """
    store = open_store(path)
    try:
        runs = store.runs()
        if number is not None and number not in [run.index for run in runs]:
            there = f"there are runs 0 to {runs[-1].index}" if runs else "there is none"
            raise UsageError(f"{path} has no run {number}; {there}")
        if not runs:
            return Past(path, None, None)
        index = runs[-1].index if number is None else number
        run = next(run for run in runs if run.index == index)
        course = course_of(store, runs, index)
        before = _left_before(runs, index)
        earlier = (course_of(store, runs, i) for i in before)
        further = (one for one in earlier if one is not None and _is_further(one, course))
        return Past(path, run, course, next(further, None))
    finally:
        store.close()


def _is_further(one: Course, than: Course | None) -> bool:
    """Tell whether a run has an unfinished sweep that came further than in another run."""
    done = {} if than is None else {name: past.done for name, past in than.sweeps.items()}
    return any(past.done > done.get(name, 0) for name, past in one.unfinished.items())


def _left_before(runs: list[Run], index: int) -> Iterable[int]:
    """Yield the runs before one, the latest first, but those that it went on after."""
    gone_on = resumed_runs(runs)
    return [run.index for run in reversed(runs) if run.index < index and run.index not in gone_on]


def compare(plan: Plan, course: Course) -> Comparison:
    """Compare the experiment with the run that is to go on."""
    planned = {t.name: plainly(sweep_plan(t)) for t in plan.tasks if t.settings.sweep is not None}
    changes: dict[str, tuple[str, ...]] = {}
    for name, now in planned.items():
        past = course.sweeps.get(name)
        found = ["this sweep was not there"] if past is None else differences(past.plan, now)
        changes[name] = tuple(found)
    for name in course.sweeps.keys() - planned.keys():
        changes[name] = ("this sweep is not there any more",)
    file = list(changed(course.file, plainly(resolved_file(plan)))) if course.file else []
    changes[""] = tuple(line for path, line in file if concerns_points(plan, path))
    asides = [line for path, line in file if concerns_points(plan, path) is False]
    texts, now_texts = course.run.texts, plan.run_texts
    if any(texts.get(key) != now_texts.get(key) for key in ("module", "modules")):
        asides.append(f"the code of {plan.loaded.model.module}, or of a module that it imports")
    overrides = tuple(filter(None, texts.get("overrides", "").split("\n")))
    same = "\n".join(overrides) == now_texts["overrides"]
    found_changes = {name: lines for name, lines in changes.items() if lines}
    return Comparison(found_changes, tuple(asides), None if same else overrides)
