"""``pymanip-run convert``: a session file of an old session of pymanip."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pymanip_run.cli.complete import old_sessions
from pymanip_run.cli.files import as_typed, found
from pymanip_run.cli.outcome import say
from pymanip_run.cli.progress import progress
from pymanip_run.errors import UsageError
from pymanip_run.wording import quoted

if TYPE_CHECKING:
    from pymanip_run.storage.convert import Converted

__all__ = ["convert"]


def convert(
    old: Annotated[
        str,
        typer.Argument(
            metavar="OLD.db|OLD.hdf5",
            help="The session of pymanip; it is only read.",
            autocompletion=old_sessions,
        ),
    ],
    new: Annotated[
        str | None,
        typer.Argument(metavar="[NEW.h5]", help="The session file to make; OLD.h5 by default."),
    ] = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace NEW.h5 if it exists.")] = False,
    skip: Annotated[
        bool,
        typer.Option(
            "--skip",
            help="Leave out records that hold neither arrays nor plain values, and say so.",
        ),
    ] = False,
) -> None:
    """Make a session file of an old session of pymanip: everything is carried over and compared."""
    from pymanip_run.session.path import session_file
    from pymanip_run.storage.convert import convert as make

    source = found(old, "convert")
    target = source.with_suffix(".h5").absolute() if new is None else session_file(new)
    if not target.parent.is_dir():
        raise UsageError(
            f"there is no folder {target.parent}; make it first:\n  mkdir -p {quoted(str(target.parent))}"
        )
    with progress() as show:
        done = make(source.absolute(), target, force=force, skip=skip, progress=show)
    typed = as_typed(target)
    say("\n".join([_summary(Path(old), typed, done), *(f"  {remark}" for remark in done.remarks)]))
    say(f"look: pymanip-inspect {quoted(typed)}")


def _summary(old: Path, new: str, done: Converted) -> str:
    counts = [
        f"{_count(done.values, 'value')} of {_count(done.variables, 'variable')}",
        f"{_count(done.records, 'record')} of {_count(done.datasets, 'dataset')}",
        _count(done.parameters, "parameter"),
        f"{done.metadata} metadata",
        *([_count(done.figures, "figure")] if done.figures else []),
    ]
    return f"{old} → {new}: {', '.join(counts)}; read back and compared"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
