"""Whether a file that is in the way is an earlier export, or report, of the same session."""

from __future__ import annotations

import csv
import io
import math
from datetime import datetime
from typing import TYPE_CHECKING

from pymanip_run.export.run import INDEX

if TYPE_CHECKING:
    from pathlib import Path

    from pymanip_run.core.view import SessionView

__all__ = ["is_of_session"]

#: Bytes at both ends of a file in which formats have what they tell about the whole.
ENDS = 4 << 20
LONGEST_LINE = 1 << 20
#: Seconds that the beginning of a stretch may be off.
ROUNDING = 1e-6


def is_of_session(target: Path, view: SessionView, step: float | None = None) -> bool:
    """Tell whether a file or folder was made from a session.

    All formats hold the session's uuid but CSV, which is known by its first time: two sessions
    do not share one.

    Parameters
    ----------
    step
        Seconds of a stretch, where times are the beginnings of stretches.
    """
    if target.is_dir():
        indices = [target / name for name in (INDEX, "zarr.json")]
        return any(_has(path, view.info().uuid) for path in indices if path.is_file())
    if target.suffix == ".csv":
        return _begins_within(target, view, step)
    return _has(target, view.info().uuid)


def _has(path: Path, uuid: str) -> bool:
    with path.open("rb") as file:
        content = file.read(ENDS)
        size = file.seek(0, io.SEEK_END)
        file.seek(max(ENDS, size - ENDS))
        content += file.read()
    # Texts of numpy have four bytes a character.
    return any(uuid.encode(coding) in content for coding in ("ascii", "utf-32-le"))


def _begins_within(path: Path, view: SessionView, step: float | None) -> bool:
    with path.open("r", encoding="utf-8", errors="replace", newline="") as file:
        lines = file.readline(LONGEST_LINE) + file.readline(LONGEST_LINE)
    try:
        head, *first = [row for row in csv.reader(io.StringIO(lines)) if row] or [[]]
    except csv.Error:
        return False
    if head[:1] != ["time"]:
        return False
    times = [s for i in view.variables().values() if (s := i.statistics).n]
    if not first or not times:  # nothing can be lost
        return not first
    low = min(s.first_time for s in times)
    low = low if step is None else math.floor(low / step) * step - ROUNDING
    time = _as_seconds(first[0][0])
    return time is not None and low <= time <= max(s.last_time for s in times)


def _as_seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None
