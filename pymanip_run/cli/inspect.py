"""``pymanip-run inspect``: what is in a session, also while it is being written."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from pymanip_run.cli.complete import names_in_session, readable_sessions
from pymanip_run.cli.files import found, opened, refuse_old
from pymanip_run.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pymanip_run.core.view import SessionView

__all__ = ["inspect"]

#: Off a terminal nothing has to fit.
WIDE = 160


def inspect(
    session: Annotated[
        str,
        typer.Argument(
            metavar="SESSION", help="The session file.", autocompletion=readable_sessions
        ),
    ],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME",
            help="Only these variables, parameters, datasets.",
            autocompletion=names_in_session,
        ),
    ] = None,
    *,
    tail: Annotated[
        int | None,
        typer.Option("--tail", metavar="N", min=1, help="The last N values of each variable."),
    ] = None,
    events: Annotated[bool, typer.Option("--events", help="All events, one a line.")] = False,
    config: Annotated[
        bool,
        typer.Option(
            "--config", help="Of each run: experiment file, code, overrides, versions, command."
        ),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Everything as one JSON object.")] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Read everything and check it; 4 when something is wrong."),
    ] = False,
) -> None:
    """Show what is in a session: runs, variables with statistics, parameters, datasets, events."""
    path = found(session, "inspect")
    if verify:
        refuse_old(path)
        _verify(path)
        return
    with opened(path) as view:
        wanted = tuple(dict.fromkeys(names or ()))
        _check(view, wanted)
        if config:
            text = _config(view, path, json=json)
        elif json:
            text = _json(view, path, wanted, tail)
        elif tail is not None:
            from pymanip_run.cli.format import tail_text

            text = tail_text(view, _logged(view, wanted), tail)
        elif events:
            from pymanip_run.cli.format import events_text

            text = events_text(view.events())
        else:
            text = _text(view, path, wanted)
    if text:
        _print(text)


def _verify(path: Path) -> None:
    from pymanip_run.cli.outcome import UNSUITABLE_FILE, leave_now
    from pymanip_run.livetable.text import inert
    from pymanip_run.storage.verify import verify
    from pymanip_run.units import format_size

    result = verify(path)
    in_file = "all of it is in the HDF5 file"
    if result.journal_bytes:
        in_file = (
            f"{format_size(result.journal_bytes)} are still in the journal beside the HDF5 file"
        )
    lines = [
        f"{path} · {'healthy' if result.healthy else 'damaged'}",
        f"read {result.values} values and {result.records} records; {in_file}",
        *map(inert, result.problems),
    ]
    _print("\n".join(lines))
    if not result.healthy:
        leave_now(UNSUITABLE_FILE)


def _config(view: SessionView, path: Path, *, json: bool) -> str:
    from json import dumps

    from pymanip_run.cli.origin import config_described, config_text

    if json:
        return dumps({"file": str(path), "runs": config_described(view.runs())}, indent=2)
    return config_text(view.runs())


def _check(view: SessionView, names: Sequence[str]) -> None:
    """Refuse names that are nowhere in the session, with the nearest ones."""
    others = view.parameter_table().keys() | view.metadatas().keys() | view.dataset_names()
    for name in names:
        if name not in others:
            view.logged_variable(name)


def _logged(view: SessionView, names: Sequence[str]) -> list[str]:
    if not names:
        return [name for name in view.variables() if name in view]
    chosen = [name for name in names if name in view]
    if not chosen:
        raise UsageError(f"--tail shows logged variables, and {', '.join(names)} is none")
    return chosen


def _json(view: SessionView, path: Path, names: Sequence[str], tail: int | None) -> str:
    from json import dumps

    from pymanip_run.describe import describe, plain

    summary = describe(view, str(path), names)
    if tail is not None:
        series = {name: view.logged_variable(name).tail(tail) for name in _logged(view, names)}
        summary["tail"] = {
            name: [
                [t, plain(v)] for t, v in zip(s.timestamps.tolist(), s.values.tolist(), strict=True)
            ]
            for name, s in series.items()
        }
    return dumps(summary, indent=2, allow_nan=False)


def _text(view: SessionView, path: Path, names: Sequence[str]) -> str:
    from pymanip_run.cli.format import session_text
    from pymanip_run.registry import registered_runs

    absolute = str(path.absolute())
    running = any(run.is_running and run.session == absolute for run in registered_runs())
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE
    return session_text(view, path, names, running=running, width=max(40, width))


def _print(text: str) -> None:
    from pymanip_run.livetable.text import glyphs_for

    print(glyphs_for(sys.stdout.encoding).encodable(text))
