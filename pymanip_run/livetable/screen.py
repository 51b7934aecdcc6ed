"""The screen of a run: from the model and the state to lines of styled text, without a terminal.

A line is a list of (text, style); nothing here interprets markup or control characters. Composing
the lines ourselves is several times cheaper than a table of Rich, which matters because it happens
in the process that measures.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import TYPE_CHECKING

from rich.cells import cell_len

from pymanip_run.clock import iso_local
from pymanip_run.livetable.table import Line, Table, fit
from pymanip_run.livetable.text import UNICODE, Glyphs, event_line, grouped, inert
from pymanip_run.livetable.trouble import troubles
from pymanip_run.runtime.endings import how_to_force
from pymanip_run.units import format_clock, format_duration, format_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymanip_run.livetable.model import Model
    from pymanip_run.livetable.state import RunState, SweepProgress
    from pymanip_run.records import Event

__all__ = ["Screen"]

OLD_EVENT = 3600.0
#: A task that comes more often needs no announcement.
ANNOUNCED_PERIOD = 10.0


def _countdown(seconds: float) -> str:
    whole = max(0, math.ceil(seconds))
    return f"{whole // 60}:{whole % 60:02}" if whole < 3600 else format_clock(whole)


def _nothing() -> None:
    pass


@dataclass(slots=True)
class Screen:
    """Composes the screen.

    Parameters
    ----------
    model, state
        What is shown.
    glyphs
        The signs to draw with.
    keys
        Whether keys are read, so that help on them makes sense.
    breathe
        Is called after each row, to let others run.
    elsewhere
        Whether the run is only watched from here, and goes on without the display.
    """

    model: Model
    state: RunState
    glyphs: Glyphs = UNICODE
    keys: bool = True
    paused: bool = False
    #: The note being written, None when none is.
    prompt: str | None = None
    #: How the run ended, once it did.
    outcome: str | None = None
    breathe: Callable[[], object] = _nothing
    elsewhere: bool = False
    _table: Table = field(init=False)

    def __post_init__(self) -> None:
        self._table = Table(self.model, self.glyphs, self.breathe)

    def compose(self, width: int, height: int) -> list[Line]:
        """Return at most `height` lines of at most `width` cells."""
        now = self.state.now()
        ending = self.state.stopping is not None or self.outcome is not None
        if ending and self._table.ended is None:
            self._table.ended = now
        head, foot = self._header(width), self._footer(width)
        sweeps = self._sweeps(width, now)[: max(0, (height - 6) // 3)]
        sweeps += self._troubles(now)[: max(0, (height - 8) // 3)]
        events = self._events(now, 3 if height >= 18 else 1 if height >= 10 else 0)
        airy = height >= 14
        room = height - len(head) - len(foot) - len(sweeps) - len(events) - (2 if airy else 0)
        table = self._table.lines(width, room, now, self.state.alarms())
        gap: list[Line] = [[("", "")]] if airy else []
        lines = [*head, *gap, *table, *gap, *sweeps, *events, *foot]
        return [_cropped(line, width, self.glyphs) for line in lines[:height]]

    # -- above and below the table --------------------------------------------------------------

    def _header(self, width: int) -> list[Line]:
        state = self.state
        dot = f" {self.glyphs.dot} "
        name, title = inert(state.name), inert(state.title)
        left = f" {name}{dot}{title}" if title and title != name else f" {name}"
        right, style = self._progress()
        left = fit(left, max(8, width - cell_len(right) - 3), self.glyphs)
        pad = " " * max(1, width - cell_len(left) - cell_len(right) - 1)
        return [[(left, "bold"), (pad, ""), (right, style)], [(self._file_line(width, dot), "")]]

    def _progress(self) -> tuple[str, str]:
        elapsed = format_clock(self.state.now() - self.state.started)
        if self.outcome is not None:
            return inert(self.outcome), "bold"
        if self.state.stopping is not None:
            reason = fit(inert(self.state.stopping), 40, self.glyphs)
            return f"stopping {elapsed} ({reason})", "yellow"
        limit = self.state.duration
        return f"running {elapsed}" + (f" of {format_duration(limit)}" if limit else ""), "green"

    def _file_line(self, width: int, dot: str) -> str:
        state = self.state
        size, safety = state.file_size, inert(state.safety)
        if size is not None:
            safety = f"{format_size(size)}, {safety}" if safety else format_size(size)
        entries = f"{grouped(state.entries)} {'entry' if state.entries == 1 else 'entries'}"
        address = inert(state.address) if state.address and self.outcome is None else ""
        path = inert(state.path) if state.path else "in memory"
        short = f"{self.glyphs.ellipsis}/{inert(PurePath(path).name)}" if "/" in path else path
        # On a narrow terminal the address is worth more than what it displaces.
        choices = ((path, safety), (short, safety), (short, ""))
        lines = [" " + dot.join(filter(None, (p, entries, s, address))) for p, s in choices]
        return next((line for line in lines if cell_len(line) <= width), lines[-1])

    def _sweeps(self, width: int, now: float) -> list[Line]:
        due = self._next_due(now)
        lines: list[Line] = [[(self._sweep(sweep, width), "")] for sweep in self.state.sweeps()]
        if due and not lines:
            return [[(f" {due}", "")]]
        if due:
            used = cell_len(lines[0][0][0])
            if used + cell_len(due) + 3 <= width:
                lines[0].append((" " * min(7, width - used - cell_len(due)) + due, ""))
            else:
                lines.append([(f" {due}", "")])
        return lines

    def _troubles(self, now: float) -> list[Line]:
        if self.outcome is not None:
            return []
        return [[(f" {text}", "yellow")] for text in troubles(self.state.tasks(), now)]

    def _sweep(self, sweep: SweepProgress, width: int) -> str:
        name = fit(inert(sweep.name), max(10, width // 4), self.glyphs)
        left = ""
        if sweep.remaining is not None and math.isfinite(sweep.remaining):
            left = f" {self.glyphs.dot} {format_clock(sweep.remaining)} left"
        failed = f", {sweep.failed} failed" if sweep.failed else ""
        if sweep.total is None:
            return f" {name}  {sweep.done} points{failed}{left}"
        length = 20 if width >= 72 else 10
        done = length if sweep.total <= 0 else min(length, length * sweep.done // sweep.total)
        bar = self.glyphs.bar_done * done + self.glyphs.bar_open * (length - done)
        return f" {name}  {bar}  {sweep.done} of {sweep.total} points{failed}{left}"

    def _next_due(self, now: float) -> str:
        if self.outcome is not None or self.state.stopping is not None:
            return ""
        due = [
            (task.next_due, task.name)
            for task in self.state.tasks()
            if task.next_due is not None
            and task.next_due > now
            and (task.period or math.inf) > ANNOUNCED_PERIOD
        ]
        if not due:
            return ""
        when, name = min(due)
        return f"{inert(name)} next in {_countdown(when - now)}"

    def _events(self, now: float, count: int) -> list[Line]:
        shown = list(self.model.events)[-count:][::-1] if count else []
        return [self._event(event, now) for event in shown]

    def _event(self, event: Event, now: float) -> Line:
        clock = iso_local(event.time)[11:19]
        style = {"error": "red", "alarm": "red", "warning": "yellow"}.get(event.kind, "")
        if now - event.time > OLD_EVENT:
            style = "dim"
        return [(f" {clock} ", "dim"), (event_line(event.kind, event.source, event.text), style)]

    def _footer(self, width: int) -> list[Line]:
        dot = f" {self.glyphs.dot} "
        if self.outcome is not None:
            return []
        if self.prompt is not None:
            # The end of a long note is what is being written.
            note, room = inert(self.prompt), width - 9
            while cell_len(note) > room:
                note = note[1:]
            return [[(" note: ", "bold"), (f"{note}_", "")]]
        if self.elsewhere:
            return [[(" Ctrl-C ends the watching; the run goes on", "dim")]]
        if self.state.stopping is not None:
            text = f"finishing the present step; {how_to_force(self.state.stopping)}"
            return [[(f" {text}", "yellow")]]
        if not self.keys:
            return [[(" Ctrl-C stops after the present step", "dim")]]
        pause = ("p continue display", "yellow") if self.paused else ("p pause display", "dim")
        head = " display paused" + dot if self.paused else " "
        return [
            [
                (f"{head}n note{dot}", "dim"),
                pause,
                (f"{dot}q stop{dot}Ctrl-C stops after the present step", "dim"),
            ]
        ]


def _cropped(line: Line, width: int, glyphs: Glyphs) -> Line:
    """Return the line within `width` cells and within the encoding, without blanks at its end."""
    cut: Line = []
    for text, style in line:
        plain = glyphs.encodable(text)
        if cell_len(plain) > width:
            plain = fit(plain, width, glyphs)
        width -= cell_len(plain)
        cut.append((plain, style))
        if width <= 0:
            break
    return cut
