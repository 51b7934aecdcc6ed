"""``pymanip-run token``: what lets a browser, or a program, into the servers of this user's runs."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

from typing import Annotated

import typer

from pymanip_run.cli.outcome import say
from pymanip_run.errors import StorageError

__all__ = ["token"]


def token(
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new one; the old one lets nobody in any more.")
    ] = False,
    control: Annotated[
        bool,
        typer.Option("--control", help="The one that may stop runs and change parameters."),
    ] = False,
) -> None:
    """Print the access token of this user; it is made when it is asked for the first time."""
    from pymanip_run import access

    try:
        made = (
            access.rotate_token(control=control) if rotate else access.user_token(control=control)
        )
        path = access.token_path(control=control)
    except (OSError, RuntimeError) as error:
        if isinstance(error, StorageError) or not isinstance(error, OSError):
            raise
        raise StorageError(
            f"the token cannot be kept: {error.filename or 'your configuration folder'}: {error.strerror}"
        ) from error
    print(made)
    if rotate:
        say("running servers take it within 5 s; who was logged in needs the new one")
    what = "reads, notes, stops and changes" if control else "reads and adds notes"
    say(f"it {what}; kept in {path}")
