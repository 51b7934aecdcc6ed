"""The plots of a run: what ``sesn.plot`` returns, and how they are drawn beside the tasks."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from pymanip_run.mail.letter import Figure
from pymanip_run.plotting.custom import keep_alive
from pymanip_run.plotting.display import SOURCE, Display, Order
from pymanip_run.plotting.pictures import pictures
from pymanip_run.plotting.screen import MISSING, has_matplotlib, has_screen
from pymanip_run.runtime.troubles import AS_EVENT, one_line, tell_of_task
from pymanip_run.runtime.virtual import VirtualLoop
from pymanip_run.session.beside import Beside
from pymanip_run.session.state import internals

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from pymanip_run.plotting.plot import Plot
    from pymanip_run.runtime.stop import StopSignal
    from pymanip_run.runtime.work import Tell
    from pymanip_run.session.live import AsyncSession
    from pymanip_run.session.running import RunOptions

__all__ = ["FIGURES", "Plotted", "drawing", "with_plots"]

logger = logging.getLogger(__name__)

#: The metadata item that keeps what was plotted.
FIGURES = "_figures"


class Plotted(Beside):
    """A plot that a run draws while it runs.

    Parameters
    ----------
    plot
        What it shows.
    backend
        Of matplotlib, for a window; None: as is best.
    stop
        That of the session.
    """

    def __init__(self, plot: Plot, backend: str | None, stop: StopSignal) -> None:
        super().__init__("plot", stop)
        self.plot = plot
        self.backend = backend

    async def run(self) -> None:
        """Wait: all plots of a run are drawn together, by `drawing`."""
        await asyncio.get_running_loop().create_future()


def with_plots(session: AsyncSession, tasks: Sequence[Any], options: RunOptions) -> RunOptions:
    """Return the options of a run that draws its plots around everything else.

    Parameters
    ----------
    session
        What runs.
    tasks
        The plots among them are drawn, and those of the options.
    options
        Those of the run.
    """
    plotted = [task for task in tasks if isinstance(task, Plotted)]
    plots = (*options.plots, *(task.plot for task in plotted))
    internals(session).plots = plots
    backend = next((task.backend for task in plotted if task.backend is not None), None)

    @asynccontextmanager
    async def around() -> AsyncIterator[None]:
        drawn = drawing(
            session, plots,
            offscreen=options.offscreen, backend=backend, custom=options.custom_figures,
        )  # fmt: skip
        async with drawn, options.around():
            yield

    return replace(options, around=around)


@asynccontextmanager
async def drawing(
    session: AsyncSession,
    plots: Sequence[Plot],
    *,
    offscreen: bool = False,
    backend: str | None = None,
    custom: Sequence[Any] = (),
) -> AsyncIterator[None]:
    """Draw plots within the context; nothing that goes wrong with them is raised.

    Parameters
    ----------
    session
        What runs.
    plots
        What is drawn.
    offscreen
        As files beside the session, not as windows.
    backend
        Of matplotlib, for windows.
    custom
        Figures of the user, whose windows are kept alive.
    """
    if isinstance(asyncio.get_running_loop(), VirtualLoop):  # a rehearsal shows nothing
        yield
        return
    display = _begun(session, plots, offscreen, backend) if plots else None
    alive = None
    if custom and not offscreen:
        coroutine = _kept_alive(custom, internals(session).recorder.event)
        alive = asyncio.get_running_loop().create_task(coroutine, name="figures")
    try:
        yield
    finally:
        internals(session).figures = tuple
        if alive is not None:
            alive.cancel()
            with suppress(asyncio.CancelledError):
                await alive
        if display is not None:
            await display.finish()


async def _kept_alive(figures: Sequence[Any], tell: Tell) -> None:
    """Look after the figures of the user; what goes wrong with that is an event, and the run goes on."""
    try:
        await keep_alive(figures, partial(tell_of_task, tell, "plot", SOURCE))
    except Exception as error:
        logger.exception("custom_figures are not looked after any more; the run goes on")
        text = f"custom_figures are not looked after any more: {one_line(error)}"
        tell_of_task(tell, "error", SOURCE, text)


def _begun(
    session: AsyncSession, plots: Sequence[Plot], offscreen: bool, backend: str | None
) -> Display | None:
    inside = internals(session)
    try:
        _record(session, plots)
        order = Order(
            plots, session, title=session.session_name or "session in memory",
            folder=_folder(session.session_path), backend=backend,
        )  # fmt: skip
        inside.figures = partial(_figures, order)
        return _display(session, order, offscreen)
    except Exception as error:
        logger.exception("the plots cannot be drawn; the run goes on without them")
        inside.recorder.event("error", SOURCE, f"{type(error).__name__}: {error}")
        return None


def _display(session: AsyncSession, order: Order, offscreen: bool) -> Display | None:
    inside = internals(session)
    if offscreen and order.folder is None:
        logger.warning("plots are not drawn: a session in memory has no folder beside it")
        return None
    if not offscreen and not has_screen(os.environ):
        return None
    if not has_matplotlib():
        inside.recorder.event("warning", SOURCE, f"not drawn: {MISSING}")
        logger.warning("plots are only on the dashboard: %s", MISSING, extra=AS_EVENT)
        return None
    display = Display(
        "files" if offscreen else "windows", order, inside.feed, inside.recorder.event
    )
    display.start()
    return display


def _folder(path: Path | None) -> Path | None:
    return None if path is None else path.absolute().with_name(f"{path.stem}_figures")


def _figures(order: Order) -> list[Figure]:
    """Return the plots as they are now, for a mail."""
    return [Figure(title, png) for title, png in pictures(order)]


def _record(session: AsyncSession, plots: Sequence[Plot]) -> None:
    """Keep in the session what is plotted, each plot once."""
    kept = session.figures()
    number = max((n for one in kept if isinstance(n := one.get("fignum"), int)), default=0)
    known = [{key: value for key, value in one.items() if key != "fignum"} for one in kept]
    for plot in plots:
        recorded = plot.as_recorded()
        if recorded not in known:
            number += 1
            known.append(recorded)
            kept.append({"fignum": number, **recorded})
    if kept != session.figures():
        internals(session).recorder.save_metadata({FIGURES: kept})
