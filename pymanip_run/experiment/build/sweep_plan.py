"""What the sweeps of an experiment file measure, and where: what must not change before they go on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymanip_run.experiment.build.points import axis_names, axis_points
from pymanip_run.experiment.text.redact import redacted_values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymanip_run.experiment.build.plan import Plan, PlannedTask

__all__ = ["SIMULATED", "concerns_points", "resolved_file", "sweep_plan", "swept_parameters"]

#: In a resolved file: whether the devices only stood for the instruments.
SIMULATED = "simulated devices"
#: Of a device: what it is, and how it measures.
_OF_DEVICES = ("use", "args", "kwargs", "simulate")
#: Of a task with a sweep: these are in its plan.
_OF_SWEEPS = ("use", "kwargs", "sweep")


def sweep_plan(task: PlannedTask) -> dict[str, Any]:
    """Return the plan of a sweep, as JSON has it: values, order, and what is called at each point.

    An axis stands for its points; those of a grid follow from its axes and the order.
    """
    sweep, settings = task.settings.sweep, task.settings
    if sweep is None:
        return {}
    plan: dict[str, Any] = {"task": settings.use or task.name, "settle": sweep.settle}
    if settings.kwargs:
        plan["kwargs"] = redacted_values(settings.kwargs)
    if sweep.set is not None:
        plan["set"] = sweep.set
    if sweep.parameter is not None:
        plan["parameter"] = sweep.parameter
    if sweep.use is not None:
        return {**plan, "generator": sweep.use}
    axes = sweep.grid or {axis_names(sweep)[0]: sweep}
    plan["points"] = {name: axis_points(axis) for name, axis in axes.items()}
    if sweep.grid is not None:
        order = "back and forth" if sweep.snake else "always forth"
        plan["order"] = f"{' > '.join(sweep.grid)}, {order}"
    return plan


def resolved_file(plan: Plan) -> dict[str, Any]:
    """Return the experiment file with all that changes it, as JSON has it, without its secrets."""
    settings = plan.loaded.model.model_dump(mode="json", exclude_unset=True, by_alias=True)
    if any(device.simulated for device in plan.devices):
        settings[SIMULATED] = True
    redacted: dict[str, Any] = redacted_values(settings)
    return redacted


def concerns_points(plan: Plan, path: tuple[str, ...]) -> bool | None:
    """Return whether a value of the file matters to what is measured at the points of its sweeps.

    Parameters
    ----------
    plan
        The experiment.
    path
        The keys that lead to the value.

    Returns
    -------
    bool or None
        None where the plans of the sweeps tell it already.
    """
    swept = _swept(plan)
    match path:
        case ("tasks", task, key, *_) if task in swept and key in _OF_SWEEPS:
            return None
        case ("tasks", task) if task in swept:
            return None
        case ("parameters", name, *rest):
            return name not in swept_parameters(plan) and rest[:1] not in (["label"], ["tunable"])
        case ("devices", _, key, *_):
            return key in _OF_DEVICES
        case ("devices", _):
            return True
        case (key,):
            return key in ("module", SIMULATED)
    return False


def swept_parameters(plan: Plan) -> set[str]:
    """Return the names of the axes of all sweeps."""
    sweeps = [task.settings.sweep for task in plan.tasks if task.settings.sweep is not None]
    return {name for sweep in sweeps for name in axis_names(sweep)}


def _swept(plan: Plan) -> Mapping[str, PlannedTask]:
    return {task.name: task for task in plan.tasks if task.settings.sweep is not None}
