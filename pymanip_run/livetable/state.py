"""What a display is told about the run, apart from the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["AlarmState", "RunState", "SweepProgress", "TaskProgress"]


class SweepProgress(NamedTuple):
    """How far a sweep is."""

    name: str
    done: int
    #: None where the number of points is not known beforehand.
    total: int | None
    #: Seconds left, as far as can be told.
    remaining: float | None = None
    #: Points that failed for good and were passed over; they count as done.
    failed: int = 0


class TaskProgress(NamedTuple):
    """What a task is doing."""

    name: str
    state: str
    #: Session time, in Unix seconds, of its next step.
    next_due: float | None = None
    #: Seconds between its steps.
    period: float | None = None
    #: Failures in a row; `next_due` is when it is tried again.
    failures: int = 0
    #: Ticks that were missed so far.
    missed: int = 0
    #: The line where a call is that goes on although its time was over.
    hung: str | None = None


class AlarmState(NamedTuple):
    """The state of the alarms of one variable."""

    level: Literal["ok", "pending", "active", "cleared"]
    text: str
    #: What the alarm is called.
    name: str = ""


class RunState(Protocol):
    """The run that is shown. Everything is read from the display's thread, a few times a second."""

    @property
    def name(self) -> str:
        """The session's name."""
        ...

    @property
    def title(self) -> str:
        """What is measured; may equal the name."""
        ...

    @property
    def path(self) -> str | None:
        """The session file as the user would type it, None in memory."""
        ...

    @property
    def started(self) -> float:
        """Session time, in Unix seconds, of the start of the run."""
        ...

    @property
    def duration(self) -> float | None:
        """Seconds after which the run ends by itself."""
        ...

    @property
    def stopping(self) -> str | None:
        """Why the run is stopping, None while it is not."""
        ...

    @property
    def entries(self) -> int:
        """Entries in the session."""
        ...

    @property
    def file_size(self) -> int | None:
        """Bytes of the session on disk, None in memory."""
        ...

    @property
    def safety(self) -> str:
        """The state of the checkpoints in words: ``all safe``."""
        ...

    @property
    def address(self) -> str | None:
        """Where the dashboard is."""
        ...

    def now(self) -> float:
        """Return the session's present time in Unix seconds."""
        ...

    def tasks(self) -> Sequence[TaskProgress]:
        """Return the state of every task."""
        ...

    def sweeps(self) -> Sequence[SweepProgress]:
        """Return the progress of every sweep."""
        ...

    def alarms(self) -> Mapping[str, AlarmState]:
        """Return the worst alarm of each variable that has one."""
        ...
