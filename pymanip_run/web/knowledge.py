"""What is known of a session besides its values: descriptions, statistics, parameters, events.

It is read in a thread, at most about once a second whoever asks, and never twice at a time.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pymanip_run.clock import SYSTEM
from pymanip_run.errors import StorageError
from pymanip_run.runtime.threads import Worker, call_in

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pymanip_run.core.view import SessionView
    from pymanip_run.records import DatasetInfo, Event, Parameter, Run, SessionInfo, VariableInfo

__all__ = ["Knowledge", "Known"]

logger = logging.getLogger(__name__)

#: Older knowledge is read again when it is asked for …
MAX_AGE = 2.0
#: … and where something changed, or it was asked for by itself.
MIN_AGE = 0.25


@dataclass(frozen=True)
class Known:
    """A session at one moment."""

    info: SessionInfo
    variables: Mapping[str, VariableInfo] = field(default_factory=dict)
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    datasets: Mapping[str, DatasetInfo] = field(default_factory=dict)
    runs: tuple[Run, ...] = ()
    events: tuple[Event, ...] = ()
    figures: tuple[Mapping[str, Any], ...] = ()
    size: int | None = None
    free: int | None = None


def read(view: SessionView) -> Known:
    """Read a session."""
    size, free = _disk(view)
    return Known(
        info=view.info(),
        variables=view.variables(),
        parameters=view.parameter_table(),
        metadata=view.metadatas(),
        datasets=view.datasets_info(),
        runs=tuple(view.runs()),
        events=tuple(view.events()),
        figures=tuple(view.figures()),
        size=size,
        free=free,
    )


def _disk(view: SessionView) -> tuple[int | None, int | None]:
    import shutil  # noqa: PLC0415 - heavy modules are imported where they are used

    path = view.session_path
    if path is None:
        return None, None
    try:
        return path.stat().st_size, shutil.disk_usage(path.parent).free
    except OSError:
        return None, None


class Knowledge:
    """The latest `Known` of a session.

    Parameters
    ----------
    view
        The session.
    """

    def __init__(self, view: SessionView) -> None:
        self._view = view
        self._worker = Worker("dashboard: session")
        self._known: Known | None = None
        self._read_at = 0.0
        self._changes = -1
        self._reading: asyncio.Task[None] | None = None
        #: Grows with each reading.
        self.version = 0

    def close(self) -> None:
        """Read no more."""
        self._worker.shutdown(wait=False, cancel_futures=True)
        if self._reading is not None:
            self._reading.cancel()

    async def get(self, changes: int = 0, *, fresh: bool = False) -> Known:
        """Return what is known: at once where there is something, with `fresh` no older than a moment.

        Parameters
        ----------
        changes
            Differs from the last time when something changed that is worth reading again.
        fresh
            Wait for it.

        Raises
        ------
        StorageError
            If the session cannot be read.
        """
        age = SYSTEM.monotonic() - self._read_at
        is_due = age > MAX_AGE or (age > MIN_AGE and (fresh or changes != self._changes))
        if self._reading is None and (self._known is None or is_due):
            self._changes = changes
            self._reading = asyncio.get_running_loop().create_task(self._read())
        if self._reading is not None and (self._known is None or fresh):
            await asyncio.shield(self._reading)
        if self._known is None:
            raise StorageError("the session cannot be read now; the log of the run says why")
        return self._known

    async def _read(self) -> None:
        try:
            self._known = await call_in(self._worker, read, self._view)
            self.version += 1
        except (OSError, ValueError, KeyError) as error:  # what it was is good enough
            logger.warning("the session cannot be read for the dashboard: %s", error)
        finally:
            self._read_at = SYSTEM.monotonic()
            self._reading = None
