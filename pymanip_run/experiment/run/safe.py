"""Making the devices of an experiment safe without running it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from pymanip_run.devices import Rack
from pymanip_run.experiment.run.instruments import is_simulated
from pymanip_run.registry import made_safe, registered_runs
from pymanip_run.runtime.cancelling import alone

if TYPE_CHECKING:
    from pymanip_run.experiment.build.plan import Plan
    from pymanip_run.registry import RegisteredRun

__all__ = ["SafeOutcome", "make_safe", "running_now"]

logger = logging.getLogger(__name__)


class SafeOutcome(NamedTuple):
    """What came of the safe actions of a device."""

    device: str
    #: What was done, in words; what went wrong, where it failed.
    text: str
    failed: bool


def running_now(plan: Plan) -> RegisteredRun | None:
    """Return the run of this experiment that is going on on this computer, None without one."""
    path = str(plan.loaded.path.absolute())
    runs = (r for r in registered_runs() if r.experiment == path and not r.simulated)
    return next((run for run in runs if run.is_running), None)


def make_safe(plan: Plan) -> list[SafeOutcome]:
    """Open the devices that have safe actions, run these, and close them again.

    One that fails does not keep the others from it. Where all are safe, the next run of the
    experiment needs not do it again.

    Returns
    -------
    list of SafeOutcome
        One for each of these devices, in the order of the file.
    """
    outcomes = asyncio.run(alone(_make_safe(plan)))
    if outcomes and not is_simulated(plan) and not any(one.failed for one in outcomes):
        made_safe(str(plan.loaded.path.absolute()))
    return outcomes


async def _make_safe(plan: Plan) -> list[SafeOutcome]:
    specs = [replace(s, reconnect=None, required=False) for s in plan.devices if s.safe]
    rack = Rack(specs, tell=_log, attach=_nowhere, detach=_nowhere)
    unopened: dict[str, str] = {}
    done: dict[str, str | None] = {}
    try:
        unopened = await rack.open_each()
    finally:
        done = await rack.end()
    outcomes = []
    for spec in specs:
        if spec.name in unopened:
            outcomes.append(SafeOutcome(spec.name, unopened[spec.name], failed=True))
        elif (failure := done.get(spec.name)) is not None:
            outcomes.append(SafeOutcome(spec.name, failure, failed=True))
        else:
            labels = ", ".join(action.label for action in spec.safe)
            outcomes.append(SafeOutcome(spec.name, labels, failed=False))
    return outcomes


def _log(name: str, text: str) -> None:
    logger.info("device %r: %s", name, text)


def _nowhere(*_: Any) -> None:
    """Hang a device nowhere: there is no session."""
