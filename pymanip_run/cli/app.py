"""The Typer application."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import typer.core

from pymanip_run.cli import (
    check,
    control,
    convert,
    doctor,
    export,
    inspect,
    maintain,
    new,
    observe,
    opening,
    report,
    run,
    safe,
    schema,
    status,
    tokens,
)
from pymanip_run.cli.outcome import leave_now
from pymanip_run.errors import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["build", "build_one", "prefixed"]

COMMANDS: dict[str, Callable[..., None]] = {
    "run": run.run,
    "check": check.check,
    "safe": safe.safe,
    "new": new.new,
    "inspect": inspect.inspect,
    "export": export.export,
    "report": report.report,
    "status": status.status,
    "note": control.note,
    "stop": control.stop,
    "open": opening.open_dashboard,
    "recover": maintain.recover,
    "compact": maintain.compact,
    "convert": convert.convert,
    "token": tokens.token,
    "doctor": doctor.doctor,
    "schema": schema.schema,
    "observe": observe.observe,
}
#: One line each, that fits beside the name on a terminal of 80 columns.
IN_SHORT = {
    "run": "Run an experiment: measure, store, show, stop safely.",
    "check": "Check an experiment file, and forecast a run of it.",
    "safe": "Bring the instruments of an experiment into their safe state.",
    "new": "Write an experiment to begin with, that runs as it is.",
    "inspect": "Show what is in a session, also while it is running.",
    "export": "Write a session for other programs.",
    "report": "Write a page about a session, to read, print and send.",
    "status": "Show which runs are going on, and how the last ones ended.",
    "note": "Write a remark into a running session.",
    "stop": "End a running session as its first Ctrl-C would.",
    "open": "Open the dashboard of a running session, or of a finished one.",
    "observe": "Watch a session that runs on another computer.",
    "token": "Print what lets a browser into the dashboards.",
    "recover": "Bring into a session what a crash left beside it.",
    "compact": "Rewrite a finished session smaller.",
    "convert": "Make a session of an old one of pymanip.",
    "doctor": "Say whether this computer is fit for a long measurement.",
    "schema": "Print the JSON Schema of the experiment file, for editors.",
}
EXPERIMENT_SUFFIXES = (".yaml", ".yml")
SESSION_SUFFIXES = (".h5", ".hdf5")
GROUP_OPTIONS = ("--help", "--version", "--install-completion", "--show-completion")

FIRST_CONTACT = """\
pymanip-run runs laboratory experiments: it opens the instruments, runs your
tasks for hours or months, stores everything in one HDF5 file, and stops safely.

  pymanip-run new my_experiment                        begin an experiment
  pymanip-run my_experiment/experiment.yaml --for 30s  run it; Ctrl-C ends it
  pymanip-inspect my_experiment/session.h5             look into its file
  pymanip-run status                                   see what runs here

All commands: pymanip-run --help. Is this computer fit: pymanip-run doctor.
Documentation: docs/ of the project. More experiments: sample_experiments/."""


def looks_like_a_file(word: str) -> bool:
    """Return whether a first word is more likely meant as a file than as a command."""
    return (
        word.lower().endswith((*EXPERIMENT_SUFFIXES, *SESSION_SUFFIXES))
        or "/" in word
        or Path(word).is_file()
    )


def prefixed(arguments: Sequence[str]) -> list[str]:
    """Return the arguments with ``run`` before them where the first word is a file, or an option of it."""
    words = list(arguments)
    if not words or words[0] in COMMANDS:
        return words
    first = words[0]
    if first.startswith("-") and first.split("=")[0] not in GROUP_OPTIONS:
        if any(map(looks_like_a_file, words)):
            return ["run", *words]
    elif not first.startswith("-") and looks_like_a_file(first):
        return ["run", *words]
    return words


class Group(typer.core.TyperGroup):
    """The commands; an unknown one is answered with the nearest, and with a line that would work."""

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """Complete a command, or an experiment file as the first word."""
        file = self.commands["run"].params[0]
        return super().shell_complete(ctx, incomplete) + file.shell_complete(ctx, incomplete)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command of the first word."""
        word = args[0]
        if word in self.commands or word.startswith("-"):
            return super().resolve_command(ctx, args)
        from pymanip_run.wording import quoted

        known = list(self.commands)
        for suffix in EXPERIMENT_SUFFIXES:
            if Path(word + suffix).is_file():
                ctx.fail(
                    f"no such command or file {word!r}; did you mean the file?  pymanip-run {quoted(word + suffix)}"
                )
        if Path(word).is_dir():
            ctx.fail(_about_folder(Path(word)))
        close = nearest(word, known, n=1)
        if close:
            rest = " ".join(["pymanip-run", close[0], *map(quoted, args[1:])])
            ctx.fail(f"no such command {word!r}; did you mean {close[0]!r}?  {rest}")
        ctx.fail(
            f"no such command or file {word!r}; the commands are {', '.join(known)}: see pymanip-run --help"
        )
        return None


def _about_folder(folder: Path) -> str:
    """Return what to type in place of a folder."""
    from pymanip_run.wording import quoted

    try:
        names = sorted(p.name for p in folder.iterdir() if p.suffix in EXPERIMENT_SUFFIXES)
    except OSError as error:
        return f"{folder} is a folder that cannot be read: {error.strerror}"
    usual = [name for name in names if Path(name).stem == "experiment"]
    if not names:
        new = quoted(str(folder / "my_experiment"))
        return (
            f"{folder} is a folder without an experiment; begin one in it:  pymanip-run new {new}"
        )
    if len(names) == 1 or usual:
        inside = quoted(str(folder / (usual or names)[0]))
        return f"{folder} is a folder; did you mean its experiment?  pymanip-run {inside}"
    lines = "".join(f"\n  pymanip-run {quoted(str(folder / name))}" for name in names[:5])
    return f"{folder} is a folder with several experiments; name one:{lines}"


def build() -> typer.Typer:
    """Return the application with all commands."""
    app = _typer(Group, add_completion=True)
    app.callback(invoke_without_command=True)(_callback)
    for name, function in COMMANDS.items():
        app.command(name, short_help=IN_SHORT.get(name))(function)
    return app


def build_one(name: str) -> typer.Typer:
    """Return an application that is one of the commands."""
    app = _typer(None, add_completion=False)
    app.command(name)(COMMANDS[name])
    return app


def _typer(group: type[Group] | None, *, add_completion: bool) -> typer.Typer:
    return typer.Typer(
        cls=group,
        help="Run laboratory experiments from the command line.",
        add_completion=add_completion,
        no_args_is_help=False,
        # Rich would double the time to the first line of help, and decorate the user's tracebacks.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )


def _version(wanted: bool) -> None:
    if wanted:
        from pymanip_run.cli.versions import version_text

        print(version_text())
        leave_now(0)


def _callback(
    ctx: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_version, is_eager=True, help="The versions of all that matters."
        ),
    ] = False,
) -> None:
    if ctx.invoked_subcommand is None:
        print(FIRST_CONTACT, file=sys.stdout)
