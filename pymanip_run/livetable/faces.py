"""The forms of the display: a screen, timestamped lines, JSON lines."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, TextIO

from pymanip_run.clock import SYSTEM, iso_local
from pymanip_run.livetable.keys import in_foreground, typed
from pymanip_run.livetable.lines import item_json, status_line, sweep_json, to_json
from pymanip_run.livetable.model import Model
from pymanip_run.livetable.output import Gone, Writer
from pymanip_run.livetable.text import event_line, glyphs_for
from pymanip_run.records import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from pymanip_run.core.view import SessionView
    from pymanip_run.livetable.keys import KeyReader
    from pymanip_run.livetable.state import RunState
    from pymanip_run.records import Event

__all__ = ["Face", "JsonFace", "LinesFace", "LiveFace", "PrintsFace"]

REDRAW_INTERVAL = 0.25
#: Reading what is known of all variables costs more than a redraw.
DESCRIBE_INTERVAL = 10.0
#: Long enough for the measuring thread to take the interpreter, which it else gets after 5 ms.
BREATH = 5e-5


class Face(ABC):
    """One form of the display. All methods are called in the display's thread."""

    #: Seconds between two calls of `tick`.
    interval = REDRAW_INTERVAL
    #: How the run ended, once it did.
    outcome: str | None = None
    #: Nothing is to be shown any more.
    dead = False
    #: Keys mean something.
    reads_keys = False

    @abstractmethod
    def tick(self, items: Sequence[Entry | Event], prints: Iterable[tuple[str, str]]) -> None:
        """Show what came since the last call, and what the process printed."""

    def pressed(self, keys: str) -> None:  # noqa: B027 - most forms have no keys
        """Answer to keys."""

    def finish(
        self,
        items: Sequence[Entry | Event],
        prints: Iterable[tuple[str, str]],
        final: Mapping[str, Any] | None,
    ) -> None:
        """Show the last state."""
        self.tick(items, prints)


class PrintsFace(Face):
    """Shows nothing but what goes to standard error."""

    def __init__(self, stderr: TextIO) -> None:
        self._stderr = Writer(stderr)

    def tick(self, items: Sequence[Entry | Event], prints: Iterable[tuple[str, str]]) -> None:
        """Pass on what was printed to standard error."""
        for name, text in prints:
            if name == "stderr":
                _talk(self._stderr, text)


def _talk(writer: Writer, text: str) -> None:
    # A closed standard error is no reason to end the data on standard output.
    with contextlib.suppress(Gone):
        writer.write(text)
        writer.flush()


class JsonFace(Face):
    """Entries, events and the progress of sweeps as JSON lines; what tasks print goes to standard error."""

    interval = 0.1

    def __init__(self, state: RunState, stdout: TextIO, stderr: TextIO) -> None:
        self._state = state
        self._stdout = Writer(stdout)
        self._stderr = Writer(stderr)
        #: Points of each sweep that were told.
        self._told: dict[str, tuple[int, int | None]] = {}

    def tick(self, items: Sequence[Entry | Event], prints: Iterable[tuple[str, str]]) -> None:
        """Write a line for each item."""
        for start in range(0, len(items), 1000):
            self._stdout.write(
                "".join(f"{item_json(item)}\n" for item in items[start : start + 1000])
            )
            self._stdout.flush()
        for sweep in self._state.sweeps():
            progress = sweep.done, sweep.total
            if self._told.get(sweep.name) != progress:
                self._told[sweep.name] = progress
                self._stdout.write(f"{sweep_json(self._state.now(), sweep)}\n")
                self._stdout.flush()
        for _, text in prints:
            _talk(self._stderr, text)

    def finish(
        self,
        items: Sequence[Entry | Event],
        prints: Iterable[tuple[str, str]],
        final: Mapping[str, Any] | None,
    ) -> None:
        """Write the rest and the summary."""
        self.tick(items, prints)
        if final is not None:
            self._stdout.write(to_json({"type": "summary", **final}) + "\n")
            self._stdout.flush()


class _DataFace(Face):
    """Keeps a model of the data."""

    def __init__(self, view: SessionView, state: RunState) -> None:
        self._view = view
        self._state = state
        self._model = Model(state.started)
        self._described = -1.0

    def _absorb(self, items: Sequence[Entry | Event]) -> None:
        known = len(self._model.traces)
        self._model.absorb(items)
        now = SYSTEM.monotonic()
        first = self._described < 0
        if first or len(self._model.traces) > known or now - self._described >= DESCRIBE_INTERVAL:
            self._described = now
            self._model.describe(
                self._view.variables(), self._view.logged_last_values() if first else None
            )


