"""Where log records go: to standard error as much as was asked for, and to NAME.log."""

from __future__ import annotations

import logging
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pymanip_run.livetable.text import event_line
from pymanip_run.records import Entry, Event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["log_event", "logging_to"]

LEVELS = {
    -2: logging.CRITICAL,
    -1: logging.ERROR,
    0: logging.WARNING,
    1: logging.INFO,
    2: logging.DEBUG,
}


#: Events are shown by the display, and written to NAME.log only.
events = logging.getLogger("pymanip_run.events")
events.propagate = False


def log_event(item: Entry | Event) -> None:
    """Write an event to NAME.log; entries are in the session."""
    if isinstance(item, Event):
        events.info("%s", event_line(item.kind, item.source, item.text))


class _Talk(logging.Handler):
    """Writes to what standard error is at the moment: during a run it belongs to the display."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            pass  # nobody listens; NAME.log has it


class _Brief(logging.Formatter):
    """One line a record; tracebacks are in NAME.log."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        text = f"{self.formatTime(record, '%H:%M:%S')} {level}{record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            text += f" ({type(error).__name__}: {error})"
        return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


@contextmanager
def logging_to(path: Path | None, level: int) -> Iterator[None]:
    """Log within the context to standard error (`level` from -2 to 2), and everything to a file.

    A file that cannot be written is no reason not to measure.
    """
    root = logging.getLogger()
    talk = _Talk(LEVELS[max(-2, min(2, level))])
    talk.setFormatter(_Brief())
    handlers: list[logging.Handler] = [talk]
    if path is not None:
        try:
            file = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            sys.stderr.write(
                f"{path} cannot be written ({error.strerror}); there is no log of this run\n"
            )
        else:
            file.setLevel(logging.INFO)
            file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
            handlers.append(file)
            events.addHandler(file)
    before = root.level
    root.setLevel(logging.DEBUG if level >= 2 else logging.INFO)
    events.setLevel(logging.INFO)
    for handler in handlers:
        root.addHandler(handler)
    try:
        yield
    finally:
        root.setLevel(before)
        for handler in handlers:
            root.removeHandler(handler)
            events.removeHandler(handler)
            handler.close()
