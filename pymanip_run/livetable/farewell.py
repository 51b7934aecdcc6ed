"""What is said at the end of a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pymanip_run.livetable.text import grouped, inert
from pymanip_run.units import format_clock, format_size
from pymanip_run.wording import quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Ending", "end_of_run"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended and what it leaves."""

    #: In words: ``stopped by Ctrl-C``, ``finished``, ``task read failed``.
    reason: str
    elapsed: float
    entries: int
    variables: int
    images: int = 0
    records: int = 0
    events: int = 0
    #: What happened to each device: ``supply (safe: output off)``.
    devices: Sequence[str] = field(default_factory=tuple)
    #: What went wrong with tasks: ``read: 3 failures, 12 ticks missed``.
    troubles: Sequence[str] = field(default_factory=tuple)
    path: str | None = None
    file_size: int | None = None


def end_of_run(ending: Ending) -> str:
    """Return the lines that are shown at the end of a run, without a newline at their end."""
    parts = [
        f"{_count(ending.entries, 'entry', 'entries')} of {_count(ending.variables, 'variable', 'variables')}"
    ]
    if ending.images:
        parts.append(_count(ending.images, "image", "images"))
    if ending.records:
        parts.append(_count(ending.records, "array", "arrays"))
    if ending.events:
        parts.append(_count(ending.events, "event", "events"))
    lines = [f"{inert(ending.reason)} after {format_clock(ending.elapsed)} · {', '.join(parts)}"]
    if ending.devices:
        lines.append(f"devices closed: {', '.join(map(inert, ending.devices))}")
    lines += map(inert, ending.troubles)
    if ending.path is not None:
        path = inert(ending.path)
        size = f"  ({format_size(ending.file_size)})" if ending.file_size is not None else ""
        lines.append(f"{path}{size}      look: pymanip-inspect {quoted(path)}")
    return "\n".join(lines)


def _count(number: int, one: str, many: str) -> str:
    return f"{grouped(number)} {one if number == 1 else many}"