class LinesFace(_DataFace):
    """One line with all last values now and then, on standard output; events on standard error."""

    def __init__(
        self, view: SessionView, state: RunState, stdout: TextIO, stderr: TextIO, every: float
    ) -> None:
        super().__init__(view, state)
        self._stdout = Writer(stdout)
        self._stderr = Writer(stderr)
        self._every = max(every, 0.0)
        self._due: float | None = None
        self._changed = False

    def tick(self, items: Sequence[Entry | Event], prints: Iterable[tuple[str, str]]) -> None:
        """Write a line when one is due: the first as soon as there is a value."""
        self._absorb(items)
        for item in items:
            if not isinstance(item, Entry):
                _talk(
                    self._stderr,
                    f"{iso_local(item.time)[11:19]} {event_line(item.kind, item.source, item.text)}\n",
                )
        for name, text in prints:
            if name == "stderr":
                _talk(self._stderr, text)
            else:
                self._stdout.write(text)
        self._changed = self._changed or any(isinstance(item, Entry) for item in items)
        now = SYSTEM.monotonic()
        if self._due is None:
            self._due = now if self._changed else None
        if self._due is not None and now >= self._due:
            self._due = max(self._due + self._every, now)
            self._line()
        self._stdout.flush()

    def _line(self) -> None:
        self._changed = False
        self._stdout.write(status_line(self._model, self._state) + "\n")

    def finish(
        self,
        items: Sequence[Entry | Event],
        prints: Iterable[tuple[str, str]],
        final: Mapping[str, Any] | None,
    ) -> None:
        """Write a last line, unless nothing has changed since the one before."""
        self.tick(items, prints)
        if self._changed:
            self._line()
            self._stdout.flush()


class LiveFace(_DataFace):
    """The screen, redrawn at most four times a second; the last one stays."""

    def __init__(
        self,
        view: SessionView,
        state: RunState,
        stdout: TextIO,
        *,
        keys: KeyReader | None,
        color: bool | None,
        on_stop: Callable[[], object] | None,
        on_note: Callable[[str], object] | None,
    ) -> None:
        # Rich is imported where a screen is really drawn.
        from pymanip_run.livetable.screen import Screen  # noqa: PLC0415
        from pymanip_run.livetable.terminal import Terminal  # noqa: PLC0415

        super().__init__(view, state)
        self._writer = Writer(stdout)
        self._terminal = Terminal(self._writer, color)
        self._screen = Screen(
            self._model,
            state,
            glyphs_for(self._writer.encoding),
            keys=keys is not None,
            breathe=lambda: SYSTEM.pause(BREATH),
            elsewhere=on_stop is None and on_note is not None,
        )
        self._on_stop, self._on_note = on_stop, on_note
        self._drawn_second = -1

    @property
    def reads_keys(self) -> bool:  # type: ignore[override]
        """Keys are given back as soon as the run is stopping: the next exit may be sudden."""
        return self._state.stopping is None

    def tick(self, items: Sequence[Entry | Event], prints: Iterable[tuple[str, str]]) -> None:
        """Redraw when something changed and the terminal is ours."""
        self._absorb(items)
        if not self.reads_keys:
            # From here on the process may end without a farewell.
            self._screen.prompt = None
            self._terminal.show_cursor()
        if not in_foreground(self._writer.fileno()):
            self._terminal.left()
            for _, text in prints:
                self._terminal.print_plain(text)
            return
        text = "".join(text for _, text in prints)
        if (
            self._screen.paused
            and not text
            and self._screen.prompt is None
            and self.outcome is None
        ):
            self._terminal.keep()
            return
        self._draw(text)

    def _draw(self, printed: str = "") -> None:
        width, height = self._terminal.size()
        self._terminal.draw(self._screen.compose(width, max(1, height - 1)), printed)

    def pressed(self, keys: str) -> None:
        """Answer to ``n``, ``p``, ``q``, or take in the note being typed."""
        screen = self._screen
        if screen.prompt is not None:
            screen.prompt, ended = typed(screen.prompt, keys)
            if ended:
                note, screen.prompt = screen.prompt.strip(), None
                if ended == "done" and note and self._on_note:
                    self._on_note(note)
            return
        for position, key in enumerate(keys):
            if key == "n" and self._on_note:
                screen.prompt = ""
                self.pressed(keys[position + 1 :])
                return
            if key == "p":
                screen.paused = not screen.paused
                self._draw()
            elif key == "q" and self._on_stop:
                self._on_stop()

    def finish(
        self,
        items: Sequence[Entry | Event],
        prints: Iterable[tuple[str, str]],
        final: Mapping[str, Any] | None,
    ) -> None:
        """Draw the final state, which stays."""
        self._screen.outcome = self.outcome or "finished"
        self._screen.paused = False
        self.tick(items, prints)
        self._terminal.close()
