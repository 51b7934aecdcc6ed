"""``pymanip-run inspect``: what is in a session, also while it is being written."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from pymanip_run.cli.collection import is_collection
from pymanip_run.cli.complete import names_in_session, readable_sessions
from pymanip_run.cli.files import found, opened, refuse_old
from pymanip_run.cli.looking import check_names, has_name, print_text, session_summary, width
from pymanip_run.cli.plots import check_plot_options
from pymanip_run.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pymanip_run.core.view import SessionView

__all__ = ["inspect"]


def inspect(
    session: Annotated[
        str,
        typer.Argument(
            metavar="SESSION",
            help="The session file; of several, or a folder, a table.",
            autocompletion=readable_sessions,
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
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", "-f", help="What comes in, line by line, until Ctrl-C; also of later runs."
        ),
    ] = False,
    events: Annotated[bool, typer.Option("--events", help="All events, one a line.")] = False,
    config: Annotated[
        bool,
        typer.Option(
            "--config", help="Of each run: experiment file, code, overrides, versions, command."
        ),
    ] = False,
    diff: Annotated[
        bool,
        typer.Option(
            "--diff", help="Two sessions, --diff A B: in what they differ; then NAMEs, if any."
        ),
    ] = False,
    where: Annotated[
        list[str] | None,
        typer.Option("--where", metavar="CONDITION", help="Of a table: only these, 'voltage > 3'."),
    ] = None,
    sort: Annotated[
        str | None, typer.Option("--sort", metavar="NAME", help="Of a table: in this order.")
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="The largest first.")] = False,
    plot: Annotated[
        bool, typer.Option("--plot", help="Draw these variables, in the terminal or with -o.")
    ] = False,
    output: Annotated[
        str | None,
        typer.Option(
            "-o", metavar="FILE", help="Of a plot: the figure to write, .png, .svg or .pdf."
        ),
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Of a plot: values on a log axis.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Everything as one JSON object.")] = False,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Read everything and check it; 4 when something is wrong."),
    ] = False,
) -> None:
    """Show what is in a session: runs, variables with statistics, parameters, datasets, events."""
    _check_options(
        {
            "--diff": diff,
            "--verify": verify,
            "--config": config,
            "--follow": follow,
            "--plot": plot,
        },
        {"--tail": tail is not None, "--events": events},
    )
    check_plot_options(plot=plot, output=output, log=log, json=json)
    wanted = tuple(dict.fromkeys(names or ()))
    if diff:
        print_text(_difference(session, wanted, json=json))
        return
    if is_collection(session, wanted):
        chosen = [verify, config, follow, tail is not None, events]
        print_text(_collection([session, *wanted], where, sort, chosen, reverse=reverse, json=json))
        return
    path = _single(session, any((where, sort, reverse)))
    if verify:
        refuse_old(path)
        _verify(path, json=json)
        return
    with opened(path) as view:
        check_names(view, wanted)
        if follow:
            from pymanip_run.cli.following import follow as follow_session

            follow_session(view, path, wanted, tail or 0, json=json, events=events)
            return
        if plot:
            from pymanip_run.cli.plots import plot_session

            text = plot_session(view, path, wanted, output, log=log)
        elif config:
            text = _config(view, path, json=json)
        elif json:
            text = _json(view, path, wanted, tail)
        else:
            text = _as_text(view, path, wanted, tail, events=events)
    if text:
        print_text(text)


def _check_options(kinds: dict[str, bool], parts: dict[str, bool]) -> None:
    """Refuse options that ask for two things at once."""
    chosen = [option for option, given in kinds.items() if given]
    if chosen and chosen != ["--follow"]:
        chosen += [option for option, given in parts.items() if given]
    if len(chosen) > 1:
        raise UsageError(f"{' and '.join(chosen[:2])} show different things; give one of them")


def _single(session: str, is_table_meant: bool) -> Path:
    """Return the file of a single session, of which there is no table."""
    path = found(session, "inspect")
    if is_table_meant:
        raise UsageError(
            "--where, --sort and --reverse are for a table of sessions; name their folder:\n"
            f"  pymanip-inspect {shlex.quote(str(path.parent))}"
        )
    return path


def _collection(
    words: Sequence[str],
    where: Sequence[str] | None,
    sort: str | None,
    others: Sequence[bool],
    *,
    reverse: bool,
    json: bool,
) -> str:
    from pymanip_run.cli.collection import collection_json, collection_text, selected

    if any(others):
        raise UsageError(
            "of several sessions there is a table, with --where, --sort, --reverse and --json; the other options "
            "need a single one"
        )
    sessions, columns = selected(words, where or (), sort, reverse=reverse)
    if json:
        return collection_json(sessions, columns)
    return collection_text(sessions, columns, width())


def _difference(session: str, names: tuple[str, ...], *, json: bool) -> str:
    if not names:
        raise UsageError(
            f"--diff compares two sessions; name the other one:\n  pymanip-inspect --diff {session} OTHER.h5"
        )
    from pymanip_run.describe.difference import differences

    paths = found(session, "inspect"), found(names[0], "inspect")
    with opened(paths[0]) as a, opened(paths[1]) as b:
        for name in names[1:]:
            if not has_name(a, name):
                check_names(b, [name])
        result = differences(a, b, (str(paths[0]), str(paths[1])), names[1:])
    if json:
        from json import dumps

        return dumps(result, indent=2, allow_nan=False)
    from pymanip_run.cli.differing import difference_text

    return difference_text(result, width())


def _verify(path: Path, *, json: bool) -> None:
    from dataclasses import asdict
    from json import dumps

    from pymanip_run.cli.outcome import UNSUITABLE_FILE, leave_now
    from pymanip_run.storage.verify import verify
    from pymanip_run.units import format_size
    from pymanip_run.wording import inert

    result = verify(path)
    if json:
        found = {"file": str(path), "healthy": result.healthy} | asdict(result)
        print_text(dumps(found, indent=2))
    else:
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
        print_text("\n".join(lines))
    if not result.healthy:
        leave_now(UNSUITABLE_FILE)


def _config(view: SessionView, path: Path, *, json: bool) -> str:
    from json import dumps

    from pymanip_run.cli.origin import config_described, config_text

    if json:
        return dumps({"file": str(path), "runs": config_described(view.runs())}, indent=2)
    return config_text(view.runs())


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


def _as_text(
    view: SessionView, path: Path, names: Sequence[str], tail: int | None, *, events: bool
) -> str:
    from pymanip_run.cli.format import events_text, tail_text

    if tail is not None:
        return tail_text(view, _logged(view, names), tail)
    return events_text(view.events()) if events else session_summary(view, path, names)
