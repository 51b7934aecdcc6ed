"""The points of a sweep: which they are, and what is done before the task is called at one."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.runtime.points import END, count, open_points
from pymanip_run.runtime.stop import StopSignal

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from pymanip_run.experiment.model import Axis, Sweep

__all__ = ["Approach", "axis_names", "axis_points", "grid_points"]


def axis_names(sweep: Sweep) -> tuple[str, ...]:
    """Return the names of what a sweep passes to its task, in order."""
    return tuple(sweep.grid) if sweep.grid else (sweep.parameter or "value",)


def axis_points(axis: Axis) -> list[Any]:
    """Return the points of an axis as plain numbers (or the texts that were listed)."""
    if axis.values is not None:
        return list(axis.values)
    if axis.log is not None:
        return [float(x) for x in np.geomspace(axis.log.start, axis.log.stop, axis.log.num)]
    if axis.start is None or axis.stop is None or axis.num is None:
        raise ValueError("an axis without points")
    return [float(x) for x in np.linspace(axis.start, axis.stop, axis.num)]


def grid_points(axes: Sequence[Sequence[Any]], *, snake: bool) -> list[tuple[Any, ...]]:
    """Return the points of a grid, the first axis outermost.

    With `snake` the inner axes go forth and back, so that neighbours differ in one step of one axis.
    """
    if not snake:
        return list(itertools.product(*axes))
    points: list[tuple[Any, ...]] = [()]
    for axis in axes:
        turned = [axis[::-1] if index % 2 else axis for index in range(len(points))]
        points = [(*point, x) for point, values in zip(points, turned, strict=True) for x in values]
    return points


class Approach:
    """Goes to the points of a sweep: saves the parameters, waits, then gives the values to the task.

    It is asynchronous and iterable, knows how many points there are where that is known, and
    passes what the task returned on to a generator.

    Parameters
    ----------
    sweep
        The model.
    save
        Is called with a parameter's name and value at each point.
    sleep
        Waits some seconds.
    values
        What a user's generator function returned, where the sweep has one.
    start_after
        Seconds before the first point.
    """

    def __init__(
        self,
        sweep: Sweep,
        save: Callable[[str, Any], object],
        sleep: Callable[[float], Awaitable[object]],
        values: Any = None,
        start_after: float = 0.0,
    ) -> None:
        self._save = save
        self._sleep = sleep
        self._settle = sweep.settle
        self._start_after = start_after
        self._names = axis_names(sweep) if sweep.grid or sweep.parameter else ()
        self._values: Any
        if sweep.grid is not None:
            axes = [axis_points(axis) for axis in sweep.grid.values()]
            self._values = grid_points(axes, snake=sweep.snake)
        elif sweep.use is not None:
            self._values = values
        else:
            self._values = [(value,) for value in axis_points(sweep)]
        self._one_by_one = sweep.use is not None

    def __length_hint__(self) -> int:
        number = count(self._values)
        return NotImplemented if number is None else number

    async def __aiter__(self) -> AsyncGenerator[tuple[Any, ...], Any]:
        if self._start_after:
            await self._sleep(self._start_after)
        # The sweep that goes through us ends the waiting when the run stops; no signal is needed.
        async with open_points(self._values, StopSignal()) as points:
            result = None
            while (value := await points.next(result)) is not END:
                point = (value,) if self._one_by_one else value
                if self._names:
                    for name, one in zip(self._names, point, strict=True):
                        self._save(name, one)
                if self._settle:
                    await self._sleep(self._settle)
                result = yield point
