"""The devices of an experiment around its setup, tasks and teardown."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from pymanip_run.clock import iso_local
from pymanip_run.devices import Rack
from pymanip_run.errors import DeviceError
from pymanip_run.masking import starred
from pymanip_run.registry import unsafe_run
from pymanip_run.session import internals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from pymanip_run.experiment.build.plan import Plan
    from pymanip_run.registry import RegisteredRun
    from pymanip_run.session import AsyncSession

__all__ = ["left_unsafe", "set_device", "simulation", "with_devices"]

logger = logging.getLogger(__name__)


def left_unsafe(plan: Plan, sesn: AsyncSession) -> str | None:
    """Return why the safe actions have to be run first; None if the last run ended cleanly.

    To be asked before the new run is registered.
    """
    if not _has_safe_actions(plan) or is_simulated(plan):
        return None
    session = str(sesn.session_path) if sesn.session_path else ""
    run = unsafe_run(str(plan.loaded.path.absolute()), session)
    return None if run is None else reason_of(run)


def reason_of(run: RegisteredRun) -> str:
    """Return in words in which state a run left the devices."""
    which = f"the run of {iso_local(run.start).replace('T', ' ')[:19]} (process {run.pid})"
    if run.safe_state == "failed":
        return f"{which} could not make its devices safe"
    if run.state == "lost":
        return f"{which} ended without a word"
    return f"{which} ended without making its devices safe"


def is_simulated(plan: Plan) -> bool:
    """Return whether the devices of a plan only stand for the instruments."""
    return any(device.simulated for device in plan.devices)


def simulation(plan: Plan) -> dict[str, str]:
    """Return what is recorded with a run whose values are not all measured: the devices that are simulated."""
    names = [device.name for device in plan.devices if device.simulated]
    return {"simulated": ", ".join(names)} if names else {}


def _has_safe_actions(plan: Plan) -> bool:
    return any(device.safe for device in plan.devices)


@asynccontextmanager
async def with_devices(plan: Plan, sesn: AsyncSession, unsafe: str | None) -> AsyncIterator[None]:
    """Open the devices as attributes of the session; make them safe and close them on every way out.

    Parameters
    ----------
    plan
        The experiment.
    sesn
        Its session.
    unsafe
        Why the safe actions are to be run before anything else; None if they are not.

    Raises
    ------
    DeviceOpenError
        If a device that is required cannot be opened.
    """
    inside = internals(sesn)
    inside.closed_devices = ()
    rack = Rack(
        plan.devices,
        tell=partial(inside.recorder.event, "device"),
        attach=partial(setattr, sesn),
        detach=partial(_detach, sesn),
    )
    _note(inside, plan, "pending" if _has_safe_actions(plan) else None)
    inside.device_calls.devices = rack.devices
    try:
        async with rack.opened(lambda: inside.stop.is_set):
            if unsafe is not None:
                await _make_safe_first(rack, sesn, unsafe)
            yield
    finally:
        inside.device_calls.devices = ()
        inside.closed_devices = tuple(map(starred, rack.closed))
        if rack.safe_state == "failed" and not is_simulated(plan):
            logger.error(
                "not all devices are safe: look after them, or try again:  pymanip-run safe %s",
                plan.loaded.path,
            )
        _note(inside, plan, rack.safe_state or ("pending" if unsafe else None))


async def _make_safe_first(rack: Rack, sesn: AsyncSession, unsafe: str) -> None:
    text = f"{unsafe}: the safe actions are run first"
    internals(sesn).recorder.event("recovery", "devices", text)
    logger.warning("%s", text)  # displays, which show events, come later
    for name, failure in (await rack.make_safe()).items():
        if failure is not None:
            logger.warning("device %r is not safe, the run goes on: %s", name, failure)


def _note(inside: Any, plan: Plan, state: str | None) -> None:
    if inside.registration is not None:
        simulated = is_simulated(plan)
        inside.registration.update(safe_state=None if simulated else state, simulated=simulated)


def _detach(sesn: AsyncSession, name: str) -> None:
    with suppress(AttributeError):
        delattr(sesn, name)


async def set_device(sesn: AsyncSession, path: str, *values: Any) -> None:
    """Call a device's method, or set its property, with the values of a point: ``supply.set_voltage``.

    Raises
    ------
    DeviceError
        If the device is not there.
    """
    name, _, call = path.partition(".")
    device = getattr(sesn, name)
    if device is None:
        raise DeviceError(f"{path} cannot be called at this point: {name} could not be opened")
    await internals(sesn).device_calls.put(device, call, values)
