"""The values that travel through a session, and the rules for their names and contents.

An :class:`Entry` is the scalars of one ``add_entry``; a :class:`Series` is what comes back for one
name. Times inside are int64 nanoseconds since the Unix epoch, at the surface float64 seconds.
"""

from pymanip_run.records.kinds import (
    DatasetInfo,
    Description,
    Entry,
    Event,
    FloatArray,
    Parameter,
    Run,
    SessionInfo,
    Statistics,
    VariableInfo,
)
from pymanip_run.records.lists import Events, Runs
from pymanip_run.records.series import (
    Series,
    SeriesSource,
    When,
    Window,
    as_timestamp,
    merge_series,
)
from pymanip_run.records.sweeps import POINT_STATES, PointState, SweepPoint
from pymanip_run.records.values import (
    PLAIN_SCALARS,
    as_float,
    as_parameter,
    check_name,
    check_text,
    clean_text,
)

__all__ = [
    "PLAIN_SCALARS",
    "POINT_STATES",
    "DatasetInfo",
    "Description",
    "Entry",
    "Event",
    "Events",
    "FloatArray",
    "Parameter",
    "PointState",
    "Run",
    "Runs",
    "Series",
    "SeriesSource",
    "SessionInfo",
    "Statistics",
    "SweepPoint",
    "VariableInfo",
    "When",
    "Window",
    "as_float",
    "as_parameter",
    "as_timestamp",
    "check_name",
    "check_text",
    "clean_text",
    "merge_series",
]
