"""``pymanip-run recover`` and ``compact``: care for a session file by hand."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pymanip_run.cli.complete import session_files
from pymanip_run.cli.files import found
from pymanip_run.cli.outcome import say
from pymanip_run.cli.progress import progress
from pymanip_run.wording import quoted

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["compact", "recover"]


def recover(
    session: Annotated[
        str,
        typer.Argument(metavar="SESSION", help="The session file.", autocompletion=session_files),
    ],
) -> None:
    """Bring into a session file what a crash left in its journal. The next run does it by itself."""
    from pymanip_run.storage.opening import recover_by_hand

    path = found(session, "recover").absolute()
    say(f"{session}: {recover_by_hand(path)}\nlook: pymanip-inspect {quoted(session)}")


def compact(
    session: Annotated[
        str,
        typer.Argument(metavar="SESSION", help="The session file.", autocompletion=session_files),
    ],
    level: Annotated[
        int, typer.Option("--level", min=1, max=9, help="Of gzip: 1 is quick, 9 is small.")
    ] = 4,
) -> None:
    """Rewrite a finished session smaller, compressed and with checksums."""
    from pymanip_run.storage.compact import compact as rewrite
    from pymanip_run.units import format_size

    path: Path = found(session, "compact").absolute()
    with progress() as show:
        done = rewrite(path, level=level, progress=show)
    say(
        f"{session}: {format_size(done.before)} → {format_size(done.after)}, read back and compared"
    )
