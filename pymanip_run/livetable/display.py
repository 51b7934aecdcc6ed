"""The display of a run: which form it has, its thread, and its end.

It runs in a daemon thread with real time of its own. Thus a terminal stopped with Ctrl-S, a slow
connection or a reader that does not read delays no task, rendering costs the measuring loop no
more than a thread switch, and a dry run's virtual clock is not held up by displays.
"""

from __future__ import annotations

import errno
import logging
import os
import select
import sys
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TextIO, TypeAlias

from pymanip_run.clock import SYSTEM
from pymanip_run.livetable.faces import Face, JsonFace, LinesFace, LiveFace, PrintsFace
from pymanip_run.livetable.keys import KeyReader, terminal_signals_blocked
from pymanip_run.livetable.output import Gone, Prints

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from pymanip_run.core.feed import Feed, Subscription
    from pymanip_run.core.view import SessionView
    from pymanip_run.livetable.state import RunState

__all__ = ["Display", "Mode", "Options", "choose_mode"]

logger = logging.getLogger(__name__)

Mode: TypeAlias = Literal["live", "lines", "json", "none"]

#: Queued items; JSON must bring them all, also when its reader pauses for a while.
BACKLOG = {"live": 50_000, "lines": 50_000, "json": 1_000_000}
#: Who types sees it soon; nothing but keys and the end of the run hastens a redraw.
KEY_INTERVAL = 0.1
#: A pipe's reader or a terminal that left is no fault; a full disk loses what somebody wanted.
QUIETLY_GONE = (errno.EPIPE, errno.EIO, errno.ENXIO, errno.ECONNRESET, errno.EBADF)
CLOSE_TIMEOUT = {"live": 2.0, "lines": 5.0, "json": 15.0}


def choose_mode(wanted: str, stdout: TextIO | None = None) -> Mode:
    """Return the form of the display for ``auto``, ``live``, ``lines``, ``json`` or ``none``.

    Whether standard output is a terminal decides, not FORCE_COLOR; `live` off a terminal becomes
    `lines`, since cursor movements in a file help nobody.

    Raises
    ------
    ValueError
        If it is none of these.
    """
    if wanted == "json":
        return "json"
    if wanted == "none":
        return "none"
    if wanted not in ("auto", "live", "lines"):
        raise ValueError(f"{wanted!r} is no display; choose auto, live, lines, json or none")
    terminal = _is_terminal(sys.stdout if stdout is None else stdout)
    able = terminal and os.environ.get("TERM", "dumb") not in ("dumb", "unknown", "")
    return "live" if able and wanted != "lines" else "lines"


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


@dataclass(frozen=True, slots=True)
class Options:
    """How a run is displayed."""

    mode: Mode = "none"
    #: Seconds between two lines of the mode ``lines``.
    print_every: float = 60.0
    #: None: as NO_COLOR and the terminal say.
    color: bool | None = None


