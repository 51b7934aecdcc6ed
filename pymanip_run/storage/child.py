"""Start, watch and end the checkpointer process."""

from __future__ import annotations

import logging
import math
import os
import subprocess
import tempfile
from contextlib import suppress
from typing import IO, TYPE_CHECKING

from pymanip_run.clock import SYSTEM
from pymanip_run.errors import DamagedFileError, NewerFormatError, StorageError
from pymanip_run.spawn import start_module
from pymanip_run.storage.files import SYSTEM_FILES

if TYPE_CHECKING:
    from pymanip_run.storage.files import SessionPaths

__all__ = ["Child", "run_recovery"]

logger = logging.getLogger(__name__)

MAX_WAIT = 60.0
#: What the process says by its exit status.
_REFUSALS = {os.EX_DATAERR: DamagedFileError, os.EX_PROTOCOL: NewerFormatError}


class Child:
    """The checkpointer of one session.

    Nothing measured depends on it: without it the journal grows, and the next one goes on from
    the last commit. With an infinite period there is none, and the file is brought up to date at the end.
    """

    def __init__(
        self, paths: SessionPaths, lock_fd: int, period: float, sync_period: float
    ) -> None:
        self._paths = paths
        self._lock_fd = lock_fd
        self._arguments = [str(paths.main), str(period), str(sync_period)]
        self._wanted = period < math.inf
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._wait = 0.5
        self._next_start = 0.0
        self._redo_at_start: int | None = None
        self._trouble = ""

    @property
    def pid(self) -> int | None:
        """Process id, None when none was started."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process; when that fails the journal still has everything."""
        if not self._wanted:
            return
        self._redo_at_start = self._redo_time()
        try:
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
            self._process = _spawn(
                self._arguments, self._lock_fd, subprocess.PIPE, self._errors, subprocess.PIPE
            )
            assert self._process.stdout is not None  # noqa: S101 - we asked for a pipe
            os.set_blocking(self._process.stdout.fileno(), False)
        except OSError as error:
            self._forget()
            logger.warning(
                "the checkpointer could not be started (%s); entries stay safe in the journal",
                error,
            )

    def keep_alive(self) -> None:
        """Start another process when this one ended; less and less often when that goes on."""
        if self._process is not None and self._process.poll() is None:
            return
        now = SYSTEM.monotonic()
        if now < self._next_start:
            return
        # One that got something done is worth another at once, whatever ended it.
        useful = self._redo_time() != self._redo_at_start
        self._wait = 0.5 if useful else min(MAX_WAIT, 2 * self._wait)
        self._next_start = now + self._wait
        if self._process is not None:
            words = self._last_words()
            self._trouble = words if self._wait > 1 else ""
            logger.warning("the checkpointer ended (%s); starting another", words)
            self._forget()
        self.start()

    def trouble(self) -> str:
        """Return why process after process ends without having done anything, "" else; once for each."""
        trouble, self._trouble = self._trouble, ""
        return trouble

    def failed_syncs(self) -> dict[int, str]:
        """Return which segments could not be synced, and why, since the last call."""
        if self._process is None or self._process.stdout is None:
            return {}
        try:
            said = os.read(self._process.stdout.fileno(), 1 << 16)
        except BlockingIOError:
            return {}
        lines = [line.partition(" ") for line in said.decode(errors="replace").splitlines()]
        return {int(number): reason for number, _, reason in lines if number.isdecimal()}

    def _redo_time(self) -> int | None:
        """Return when the last transaction was committed."""
        status = SYSTEM_FILES.path_stat(self._paths.redo)
        return status.st_mtime_ns if status else None

    def finish(self) -> None:
        """Let the process bring everything into the file, and wait for it; step in where it cannot."""
        if self._process is not None and self._process.poll() is None:
            assert self._process.stdin is not None  # noqa: S101 - we asked for a pipe
            with suppress(OSError):  # it has ended just now
                os.write(self._process.stdin.fileno(), b"end\n")
            self._process.stdin.close()
            self._process.wait()
        if self._process is not None and self._process.returncode == 0:
            self._forget()
            return
        words = self._last_words()
        self._forget()
        try:
            run_recovery(self._paths, self._lock_fd, remove_lock=True)
        except Exception as error:  # noqa: BLE001 - what was recorded is safe; closing must not hide another error
            logger.warning(
                "%s could not be brought up to date (%s; %s). Nothing is lost: it is in the journal beside it, "
                "and the next opening of the session takes it from there",
                self._paths.main, words, error,
            )  # fmt: skip

    def abandon(self) -> None:
        """Let go in a forked process: the checkpointer is the parent's."""
        if self._process is not None:
            self._process.returncode = 0  # not ours to wait for
        self._forget()

    def _last_words(self) -> str:
        if self._errors is None or self._process is None:
            return "not started"
        self._errors.seek(0)
        said = self._errors.read()[-2000:].decode(errors="replace").strip()
        return said or f"status {self._process.returncode}"

    def _forget(self) -> None:
        for pipe in (self._process.stdin, self._process.stdout) if self._process else ():
            if pipe is not None:
                pipe.close()
        if self._errors is not None:
            self._errors.close()
        self._process = self._errors = None


def run_recovery(paths: SessionPaths, lock_fd: int, *, remove_lock: bool) -> str:
    """Bring a session up to date in a process of its own, else in this one; return its report.

    Raises
    ------
    DamagedFileError, NewerFormatError, StorageError, OSError
        If it cannot be done; the files are as before, or further on.
    """
    mode = ["close" if remove_lock else "recover"]
    with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as output:
        try:
            process = _spawn([str(paths.main), *mode], lock_fd, subprocess.DEVNULL, errors, output)
        except OSError:
            from pymanip_run.storage.checkpoint import recover  # noqa: PLC0415 - only where no process can be had

            return recover(SYSTEM_FILES, paths, remove_lock=remove_lock)
        process.wait()
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            said = errors.read()[-2000:].decode(errors="replace").strip()
            kind = _REFUSALS.get(process.returncode, StorageError)
            raise kind(said or f"{paths.main}: the recovery ended with status {process.returncode}")
        return output.read().decode().strip()


def _spawn(
    arguments: list[str],
    lock_fd: int,
    stdin: int,
    errors: IO[bytes],
    output: IO[bytes] | int = subprocess.DEVNULL,
) -> subprocess.Popen[bytes]:
    return start_module(
        "pymanip_run.storage.checkpointer", arguments,
        stdin=stdin, stdout=output, stderr=errors, descriptors=(lock_fd,),
    )  # fmt: skip
