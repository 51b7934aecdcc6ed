"""Ctrl-C, SIGTERM and SIGHUP before and after the run itself, which handles them while it goes on."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from pymanip_run.cli.outcome import TALK
from pymanip_run.runtime.endings import signal_name
from pymanip_run.runtime.interrupts import Interrupts

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["InterruptedBeforeRunError", "outside_the_run", "say_at_once"]


class InterruptedBeforeRunError(SystemExit):
    """A signal came before there was a run that could have taken it."""


def outside_the_run(is_over: Callable[[], bool]) -> Interrupts:
    """Return the context in which a session is opened, measured into and closed.

    Before the run the first signal ends the program, in order. Afterwards it changes nothing, what
    is left to do takes moments: it is only said. A second one ends the process at once.

    Parameters
    ----------
    is_over
        Tells whether the run is over; called in signal handlers.
    """

    def first(signum: int) -> None:
        if not is_over():
            raise InterruptedBeforeRunError(128 + signum)
        say_at_once(
            f"{signal_name(signum)}: the session is being closed; once more to leave at once"
        )

    def second(signum: int | None) -> None:
        say_at_once("left at once; what was stored is safe")
        os._exit(128 + (signum or 0))

    return Interrupts(first, second)


def say_at_once(text: str) -> None:
    """Say a line on standard error; in a signal handler, thus without waiting for a stuck terminal."""
    import select  # noqa: PLC0415 - only at the end

    with contextlib.suppress(OSError, ValueError):
        if TALK.level > -2 and select.select([], [2], [], 0)[1]:
            os.write(2, f"\n{text}\n".encode(errors="replace"))
