"""Plots beside a run: a thread that gives what is recorded to the child that draws.

Neither the event loop nor the recorder ever waits for it. The recorder puts entries into a queue of
bounded length; the thread writes them into the pipe of the child. While the child does not read, the
thread waits, and the queue drops its oldest entries: then the child is told to read them from the file.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import tempfile
import threading
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Literal, TypeAlias

from pymanip_run.clock import SYSTEM
from pymanip_run.plotting.past import tails
from pymanip_run.plotting.wire import ABOUT, MISSED, START, VALUES, packed, values_content
from pymanip_run.records import Entry
from pymanip_run.runtime.endings import signal_name
from pymanip_run.runtime.troubles import AS_EVENT
from pymanip_run.spawn import start_module

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pymanip_run.core.feed import Feed, Item
    from pymanip_run.core.view import SessionView
    from pymanip_run.plotting.plot import Plot
    from pymanip_run.runtime.work import Tell

__all__ = ["PAINTER", "SOURCE", "Display", "Order", "start_frames"]

logger = logging.getLogger(__name__)

PAINTER = "pymanip_run.plotting.painter"
#: The source of the events about plots.
SOURCE = "plots"
PERIOD = 0.25  # seconds between two looks at what is new
BACKLOG = 10_000  # entries
#: Entries that are looked at before others have the interpreter, and for how long.
STRIDE, BREATH = 200, 0.0005
#: Values of a variable that are given from a session in memory.
KEPT = 50_000
#: For the last drawing of files.
LAST_SECONDS = 10.0
GONE_SECONDS = 1.0

Mode: TypeAlias = Literal["windows", "files"]


@dataclass(frozen=True)
class Order:
    """What is to be drawn.

    Parameters
    ----------
    plots
        The plots.
    view
        The session.
    title
        What the titles of windows begin with.
    folder
        Where files go.
    backend
        Of matplotlib, for windows; None: as is best.
    """

    plots: Sequence[Plot]
    view: SessionView
    title: str = ""
    folder: Path | None = None
    backend: str | None = None

    @property
    def names(self) -> list[str]:
        """The variables that are needed, each once."""
        return list(dict.fromkeys(name for plot in self.plots for name in plot.names))


def start_frames(order: Order) -> bytes:
    """Return the first frames for the child: what is to be drawn, and the past where no file has it."""
    path = order.view.session_path
    start = {
        "plots": [plot.as_json() for plot in order.plots],
        "names": order.names,
        "path": None if path is None else str(path.absolute()),
        "title": order.title,
        "folder": None if order.folder is None else str(order.folder),
        "backend": order.backend,
    }
    frames = packed(START, json.dumps(start).encode())
    return frames if path is not None else frames + _past(order)


def _past(order: Order) -> bytes:
    """Return the frames of what a session in memory has."""
    names = order.names
    infos = order.view.variables()
    about = {
        name: (infos[name].description.label, infos[name].description.unit)
        for name in names
        if name in infos
    }
    found = tails(order.view, names, KEPT)
    series = {names.index(name): pair for name, pair in found.items()}
    return packed(ABOUT, json.dumps(about).encode()) + packed(VALUES, values_content(series))


class Display:
    """Shows the plots of a run, as windows or as files.

    Parameters
    ----------
    mode
        ``"windows"`` or ``"files"``.
    order
        What is to be drawn.
    feed
        Where what is recorded is announced.
    tell
        Makes events.
    """

    def __init__(self, mode: Mode, order: Order, feed: Feed, tell: Tell) -> None:
        self._mode = mode
        self._order = order
        self._feed = feed
        self._tell = tell
        self._names = order.names
        self._index = {name: index for index, name in enumerate(self._names)}
        self._places: dict[tuple[str, ...], list[tuple[int, int]]] = {}
        self._over = threading.Event()
        self._done: Future[None] = Future()
        self._process: subprocess.Popen[bytes] | None = None
        self._killed = False
        self._heard = b""
        self._has_opened = False

    @property
    def pid(self) -> int | None:
        """Of the child; None before there is one."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Begin to draw. Nothing that goes wrong with it is raised."""
        self._subscription = self._feed.subscribe(BACKLOG)
        threading.Thread(target=self._work, name="plots", daemon=True).start()

    async def finish(self) -> None:
        """End it: windows at once; files after a last drawing, for which it waits some seconds."""
        self._over.set()
        try:
            if self._mode == "files":
                await self._end_within(LAST_SECONDS)
        finally:
            self._kill()
        await self._end_within(GONE_SECONDS)

    async def _end_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.shield(asyncio.wrap_future(self._done))

    def _kill(self) -> None:
        self._killed = True
        if self._process is not None and not self._done.done():
            self._process.kill()

    # In the thread

    def _work(self) -> None:
        try:
            with tempfile.TemporaryFile() as errors:
                self._draw(errors)
        except Exception as error:
            logger.exception("the plots cannot be drawn; the run goes on without them")
            self._say("warning", f"they cannot be drawn: {type(error).__name__}: {error}")
        finally:
            self._feed.unsubscribe(self._subscription)
            self._done.set_result(None)

    def _draw(self, errors: IO[bytes]) -> None:
        process = start_module(
            PAINTER, [self._mode],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, own_session=True,
        )  # fmt: skip
        self._process = process
        if self._killed:
            process.kill()
        try:
            self._accompany(process)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if not self._over.is_set():
            self._ended_by_itself(process.returncode, errors)

    def _accompany(self, process: subprocess.Popen[bytes]) -> None:
        """Give the child what there is to its end, and hear what it says."""
        assert process.stdin is not None  # noqa: S101 - we asked for pipes
        assert process.stdout is not None  # noqa: S101
        with process.stdin as pipe, process.stdout as words:
            os.set_blocking(words.fileno(), False)
            with suppress(BrokenPipeError):
                self._give(process, pipe, words)
            with suppress(BrokenPipeError):  # closing a pipe that nobody reads raises as well
                pipe.close()
            with suppress(subprocess.TimeoutExpired):
                process.wait(LAST_SECONDS)
            self._hear(words)

    def _give(self, process: subprocess.Popen[bytes], pipe: IO[bytes], words: IO[bytes]) -> None:
        """Give the child what there is, until the run or the child ends."""
        pipe.write(start_frames(self._order))
        pipe.flush()
        while not self._over.wait(PERIOD):
            if process.poll() is not None:
                return
            self._give_new(pipe)
            self._hear(words)
        if self._mode == "files":
            self._give_new(pipe)

    def _give_new(self, pipe: IO[bytes]) -> None:
        items = self._subscription.drain()
        if len(items) >= BACKLOG:
            is_in_file = self._order.view.session_path is not None
            pipe.write(packed(MISSED) if is_in_file else _past(self._order))
        known = len(self._places)
        series = self._gathered(items)
        if len(self._places) > known and self._order.view.session_path is None:
            pipe.write(_past(self._order))  # with the units of what is new
        if series:
            pipe.write(packed(VALUES, values_content(series)))
        pipe.flush()

    def _gathered(self, items: Sequence[Item]) -> dict[int, tuple[list[float], list[float]]]:
        """Return times and values of the variables that are drawn, by their indices."""
        series: dict[int, tuple[list[float], list[float]]] = {}
        for number, item in enumerate(items, 1):
            if number % STRIDE == 0:
                SYSTEM.pause(BREATH)
            if not isinstance(item, Entry):
                continue
            places = self._places.get(item.names)
            if places is None:
                places = self._places[item.names] = [
                    (self._index[name], place)
                    for place, name in enumerate(item.names)
                    if name in self._index
                ]
            time = item.time
            for index, place in places:
                times, values = series.setdefault(index, ([], []))
                times.append(time)
                values.append(item.values[place])
        return series

    def _hear(self, words: IO[bytes]) -> None:
        """Take in what the child says."""
        with suppress(BlockingIOError):
            while said := os.read(words.fileno(), 1 << 16):
                self._heard += said
        *lines, self._heard = self._heard.split(b"\n")
        for line in lines:
            with suppress(ValueError):
                self._understand(json.loads(line))

    def _understand(self, said: dict[str, Any]) -> None:
        self._has_opened = self._has_opened or "opened" in said
        if "closed" in said:
            self._say("plot", f"window closed: {said['closed']}")
        if "failed" in said:
            self._say("warning", str(said["failed"]))

    def _ended_by_itself(self, code: int, errors: IO[bytes]) -> None:
        if code == 0:
            return
        errors.seek(0)
        lines = errors.read()[-2000:].decode(errors="replace").strip().splitlines()
        if code < 0:
            # Some toolkits abort where there is no screen, and say first why.
            said = f" ({lines[0]})" if lines and not self._has_opened else ""
            why = f"their process was ended by {signal_name(-code)}{said}"
        else:
            why = lines[-1] if lines else f"their process ended with status {code}"
        if self._has_opened or (code < 0 and self._mode == "files"):
            self._say("plot", f"{why}; the run goes on without them")
        else:
            logger.warning("plots are not drawn: %s", why, extra=AS_EVENT)
            self._say("warning", f"not drawn: {why}")

    def _say(self, kind: str, text: str) -> None:
        # A full disk, or a session that is closed by now, is not the matter of plots.
        with suppress(Exception):
            self._tell(kind, SOURCE, text)
