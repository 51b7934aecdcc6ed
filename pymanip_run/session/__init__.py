"""`AsyncSession` and `SavedAsyncSession`: the façade over recorder, store and runtime.

Who only reads does not wait for the imports of a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.lazily import importer

if TYPE_CHECKING:
    from pymanip_run.session.collection.sessions import Sessions
    from pymanip_run.session.live import AsyncSession
    from pymanip_run.session.path import session_file
    from pymanip_run.session.rehearsed import RehearsedSession, RehearsedState
    from pymanip_run.session.running import RunOptions, run_tasks
    from pymanip_run.session.saved import SavedAsyncSession
    from pymanip_run.session.state import internals

__all__ = [
    "AsyncSession",
    "RehearsedSession",
    "RehearsedState",
    "RunOptions",
    "SavedAsyncSession",
    "Sessions",
    "internals",
    "run_tasks",
    "session_file",
]

__getattr__ = importer(
    __name__,
    {
        "AsyncSession": "live",
        "RehearsedSession": "rehearsed",
        "RehearsedState": "rehearsed",
        "RunOptions": "running",
        "SavedAsyncSession": "saved",
        "Sessions": "collection.sessions",
        "internals": "state",
        "run_tasks": "running",
        "session_file": "path",
    },
)
