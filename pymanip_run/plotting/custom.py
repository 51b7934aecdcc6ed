"""Figures that a script draws itself: their windows are kept alive while it measures."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from pymanip_run.errors import UsageError

__all__ = ["figures_of", "keep_alive"]

logger = logging.getLogger(__name__)

STEP = 0.05  # seconds between two looks at what the user does
#: Each toolkit has exceptions of its own, and a callback of the user's may want to leave.
FAULTS = (Exception, SystemExit)
DRAW_PERIOD = 0.5  # seconds between two drawings of what changed
#: Seconds that windows may keep the tasks waiting before that is said.
LONG = 0.1


def figures_of(given: object) -> tuple[Any, ...]:
    """Return the figures of ``custom_figures``: one, or several.

    Raises
    ------
    UsageError
        If something is no figure of matplotlib.
    """
    if given is None:
        return ()
    figures = tuple(given) if isinstance(given, Iterable) else (given,)
    for figure in figures:
        if not hasattr(getattr(figure, "canvas", None), "flush_events"):
            raise UsageError(
                f"custom_figures are figures of matplotlib, as plt.figure() returns them, not {figure!r}"
            )
    return figures


async def keep_alive(figures: Iterable[Any], closed: Callable[[str], object]) -> None:
    """Let their windows act and draw, until it is cancelled or all are gone.

    That is done in the thread of the event loop, as toolkits demand, and takes the time that the
    user's drawing takes.

    Parameters
    ----------
    figures
        Those that have windows; others are left alone.
    closed
        Is told why a window is not looked after any more.
    """
    left: list[Any] = []
    connected = []
    for figure in figures:
        try:
            if getattr(figure.canvas, "required_interactive_framework", None) is not None:
                left.append(figure)
                number = figure.canvas.mpl_connect("close_event", partial(_closed, left, closed))
                connected.append((figure.canvas, number))
        except FAULTS as error:
            _drop(left, figure, closed, f"is not looked after: {error}")
    try:
        await _look_after(left, closed)
    finally:
        for canvas, number in connected:
            with suppress(*FAULTS):  # its window may be gone
                canvas.mpl_disconnect(number)


async def _look_after(left: list[Any], closed: Callable[[str], object]) -> None:
    loop = asyncio.get_running_loop()
    due, is_told = loop.time(), False
    while left:
        began = loop.time()
        draws = began >= due
        due = began + DRAW_PERIOD if draws else due
        for figure in tuple(left):
            try:
                if draws and figure.stale:
                    figure.canvas.draw_idle()
                figure.canvas.flush_events()
            except FAULTS as error:
                _drop(left, figure, closed, f"is gone: {error}")
        took = loop.time() - began
        if took > LONG and not is_told:
            is_told = True
            logger.warning(
                "custom_figures kept all tasks waiting for %.0f ms: they are drawn where tasks run, those of sesn.plot are not",
                took * 1e3,
            )
        await asyncio.sleep(STEP)


def _closed(left: list[Any], closed: Callable[[str], object], event: Any) -> None:
    _drop(left, event.canvas.figure, closed, "was closed")


def _drop(left: list[Any], figure: Any, closed: Callable[[str], object], why: str) -> None:
    if figure in left:
        left.remove(figure)
        closed(f"a window of custom_figures {why}")
