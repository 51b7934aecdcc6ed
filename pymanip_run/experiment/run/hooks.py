"""``setup`` before the tasks, ``teardown`` after them, also when something failed."""

from __future__ import annotations

import asyncio
import inspect
import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from pymanip_run.errors import TaskError
from pymanip_run.experiment.build.functions import is_coroutine
from pymanip_run.runtime.calls import call_with
from pymanip_run.runtime.cancelling import cancel
from pymanip_run.runtime.endings import how_to_force
from pymanip_run.runtime.outcomes import CutError, outcome, result_of
from pymanip_run.runtime.places import place_of
from pymanip_run.runtime.threads import call_apart
from pymanip_run.session import internals
from pymanip_run.units import format_duration

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from pymanip_run.runtime.outcomes import Outcome
    from pymanip_run.session import AsyncSession

    Function = Callable[..., Any]

__all__ = ["between"]

logger = logging.getLogger(__name__)

PATIENCE = 10.0  # seconds that a cancelled setup gets to clean up, as tasks do


@asynccontextmanager
async def between(
    setup: Function | None, teardown: Function | None, sesn: AsyncSession, grace: float
) -> AsyncIterator[None]:
    """Call `setup`, let the tasks run, call `teardown`; a plain function in a thread of its own.

    A setup that still runs `grace` seconds after the stop was asked is cancelled, as tasks are. A
    teardown never is: it may have to bring a magnet down slowly. It is only named.

    Raises
    ------
    TaskError
        If the setup was cancelled.
    BaseException
        What setup, the tasks, or else teardown raised.
    """
    if setup is not None:
        await _setup(setup, sesn, grace)
    try:
        yield
    except BaseException:
        try:
            await _teardown(teardown, sesn, grace)
        except (Exception, SystemExit):
            # What ended the run is what its user must see first.
            logger.exception("teardown failed as well")
        raise
    else:
        await _teardown(teardown, sesn, grace)


async def _setup(function: Function, sesn: AsyncSession, grace: float) -> None:
    inside, loop = internals(sesn), asyncio.get_running_loop()
    job = _begun(function, sesn, "setup")
    overdue: asyncio.Future[None] = loop.create_future()
    timers: list[asyncio.TimerHandle] = []

    def start_grace() -> None:
        timers.append(loop.call_later(grace, overdue.cancel))

    forget = inside.stop.on_request(lambda: loop.call_soon_threadsafe(start_grace))
    try:
        await _finished(job, overdue)
    finally:
        forget()
        for timer in timers:
            timer.cancel()
    if not job.done():
        reason = (
            f"setup still ran {format_duration(grace)} after the stop was asked "
            f"({inside.stop.reason}), at {place_of(job)}; it was cancelled"
        )
        if inside.supervisor is not None:
            inside.supervisor.grace_is_over()
        await cancel({job}, PATIENCE)
        raise TaskError(reason)
    _raise_failure(job, "setup")


async def _teardown(function: Function | None, sesn: AsyncSession, grace: float) -> None:
    if function is None:
        return
    loop = asyncio.get_running_loop()
    job = _begun(function, sesn, "teardown")

    def name() -> None:
        asked_by = internals(sesn).stop.reason
        logger.warning(
            "teardown has been running for %s, at %s; %s",
            format_duration(grace),
            place_of(job),
            how_to_force(asked_by),
        )

    timer = loop.call_later(grace, name)
    try:
        await _finished(job)
    finally:
        timer.cancel()
    _raise_failure(job, "teardown")


def _begun(function: Function, sesn: AsyncSession, name: str) -> asyncio.Task[Outcome]:
    job = outcome(_called(function, sesn, name))
    return asyncio.get_running_loop().create_task(job, name=name)


async def _called(function: Function, sesn: AsyncSession, name: str) -> None:
    if is_coroutine(function):
        result = call_with(function, sesn)
    else:
        result = await call_apart(name, call_with, function, sesn)
    if inspect.isawaitable(result):
        await result


async def _finished(
    job: asyncio.Task[Outcome], overdue: asyncio.Future[None] | None = None
) -> None:
    """Return when it has ended, or is overdue; it is cancelled with us."""
    step_in_progress = job  # see places.STEP
    waited_for: set[asyncio.Future[Any]] = {step_in_progress}
    if overdue is not None:
        waited_for.add(overdue)
    try:
        await asyncio.wait(waited_for, return_when="FIRST_COMPLETED")
    except asyncio.CancelledError:
        await cancel({job}, PATIENCE)
        raise


def _raise_failure(job: asyncio.Task[Outcome], name: str) -> None:
    try:
        result_of(job)
    except CutError as error:
        raise TaskError(f"{name} was cancelled by something that it awaited") from error
