"""``pymanip-run report``: a session as one page of HTML."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pymanip_run.cli.complete import readable_sessions
from pymanip_run.cli.files import as_typed, found, keep_others, opened
from pymanip_run.cli.outcome import say
from pymanip_run.cli.progress import progress
from pymanip_run.errors import UsageError

if TYPE_CHECKING:
    from pymanip_run.core.view import SessionView

__all__ = ["report"]

SUFFIX = ".html"
#: Another session must not be replaced by mistake.
SESSIONS = (".h5", ".hdf5", ".db")


def report(
    session: Annotated[
        str,
        typer.Argument(
            metavar="SESSION", help="The session file.", autocompletion=readable_sessions
        ),
    ],
    *,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE|-",
            help="The page; beside the session when left out, - for standard output.",
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Without -o: replace the file beside the session, whatever it is."
        ),
    ] = False,
    diff: Annotated[
        str | None,
        typer.Option(
            "--diff",
            metavar="OTHER",
            help="Another session: in what it differs from this one, at the end of the page.",
            autocompletion=readable_sessions,
        ),
    ] = None,
) -> None:
    """Write a page about a session: plots, statistics, events, where the data come from.

    It needs no network, no script and no other file, and can be printed.
    """
    from pymanip_run.export.report.page import Report, write_report
    from pymanip_run.export.targets import appearing_file
    from pymanip_run.units import format_size

    path = found(session, "report")
    target = _target(path, output)
    with opened(path) as view, progress() as show:
        if target is not None and output is None and not force:
            keep_others(view, path, target)
        difference = None if diff is None else _difference(view, path, diff)
        about = Report(view, as_typed(path), path.stat().st_size, _state(path), show, difference)
        if target is None:
            write_report(about, sys.stdout.buffer)
            sys.stdout.buffer.flush()
            return
        with appearing_file(target) as file:
            write_report(about, file)
    size = f", {format_size(target.stat().st_size)}" if target.is_file() else ""
    say(f"{as_typed(target)}{size}; open it in a browser")


def _target(path: Path, output: str | None) -> Path | None:
    """Return the file to write, None for standard output."""
    if output == "-":
        if sys.stdout.isatty():
            raise UsageError(
                f"a page of HTML is no text for a terminal; add -o {path.stem}{SUFFIX}"
            )
        return None
    target = Path(output) if output else path.with_suffix(SUFFIX)
    if target.is_dir():
        raise UsageError(
            f"{target} is a folder; name a file in it: -o {target / path.stem}{SUFFIX}"
        )
    if not target.parent.is_dir():
        raise UsageError(
            f"there is no folder {target.parent}; make it first:\n  mkdir -p {target.parent}"
        )
    if target.suffix in SESSIONS and not (target.exists() and target.samefile(path)):
        raise UsageError(f"{target} is no name for a page; choose another: -o {path.stem}{SUFFIX}")
    if target.exists() and target.samefile(path):
        raise UsageError(f"{target} is the session itself; choose another: -o {path.stem}{SUFFIX}")
    return target


def _difference(view: SessionView, path: Path, other: str) -> dict[str, Any]:
    from pymanip_run.describe.difference import differences

    earlier = found(other, f"report {as_typed(path)} --diff")
    with opened(earlier) as there:
        return differences(there, view, (as_typed(earlier), as_typed(path)))


def _state(path: Path) -> str | None:
    """Return how a run that is writing the session is doing, in words."""
    from pymanip_run.registry import writer_of

    run = writer_of(path)
    return None if run is None else f"running now, as process {run.pid}"
