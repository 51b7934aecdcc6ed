"""All plots of a run with their data, in the child that draws them."""

from __future__ import annotations

import json
import logging
import math
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pymanip_run.clock import SYSTEM
from pymanip_run.core.view import SessionView
from pymanip_run.plotting.past import missing
from pymanip_run.plotting.plot import About
from pymanip_run.plotting.sheets import Sheet
from pymanip_run.plotting.wire import ABOUT, MISSED, VALUES, Frame, read_frame, read_values
from pymanip_run.storage.reading import open_store

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from pymanip_run.plotting.plot import Plot
    from pymanip_run.plotting.sheets import Curve

__all__ = ["Album"]

logger = logging.getLogger(__name__)

#: Units and labels are read again after so many seconds.
ABOUT_SECONDS = 10.0


class Album:
    """The plots of a run. For two threads: one that reads what comes, and one that draws.

    Parameters
    ----------
    plots
        What is drawn.
    names
        The variables, as they are numbered in the pipe.
    path
        The session file, where what was recorded before is read; None: it comes through the pipe.
    """

    def __init__(self, plots: Sequence[Plot], names: Sequence[str], path: Path | None) -> None:
        self.sheets = [Sheet(plot) for plot in plots]
        self._names = names
        self._path = path
        self._lock = threading.Lock()
        self._about: dict[str, About] = {}
        self._described, self._described_at = 0, -math.inf
        self._is_filled = path is None

    def read(self, pipe: BinaryIO) -> None:
        """Take in frames up to the end of the pipe."""
        while (frame := read_frame(pipe)) is not None:
            self.take(frame)

    def take(self, frame: Frame) -> None:
        """Take in a frame."""
        if frame.kind == VALUES:
            if not self._is_filled:  # what the file has is earlier
                self.fill()
            series = read_values(frame.content, self._names)
            with self._lock:
                for sheet in self.sheets:
                    sheet.take(series)
        elif frame.kind == MISSED:
            self.fill()
        elif frame.kind == ABOUT:
            with self._lock:
                self._about = {k: About(*v) for k, v in json.loads(frame.content).items()}

    def fill(self) -> None:
        """Read from the session file what is not here."""
        self._is_filled = True
        with self._session() as view:
            for sheet in self.sheets:
                for part in missing(sheet, view) if view is not None else ():
                    with self._lock:
                        sheet.take(part)

    def curves(self, sheet: Sheet) -> dict[str, Curve]:
        """Return what is drawn of a plot."""
        with self._lock:
            return sheet.curves()

    def about(self) -> Mapping[str, About]:
        """Return how the variables are called, as far as they have values."""
        now = SYSTEM.monotonic()
        count = sum(sheet.last(name) > 0 for sheet in self.sheets for name in sheet.plot.names)
        if self._path is not None and (
            count > self._described or now - self._described_at >= ABOUT_SECONDS
        ):
            self._described, self._described_at = count, now
            with self._session() as view:
                known = view.variables() if view is not None else {}
                found = {n: i.description for n, i in known.items() if n in self._names}
                self._about = {n: About(d.label, d.unit) for n, d in found.items()}
        return self._about

    @contextmanager
    def _session(self) -> Iterator[SessionView | None]:
        """Read the session file within the context; what is wrong with it is logged, and that is all."""
        if self._path is None:
            yield None
            return
        try:
            store = open_store(self._path)
            try:
                yield SessionView(store, self._path.stem)
            finally:
                store.close()
        except (OSError, ValueError, KeyError) as error:
            # What comes through the pipe is drawn all the same.
            logger.warning("%s cannot be read: %s", self._path, error)
