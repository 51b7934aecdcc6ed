"""What the shell completes: files, sessions, names in them. Nothing here ever raises or prints."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import typer  # noqa: TC002 - typer reads the annotations

from pymanip_run.errors import PymanipError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, MutableMapping

__all__ = [
    "choices",
    "experiment_files",
    "known_sessions",
    "names_in_session",
    "old_sessions",
    "readable_sessions",
    "running_sessions",
    "session_files",
    "with_run",
]

EXPERIMENTS = (".yaml", ".yml")
SESSIONS = (".h5", ".hdf5")
OLD_SESSIONS = (".db", ".hdf5")


def _quiet(function: Callable[..., list[str]]) -> Callable[..., list[str]]:
    """Complete nothing where something goes wrong: the line that is being typed must stay as it is."""

    @functools.wraps(function)
    def completed(*args: object, **kwargs: object) -> list[str]:
        try:
            return function(*args, **kwargs)
        except (OSError, ValueError, PymanipError):
            return []

    return completed


def with_run(environ: MutableMapping[str, str], is_file: Callable[[str], bool]) -> None:
    """Put the word ``run`` into the line that is being completed, where its first word is a file.

    Parameters
    ----------
    environ
        Holds the line, as the shell's script gives it: words, and for bash the number of the last.
    is_file
        Tells whether the first word is meant as a file.
    """
    if "COMP_CWORD" in environ:
        words = environ.get("COMP_WORDS", "").split("\n")
        if (
            environ["COMP_CWORD"].isdecimal()
            and int(environ["COMP_CWORD"]) > 1
            and is_file(words[1])
        ):
            environ["COMP_WORDS"] = "\n".join([words[0], "run", *words[1:]])
            environ["COMP_CWORD"] = str(int(environ["COMP_CWORD"]) + 1)
        return
    program, _, rest = environ.get("_TYPER_COMPLETE_ARGS", "").partition(" ")
    first, space, _ = rest.partition(" ")
    if space and is_file(first):
        environ["_TYPER_COMPLETE_ARGS"] = f"{program} run {rest}"


def experiment_files(incomplete: str) -> list[str]:
    """Complete an experiment file."""
    return _files(incomplete, EXPERIMENTS)


def session_files(incomplete: str) -> list[str]:
    """Complete a session file."""
    return _files(incomplete, SESSIONS)


def readable_sessions(incomplete: str) -> list[str]:
    """Complete a session file, or a session of pymanip."""
    return _files(incomplete, (*SESSIONS, ".db"))


def old_sessions(incomplete: str) -> list[str]:
    """Complete a session of pymanip."""
    return _files(incomplete, OLD_SESSIONS)


@_quiet
def _files(incomplete: str, suffixes: tuple[str, ...]) -> list[str]:
    """Return the files with these suffixes; nothing where there are folders only, which the shell completes."""
    folder, slash, start = incomplete.rpartition("/")
    inside = Path(folder + slash or ".")
    names = sorted(p.name for p in inside.iterdir() if p.suffix.lower() in suffixes)
    return [f"{folder}{slash}{name}" for name in names if name.startswith(start)]


@_quiet
def running_sessions(incomplete: str) -> list[str]:
    """Complete a session that is running."""
    return _called(incomplete, only_running=True)


@_quiet
def known_sessions(incomplete: str) -> list[str]:
    """Complete a session that is, or was, run on this computer."""
    return _called(incomplete, only_running=False)


def _called(incomplete: str, *, only_running: bool) -> list[str]:
    from pymanip_run.cli.known import called, runs_here

    names = dict.fromkeys(called(run) for run in runs_here() if run.is_running or not only_running)
    return _beginning(names, incomplete)


@_quiet
def names_in_session(ctx: typer.Context, incomplete: str) -> list[str]:
    """Complete a variable, parameter or dataset of the session that was named before."""
    from pymanip_run.cli.files import found, opened

    with opened(found(str(ctx.params.get("session") or ""), "inspect")) as view:
        names = {*view.variables(), *view.parameter_table(), *view.dataset_names()}
    return _beginning(sorted(names), incomplete)


def choices(*words: str) -> Callable[[str], list[str]]:
    """Return what completes one of these words."""

    def complete(incomplete: str) -> list[str]:
        return _beginning(words, incomplete)

    return complete


def _beginning(words: Iterable[str], incomplete: str) -> list[str]:
    return [word for word in words if word.startswith(incomplete)]
