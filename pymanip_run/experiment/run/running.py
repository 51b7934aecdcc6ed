"""Running a plan: the session, its tasks, setup before and teardown after them."""

from __future__ import annotations

import asyncio
import math
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from pymanip_run.errors import StorageError
from pymanip_run.experiment.build.plan import prepare
from pymanip_run.experiment.build.sweep_plan import resolved_file
from pymanip_run.experiment.run.hooks import between
from pymanip_run.experiment.run.instruments import left_unsafe, simulation, with_devices
from pymanip_run.experiment.run.limits import check_free_disk, within
from pymanip_run.experiment.run.parameters import put_parameters, tell_of_parameters
from pymanip_run.experiment.run.tasks import tasks_of
from pymanip_run.experiment.run.watch import mailing, watching
from pymanip_run.experiment.text.redact import redacted_values
from pymanip_run.plotting.plot import Plot as Drawn
from pymanip_run.runtime.cancelling import alone
from pymanip_run.session import AsyncSession, RunOptions, internals, run_tasks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from pymanip_run.experiment.build.plan import Plan
    from pymanip_run.experiment.model.experiment import Plot
    from pymanip_run.session.sweeping import Resumption

__all__ = ["execute", "open_session", "run_experiment", "tasks_of"]


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
        asyncio.run(alone(execute(plan, sesn, options)))
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
        If it cannot be opened, or the disk has less free space than the experiment wants.
    """
    where = plan.session_path(file, exists)
    while True:
        path = where.resolve()
        check_free_disk(plan.loaded.model.limits, path.parent)
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
        grace=plan.loaded.model.limits.grace,
        force_after_grace=True,
        experiment=plan.loaded.path.absolute(),
        plots=tuple(map(_plot, plan.loaded.model.plots)),
        file=resolved_file(plan),
        attributes={"config_sha256": plan.loaded.sha256, **options.attributes},
        texts={**plan.run_texts, **simulation(plan), **options.texts},
    )
    begun = _describe(plan, sesn, options.resumption)
    unsafe, duration = left_unsafe(plan, sesn), options.duration

    @asynccontextmanager
    async def around() -> AsyncIterator[None]:
        tell_of_parameters(sesn, begun)
        async with _surroundings(plan, sesn, unsafe, duration):
            yield

    options = replace(options, around=around)
    try:
        with within(plan.loaded.model.limits, sesn, options.duration):
            await run_tasks(sesn, tasks_of(plan, sesn), options)
    finally:
        for call in (*(t.call for t in plan.tasks), *(c for a in plan.alarms for c in a.calls)):
            call.release()


@asynccontextmanager
async def _surroundings(
    plan: Plan, sesn: AsyncSession, unsafe: str | None, duration: float
) -> AsyncIterator[None]:
    """Enter what is around the tasks: mails, the devices, setup and teardown, the alarms."""
    async with (
        mailing(plan, sesn, duration) as outbox,
        with_devices(plan, sesn, unsafe),
        _hooks(plan, sesn),
        watching(plan, sesn, outbox),
    ):
        yield


def _plot(plot: Plot) -> Drawn:
    return Drawn(
        tuple(plot.variables or ()), plot.x, plot.y, plot.title,
        scale=plot.scale, window=plot.window,
    )  # fmt: skip


def _hooks(plan: Plan, sesn: AsyncSession) -> AbstractAsyncContextManager[None]:
    """Return what calls setup and teardown: nothing if the run is to end before it has begun."""
    if internals(sesn).stop.is_set:
        return nullcontext()
    return between(plan.setup, plan.teardown, sesn, plan.loaded.model.limits.grace)


def _describe(
    plan: Plan, sesn: AsyncSession, resumption: Resumption | None
) -> list[tuple[str, str]]:
    """Save what is known before the first value; return what is to be told of the parameters."""
    model = plan.loaded.model
    sesn.save_metadata(redacted_values(model.metadata))
    told = put_parameters(plan, sesn, None if resumption is None else resumption.course)
    for name, variable in model.variables.items():
        sesn.describe(name, variable.unit, variable.label, variable.format, variable.period)
    return told
