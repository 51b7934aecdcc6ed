"""Processes of our own beside a run: they have the same package, and no Ctrl-C reaches them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    Stream: TypeAlias = IO[bytes] | int

__all__ = ["lower_priority", "start_module"]

_PACKAGE_PARENT = str(Path(__file__).resolve().parents[1])
NICENESS = 5
_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def start_module(
    module: str,
    arguments: Sequence[str],
    *,
    stdin: Stream,
    stdout: Stream,
    stderr: Stream,
    descriptors: Sequence[int] = (),
    own_session: bool = False,
) -> subprocess.Popen[bytes]:
    """Start ``python -P -m module arguments`` in a process group of its own.

    SIGINT, SIGTERM and SIGHUP are blocked in it: it lets them through when it has said that it
    ignores them.

    Parameters
    ----------
    module
        One of this package.
    stdin, stdout, stderr
        As for `subprocess.Popen`.
    descriptors
        Those that it inherits besides.
    own_session
        Whether it has a session of its own. Linux then counts its time apart from ours (autogroups,
        sched(7)): however busy it is, it takes nothing of what the measurement is entitled to.

    Raises
    ------
    OSError
        If there can be no more processes.
    """
    environment = dict(os.environ)
    # Appended, and not the whole sys.path: a user's h5py.py must not shadow the real one.
    inherited = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = (
        f"{inherited}{os.pathsep}{_PACKAGE_PARENT}" if inherited else _PACKAGE_PARENT
    )
    command = [sys.executable, "-P", "-m", module, *arguments]
    # A new process inherits the mask: no Ctrl-C can reach it before it ignores them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        return subprocess.Popen(  # noqa: S603 - our own module
            command, stdin=stdin, stdout=stdout, stderr=stderr, env=environment,
            pass_fds=descriptors, process_group=None if own_session else 0,
            start_new_session=own_session,
        )  # fmt: skip
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def lower_priority() -> None:
    """Lower the priority of this process a little: beside a measurement, what is left of the processor is enough."""
    with suppress(OSError):
        os.nice(NICENESS)
