"""``pymanip-run observe``: a running session elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from pymanip_run.errors import UsageError

__all__ = ["observe"]


def observe(
    host: Annotated[
        str, typer.Argument(metavar="HOST[:PORT]", help="Where the session is running.")
    ] = "",
) -> None:
    """Watch a session that runs on another computer (not available in this version)."""
    del host
    raise UsageError(
        "observing over the network is not available in this version; on the computer of the run, "
        "or with its folder mounted, look at the file while it grows:\n  pymanip-inspect SESSION.h5"
    )
