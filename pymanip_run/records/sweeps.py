"""What is kept of a sweep, so that it can go on after its run was interrupted."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from pymanip_run.clock import as_seconds

__all__ = ["POINT_STATES", "PointState", "SweepPoint"]

PointState: TypeAlias = Literal["done", "failed", "end"]
POINT_STATES: Final[tuple[str, ...]] = get_args(PointState)


class SweepPoint(NamedTuple):
    """A point of a sweep that is over; recorded behind all the data of its step.

    Attributes
    ----------
    sweep : str
        Name of the sweep.
    number : int
        Number of the point, from 0.
    start_ns, ns : int
        When its step began, and when it was over: the data of the point have times in between.
    state : {'done', 'failed', 'end'}
        ``failed``: for good, and the sweep went on; ``end``: there are `number` points and no more.
    value : str
        Where the point is, as text (JSON).
    result : str
        What the step returned, as text (JSON); empty where nothing was to be kept.
    """

    sweep: str
    number: int
    start_ns: int
    ns: int
    state: str = "done"
    value: str = ""
    result: str = ""

    @property
    def start(self) -> float:
        """When its step began, Unix seconds."""
        return as_seconds(self.start_ns)

    @property
    def time(self) -> float:
        """When it was over, Unix seconds."""
        return as_seconds(self.ns)
