"""Arguments that several commands take, and from their words to values."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pymanip_run.cli.complete import experiment_files
from pymanip_run.errors import UsageError

__all__ = ["ExperimentFile", "Overrides", "experiment_file", "refuse_together", "seconds_of"]

ExperimentFile = Annotated[
    str,
    typer.Argument(
        metavar="EXPERIMENT.yaml", help="The experiment file.", autocompletion=experiment_files
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="PATH=VALUE",
        help="Change a value of the file, e.g. parameters.voltage=4.",
    ),
]


def experiment_file(name: str) -> str:
    """Return the name of an experiment file.

    Raises
    ------
    UsageError
        If it names something else; the message has the command that would work.
    """
    from pymanip_run.wording import quoted

    if name.lower().endswith((".h5", ".hdf5")) and Path(name).exists():
        raise UsageError(
            f"{name} is a session, not an experiment; look into it:\n  pymanip-inspect {quoted(name)}"
        )
    if name.lower().endswith(".py") and Path(name).is_file():
        raise UsageError(
            f"{name} is a Python file, not an experiment file; a script runs by itself:  python {quoted(name)}\n"
            f"As the module of an experiment it needs a YAML file:  module: {Path(name).name}  and  tasks: [...]"
        )
    return name


def refuse_together(*options: tuple[str, bool]) -> None:
    """Refuse options of which each takes away what another one asks for.

    Parameters
    ----------
    options
        Names, and whether they were given.

    Raises
    ------
    UsageError
        If more than one was.
    """
    given = [name for name, is_given in options if is_given]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} do not go together; leave one of them out")


def seconds_of(text: str | None, option: str) -> float | None:
    """Return the seconds of a duration above 0, None where none was given.

    Raises
    ------
    UsageError
        If it is no duration.
    """
    if text is None:
        return None
    from pymanip_run.units import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if not seconds:
        raise UsageError(f"{option} needs a time above 0, for example {option} 30s")
    return seconds
