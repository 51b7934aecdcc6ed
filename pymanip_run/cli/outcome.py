"""From what a command raised to a message and an exit code."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import contextlib
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pymanip_run.errors import ConfigError, PymanipError, StorageError, TaskError
from pymanip_run.masking import masked_source, starred

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["TALK", "Talk", "exit_code_of", "failure_text", "leave", "leave_now", "say"]

UNSUITABLE_FILE = 4
#: These tell all that is to be known; of others the line in the task matters as well.
UNPLACED = (ConfigError, StorageError, TaskError)


@dataclass
class Talk:
    """How much is said on standard error."""

    level: int = 0
    #: What was said before a log of the run was there.
    early: list[str] = field(default_factory=list)
    also: Callable[[str], None] | None = None

    def tell_also(self, also: Callable[[str], None] | None) -> None:
        """Tell the log of a run the same, and what was said so far; None: no more."""
        self.also = also
        for text in self.early if also is not None else ():
            self.note(text)
        self.early.clear()

    def note(self, text: str) -> None:
        """Keep what is said for the log of the run."""
        if self.also is None:
            self.early.append(text)
        else:
            self.also(text)

    @property
    def shows_tracebacks(self) -> bool:
        """Whether our own frames are shown too."""
        return self.level >= 2


TALK = Talk()


def say(text: str) -> None:
    """Print a message to standard error, unless nobody listens there."""
    TALK.note(text)
    with contextlib.suppress(OSError, ValueError):
        print(_inert_lines(starred(text)), file=sys.stderr, flush=True)


def leave_now(code: int) -> NoReturn:
    """End the program from within a command."""
    import typer

    raise typer.Exit(code)


def leave(app: Callable[..., object], name: str, arguments: Sequence[str]) -> NoReturn:
    """Run the application, called with arguments and ``prog_name``, and exit with its code."""
    code = _flushed(_run(app, name, list(arguments)))
    for signum in (signal.SIGINT, signal.SIGTERM):
        # All is done: a signal that comes while Python cleans up must not make it look otherwise.
        signal.signal(signum, lambda *_: os._exit(code))
    if (stuck := sys.modules.get("pymanip_run.runtime.stuck")) is not None:
        stuck.leave_with(code)
    sys.exit(code)


def _run(app: Callable[..., object], name: str, arguments: list[str]) -> int:
    try:
        app(arguments, prog_name=name)
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):  # of which Typer makes a failure
            return _broken_pipe()
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BrokenPipeError:
        return _broken_pipe()
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the last resort
        say(failure_text(error))
        return exit_code_of(error)
    return 0


def exit_code_of(error: BaseException) -> int:
    """Return what the program exits with when `error` ends it."""
    if isinstance(error, PymanipError):
        return error.exit_code
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return 2
    if isinstance(error, KeyboardInterrupt):
        return 130
    return UNSUITABLE_FILE if isinstance(error, OSError) else 1


def failure_text(error: BaseException, *, in_run: bool = False) -> str:
    """Return what is shown of an error: a message, or the traceback within the user's own code.

    `in_run`: it ended a run, thus it may come from a task that made a wrong call.
    """
    if isinstance(error, FileNotFoundError) and not in_run and not _is_somewhere():
        return "the present folder is not there any more; go to one that is:  cd"
    if TALK.shows_tracebacks:
        import traceback

        return masked_source("".join(traceback.format_exception(error)).rstrip())
    if isinstance(error, PymanipError):
        placed = in_run and not isinstance(error, UNPLACED) and _from_users_code(error)
    else:
        placed = not isinstance(error, OSError) or _from_users_code(error)
    if not placed:
        text = str(error)
    else:
        from pymanip_run.experiment.build.modules import users_traceback

        return masked_source(users_traceback(error))
    return "\n".join([text, *getattr(error, "__notes__", [])])


def _is_somewhere() -> bool:
    """Return whether the present folder still exists."""
    try:
        return bool(Path.cwd())
    except FileNotFoundError:
        return False


def _from_users_code(error: BaseException) -> bool:
    """Return whether it passed through code that is neither ours nor Python's: a task."""
    package, python = Path(__file__).parent.parent, Path(os.__file__).parent
    libraries = (str(package), str(python), "<frozen")
    trace = error.__traceback__
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(libraries):
            return True
        trace = trace.tb_next
    return False


def _broken_pipe() -> int:
    """Go quietly, as the reader did: what is still buffered has nowhere to go."""
    null = os.open(os.devnull, os.O_WRONLY)
    with contextlib.suppress(OSError, ValueError):
        os.dup2(null, sys.stdout.fileno())
    return 0


def _flushed(code: int) -> int:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _broken_pipe()
    except (OSError, ValueError):
        return code or UNSUITABLE_FILE
    return code


def _inert_lines(text: str) -> str:
    if text.isascii() and text.isprintable():
        return text
    return "\n".join(_inert(line) for line in text.split("\n"))


def _inert(line: str) -> str:
    safe = "".join(c if c.isprintable() or c == "\t" else f"\\x{ord(c):02x}" for c in line)
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    return safe.encode(encoding, "backslashreplace").decode(encoding)
