"""What a look at the computer found, and looks that may hang."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from pymanip_run.clock import SYSTEM
from pymanip_run.runtime.threads import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import Future

__all__ = ["Finding", "Level", "Look", "all_findings", "output_of"]

#: ``absent`` is what is optional and not there.
Level: TypeAlias = Literal["ok", "absent", "warning", "broken"]


@dataclass(frozen=True)
class Finding:
    """One line of the report."""

    subject: str
    level: Level
    text: str
    #: What to do about it: a command, where there is one.
    cure: str = ""


@dataclass(frozen=True)
class Look:
    """Something to look at, and what is said if it takes too long."""

    subject: str
    look: Callable[[], Sequence[Finding]]
    cure: str = ""


def all_findings(looks: Sequence[Look], seconds: float) -> list[Finding]:
    """Return what all looks found, in their order; they are taken side by side, in threads that may be left behind."""
    deadline = SYSTEM.monotonic() + seconds
    running = [(look, Worker(f"look at {look.subject}").submit(look.look)) for look in looks]
    return [finding for one in running for finding in _found(*one, deadline)]


def _found(look: Look, future: Future[Sequence[Finding]], deadline: float) -> Sequence[Finding]:
    try:
        return future.result(max(0.0, deadline - SYSTEM.monotonic()))
    except TimeoutError:
        return [Finding(look.subject, "warning", "does not answer in time", look.cure)]
    except Exception as error:  # noqa: BLE001 - a look that fails is a finding, and the others go on
        text = f"could not be looked at: {type(error).__name__}: {error}"
        return [Finding(look.subject, "warning", text, look.cure)]


def output_of(command: Sequence[str], seconds: float) -> str | None:
    """Return what a program prints; None where there is none, or it fails or takes too long."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed commands
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=seconds,
            text=True,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
