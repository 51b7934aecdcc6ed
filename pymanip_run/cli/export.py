"""``pymanip-run export``: a session for other programs."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import contextlib
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pymanip_run.cli.files import found, opened
from pymanip_run.cli.outcome import say
from pymanip_run.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pymanip_run.core.view import SessionView
    from pymanip_run.export.csv import Exported

__all__ = ["export"]


def export(
    session: Annotated[str, typer.Argument(metavar="SESSION", help="The session file.")],
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Only these variables, in this order."),
    ] = None,
    *,
    to: Annotated[str | None, typer.Option("--to", metavar="csv", help="The format.")] = None,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE|-", help="The file, - for standard output."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From then on: 2026-11-22T15:00, Unix seconds, or -1h."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before then.")] = None,
    how: Annotated[
        str,
        typer.Option(metavar="outer", help="One row for each distinct time, missing cells empty."),
    ] = "outer",
) -> None:
    """Write the logged variables of a session as a table, its column `time` in Unix seconds."""
    path = found(session, "export")
    _check(path, _format(to, output), how)
    with opened(path) as view:
        last = max((i.statistics.last_time for i in view.variables().values()), default=math.nan)
        window = _time(since, last, -math.inf), _time(until, last, math.inf)
        if output == "-":
            _to_stdout(view, names or (), window)
            return
        target = Path(output) if output else path.with_suffix(".csv")
        _check_target(target, path)
        done = _to_file(view, target, names or (), window)
    rows, columns = _count(done.rows, "row"), _count(done.columns, "variable")
    say(f"{target}: {rows} of {columns}")


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def _to_file(
    view: SessionView, target: Path, names: Sequence[str], window: tuple[float, float]
) -> Exported:
    from pymanip_run.export.csv import export_csv

    with _progress() as progress:
        return export_csv(view, target, names, since=window[0], until=window[1], progress=progress)


def _to_stdout(view: SessionView, names: Sequence[str], window: tuple[float, float]) -> None:
    from pymanip_run.export.csv import write_csv
    from pymanip_run.export.table import columns_of

    columns = columns_of(view, names)
    write_csv(view, sys.stdout.buffer, columns, since=window[0], until=window[1])
    sys.stdout.buffer.flush()


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[float], None] | None]:
    """Show how far it is, where somebody sees it."""
    if not sys.stderr.isatty():
        yield None
        return
    shown = -1

    def show(share: float) -> None:
        nonlocal shown
        percent = int(share * 100)
        if percent > shown:
            shown = percent
            print(f"\r{percent:3d} %", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print("\r     \r", end="", file=sys.stderr, flush=True)


def _format(to: str | None, output: str | None) -> str:
    if to is not None:
        return to.lower()
    return Path(output).suffix[1:].lower() or "csv" if output and output != "-" else "csv"


def _check(path: Path, to: str, how: str) -> None:
    from pymanip_run.export import FORMATS, PLANNED

    cure = f"\n  pymanip-export {path} --to csv"
    if to in PLANNED:
        raise UsageError(
            f"this version does not export {to} yet; it writes {', '.join(FORMATS)}:{cure}"
        )
    if to not in FORMATS:
        raise UsageError(
            f"{to!r} is no format of export; it writes {', '.join(FORMATS)}{did_you_mean(to, FORMATS)}{cure}"
        )
    if how in ("ffill", "separate"):
        raise UsageError(
            f"this version does not export with --how {how} yet; --how outer is there:{cure}"
        )
    if how != "outer":
        raise UsageError(f"--how {how!r} is unknown; --how outer is there:{cure}")


def _check_target(target: Path, session: Path) -> None:
    folder = target.parent
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}; make it first:\n  mkdir -p {folder}")
    if target.is_dir():
        raise UsageError(
            f"{target} is a folder; name a file in it: -o {target / session.with_suffix('.csv').name}"
        )
    if target.exists() and target.samefile(session):
        raise UsageError(
            f"{target} is the session itself; choose another: -o {session.with_suffix('.csv')}"
        )


def _time(text: str | None, last: float, otherwise: float) -> float:
    if text is None:
        return otherwise
    from pymanip_run.records import as_timestamp

    try:
        return float(text)
    except ValueError:
        pass
    try:
        return as_timestamp(text, last)
    except ValueError as error:
        raise UsageError(str(error)) from None
