"""The runs of this user on this computer, as small files in the state folder.

Other commands find a running session here, and a next start whether the last one ended cleanly.
One JSON file a run; it outlives the run, the oldest are removed.
"""

from __future__ import annotations

import json
import logging
import os
import socket
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from pymanip_run.clock import SYSTEM
from pymanip_run.core.context import boot_id

__all__ = ["RegisteredRun", "Registration", "registered_runs", "state_folder"]

logger = logging.getLogger(__name__)

KEPT = 200


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
    #: Outcome of the safe-state actions: "done", "failed", None when there were none or not yet.
    safe_state: str | None = None
    boot_id: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether its process is alive."""
        if self.stop is not None or self.host != socket.gethostname():
            return False
        if self.boot_id not in (None, boot_id()):
            return False  # another process may have its pid since the computer was started again
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True


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

    def update(self, **changes: Any) -> None:
        """Set fields of the run."""
        self._run = replace(self._run, **changes)
        self._write()

    def finish(self, exit_code: int, reason: str) -> None:
        """Note the end of the run."""
        self.update(stop=SYSTEM.time(), exit_code=exit_code, exit_reason=reason)

    def _write(self) -> None:
        if self._path is None:
            return
        part = self._path.with_suffix(".part")
        try:
            part.write_text(json.dumps(asdict(self._run)), encoding="utf-8")
            part.replace(self._path)
        except OSError as error:
            logger.debug("the run cannot be registered: %s", error)


def registered_runs() -> list[RegisteredRun]:
    """Return the known runs, the latest first; files that are none are passed over."""
    runs = []
    try:
        paths = sorted(state_folder().glob("*.json"), reverse=True)
    except (OSError, RuntimeError):
        return []
    for path in paths:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            known = {
                field.name: content[field.name]
                for field in fields(RegisteredRun)
                if field.name in content
            }
            runs.append(RegisteredRun(**known))
        except (OSError, ValueError, TypeError):
            continue
    return sorted(runs, key=lambda run: run.start, reverse=True)


def _remove_old(folder: Path) -> None:
    for path in sorted(folder.glob("*.json"))[:-KEPT]:
        path.unlink(missing_ok=True)
