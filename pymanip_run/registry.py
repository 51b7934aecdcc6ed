"""The runs of this user on this computer, as small files in the state folder.

Other commands find a running session here, and a next start whether the last one ended cleanly.
One JSON file a run; it outlives the run, the oldest are removed.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from pymanip_run.clock import SYSTEM
from pymanip_run.core.context import boot_id, process_start
from pymanip_run.masking import starred
from pymanip_run.storage.files import SessionPaths

__all__ = [
    "RegisteredRun",
    "Registration",
    "made_safe",
    "registered_runs",
    "state_folder",
    "unsafe_run",
    "writer_of",
]

logger = logging.getLogger(__name__)

KEPT = 200
#: With those whose end, or whose safe state, is not known.
KEPT_AT_MOST = 600
PROC = Path("/proc/self")


@dataclass(frozen=True)
class RegisteredRun:
    """What is known of a run; `stop` is None while it runs, or when it ended without a word."""

    session: str
    pid: int
    host: str
    start: float
    experiment: str | None = None
    stop: float | None = None
    exit_code: int | None = None
    exit_reason: str | None = None
    port: int | None = None
    #: The address of its dashboard.
    url: str | None = None
    #: Of the safe-state actions: "pending" while they are to be run, then "done" or "failed"; None without any.
    safe_state: str | None = None
    #: Whether its devices only stood for the instruments.
    simulated: bool = False
    boot_id: str | None = None
    #: When its process began, see `process_start`.
    process_start: int | None = None
    #: The socket on which it listens, None where it could not have one.
    control: str | None = None
    title: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether it has not ended and its process is alive."""
        return self.stop is None and self.is_alive

    @property
    def is_alive(self) -> bool:
        """Whether its process is alive, also after the end of the run."""
        if not self.is_here or self.boot_id not in (None, boot_id()):
            return False  # another process may have its pid since the computer was started again
        if self.process_start is not None and PROC.is_dir():
            return process_start(self.pid) == self.process_start
        try:
            os.kill(self.pid, 0)
        except (ProcessLookupError, PermissionError):  # a process of somebody else has its pid
            return False
        return True

    @property
    def is_here(self) -> bool:
        """Whether it is of this computer; a home on the network holds those of others too."""
        return self.host == socket.gethostname()

    @property
    def state(self) -> Literal["running", "ended", "lost"]:
        """Whether it runs, has ended in order, or is gone without a word (killed, or power lost)."""
        if self.stop is not None:
            return "ended"
        return "running" if self.is_running else "lost"


def state_folder() -> Path:
    """Return the folder for what runs leave behind (XDG Base Directory Specification 0.8)."""
    base = os.environ.get("XDG_STATE_HOME", "")
    root = Path(base) if Path(base).is_absolute() else Path.home() / ".local" / "state"
    return root / "pymanip-run" / "runs"


class Registration:
    """One run's file. Nothing here ever ends or delays a run: what cannot be written is logged."""

    def __init__(self, run: RegisteredRun) -> None:
        self._run = run
        self._path: Path | None = None
        try:
            folder = state_folder()
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _remove_old(folder)
            self._path = folder / f"{int(run.start):010}-{uuid4().hex[:8]}.json"
        except (OSError, RuntimeError) as error:
            logger.debug("the run cannot be registered: %s", error)
        self._write()

    @property
    def run(self) -> RegisteredRun:
        """What is noted of the run."""
        return self._run

    @property
    def path(self) -> Path | None:
        """Its file, None where it has none."""
        return self._path

    def update(self, **changes: Any) -> None:
        """Set fields of the run."""
        self._run = replace(self._run, **changes)
        self._write()

    def finish(self, exit_code: int, reason: str) -> None:
        """Note the end of the run."""
        self.update(stop=SYSTEM.time(), exit_code=exit_code, exit_reason=starred(reason))

    def _write(self) -> None:
        if self._path is None:
            return
        try:
            _store(self._path, self._run)
        except OSError as error:
            logger.debug("the run cannot be registered: %s", error)


def registered_runs(having: bytes = b"") -> list[RegisteredRun]:
    """Return the known runs, the latest first; files that are none, or do not have a text, are passed over."""
    try:
        paths = sorted(state_folder().glob("*.json"), reverse=True)
    except (OSError, RuntimeError):
        return []
    runs = filter(None, (_read(path, having) for path in paths))
    return sorted(runs, key=lambda run: run.start, reverse=True)


def writer_of(session: Path) -> RegisteredRun | None:
    """Return the run of this computer that is writing a session now."""
    if not SessionPaths(session).lock.exists():
        return None  # which is quicker to know than what all the runs are
    path = str(session.absolute())
    here = (run for run in registered_runs(json.dumps(path).encode()) if run.session == path)
    return next((run for run in here if run.is_running), None)


def unsafe_run(experiment: str, session: str = "") -> RegisteredRun | None:
    """Return the last run of an experiment, or of a session, if it left its instruments in an unknown state.

    That is one that is gone without a word, or whose safe actions failed or were not run. Runs with
    simulated instruments tell nothing.
    """
    for run in registered_runs():
        if _concerns(run, experiment, session):
            if run.is_running:
                return None  # it has the instruments now, and has seen to what was before it
            gone = run.state == "lost" and run.safe_state != "done"
            return run if gone or run.safe_state in ("pending", "failed") else None
    return None


def made_safe(experiment: str, session: str = "") -> None:
    """Note that the instruments of an experiment are safe now, whatever its last run left."""
    for path in sorted(state_folder().glob("*.json")):
        run = _read(path)
        if run is None or run.is_running or run.safe_state == "done":
            continue
        if _concerns(run, experiment, session):
            with suppress(OSError):
                _store(path, replace(run, safe_state="done"))


def _concerns(run: RegisteredRun, experiment: str, session: str) -> bool:
    same = run.experiment == experiment or (bool(session) and run.session == session)
    return same and run.is_here and not run.simulated


def _store(path: Path, run: RegisteredRun) -> None:
    """Write a run's file in one step, and to disk: after a power cut the next start must know of the run."""
    part = path.with_suffix(".part")
    with part.open("w", encoding="utf-8") as file:
        file.write(json.dumps(asdict(run)))
        file.flush()
        os.fdatasync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _read(path: Path, having: bytes = b"") -> RegisteredRun | None:
    try:
        raw = path.read_bytes()
        if having not in raw:
            return None
        content = json.loads(raw)
        known = {f.name: content[f.name] for f in fields(RegisteredRun) if f.name in content}
        run = RegisteredRun(**known)
        float(run.start), int(run.pid), str.encode(run.session)
    except (OSError, ValueError, TypeError):
        return None
    return run


def _remove_old(folder: Path) -> None:
    """Remove the oldest files, but none that is needed, and sockets without a run."""
    paths = sorted(folder.glob("*.json"))
    for age, path in enumerate(reversed(paths[:-KEPT])):
        run = _read(path)
        many = age >= KEPT_AT_MOST - KEPT
        if run is None or not (run.is_running or (_is_unfinished(run) and not many)):
            path.unlink(missing_ok=True)
    for path in folder.glob("*.sock"):
        run = _read(path.with_suffix(".json"))
        if run is None or (run.is_here and not run.is_running):
            path.unlink(missing_ok=True)


def _is_unfinished(run: RegisteredRun) -> bool:
    """Whether it may be going on elsewhere, or has left instruments that the next start has to make safe."""
    if run.stop is None and (run.experiment is not None or not run.is_here):
        return run.safe_state != "done"
    return run.safe_state in ("pending", "failed")
