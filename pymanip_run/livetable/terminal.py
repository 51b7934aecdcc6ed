"""A terminal that shows a block of lines at its bottom, with Rich's Live underneath."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from rich.console import Console
from rich.control import Control
from rich.live import Live
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import ConsoleOptions

    from pymanip_run.livetable.output import Writer
    from pymanip_run.livetable.table import Line

__all__ = ["Terminal"]

HOME_AND_CLEAR = "\x1b[H\x1b[2J"
#: Synchronized output (DEC private mode 2026): terminals that know it show the frame in one go.
BEGIN_FRAME, END_FRAME = "\x1b[?2026h", "\x1b[?2026l"


class _Block:
    """Lines for Rich, as they are: no wrapping, no markup."""

    def __init__(self, lines: list[Line]) -> None:
        self._lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        for line in self._lines:
            for text, style in line:
                yield Segment(text, Style.parse(style) if style else None)
            yield Segment.line()


class Terminal:
    """Draws and redraws a block; what else is printed goes above it."""

    def __init__(self, writer: Writer, color: bool | None = None) -> None:
        self._writer = writer
        no_color = bool(os.environ.get("NO_COLOR")) if color is None else not color
        self._console = Console(
            file=writer,  # type: ignore[arg-type]
            force_terminal=True,
            force_jupyter=False,
            no_color=no_color,
            highlight=False,
            markup=False,
            emoji=False,
            safe_box=False,
        )
        self._live: Live | None = None
        self._drawn: tuple[int, int] | None = None
        self._lines: list[Line] = []
        self._hidden = False

    def size(self) -> tuple[int, int]:
        """Return (columns, lines) of the terminal itself; COLUMNS in the environment does not resize."""
        try:
            columns, lines = os.get_terminal_size(self._writer.fileno())
        except OSError:
            columns, lines = 0, 0
        return columns or 80, lines or 24

    def draw(self, lines: list[Line], printed: str = "") -> None:
        """Replace the block by `lines`, with `printed` above it."""
        size = self.size()
        if lines == self._lines and size == self._drawn and not printed:
            return
        self._console.size = size
        with self._writer.at_once():
            self._writer.write(BEGIN_FRAME)
            self._draw(lines, printed, size)
            self._writer.write(END_FRAME)

    def _draw(self, lines: list[Line], printed: str, size: tuple[int, int]) -> None:
        if self._live is None:
            self._live = Live(
                console=self._console, auto_refresh=False, transient=False,
                redirect_stdout=False, redirect_stderr=False, vertical_overflow="crop",
            )  # fmt: skip
            self._live.start()
            self._hidden = True
        elif self._drawn != size:
            # What was drawn has been wrapped by the terminal: lines cannot be counted any more.
            self._writer.write(HOME_AND_CLEAR)
        self._lines, self._drawn = lines, size
        self._live.update(_Block(lines), refresh=False)
        if printed:
            self._console.print(Text.from_ansi(printed.rstrip("\n")), soft_wrap=True)
        else:
            self._live.refresh()

    def keep(self) -> None:
        """Redraw what is there if the terminal was resized."""
        if self._drawn is not None and self._drawn != self.size():
            self.draw(self._lines)

    def left(self) -> None:
        """Forget the block: the terminal belongs to another program for now."""
        if self._live is not None:
            self._console.pop_render_hook()
            self._console.clear_live()
            self._live, self._drawn, self._lines = None, None, []
            self.show_cursor()

    def show_cursor(self) -> None:
        """Have the cursor visible for the rest, whatever happens."""
        if self._hidden:
            self._hidden = False
            self._console.control(Control.show_cursor(True))

    def print_plain(self, text: str) -> None:
        """Print without the block."""
        self._writer.write(text)
        self._writer.flush()

    def close(self) -> None:
        """Leave the last block standing and give the cursor back."""
        if self._live is not None:
            live, self._live = self._live, None
            live.stop()
