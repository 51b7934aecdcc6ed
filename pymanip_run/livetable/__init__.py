"""The live display of a run: a screen, timestamped lines, or JSON lines.

`Display` is all that others need; it is told about the run by a `RunState`. Rich is imported when
a screen is really drawn.
"""

from __future__ import annotations

from pymanip_run.livetable.display import Display, Mode, Options, choose_mode
from pymanip_run.livetable.farewell import Ending, end_of_run
from pymanip_run.livetable.state import AlarmState, RunState, SweepProgress, TaskProgress

__all__ = [
    "AlarmState",
    "Display",
    "Ending",
    "Mode",
    "Options",
    "RunState",
    "SweepProgress",
    "TaskProgress",
    "choose_mode",
    "end_of_run",
]
