"""From the tasks of an experiment file to what ``sesn.monitor`` runs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pymanip_run.experiment.build.points import Approach, sweep_points
from pymanip_run.experiment.build.sweep_plan import sweep_plan
from pymanip_run.experiment.run.instruments import set_device
from pymanip_run.records import as_parameter, check_name
from pymanip_run.runtime.policy import Policy
from pymanip_run.runtime.schedule import every
from pymanip_run.runtime.sweep import Sweep as SweepTask
from pymanip_run.runtime.tasks import Ruled
from pymanip_run.session import internals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymanip_run.experiment.build.plan import Plan, PlannedTask
    from pymanip_run.experiment.model.experiment import Sweep
    from pymanip_run.session import AsyncSession

__all__ = ["tasks_of"]


def tasks_of(plan: Plan, sesn: AsyncSession) -> list[Any]:
    """Return what ``sesn.monitor`` is called with."""
    units = {name: p.unit for name, p in plan.loaded.model.parameters.items()}
    return [_task(task, sesn, units) for task in plan.tasks]


def _task(task: PlannedTask, sesn: AsyncSession, units: Mapping[str, str | None]) -> Ruled:
    settings = task.settings
    rules = Ruled(
        task.call,
        once=bool(settings.once),
        policy=Policy(settings.timeout, **settings.on_error.model_dump()),
        worker=task.call.worker,
        start_after=settings.start_after,
        before=tuple(settings.before),
    )
    if settings.sweep is not None:
        return replace(rules, **_sweep(task, settings.sweep, sesn, units))
    if settings.every is not None:
        return replace(rules, task=every(settings.every, task.call))
    return rules


def _sweep(
    task: PlannedTask, sweep: Sweep, sesn: AsyncSession, units: Mapping[str, str | None]
) -> dict[str, Any]:
    recorder = internals(sesn).recorder

    def save(name: str, value: Any) -> None:
        recorder.put_parameter(
            check_name(name, "parameter"), as_parameter(name, value), units.get(name), task.name
        )

    async def step(session: AsyncSession, point: Any) -> Any:
        return await task.call(session, *approach.values(point))

    setter = partial(set_device, sesn, sweep.set) if sweep.set is not None else None
    approach = Approach(sweep, save, setter, internals(sesn).stop.sleep)
    points = task.generator if task.generator is not None else sweep_points(sweep)
    stop, about = internals(sesn).stop, sweep_plan(task)
    swept = SweepTask(step, points, task.name, stop=stop, argument=sesn, plan=about)
    return {"task": swept, "approach": approach}
