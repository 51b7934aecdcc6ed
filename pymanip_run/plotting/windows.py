"""Plots as windows on the screen, in the child process that draws."""

from __future__ import annotations

import logging
import os
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pymanip_run.clock import SYSTEM
from pymanip_run.errors import UsageError
from pymanip_run.spawn import lower_priority

if TYPE_CHECKING:
    from pymanip_run.plotting.album import Album
    from pymanip_run.plotting.files import Say
    from pymanip_run.plotting.sheets import Sheet

__all__ = ["show_windows"]

logger = logging.getLogger(__name__)

#: Between two looks at what the user does.
STEP = 0.03
#: Between two drawings; longer where drawing takes long: it gets this share of the time.
PERIOD, SHARE = 0.25, 0.25
#: What matplotlib opens windows with.
TOOLKITS = ("PyQt6", "PySide6", "PyQt5", "PySide2", "_tkinter", "gi", "wx")
NO_TOOLKIT = (
    "matplotlib has nothing to open windows with; install a toolkit:  pip install PyQt6  "
    "or, for the Python of Debian or Ubuntu,  sudo apt install python3-tk"
)


def show_windows(album: Album, title: str, backend: str | None, say: Say) -> None:
    """Open a window for each plot and keep them up to date until the user has closed all.

    Parameters
    ----------
    album
        What is drawn.
    title
        What the titles of the windows begin with.
    backend
        Of matplotlib; None: the user's, or one that is there.
    say
        Is told which windows are closed.

    Raises
    ------
    UsageError
        If no window can be opened; the message says what to do.
    """
    import matplotlib.pyplot as plt  # noqa: PLC0415 - it takes a moment

    from pymanip_run.plotting.canvas import STYLE  # noqa: PLC0415

    plt.rcParams.update(STYLE)
    try:
        if backend is not None:
            plt.switch_backend(backend)
        windows = [_Window(plt, album, sheet, title, say) for sheet in album.sheets]
        plt.show(block=False)
    except UsageError:
        raise
    except Exception as error:
        # Each toolkit has exceptions of its own where there is no screen.
        raise UsageError(f"no window can be opened: {error}") from error
    say(opened=len(windows), backend=plt.get_backend())
    lower_priority()  # from here on it may be slow
    while any(window.is_open for window in windows):
        for window in windows:
            window.look()
        SYSTEM.pause(STEP)


def _why_not() -> str:
    if not any(find_spec(toolkit) for toolkit in TOOLKITS):
        return NO_TOOLKIT
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or "none"
    return f"matplotlib can open no window on the screen {screen}: perhaps it is not there any more"


class _Window:
    """A plot in a window."""

    def __init__(self, plt: Any, album: Album, sheet: Sheet, title: str, say: Say) -> None:
        from pymanip_run.plotting.canvas import SIZE, Drawing  # noqa: PLC0415 - see above

        figure = plt.figure(figsize=SIZE, layout="constrained")
        self._canvas = figure.canvas
        if getattr(self._canvas, "required_interactive_framework", None) is None:
            raise UsageError(_why_not())
        self._album = album
        self._sheet = sheet
        self._drawing = Drawing(figure.add_subplot(), sheet.plot)
        self._seen: object = None
        self._due = 0.0
        self._say = say
        self.is_open = True
        self._canvas.manager.set_window_title(f"{title} – {sheet.plot.heading}")
        self._canvas.mpl_connect("close_event", self._closed)

    def _closed(self, _: object) -> None:
        self.is_open = False
        self._say(closed=self._sheet.plot.heading)

    def look(self) -> None:
        """Let the user act, and draw what is new if it is time."""
        if not self.is_open:
            return
        now = SYSTEM.monotonic()
        if now >= self._due:
            about = self._album.about()
            seen = (self._sheet.version, about)
            if seen != self._seen:
                self._seen = seen
                self._drawing.show(self._album.curves(self._sheet), about)
                self._canvas.draw()
            took = SYSTEM.monotonic() - now
            self._due = now + max(PERIOD, took / SHARE)
        try:
            self._canvas.flush_events()
        except Exception as error:  # noqa: BLE001 - each toolkit has exceptions of its own
            if self.is_open:
                self._closed(error)
