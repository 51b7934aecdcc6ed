"""`AsyncSession` and `SavedAsyncSession`: the façade over recorder, store and runtime."""

from pymanip_run.session.live import AsyncSession
from pymanip_run.session.running import RunOptions, run_tasks
from pymanip_run.session.saved import SavedAsyncSession
from pymanip_run.session.state import internals, session_file

__all__ = [
    "AsyncSession",
    "RunOptions",
    "SavedAsyncSession",
    "internals",
    "run_tasks",
    "session_file",
]
