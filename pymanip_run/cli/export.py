"""``pymanip-run export``: a session for other programs."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pymanip_run.cli.complete import choices, names_in_session, readable_sessions
from pymanip_run.cli.files import found, keep_others, opened
from pymanip_run.cli.outcome import say
from pymanip_run.cli.progress import progress
from pymanip_run.errors import UsageError, did_you_mean
from pymanip_run.export import DATASET_FORMATS, FORMATS, HOWS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import tzinfo

    from pymanip_run.core.view import SessionView
    from pymanip_run.export.job import Job
    from pymanip_run.export.run import Exported

__all__ = ["export"]

#: What other endings of file names mean.
SUFFIXES = {f.suffix[1:]: name for name, f in FORMATS.items()} | {
    "db": "sqlite", "sqlite3": "sqlite", "nc4": "netcdf", "pq": "parquet", "ndjson": "jsonl", "json": "jsonl",
}  # fmt: skip


def export(
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
            help="Only these variables (datasets, with --datasets), in this order.",
            autocompletion=names_in_session,
        ),
    ] = None,
    *,
    to: Annotated[
        str | None,
        typer.Option(
            "--to", metavar="|".join(FORMATS), help="The format.", autocompletion=choices(*FORMATS)
        ),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o", "--output", metavar="FILE|-", help="The file or folder, - for standard output."
        ),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="From then on: 2026-11-22T15:00, Unix seconds, -2h before the end, start+10min.",
        ),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before then.")] = None,
    resample: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION", help="Mean, minimum, maximum and count of each stretch: 10s, 1h."
        ),
    ] = None,
    how: Annotated[
        str,
        typer.Option(
            metavar="|".join(HOWS),
            help="Missing cells empty, or with the last value before, or a table for each variable.",
            autocompletion=choices(*HOWS),
        ),
    ] = "outer",
    tz: Annotated[
        str | None,
        typer.Option(
            metavar="ZONE", help="Times as ISO 8601 in this zone: local, UTC, Europe/Paris, +01:00."
        ),
    ] = None,
    datasets: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(DATASET_FORMATS),
            help="The records of datasets instead, as files in the folder -o.",
            autocompletion=choices(*DATASET_FORMATS),
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Without -o: replace the file beside the session, whatever it is."
        ),
    ] = False,
) -> None:
    """Write the logged variables of a session as a table, its column `time` in Unix seconds."""
    path = found(session, "export")
    if datasets is not None:
        _check_datasets(datasets, {"--to": to, "--resample": resample, "--how": how != "outer"})
        if output in {None, "-"}:
            raise UsageError(
                "--datasets makes a folder; name it:\n"
                f"  pymanip-export {path} --datasets {datasets} -o {path.stem}_records"
            )
    format_ = _format(to, output)
    _check(path, format_, how)
    zone = _zone(tz)
    step = _step(resample)
    with opened(path) as view:
        job = _job(view, names or (), _window(view, since, until), zone)
        if datasets is not None:
            _export_datasets(job, Path(str(output)), datasets)
            return
        job = replace(job, how=how, step=step)
        if output == "-":
            _to_stdout(job, format_)
            return
        target = Path(output) if output else _default(path, format_, how)
        _check_target(target, path, format_, how)
        if not output and not force:
            keep_others(view, path, target, step)
        done = _to_file(job, format_, target)
    rows, columns = _count(done.rows, "row"), _count(done.columns, "variable")
    files = f" in {done.files} files" if done.files > 1 else ""
    say(f"{target}: {rows} of {columns}{files}")


def _job(
    view: SessionView, names: Sequence[str], window: tuple[float, float], zone: tzinfo | None
) -> Job:
    from pymanip_run.export.job import Job

    return Job(view, names, *window, zone=zone)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _to_file(job: Job, to: str, target: Path) -> Exported:
    from pymanip_run.export.run import export_to

    with progress() as show:
        return export_to(replace(job, progress=show), to, target)


def _to_stdout(job: Job, to: str) -> None:
    from pymanip_run.export.run import export_to_stream

    if not FORMATS[to].streams and sys.stdout.isatty():
        raise UsageError(f"{to} is no text for a terminal; add -o FILE{FORMATS[to].suffix}")
    export_to_stream(job, to, sys.stdout.buffer)
    sys.stdout.buffer.flush()


def _export_datasets(job: Job, target: Path, to: str) -> None:
    from pymanip_run.export.datasets import INDEX, export_datasets

    _check_parent(target)
    if target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file; --datasets makes a folder: -o {target.stem}_records")
    with progress() as show:
        done = export_datasets(replace(job, progress=show), target, to)
    left = f"; {_count(done.left_out, 'record')} left out, see its remarks" if done.left_out else ""
    counts = f"{_count(done.records, 'record')} of {_count(done.datasets, 'dataset')}"
    say(f"{target}: {counts}, listed in {target / INDEX}{left}")


# -- what was typed -----------------------------------------------------------------------------


def _format(to: str | None, output: str | None) -> str:
    if to is not None:
        return to.lower()
    suffix = Path(output).suffix[1:].lower() if output and output != "-" else ""
    return SUFFIXES.get(suffix, suffix) or "csv"


def _check(path: Path, to: str, how: str) -> None:
    if to not in FORMATS:
        raise UsageError(
            f"{to!r} is no format of export; it writes {', '.join(FORMATS)}{did_you_mean(to, FORMATS)}\n"
            f"  pymanip-export {path} --to csv"
        )
    if how not in HOWS:
        raise UsageError(
            f"--how {how!r} is unknown; there are {', '.join(HOWS)}{did_you_mean(how, HOWS)}"
        )


def _check_datasets(datasets: str, others: dict[str, object]) -> None:
    if datasets not in DATASET_FORMATS:
        raise UsageError(
            f"{datasets!r} is no format of records; there are {', '.join(DATASET_FORMATS)}"
            f"{did_you_mean(datasets, DATASET_FORMATS)}"
        )
    for option, value in others.items():
        if value:
            raise UsageError(f"{option} is for variables; export the datasets by a second command")


def _default(path: Path, to: str, how: str) -> Path:
    """Return the file beside the session, or the folder where there are several files."""
    known = FORMATS[to]
    if how == "separate" and not known.holds_tables:
        return path.with_name(f"{path.stem}_{to}")
    return path.with_suffix(known.suffix)


def _check_parent(target: Path) -> None:
    if not target.parent.is_dir():
        raise UsageError(
            f"there is no folder {target.parent}; make it first:\n  mkdir -p {target.parent}"
        )


def _check_target(target: Path, session: Path, to: str, how: str) -> None:
    _check_parent(target)
    known = FORMATS[to]
    example = session.with_suffix(known.suffix)
    makes_folder = known.is_folder or (how == "separate" and not known.holds_tables)
    if target.is_dir() and not makes_folder:
        raise UsageError(f"{target} is a folder; name a file in it: -o {target / example.name}")
    if makes_folder and target.exists() and not target.is_dir():
        raise UsageError(f"{target} is a file, and {to} makes a folder here; choose another name")
    if target.exists() and target.samefile(session):
        other = example if not example.exists() else session.with_name(f"exported{known.suffix}")
        raise UsageError(f"{target} is the session itself; choose another: -o {other}")


def _step(text: str | None) -> float | None:
    if text is None:
        return None
    from pymanip_run.units import parse_duration

    try:
        step = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--resample: {error}") from None
    if step < 1e-6:
        raise UsageError(f"--resample {text}: a stretch is at least a microsecond long")
    return step


def _zone(text: str | None) -> tzinfo | None:
    if text is None:
        return None
    from pymanip_run.export.zones import zone_of

    return zone_of(text)


def _window(view: SessionView, since: str | None, until: str | None) -> tuple[float, float]:
    if since is None and until is None:
        return -math.inf, math.inf
    return _time(view, since, -math.inf), _time(view, until, math.inf)


def _time(view: SessionView, text: str | None, otherwise: float) -> float:
    if text is None:
        return otherwise
    from pymanip_run.export.zones import moment

    try:
        return moment(text, view)
    except ValueError as error:
        raise UsageError(str(error)) from None
