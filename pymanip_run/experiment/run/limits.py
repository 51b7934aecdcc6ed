"""What is looked at beside a run: its limits, and tasks that do not come to an end."""

from __future__ import annotations

import logging
import math
import shutil
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pymanip_run.clock import SYSTEM
from pymanip_run.errors import StorageError
from pymanip_run.records import Entry
from pymanip_run.runtime.troubles import AS_EVENT
from pymanip_run.session import RehearsedSession, internals
from pymanip_run.units import format_duration, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pymanip_run.experiment.model.experiment import Limits
    from pymanip_run.records import Event
    from pymanip_run.runtime.stop import StopSignal
    from pymanip_run.session import AsyncSession

__all__ = ["check_free_disk", "within"]

logger = logging.getLogger(__name__)

LOOK_PERIOD = 5.0  # seconds
LATE = 1.0  # seconds; a loop that turns keeps its time limit itself
LONG = 30.0  # seconds; a call that takes as long, and three periods, is named
DISK_EXIT_CODE = StorageError.exit_code


@contextmanager
def within(limits: Limits, sesn: AsyncSession, duration: float = math.inf) -> Iterator[None]:
    """Ask the run to end when it reaches a limit.

    Parameters
    ----------
    limits
        Those of the experiment file.
    sesn
        The session that runs.
    duration
        How long the run lasts. The loop ends it in time, unless a task holds it.
    """
    inside = internals(sesn)
    counted = _Entries(limits.entries, inside.stop) if limits.entries is not None else None
    if counted is not None:
        inside.feed.call(counted)
    watch = None
    # A rehearsal writes nothing, and its loop does not live by the clock of the computer.
    if sesn.session_path is not None and not isinstance(sesn, RehearsedSession):
        watch = _Watch(sesn, limits.min_free_disk, sesn.session_path.parent, duration)
        # Not in the loop, whose timers belong to the tasks and may be held up by them.
        threading.Thread(target=watch.run, name="limits", daemon=True).start()
    try:
        yield
    finally:
        if watch is not None:
            watch.over.set()
        if counted is not None:
            inside.feed.uncall(counted)


class _Entries:
    """Counts the entries that are recorded."""

    def __init__(self, limit: int, stop: StopSignal) -> None:
        self._left = self._limit = limit
        self._stop = stop

    def __call__(self, item: Entry | Event) -> None:
        if type(item) is Entry:
            self._left -= 1
            if self._left == 0:
                self._stop.request(f"{_grouped(self._limit)} reached")


def _grouped(entries: int) -> str:
    return f"{entries:,} {'entry' if entries == 1 else 'entries'}".replace(",", " ")


class _Watch:
    """Looks, from a thread of its own, whether the run is still within its limits."""

    def __init__(
        self, sesn: AsyncSession, least_free: int | None, folder: Path, duration: float
    ) -> None:
        self._inside = internals(sesn)
        self._least_free = least_free
        self._folder = folder
        self._duration = duration
        self._told: dict[str, float | None] = {}
        #: Ends the thread.
        self.over = threading.Event()

    def run(self) -> None:
        """Look now and then; in the thread."""
        period = min(LOOK_PERIOD, max(0.05, self._duration / 2))
        stop = self._inside.stop
        while not self.over.wait(period):
            try:
                if (complaint := _complaint(self._least_free, self._folder)) is not None:
                    stop.request(complaint, DISK_EXIT_CODE)
                elif self._is_late():
                    stop.request(f"time limit of {format_duration(self._duration)} reached")
                self._name_overdue()
            except Exception:
                logger.exception("the limits of the run could not be looked at")

    def _is_late(self) -> bool:
        """Return whether the time is over, and the loop did not notice: a task holds it."""
        supervisor = self._inside.supervisor
        if supervisor is None or supervisor.started is None:
            return False
        return SYSTEM.monotonic() > supervisor.started + self._duration + LATE

    def _name_overdue(self) -> None:
        """Name, once for each call, the tasks whose ticks pass while a call goes on."""
        supervisor, now = self._inside.supervisor, SYSTEM.monotonic()
        for status, place in supervisor.overdue(now, LONG) if supervisor is not None else ():
            if self._told.get(status.name) == status.last_start:
                continue
            self._told[status.name] = status.last_start
            went = format_duration(now - (status.last_start or now))
            text = (
                f"a call has been going on for {went}, at {place}; the ticks that pass are missed"
            )
            logger.warning("task %r: %s", status.name, text, extra=AS_EVENT)
            self._inside.recorder.event("warning", status.name, text)


def check_free_disk(limits: Limits, folder: Path) -> None:
    """Refuse to start where the disk has less free space than the experiment wants.

    Raises
    ------
    StorageError
        If it has.
    """
    while not folder.exists():
        folder = folder.parent
    complaint = _complaint(limits.min_free_disk, folder)
    if complaint is not None:
        raise StorageError(f"{complaint}; make room, or lower it: --set limits.min_free_disk=100MB")


def _complaint(least: int | None, folder: Path) -> str | None:
    if least is None:
        return None
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        logger.warning("the free space of %s is not known: %s", folder, error)
        return None
    if free >= least:
        return None
    limit = format_size(least)
    return f"only {format_size(free)} free in {folder}, less than limits.min_free_disk of {limit}"
