"""What is said of a run's server when it begins."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from pymanip_run.cli.outcome import TALK, say

if TYPE_CHECKING:
    from pymanip_run.session.serving import Told

__all__ = ["tell"]


def tell(told: Told) -> None:
    """Say where the dashboard is, and who can see it."""
    if told.is_open:
        say_in_red(f"the dashboard {told.url} asks for no token: whoever reaches it can look in")
    if TALK.level < 0:
        return
    moved = " (the usual port is taken)" if told.moved else ""
    if told.shared and not told.is_open:
        say(f"dashboard: {told.link}{moved}\n  this link lets in, also on a phone in this network")
    elif told.own_token:
        say(f"dashboard: {told.link}{moved}")
    else:
        say(f"dashboard: {told.url}{moved}   pymanip-run open")
    if told.shared and not told.encrypted:
        say(_tunnel(told.url))


def _tunnel(url: str) -> str:
    import getpass
    import socket

    port = url.rpartition(":")[2]
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "USER"
    there = f"{user}@{socket.gethostname()}"
    return (
        "warning: others in the network can read along, for the server has no tls; without --share, "
        f"a tunnel keeps it private:\n  ssh -L {port}:localhost:{port} {there}"
    )


def say_in_red(text: str) -> None:
    """Say what must not be overlooked."""
    if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
        sys.stderr.write("\x1b[31m")
        say(text)
        sys.stderr.write("\x1b[0m")
        sys.stderr.flush()
    else:
        say(f"warning: {text}")
