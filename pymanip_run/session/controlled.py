"""What other processes of the user may ask of a run: how it is doing, a note, the end."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from typing import TYPE_CHECKING, Any

from pymanip_run.control import STOP_REASON
from pymanip_run.records.plain import plain
from pymanip_run.session.state import internals

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pymanip_run.runtime.status import TaskStatus
    from pymanip_run.session.live import AsyncSession

__all__ = ["Controlled", "described_task"]

MAX_NOTE = 10_000


class Controlled:
    """A run as the control socket sees it. Its methods are called in the thread of the socket.

    Parameters
    ----------
    session
        The session that runs.
    force
        Cancels the present steps, as a second Ctrl-C does.
    start
        When the run began, in session time.
    duration
        Seconds after which it ends by itself.
    about
        What else is told of it: experiment, title.
    """

    def __init__(
        self,
        session: AsyncSession,
        force: Callable[[int], object],
        start: float,
        duration: float,
        about: Mapping[str, Any],
    ) -> None:
        self._session = session
        self._inside = internals(session)
        self._force = force
        self._start = start
        self._duration = duration
        self._about = about
        self._loop = asyncio.get_running_loop()
        self.handlers: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "status": self.status,
            "note": self.note,
            "stop": self.stop,
        }

    def status(self, _: Mapping[str, Any]) -> dict[str, Any]:
        """Return how the run is doing; times are Unix seconds, what is not finite is None."""
        session, stop, now = self._session, self._inside.stop, self._session.now()
        path, last = session.session_path, session.logged_last_values()
        return plain(  # type: ignore[no-any-return]
            {
                **self._about,
                "session": str(path) if path else None,
                "pid": os.getpid(),
                "start": self._start,
                "now": now,
                "elapsed": now - self._start,
                "duration": self._duration if math.isfinite(self._duration) else None,
                "stopping": (stop.reason or "asked to") if stop.is_set else None,
                "entries": self._inside.recorder.entries,
                "tasks": self._tasks(),
                "sweeps": self._sweeps(),
                "alarms": self._alarms(),
                "variables": {
                    name: {"value": value, "time": time, "age": max(0.0, now - time)}
                    for name, (time, value) in last.items()
                },
            }
        )

    def note(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Record a remark."""
        text = request.get("text")
        if not isinstance(text, str) or not text.strip():
            raise ValueError("a note needs a text")
        if len(text) > MAX_NOTE:
            raise ValueError(f"a note has at most {MAX_NOTE} characters")
        return {"time": self._session.note(text).time}

    def stop(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the run to end after the present steps; with `force` cancel these."""
        before = self._inside.stop.reason if self._inside.stop.is_set else None
        self._inside.stop.request(STOP_REASON)
        if request.get("force") is True:
            self._inside.stop.cut = f"by {STOP_REASON} --force"
            self._force(signal.SIGINT)
        return {"stopping": before}

    def _tasks(self) -> list[dict[str, Any]]:
        supervisor = self._inside.supervisor
        if supervisor is None:
            return []
        now = self._loop.time()
        return [described_task(status, now) for status in supervisor.statuses]

    def _alarms(self) -> list[dict[str, Any]]:
        board = self._inside.alarms
        return [] if board is None else [line.as_json() for line in board.lines()]

    def _sweeps(self) -> list[dict[str, Any]]:
        supervisor = self._inside.supervisor
        if supervisor is None:
            return []
        return [
            {"name": s.name, "done": s.done, "total": s.total, "remaining": s.eta}
            for s in supervisor.sweeps
        ]


def described_task(status: TaskStatus, now: float) -> dict[str, Any]:
    """Return how a task is doing; `busy` are the seconds since its present step began."""
    busy = None
    if status.state == "running":
        busy = now - (status.started if status.last_start is None else status.last_start)
    return {
        "name": status.name,
        "kind": status.kind,
        "state": status.state,
        "period": status.period,
        "runs": status.runs,
        "errors": status.errors,
        "failures": status.failures,
        "missed": status.missed_by(now),
        "hung": status.hung,
        "due_in": status.due_in(now) if status.state in ("waiting", "retrying") else None,
        "busy": busy,
    }
