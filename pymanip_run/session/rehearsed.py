"""A session for a rehearsal: in memory, of bounded size, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.core.context import current_task
from pymanip_run.core.feed import Feed
from pymanip_run.core.recorder import Recorder
from pymanip_run.session.live import AsyncSession
from pymanip_run.session.state import LiveState
from pymanip_run.storage.bounded import BoundedStore

if TYPE_CHECKING:
    from pathlib import Path

    from pymanip_run.clock import Clock

__all__ = ["RehearsedSession", "RehearsedState"]


class RehearsedState(LiveState):
    """The private state of a `RehearsedSession`."""

    def __init__(self, path: Path, title: str, clock: Clock) -> None:
        #: Names of the tasks that recorded an entry, a dataset or a note; None: no task did.
        self.loggers: set[str | None] = set()
        self.bounded = BoundedStore(title, clock, path, on_record=self._noted)
        feed = Feed()
        super().__init__(self.bounded, path.stem, Recorder(self.bounded, feed, clock), feed)

    def _noted(self) -> None:
        self.loggers.add(current_task.get())


class RehearsedSession(AsyncSession):
    """Looks to tasks as the session of the real run would, but writes nothing.

    Parameters
    ----------
    path
        Where the file of the real run would be.
    title
        What the session is about.
    clock
        Whose time the session's is.
    """

    def __init__(self, path: Path, title: str, clock: Clock) -> None:
        state = RehearsedState(path, title, clock)
        self.__dict__["_session"] = state
        self.__dict__["add_entry"] = state.recorder.add_entry

    @property
    def rehearsed(self) -> RehearsedState:
        """What the report of the rehearsal is made from."""
        state = self._session
        assert isinstance(state, RehearsedState)  # noqa: S101 - made above
        return state
