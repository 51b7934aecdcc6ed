"""What a rehearsal has shown: the report of ``--dry-run``."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pymanip_run.alarms.words import Words
from pymanip_run.core.view import is_public
from pymanip_run.experiment.rehearsal.alarm_report import alarm_reports, mail_reports

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pymanip_run.experiment.rehearsal.alarm_report import AlarmReport, MailReport
    from pymanip_run.records import VariableInfo
    from pymanip_run.runtime.status import TaskStatus
    from pymanip_run.runtime.sweep import Sweep
    from pymanip_run.runtime.virtual_waiting import Cost
    from pymanip_run.session import RehearsedState

__all__ = ["Findings", "Report", "report_of", "variable_reports", "why"]

DAY = 86400.0
MATTERS = 0.5  # real seconds at once, or in all for something that is waited for again and again
DEAR = 1.0


@dataclass(frozen=True)
class Findings:
    """What was seen during a rehearsal."""

    folder: str
    declared: Sequence[str]
    state: RehearsedState
    statuses: Sequence[TaskStatus]
    sweeps: Sequence[Sweep]
    costs: Sequence[Cost]
    sleeps: Mapping[tuple[str, int], float]
    blocking: Mapping[str, float]
    virtual_seconds: float
    real_seconds: float


@dataclass(frozen=True)
class TaskReport:
    """A task: how often it ran, failed, and could not keep its period."""

    runs: int
    errors: int
    missed: int


@dataclass(frozen=True)
class VariableReport:
    """A logged variable: number, range (None without a finite value), and values per second."""

    n: int
    min: float | None
    max: float | None
    rate: float | None


@dataclass(frozen=True)
class SweepReport:
    """A sweep: the points done, and how long they took."""

    points: int
    seconds: float


@dataclass(frozen=True)
class Report:
    """The report of a rehearsal; the fields are the keys of its JSON form."""

    tasks: Mapping[str, TaskReport]
    variables: Mapping[str, VariableReport]
    sweeps: Mapping[str, SweepReport]
    alarms: Sequence[AlarmReport]
    mails: Sequence[MailReport]
    warnings: Sequence[str]
    bytes_per_day: float
    virtual_seconds: float
    real_seconds: float
    exit_code: int

    def as_json(self) -> dict[str, Any]:
        """Return it as what JSON holds."""
        return asdict(self)


def variable_reports(infos: Mapping[str, VariableInfo]) -> dict[str, VariableReport]:
    """Return number, range and rate of the logged variables."""
    found = {name: info.statistics for name, info in infos.items() if is_public(name)}
    return {
        name: VariableReport(s.n, _finite(s.min), _finite(s.max), _finite(s.rate))
        for name, s in found.items()
        if s.n
    }


def report_of(found: Findings, exit_code: int) -> Report:
    """Return the report of what was found."""
    infos = found.state.bounded.variables()
    logged = {name for name, info in infos.items() if info.statistics.n}
    seconds = round(found.virtual_seconds, 6)
    return Report(
        tasks={s.name: TaskReport(s.runs, s.errors, s.missed) for s in found.statuses},
        variables=variable_reports(infos),
        sweeps={s.name: SweepReport(s.done, round(s.seconds, 6)) for s in found.sweeps},
        alarms=alarm_reports(found.state.alarm_changes, Words(found.state.bounded.variables)),
        mails=mail_reports(found.state.listed_mails),
        warnings=tuple(_shortened(found.folder, text) for text in _warnings(found, logged)),
        bytes_per_day=round(found.state.bounded.bytes / seconds * DAY) if seconds else 0,
        virtual_seconds=seconds,
        real_seconds=round(found.real_seconds, 3),
        exit_code=exit_code,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _shortened(folder: str, text: str) -> str:
    """Name the user's files as they are called in their folder."""
    return text.replace(folder, "")


def _warnings_of_sweeps(found: Findings) -> Iterator[str]:
    swept = {sweep.name for sweep in found.sweeps}
    for event in found.state.bounded.events():
        if event.kind == "warning" and event.source in swept:
            yield f"sweep {event.source!r}: {event.text}"


def _warnings(found: Findings, logged: set[str]) -> Iterator[str]:
    for status in found.statuses:
        if not status.runs:
            yield f"task {status.name!r} never finished a run"
        elif status.name not in found.state.loggers:
            yield f"task {status.name!r} logs nothing"
    for name in found.declared:
        if name not in logged:
            yield f"variable {name!r} is declared but never logged"
    yield from _warnings_of_sweeps(found)
    for place, seconds in found.blocking.items():
        yield (
            f"{place} blocks all other tasks for more than {_roughly(seconds)}; "
            "call it with await asyncio.to_thread(...), or mark its device blocking: true"
        )
    for file, line in found.sleeps:
        yield f"{file}:{line} calls time.sleep, which holds all other tasks; write await sesn.sleep(...)"
    for cost in found.costs:
        if cost.longest > MATTERS or cost.seconds > DEAR:
            yield _dear(cost)


def _roughly(seconds: float) -> str:
    """Return a limit below a duration: the same in two rehearsals, as a rule."""
    return next(text for limit, text in ((10, "10 s"), (1, "1 s"), (0, "0.1 s")) if seconds > limit)


def _dear(cost: Cost) -> str:
    """Return why something cost real time, and what helps."""
    given_up = f"; given up after 10 s, at {cost.place}" if cost.place else ""
    cure = "await sesn.sleep(...) in it" if cost.kind == "loop" else "simulate it in the event loop"
    return f"{why(cost)} cost real time{given_up}; {cure} to rehearse faster"


def why(cost: Cost) -> str:
    """Return in words what real time was spent for."""
    if cost.kind == "loop":
        return f"{cost.label}, which never lets time pass,"
    kinds = {"thread": "a thread in ", "process": "the process ", "writing": "a "}
    return f"{kinds.get(cost.kind, 'the ')}{cost.label}"
