"""Running a plan: the session, its tasks, setup before and teardown after them."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pymanip_run.errors import StorageError
from pymanip_run.experiment.build import prepare
from pymanip_run.experiment.points import Approach
from pymanip_run.experiment.redact import redacted_values
from pymanip_run.records import as_parameter, check_name
from pymanip_run.runtime.calls import call_with
from pymanip_run.runtime.schedule import every
from pymanip_run.session import AsyncSession, RunOptions, internals, run_tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
    from pathlib import Path

    from pymanip_run.experiment.build import Plan, PlannedTask
    from pymanip_run.experiment.model import Sweep
    from pymanip_run.runtime.sweep import Sweep as RunningSweep

__all__ = ["execute", "open_session", "run_experiment", "tasks_of"]

logger = logging.getLogger(__name__)


def run_experiment(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    file: str | None = None,
    exists: str | None = None,
    options: RunOptions | None = None,
) -> Path | None:
    """Run an experiment file from start to end and return the path of its session.

    Parameters
    ----------
    path
        The experiment file.
    overrides
        Texts ``path=value`` that change it, as with ``--set``.
    file, exists
        Take the place of ``session.file`` and ``session.exists``.
    options
        See :func:`execute`.

    Raises
    ------
    ConfigError
        With everything that is wrong in the file and its module; nothing has been created then.
    """
    with prepare(path, overrides) as plan, open_session(plan, file, exists) as sesn:
        asyncio.run(execute(plan, sesn, options))
        return sesn.session_path


def open_session(plan: Plan, file: str | None = None, exists: str | None = None) -> AsyncSession:
    """Create or continue the session of a plan, with its folder.

    Parameters
    ----------
    plan
        What is to be run.
    file, exists
        Take the place of ``session.file`` (no placeholders) and ``session.exists``.

    Raises
    ------
    UsageError
        If the file is there and must not be.
    StorageError
        If it cannot be opened.
    """
    where = plan.session_path(file, exists)
    while True:
        path = where.resolve()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"the folder {path.parent} cannot be made: {error.strerror}"
            ) from error
        try:
            return AsyncSession(
                path,
                verbose=False,
                exist_ok=not where.must_be_new,
                checkpoint_period=plan.loaded.model.session.checkpoint,
                title=plan.title,
            )
        except FileExistsError:  # another run took it since we looked
            if not where.retries:
                raise


async def execute(plan: Plan, sesn: AsyncSession, options: RunOptions | None = None) -> None:
    """Run a plan in an open session until it ends.

    Parameters
    ----------
    plan
        What is to be run.
    sesn
        Where the data go.
    options
        What else the run needs. Its duration takes the place of the file's, its attributes and
        texts come on top of the plan's.
    """
    options = options or RunOptions()
    limit = plan.loaded.model.limits.duration
    if limit is not None and options.duration == math.inf:
        options = replace(options, duration=limit)
    options = replace(
        options,
        experiment=plan.loaded.path.absolute(),
        attributes={"config_sha256": plan.loaded.sha256, **options.attributes},
        texts={**plan.run_texts, **options.texts},
    )
    _describe(plan, sesn)
    options = replace(options, around=lambda: _between_setup_and_teardown(plan, sesn))
    await run_tasks(sesn, tasks_of(plan, sesn), options)


def _describe(plan: Plan, sesn: AsyncSession) -> None:
    """Save what is known before the first value."""
    model = plan.loaded.model
    sesn.save_metadata(redacted_values(model.metadata))
    for name, parameter in model.parameters.items():
        internals(sesn).recorder.put_parameter(name, parameter.value, parameter.unit)
    for name, variable in model.variables.items():
        sesn.describe(name, variable.unit, variable.label, variable.format, variable.period)


@asynccontextmanager
async def _between_setup_and_teardown(plan: Plan, sesn: AsyncSession) -> AsyncIterator[None]:
    await _hook(plan.setup, sesn)
    try:
        yield
    except BaseException:
        try:
            await _hook(plan.teardown, sesn)
        except Exception:
            # What ended the run is what its user must see first.
            logger.exception("teardown failed as well")
        raise
    else:
        await _hook(plan.teardown, sesn)


async def _hook(function: Callable[..., Any] | None, sesn: AsyncSession) -> None:
    if function is not None:
        result = call_with(function, sesn)
        if inspect.isawaitable(result):
            await result


def tasks_of(plan: Plan, sesn: AsyncSession) -> list[Any]:
    """Return what ``sesn.monitor`` is called with; coroutines among it must be awaited or closed."""
    units = {name: p.unit for name, p in plan.loaded.model.parameters.items()}
    return [_task(task, sesn, units) for task in plan.tasks]


def _task(task: PlannedTask, sesn: AsyncSession, units: Mapping[str, str | None]) -> Any:
    settings, call = task.settings, task.call
    delay = settings.start_after
    if settings.sweep is not None:
        return _sweep(task, settings.sweep, sesn, units)
    if settings.once:
        return _named(_once(task, sesn), task.name)
    if settings.every is not None:
        return every(settings.every, call, start_after=delay)
    return _after(task) if delay else call


def _sweep(
    task: PlannedTask, sweep: Sweep, sesn: AsyncSession, units: Mapping[str, str | None]
) -> RunningSweep:
    recorder = internals(sesn).recorder

    def save(name: str, value: Any) -> None:
        recorder.put_parameter(
            check_name(name, "parameter"), as_parameter(name, value), units.get(name), task.name
        )

    async def step(session: AsyncSession, point: tuple[Any, ...]) -> Any:
        return await task.call(session, *point)

    values = call_with(task.generator, sesn) if task.generator is not None else None
    points = Approach(sweep, save, sesn.sleep, values, task.settings.start_after)
    return sesn.sweep(step, points, name=task.name)


def _named(coroutine: Coroutine[Any, Any, None], name: str) -> Coroutine[Any, Any, None]:
    coroutine.__name__ = name  # type: ignore[attr-defined]  # coroutines have it, their ABC has not
    return coroutine


async def _wait(sesn: AsyncSession, seconds: float) -> bool:
    """Wait; return whether the run is to stop."""
    return await internals(sesn).stop.sleep(seconds)


async def _once(task: PlannedTask, sesn: AsyncSession) -> None:
    delay = task.settings.start_after
    if not (delay and await _wait(sesn, delay)):
        await task.call(sesn)


def _after(task: PlannedTask) -> Callable[[AsyncSession], Coroutine[Any, Any, None]]:
    """Return the task as a step that waits the first time."""
    waited = False

    async def step(sesn: AsyncSession) -> None:
        nonlocal waited
        if not waited:
            waited = True
            if await _wait(sesn, task.settings.start_after):
                return
        await task.call(sesn)

    step.__name__ = task.name
    return step
