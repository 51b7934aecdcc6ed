"""The live display of a run: a screen, timestamped lines, or JSON lines.

`Display` is all that others need; it is told about the run by a `RunState`. Rich is imported when
a screen is really drawn, the display only where there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.lazily import importer

if TYPE_CHECKING:
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

__getattr__ = importer(
    __name__,
    dict.fromkeys(("Display", "Mode", "Options", "choose_mode"), "display")
    | dict.fromkeys(("Ending", "end_of_run"), "farewell")
    | dict.fromkeys(("AlarmState", "RunState", "SweepProgress", "TaskProgress"), "state"),
)
