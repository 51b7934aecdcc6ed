"""Where what is said goes: to standard error as much as was asked for, and all of it to NAME.log."""

from __future__ import annotations

import logging
import os
import platform
import socket
import sys
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING, Any

from pymanip_run import __version__
from pymanip_run.cli.outcome import TALK
from pymanip_run.clock import iso_local
from pymanip_run.livetable.text import event_line
from pymanip_run.masking import masked_arguments, masked_source, starred
from pymanip_run.records import Entry, Event

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["log_event", "log_failure", "logging_to"]

LEVELS = {
    -2: logging.CRITICAL,
    -1: logging.ERROR,
    0: logging.WARNING,
    1: logging.INFO,
    2: logging.DEBUG,
}


#: A run of months writes no more than this, and this many times as much in all.
MAX_BYTES = 10_000_000
FILES = 3
#: What these say is shown elsewhere, and written to NAME.log only.
events = logging.getLogger("pymanip_run.events")
talk = logging.getLogger("pymanip_run.talk")
ONLY_IN_FILE = (events, talk)
for logger in ONLY_IN_FILE:
    logger.propagate = False


def log_event(item: Entry | Event) -> None:
    """Write an event to NAME.log; entries are in the session."""
    if isinstance(item, Event):
        events.info("%s", event_line(item.kind, item.source, item.text))


def log_failure(error: BaseException) -> None:
    """Write what ended the run to NAME.log, with its whole traceback."""
    talk.error("the run failed", exc_info=error)


def _is_event(record: logging.LogRecord) -> bool:
    """Return whether an event of the session says the same."""
    return getattr(record, "as_event", False)


class _Talk(logging.Handler):
    """Writes to what standard error is at the moment: during a run it belongs to the display."""

    #: Whether the display shows events.
    events_shown = False

    def emit(self, record: logging.LogRecord) -> None:
        is_before_it = getattr(record, "at_start", False)
        if self.events_shown and _is_event(record) and not is_before_it:
            return
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except (OSError, ValueError):
            pass  # nobody listens; NAME.log has it


class _File(RotatingFileHandler):
    """NAME.log, continued, and of bounded size. That it cannot be written is said once, and ends nothing."""

    def __init__(self, path: Path) -> None:
        super().__init__(
            path,
            maxBytes=MAX_BYTES,
            backupCount=FILES - 1,
            encoding="utf-8",
            errors="backslashreplace",
        )
        self._told = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        if not self._told:
            self._told = True
            _unwritten(self.baseFilename, sys.exc_info()[1])


class _Masked(logging.Formatter):
    """Records without the secrets that are known, their times with the offset from UTC."""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802
        del datefmt
        return iso_local(record.created, "milliseconds")

    def format(self, record: logging.LogRecord) -> str:
        return starred(super().format(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        return masked_source(super().formatException(ei))


class _Brief(logging.Formatter):
    """One line a record; tracebacks are in NAME.log."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno <= logging.INFO else f"{record.levelname.lower()}: "
        text = f"{self.formatTime(record, '%H:%M:%S')} {level}{record.getMessage()}"
        if record.exc_info and record.exc_info[1] is not None and not _is_event(record):
            error = record.exc_info[1]
            text += f" ({type(error).__name__}: {error})"
        lines = starred(text).strip().replace("\n", " ")
        return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in lines)


@contextmanager
def logging_to(path: Path | None, level: int, *, events_shown: bool = False) -> Iterator[None]:
    """Log within the context to standard error (`level` from -2 to 2), and to a file with all that is said.

    A file that cannot be written is no reason not to measure. What is an event of the session too
    is said once: not on standard error where a display shows events (`events_shown`), and again in
    the file only with its traceback. What is told before there is a display is said in any case.
    """
    root = logging.getLogger()
    brief = _Talk(LEVELS[max(-2, min(2, level))])
    brief.setFormatter(_Brief())
    brief.events_shown = events_shown
    file = _file(path, level) if path is not None else None
    handlers: list[logging.Handler] = [brief, *([file] if file else [])]
    before = root.level
    root.setLevel(logging.DEBUG if level >= 2 else logging.INFO)
    for handler in handlers:
        root.addHandler(handler)
    if file is not None:
        for logger in ONLY_IN_FILE:
            logger.setLevel(logging.INFO)
            logger.addHandler(file)
        _introduce()
        TALK.tell_also(lambda text: talk.info("%s", text))
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        TALK.tell_also(None)
        root.setLevel(before)
        for handler in handlers:
            for logger in (root, *ONLY_IN_FILE):
                logger.removeHandler(handler)
            handler.close()


def _file(path: Path, level: int) -> _File | None:
    try:
        if path.exists() and not path.is_file():
            raise OSError(0, "it is no regular file")
        file = _File(path)
    except OSError as error:
        _unwritten(path, error)
        return None
    file.setLevel(logging.DEBUG if level >= 2 else logging.INFO)
    file.setFormatter(_Masked("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    file.addFilter(lambda record: bool(record.exc_info) or not _is_event(record))
    return file


def _unwritten(path: Path | str, error: BaseException | None) -> None:
    why = getattr(error, "strerror", None) or error
    text = f"warning: {path} cannot be written ({why}); the run goes on, its log has a gap\n"
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # nobody listens


def _introduce() -> None:
    command = " ".join(map(starred, masked_arguments(sys.argv)))
    talk.info(
        "pymanip-run %s, Python %s, process %d on %s: %s",
        __version__, platform.python_version(), os.getpid(), socket.gethostname(), command,
    )  # fmt: skip
