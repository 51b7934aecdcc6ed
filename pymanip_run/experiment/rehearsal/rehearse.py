"""Rehearsing an experiment: its unmodified tasks, simulated instruments, virtual time."""

from __future__ import annotations

import asyncio
import math
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from pymanip_run.clock import SYSTEM
from pymanip_run.errors import UsageError
from pymanip_run.experiment.build.plan import prepare
from pymanip_run.experiment.rehearsal.report import Findings, Report, report_of, why
from pymanip_run.experiment.rehearsal.seeding import seeded
from pymanip_run.experiment.run.running import execute
from pymanip_run.runtime.cancelling import alone
from pymanip_run.runtime.places import place_of
from pymanip_run.runtime.virtual import VirtualWorld, virtual_time
from pymanip_run.runtime.virtual_watch import BlockingCalls
from pymanip_run.session import RehearsedSession, RunOptions, internals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pymanip_run.experiment.build.plan import Plan
    from pymanip_run.runtime.stop import StopSignal
    from pymanip_run.runtime.supervise import Supervisor
    from pymanip_run.runtime.virtual import VirtualLoop

__all__ = ["SEEDED_START_NS", "Rehearsal", "rehearsed"]

#: When a rehearsal with a seed begins: 2024-01-01T00:00:00Z.
SEEDED_START_NS = 1_704_067_200 * 10**9
ENOUGH_RUNS = 3
#: Where no end is given, and the tasks do not come to theirs.
LONGEST = {"sweep": 30 * 86400.0, "repeat": 3600.0}
PERIODS = 20


@dataclass(frozen=True)
class Rehearsal:
    """What came of a rehearsal.

    Attributes
    ----------
    warnings : sequence of str
        Those of the experiment file.
    asked : int
        The exit code that the stop of the run asked for.
    failure : BaseException or None
        What ended it, if it failed.
    """

    warnings: Sequence[str]
    asked: int
    failure: BaseException | None
    findings: Findings

    @property
    def waits(self) -> list[tuple[str, float]]:
        """Why real time was spent, and how much, the dearest first."""
        folder = self.findings.folder
        return [(why(cost).replace(folder, ""), cost.seconds) for cost in self.findings.costs]

    def report(self, exit_code: int) -> Report:
        """Return what is to be told of it."""
        return report_of(self.findings, exit_code)


@contextmanager
def rehearsed(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    duration: float | None = None,
    seed: int | None = None,
    file: str | None = None,
) -> Iterator[Rehearsal]:
    """Rehearse an experiment file; within the context its modules are still there.

    Nothing is written, no instrument and no port is opened, no mail is sent.

    Parameters
    ----------
    path
        The experiment file.
    overrides
        Texts ``path=value`` that change it, as with ``--set``.
    duration
        Virtual seconds, in place of ``limits.duration``. Without it the rehearsal ends with the
        sweeps, else when each periodic task has run three times, else each other one.
    seed
        For `random` and `numpy.random`; it also fixes the instant at which the rehearsal begins.
    file
        Takes the place of ``session.file`` in what the tasks see.

    Raises
    ------
    ConfigError
        With everything that is wrong in the file and its module.
    """
    start = None if seed is None else SEEDED_START_NS
    with (
        seeded(seed),
        virtual_time(start) as world,
        prepare(path, overrides, simulated=True) as plan,
    ):
        yield _rehearse(plan, world, duration, file)


def _rehearse(
    plan: Plan, world: VirtualWorld, duration: float | None, file: str | None
) -> Rehearsal:
    sesn = RehearsedSession(_path(plan, file, world.clock.time()), plan.title, world.clock)
    stop = internals(sesn).stop
    seen: list[Supervisor] = []
    failure: BaseException | None = None
    began = SYSTEM.monotonic()
    loop = world.new_loop(partial(_stalled, stop))
    folder = f"{plan.loaded.path.absolute().parent}{os.sep}"
    with BlockingCalls(loop, lambda name: name.startswith(folder)) as blocking:
        try:
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(alone(execute(plan, sesn, _options(plan, stop, duration, seen))))
        except (KeyboardInterrupt, SystemExit, Exception) as error:  # noqa: BLE001 - reported
            failure = error
    findings = Findings(
        folder=folder,
        declared=tuple(plan.loaded.model.variables),
        state=sesn.rehearsed,
        statuses=seen[0].statuses if seen else (),
        sweeps=seen[0].sweeps if seen else (),
        costs=loop.costs,
        sleeps=world.sleeps,
        blocking=blocking.places,
        virtual_seconds=world.clock.elapsed,
        real_seconds=SYSTEM.monotonic() - began,
    )
    warnings = (*plan.loaded.warnings, *plan.loaded.inactive)
    return Rehearsal(warnings, stop.exit_code, failure, findings)


def _path(plan: Plan, file: str | None, now: float) -> Path:
    """Return where the session of a real run would be, as far as that can be told."""
    try:
        return plan.session_path(file, now=now).resolve()
    except UsageError:  # it is there, and must not be: of no matter here
        return plan.session_path(file, "append", now).resolve()


def _options(
    plan: Plan, stop: StopSignal, duration: float | None, seen: list[Supervisor]
) -> RunOptions:
    async def watch(supervisor: Supervisor) -> None:
        seen.append(supervisor)
        if duration is None:
            await _enough(supervisor, stop, plan)

    return RunOptions(
        duration=math.inf if duration is None else duration,
        observers=(("rehearsal", watch),),
        registered=False,
        traced=False,
    )


async def _enough(supervisor: Supervisor, stop: StopSignal, plan: Plan) -> None:
    """Ask for the stop when every task has shown what it does."""
    if supervisor.sweeps:  # the run ends with them
        await asyncio.sleep(LONGEST["sweep"])
        stop.request("the sweeps took longer than 30 d")
        return
    periodic = [s for s in supervisor.statuses if s.kind == "every"]
    watched = periodic or [s for s in supervisor.statuses if s.kind == "repeat"]
    longest = max((s.period or 0.0 for s in periodic), default=0.0)
    delay = max(task.settings.start_after for task in plan.tasks)
    most = delay + PERIODS * longest if periodic else LONGEST["repeat"]
    now = asyncio.get_running_loop().time
    began = now()
    while any(s.runs < ENOUGH_RUNS and not s.is_over for s in watched):
        if now() - began >= most:
            stop.request("the time is over in which each task should have run three times")
            return
        await asyncio.sleep(max(1e-3, longest / 200, (now() - began) / 50 if not longest else 0))
    if watched:
        kind = "periodic task" if periodic else "task"
        stop.request(f"each {kind} has run three times")


def _stalled(stop: StopSignal, loop: VirtualLoop) -> None:
    places = sorted({place_of(task) for task in asyncio.all_tasks(loop)})
    stop.request(f"all tasks wait for something that never comes, at {'; '.join(places)}", 1)
