"""How a run that ends is told: signals, failures and exit codes in words and numbers."""

from __future__ import annotations

import signal

from pymanip_run.errors import run_exit_code
from pymanip_run.runtime.stop import FORCED
from pymanip_run.units import format_duration

__all__ = ["exit_code_of_failure", "how_to_force", "signal_name", "who_cut"]


def signal_name(signum: int) -> str:
    """Return ``Ctrl-C``, ``SIGTERM``."""
    return "Ctrl-C" if signum == signal.SIGINT else signal.Signals(signum).name


def how_to_force(asked_by: str | None) -> str:
    """Return what somebody can do who does not want to wait for the present step.

    Parameters
    ----------
    asked_by
        The reason of the stop: the name of a signal, or anything else.
    """
    if asked_by == "Ctrl-C":
        return "press Ctrl-C again to cancel it"
    if asked_by is not None and asked_by.startswith("SIG"):
        return f"send {asked_by} again, or press Ctrl-C, to cancel it"
    return "press Ctrl-C twice to cancel it"


def who_cut(signum: int | None, asked_by: str | None, grace: float) -> str:
    """Return why the present steps are cancelled, to follow that word: ``by a second Ctrl-C``.

    Parameters
    ----------
    signum
        The signal that did it; None: the time of grace is over.
    asked_by
        The reason of the stop.
    grace
        Seconds.
    """
    if signum is None:
        return f"by limits.grace ({format_duration(grace)})"
    name = signal_name(signum)
    return f"by a second {name}" if name == asked_by else f"by {name}"


def exit_code_of_failure(error: BaseException) -> int:
    """Return what a run exits with whose task raised this."""
    if isinstance(error, KeyboardInterrupt):
        return FORCED + signal.SIGINT
    if isinstance(error, SystemExit):
        return error.code if isinstance(error.code, int) else int(error.code is not None)
    return run_exit_code(error)
