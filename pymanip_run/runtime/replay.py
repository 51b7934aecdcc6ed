"""How a sweep comes back to where it was: through the values of the points that are over, without their steps."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncGenerator, Generator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.core.plainly import as_text, from_text, shown
from pymanip_run.errors import TaskError
from pymanip_run.runtime.calls import name_of
from pymanip_run.runtime.points import END
from pymanip_run.runtime.stop import TURN

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pymanip_run.core.course import PastSweep

__all__ = ["ReplayError", "is_sent_results", "plan_of", "refusal", "replayed"]

#: A plan names each of its values, up to so many.
NAMED = 10_000
#: Others run after so many points that are only gone through.
STRETCH = 100
CURE = (
    "to go on nevertheless, type --resume-anyway (in a script: resume='anyway'); "
    "to begin it anew, leave out --resume"
)


class ReplayError(TaskError):
    """A sweep cannot go on where it was interrupted."""


def is_sent_results(values: object) -> bool:
    """Return whether the values come from a generator, which is sent what the steps return."""
    return isinstance(values, (Generator, AsyncGenerator))


def plan_of(values: Any, source: object) -> dict[str, Any]:
    """Return what can be told of the points of a sweep before it begins, as JSON has it.

    Parameters
    ----------
    values
        What the sweep goes through.
    source
        What was given as its values: perhaps the function that made them.
    """
    if isinstance(values, (list, tuple, range, np.ndarray, Mapping)):
        if len(values) <= NAMED:
            return {"values": [json.loads(as_text(value, lenient=True)) for value in values]}
        return {"number": len(values), "sha256": _digest(values)}
    return {"generator": name_of(source)}


def _digest(values: Any) -> str:
    if isinstance(values, np.ndarray):
        return hashlib.sha256(f"{values.dtype}".encode() + values.tobytes()).hexdigest()
    texts = (
        [repr(values)] if isinstance(values, range) else (as_text(v, lenient=True) for v in values)
    )
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\n")
    return digest.hexdigest()


async def replayed(
    past: PastSweep,
    take: Callable[[object], Awaitable[Any]],
    *,
    sent: bool,
    lenient: bool,
) -> Any:
    """Take the values of the points that are over, and return what the step of the last one returned.

    Parameters
    ----------
    past
        The points.
    take
        Returns the next value, or `END`, when it is called with the result of the one before.
        `END` may also come because the run is to end.
    sent
        Whether the values depend on the results.
    lenient
        Whether it goes on although values are others than they were.

    Returns
    -------
    object
        The last result, None where none was stored, `END` where the values, or the run, have ended.

    Raises
    ------
    ReplayError
        If the values are others than they were, or a result was not stored.
    """
    result: Any = None
    for index, point in enumerate(past.points):
        value = await take(result)
        if value is END:
            return END
        if not lenient and (now := as_text(value, lenient=True)) != point.value:
            depends = "its generator must depend on the results it is sent and nothing else"
            raise refusal(
                past,
                f"point {index} is {shown(now)} now, and was {shown(point.value)}"
                + (f" ({depends})" if sent else ""),
            )
        result = _result(past, index, lenient=lenient) if sent else None
        if index % STRETCH == STRETCH - 1:
            await TURN
    return result


def _result(past: PastSweep, index: int, *, lenient: bool) -> Any:
    point = past.points[index]
    if point.state == "failed":
        return None  # as it was sent
    try:
        return from_text(point.result)
    except ValueError as error:
        if lenient:
            return None
        raise refusal(
            past, f"its generator needs the result of point {index}, and {error}"
        ) from None


def refusal(past: PastSweep, reason: str) -> ReplayError:
    """Return the error of a sweep that cannot go on, with what to type."""
    return ReplayError(f"sweep {past.name!r} cannot go on at point {past.done}: {reason}; {CURE}")
