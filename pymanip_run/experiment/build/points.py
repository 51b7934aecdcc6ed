"""The points of a sweep: which they are, and what is done before the task is called at one."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pymanip_run.experiment.model.experiment import Axis, Sweep

__all__ = ["Approach", "axis_names", "axis_points", "grid_points", "sweep_points"]


def axis_names(sweep: Sweep) -> tuple[str, ...]:
    """Return the names of what a sweep passes to its task, in order."""
    return tuple(sweep.grid) if sweep.grid else (sweep.parameter or "value",)


def axis_points(axis: Axis) -> list[Any]:
    """Return the points of an axis as plain numbers (or the texts that were listed)."""
    if axis.values is not None:
        return list(axis.values)
    import numpy as np  # noqa: PLC0415 - what only checks an experiment does not wait for it

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


def sweep_points(sweep: Sweep) -> list[tuple[Any, ...]]:
    """Return the points of a sweep that has no generator, each as the values of its axes."""
    if sweep.grid is not None:
        return grid_points([axis_points(a) for a in sweep.grid.values()], snake=sweep.snake)
    return [(value,) for value in axis_points(sweep)]


class Approach:
    """Goes to a point of a sweep: saves its parameters, sets the device, waits until it has settled.

    Parameters
    ----------
    sweep
        The model.
    save
        Is called with a parameter's name and value at each point.
    setter
        Is called with the values of each point and returns something to await, where there is one.
    sleep
        Waits some seconds and returns whether the run is to stop.
    """

    def __init__(
        self,
        sweep: Sweep,
        save: Callable[[str, Any], object],
        setter: Callable[..., Awaitable[object]] | None,
        sleep: Callable[[float], Awaitable[bool]],
    ) -> None:
        self._save = save
        self._set = setter
        self._sleep = sleep
        self._settle = sweep.settle
        self._names = axis_names(sweep) if sweep.grid or sweep.parameter else ()
        self._one_by_one = sweep.use is not None

    def values(self, point: Any) -> tuple[Any, ...]:
        """Return the values of a point; what a generator gives is one value."""
        return (point,) if self._one_by_one else tuple(point)

    async def __call__(self, point: Any) -> bool:
        """Go there; return False if the run is to stop: nothing is measured at this point then."""
        values = self.values(point)
        if self._names:
            for name, value in zip(self._names, values, strict=True):
                self._save(name, value)
        if self._set is not None:
            await self._set(*values)
        return not (self._settle and await self._sleep(self._settle))
