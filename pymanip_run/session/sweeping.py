"""The sweeps of a run: what is stored of them, and how those of an earlier run go on."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymanip_run.clock import iso_local
from pymanip_run.core.course import Course, PastSweep, course_of, course_text, plainly
from pymanip_run.core.differences import differences
from pymanip_run.errors import UsageError
from pymanip_run.runtime.troubles import AS_EVENT
from pymanip_run.session.state import internals

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pymanip_run.runtime.sweep import Sweep
    from pymanip_run.runtime.tasks import TaskSpec
    from pymanip_run.session.live import AsyncSession

__all__ = ["Resumption", "begin_sweeps", "called"]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Resumption:
    """What a run is to go on after.

    Attributes
    ----------
    course : Course
        The sweeps of the earlier run.
    accepted : mapping
        For each sweep that goes on although it is not what it was: what is different.
    anyway : bool
        Whether sweeps go on although their points turn out to be others than they were.
    """

    course: Course
    accepted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    anyway: bool = False


def called(course: Course) -> str:
    """Return how a run is named to people: ``run 3 of 2026-11-22 12:48:02``."""
    return f"run {course.run.index} of {iso_local(course.run.start)[:19].replace('T', ' ')}"


def begin_sweeps(
    session: AsyncSession,
    specs: Iterable[TaskSpec],
    file: Mapping[str, Any],
    resumption: Resumption | None,
) -> tuple[dict[str, str], list[tuple[str, str]]]:
    """Let the sweeps of a run be recorded, and those go on that are to.

    Returns
    -------
    dict
        The text that is stored with the run, if there are sweeps.
    list of (str, str)
        Names and what is to be told of them, as events, once the run has begun.

    Raises
    ------
    UsageError
        If the plan of a sweep of a script has changed.
    """
    sweeps = [spec.sweep for spec in specs if spec.sweep is not None]
    if not sweeps:
        return {}, []
    if resumption is None and any(sweep.wants_resume for sweep in sweeps):
        resumption = _last_run(session, sweeps)
    told: list[tuple[str, str]] = []
    stored = {}
    for sweep in sweeps:
        sweep.keep(internals(session).recorder)
        about = _resumed(sweep, resumption, told) if resumption is not None else {}
        stored[sweep.name] = {"plan": plainly(sweep.plan), "points": sweep.total, **about}
    return {"sweeps": course_text(stored, file)}, told


def _last_run(session: AsyncSession, sweeps: list[Sweep]) -> Resumption | None:
    """Return what the sweeps of a script that want to go on can go on after."""
    store = internals(session).store
    runs = store.runs()
    course = course_of(store, runs, runs[-1].index) if runs else None
    if course is None:
        return None
    wanted = {s.name: s for s in sweeps if s.wants_resume and s.name in course.sweeps}
    changes = {}
    for name, sweep in wanted.items():
        found = differences(course.sweeps[name].plan, plainly(sweep.plan))
        if found and sweep.wants_resume != "anyway":
            lines = "\n  ".join(found)
            raise UsageError(
                f"sweep {name!r} is not what it was in {called(course)}:\n  {lines}\n"
                "to go on nevertheless write resume='anyway', to begin it anew leave out resume"
            )
        changes[name] = tuple(found)
    past = {name: course.sweeps[name] for name in wanted}
    return Resumption(Course(course.run, past, course.file), changes)


def _resumed(sweep: Sweep, resumption: Resumption, told: list[tuple[str, str]]) -> dict[str, Any]:
    """Let one sweep go on; return what is stored of that."""
    past = resumption.course.sweeps.get(sweep.name)
    if past is None:
        return {}
    accepted = list(resumption.accepted.get(sweep.name, ()))
    sweep.go_on(past, lenient=resumption.anyway or sweep.wants_resume == "anyway")
    text = _told(past, called(resumption.course), accepted)
    if sweep.wants_resume:  # a script, of which nobody else tells it
        logger.warning("sweep %r %s", sweep.name, text, extra=AS_EVENT)
    told.append((sweep.name, text))
    first = {"resumes": resumption.course.run.index, "first": past.done}
    return {**first, "accepted": accepted} if accepted else first


def _told(past: PastSweep, before: str, accepted: list[str]) -> str:
    if past.ended and not accepted:
        return f"is complete since {before} ({past.progress}), and begins anew without resume"
    text = f"goes on at point {past.done} after {before} ({past.progress} are over)"
    return f"{text}, although different: {'; '.join(accepted)}" if accepted else text
