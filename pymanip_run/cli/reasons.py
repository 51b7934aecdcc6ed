"""Why a run ended, in words."""

from __future__ import annotations

from pymanip_run.control import STOP_REASON

__all__ = ["WITHOUT_A_WORD", "end_in_words", "is_by_hand"]

FORCED = 128  # exit codes from here on are 128 + the number of a signal
WITHOUT_A_WORD = "ended without a word (killed, a third Ctrl-C, or power lost)"


def is_by_hand(reason: str) -> bool:
    """Tell whether somebody asked for the stop, and no task or limit."""
    return reason in ("Ctrl-C", "key q", STOP_REASON) or reason.startswith("SIG")


def end_in_words(exit_code: int | None, reason: str | None) -> str:
    """Return how a run ended, from what was recorded of it."""
    text = reason or ""
    if exit_code and exit_code >= FORCED:
        return f"stopped by {text} ({exit_code})"
    if exit_code:
        return f"failed ({exit_code}): {text}"
    return f"stopped by {text}" if is_by_hand(text) else text
