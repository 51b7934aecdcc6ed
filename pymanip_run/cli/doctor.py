"""``pymanip-run doctor``: is this computer fit for a long measurement."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymanip_run.checkup.finding import Finding, Look

__all__ = ["doctor"]

#: All looks together; what has not answered by then is said to be silent.
SECONDS = 2.2
MARKS = {"ok": "ok", "absent": "–", "warning": "WARNING", "broken": "BROKEN"}
SUBJECT_WIDTH = 18


def doctor(
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="Where sessions are to be; here by default.")
    ] = ".",
    *,
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Look at versions, instruments, clock, disk and permissions; 1 when something is broken.

    Warnings have their cure in the line below, and do not change the exit code.
    """
    from pymanip_run.checkup.finding import all_findings
    from pymanip_run.cli.outcome import leave_now
    from pymanip_run.errors import UsageError
    from pymanip_run.livetable.text import glyphs_for

    where = Path(folder).absolute()
    if not where.is_dir():
        raise UsageError(f"there is no folder {folder}; make it first:\n  mkdir -p {folder}")
    findings = all_findings(list(_looks(where)), SECONDS)
    broken = any(finding.level == "broken" for finding in findings)
    if json:
        from json import dumps

        text = dumps({"fit": not broken, "findings": [asdict(f) for f in findings]}, indent=2)
    else:
        text = "\n".join([*(line for f in findings for line in _lines(f)), _conclusion(findings)])
    print(glyphs_for(sys.stdout.encoding).encodable(text))
    if broken:
        leave_now(1)


def _looks(folder: Path) -> Iterator[Look]:
    from pymanip_run import __version__
    from pymanip_run.checkup import clocks, folders, instruments, versions
    from pymanip_run.checkup.finding import Look
    from pymanip_run.experiment.load.user_settings import settings_path
    from pymanip_run.registry import state_folder

    yield Look("packages", lambda: versions.look_at_packages(__version__))
    yield Look("extras", lambda: list(versions.extras()))
    yield Look("VISA", lambda: instruments.look_at_visa(SECONDS - 0.2))
    yield Look("serial", instruments.look_at_serial)
    yield Look("clock", clocks.look_at_clocks)
    cure = "choose a folder on a disk of this computer"
    yield Look(f"folder {folder}", lambda: folders.look_at_folder(folder), cure)
    yield Look(
        "state", lambda: folders.look_at_own_files(state_folder(), settings_path(os.environ))
    )
    yield Look("HDF5 locks", folders.look_at_hdf5_locking)
    yield Look("journals", lambda: folders.leftovers(_sessions_of_dead_runs()))


def _sessions_of_dead_runs() -> list[Path]:
    from pymanip_run.cli.known import runs_here

    runs = runs_here()
    alive = {run.session for run in runs if run.is_alive}
    return [Path(run.session) for run in runs if run.session and run.session not in alive]


def _lines(finding: Finding) -> Iterator[str]:
    from pymanip_run.livetable.text import inert

    mark = MARKS[finding.level]
    yield f"{mark:<8} {inert(finding.subject):<{SUBJECT_WIDTH}} {inert(finding.text)}"
    if finding.cure:
        yield f"{'':<{9 + SUBJECT_WIDTH}} {inert(finding.cure)}"


def _conclusion(findings: Sequence[Finding]) -> str:
    broken, warnings = (sum(f.level == level for f in findings) for level in ("broken", "warning"))
    if broken:
        return f"\n{broken} broken: measure only when that is mended"
    return (
        f"\nfit to measure, {warnings} warning{'s' * (warnings != 1)}"
        if warnings
        else "\nfit to measure"
    )