class Display:
    """Shows a run while it goes on.

    Whatever happens to it, the run goes on: its own errors are logged, a closed terminal or pipe
    ends it quietly.

    Parameters
    ----------
    view
        Reads descriptions and the values before this run.
    feed
        Brings what is recorded from now on.
    state
        What is shown of the run itself.
    options
        The form.
    on_stop
        Is called, in the display's thread, when the user asks to stop.
    on_note
        Is called, in the display's thread, with a remark that the user typed.
    """

    def __init__(
        self,
        view: SessionView,
        feed: Feed,
        state: RunState,
        options: Options,
        *,
        on_stop: Callable[[], object] | None = None,
        on_note: Callable[[str], object] | None = None,
    ) -> None:
        self._feed = feed
        self._options = options
        self._prints = Prints()
        # Programs read JSON from the first event on; a person is told of the start in other ways.
        self._subscription: Subscription | None = (
            feed.subscribe(BACKLOG["json"]) if options.mode == "json" else None
        )
        self._thread: threading.Thread | None = None
        self._wake_read = self._wake_write = -1
        #: Set in signal handlers too, which may interrupt each other: no lock, thus no `Event`.
        self._closing = False
        self._final: Mapping[str, Any] | None = None
        self._on_terminal = _is_terminal(sys.stdout)
        self._hung_up = False
        self._keys: KeyReader | None = None
        self._face = self._make_face(view, state, on_stop, on_note)

    def _make_face(
        self,
        view: SessionView,
        state: RunState,
        on_stop: Callable[[], object] | None,
        on_note: Callable[[str], object] | None,
    ) -> Face | None:
        options = self._options
        if options.mode == "live":
            self._keys = KeyReader.of_stdin() if on_stop else None
            return LiveFace(
                view,
                state,
                sys.stdout,
                keys=self._keys,
                color=options.color,
                on_stop=on_stop,
                on_note=on_note,
            )
        if options.mode == "lines":
            return LinesFace(view, state, sys.stdout, sys.stderr, options.print_every)
        if options.mode == "json":
            return JsonFace(state, sys.stdout, sys.stderr)
        return None

    # -- beginning and end ----------------------------------------------------------------------

    def start(self) -> None:
        """Begin to display. Returns at once."""
        if self._face is None or self._thread is not None:
            return
        if self._subscription is None:
            self._subscription = self._feed.subscribe(BACKLOG[self._options.mode])
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_write, False)
        self._prints.install()
        self._thread = threading.Thread(
            target=self._work, args=(self._face, self._subscription), name="display", daemon=True
        )
        self._thread.start()

    def close(self, outcome: str | None = None, summary: Mapping[str, Any] | None = None) -> None:
        """Show the final state and end; waits only a few seconds for a terminal that hangs.

        Parameters
        ----------
        outcome
            How the run ended, for the last screen.
        summary
            The last line of ``json``.
        """
        if self._thread is None or self._face is None:
            return
        self._face.outcome, self._final = outcome, summary
        self._closing = True
        self.wake()
        self._thread.join(CLOSE_TIMEOUT[self._options.mode])
        if self._thread.is_alive():
            logger.warning("the terminal does not take the display's output; it was given up")
        else:
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._wake_write = -1
        self._thread = None
        self._release()

    def abandon(self) -> None:
        """End without showing anything more: the terminal has gone. Any thread; does not wait."""
        if self._face is not None:
            self._face.dead = True
        self._closing = True
        self.wake()

    def hung_up(self) -> None:
        """Take SIGHUP: a display on the terminal ends, one into a file or a pipe goes on.

        In a signal handler; does not wait.
        """
        self._hung_up = True
        if self._on_terminal:
            self.abandon()
        else:
            self.wake()

    def wake(self) -> None:
        """Have the display look at the state now. Any thread, also signal handlers."""
        if self._wake_write >= 0:
            try:
                os.write(self._wake_write, b"w")
            except OSError:
                logger.debug("the display is awake already")

    def restore_terminal(self) -> None:
        """Give the terminal its settings back, before an exit without clean-up."""
        if self._keys is not None:
            self._keys.restore()

    async def run(self) -> None:
        """Display until cancelled or closed, as a background task of a loop.

        It waits without timers or executor jobs, which would hold up a virtual clock.
        """
        import asyncio  # noqa: PLC0415 - most of the import time of what only formats text

        self.start()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            if not self._closing:
                self.close()

    def _release(self) -> None:
        self._prints.restore()
        self.restore_terminal()
        if self._subscription is not None:
            self._feed.unsubscribe(self._subscription)
            self._subscription = None

    # -- the thread -----------------------------------------------------------------------------

    def _work(self, face: Face, subscription: Subscription) -> None:
        with terminal_signals_blocked():
            try:
                self._show(face, subscription)
            except Gone as gone:
                self._say_gone(gone.__cause__)
            except Exception:
                logger.exception("the display failed; the run goes on without it")
            finally:
                self.restore_terminal()
            if not self._closing:
                self._pass_on(subscription)
            self._say_hung_up()

    def _say_hung_up(self) -> None:
        if self._hung_up:
            self._hung_up = False
            rest = "without a display" if self._on_terminal else "and so does its output"
            logger.warning("the terminal was closed (SIGHUP); the run goes on %s", rest)

    @staticmethod
    def _say_gone(cause: BaseException | None) -> None:
        number = getattr(cause, "errno", None)
        if number in QUIETLY_GONE:
            logger.info("nobody reads the display any more; the run goes on without it")
        else:
            logger.warning("the display cannot be written (%s); the run goes on without it", cause)

    def _show(self, face: Face, subscription: Subscription) -> None:
        while not self._closing:
            self._readable_keys(face)  # what the screen offers works already
            face.tick(subscription.drain(), self._prints.take())
            self._say_hung_up()
            self._pause(face)
        if not face.dead:
            face.finish(subscription.drain(), self._prints.take(partial=True), self._final)

    def _pause(self, face: Face) -> None:
        """Wait for the next redraw, a key, or a call of `wake`."""
        began = SYSTEM.monotonic()
        deadline = began + face.interval
        while not self._closing:
            left = deadline - SYSTEM.monotonic()
            if left <= 0:
                return
            watched = [self._wake_read, *self._readable_keys(face)]
            ready, _, _ = select.select(watched, [], [], left)
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
            if self._keys is not None and self._keys.descriptor in ready:
                face.pressed(self._keys.read())
            if ready:
                deadline = min(deadline, began + KEY_INTERVAL)

    def _readable_keys(self, face: Face) -> list[int]:
        """Return the descriptor of the keys while they are ours."""
        if self._keys is None:
            return []
        if not face.reads_keys:
            self._keys.restore()
            return []
        return [self._keys.descriptor] if self._keys.prepare() else []

    def _pass_on(self, subscription: Subscription) -> None:
        """After an early end: messages still reach standard error, where that is somewhere else."""
        self._feed.unsubscribe(subscription)
        face = PrintsFace(sys.__stderr__ or sys.stderr)
        while not self._closing:
            face.tick((), self._prints.take())
            self._pause(face)
        face.tick((), self._prints.take(partial=True))
