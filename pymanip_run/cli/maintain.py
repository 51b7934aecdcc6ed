"""``pymanip-run recover`` and ``compact``: care for a session file by hand."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pymanip_run.cli.files import found
from pymanip_run.cli.outcome import say

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["compact", "recover"]


def recover(
    session: Annotated[str, typer.Argument(metavar="SESSION", help="The session file.")],
) -> None:
    """Bring into a session file what a crash left in its journal. The next run does it by itself."""
    from pymanip_run.storage.opening import recover_by_hand

    path = found(session, "recover").absolute()
    say(f"{session}: {recover_by_hand(path)}\nlook: pymanip-inspect {session}")


def compact(
    session: Annotated[str, typer.Argument(metavar="SESSION", help="The session file.")],
    level: Annotated[
        int, typer.Option("--level", min=1, max=9, help="Of gzip: 1 is quick, 9 is small.")
    ] = 4,
) -> None:
    """Rewrite a finished session smaller, compressed and with checksums."""
    from pymanip_run.storage.compact import compact as rewrite
    from pymanip_run.units import format_size

    path: Path = found(session, "compact").absolute()
    done = rewrite(path, level=level, progress=_progress())
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    say(
        f"{session}: {format_size(done.before)} → {format_size(done.after)}, read back and compared"
    )


def _progress() -> Callable[[float], None] | None:
    if not sys.stderr.isatty():
        return None

    def show(part: float) -> None:
        sys.stderr.write(f"\r{part:4.0%} ")
        sys.stderr.flush()

    return show
