"""``pymanip-run new``: an experiment to begin with, that runs as it is."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pymanip_run.cli.complete import choices
from pymanip_run.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["TEMPLATES", "new"]

#: What each is about; its files are in `pymanip_run/templates`.
TEMPLATES = {
    "this_computer": "logs what this computer does; nothing has to be connected",
    "sweep": "an adaptive sweep of a simulated oscillator",
    "instrument": "a simulated SCPI instrument, with a safe state",
}
FOLDER = Path(__file__).parents[1] / "templates"
#: So that no tool takes them for code of this package.
SUFFIX = ".template"
TITLE = "@TITLE@"


def new(
    directory: Annotated[
        str, typer.Argument(metavar="DIRECTORY", help="The folder to be made, or an empty one.")
    ],
    *,
    template: Annotated[
        str,
        typer.Option(
            "--template",
            metavar="|".join(TEMPLATES),
            help="What to begin with.",
            autocompletion=choices(*TEMPLATES),
        ),
    ] = "this_computer",
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Also into a folder with files; what is in the way is kept as NAME.old."
        ),
    ] = False,
) -> None:
    """Write a commented experiment, its tasks and a test, that run as they are."""
    from pymanip_run.cli.outcome import say
    from pymanip_run.wording import quoted

    target = Path(directory)
    files = dict(_files(template, target.absolute().name))
    _check(target, force=force)
    kept = _write(target, files)
    for name, old in kept:
        say(f"{target / name} was there; it is kept as {old}")
    print(f"{target}/: {', '.join(files)}\n\nType next:")
    print(f"  pymanip-run {quoted(str(target / 'experiment.yaml'))} --for 30s")
    print(f"  pymanip-inspect {quoted(str(target / 'session.h5'))}")


def _files(template: str, name: str) -> Iterator[tuple[str, str]]:
    """Yield names and texts of a template's files."""
    if template not in TEMPLATES:
        known = "".join(f"\n  {one:<14} {about}" for one, about in TEMPLATES.items())
        raise UsageError(
            f"there is no template {template!r}{did_you_mean(template, TEMPLATES)}{known}"
        )
    from json import dumps

    for path in sorted((FOLDER / template).glob(f"*{SUFFIX}")):
        # What JSON writes in quotes, YAML reads the same.
        text = path.read_text(encoding="utf-8").replace(TITLE, dumps(name, ensure_ascii=False))
        yield path.name.removesuffix(SUFFIX), text


def _check(target: Path, *, force: bool) -> None:
    from pymanip_run.wording import quoted

    if target.exists() and not target.is_dir():
        other = quoted(f"{target}_experiment")
        raise UsageError(f"{target} is a file; name a folder:\n  pymanip-run new {other}")
    try:
        inside = sorted(p.name for p in target.iterdir()) if target.is_dir() else []
    except OSError as error:
        raise UsageError(f"{target} cannot be read: {error.strerror}") from None
    if inside and not force:
        more = ", …" if len(inside) > 3 else ""
        raise UsageError(
            f"{target} is not empty ({', '.join(inside[:3])}{more}); choose another folder, or keep what is "
            f"in the way as NAME.old:\n  pymanip-run new {quoted(str(target))} --force"
        )


def _write(target: Path, files: dict[str, str]) -> list[tuple[str, Path]]:
    """Write the files; return which were in the way, and where they are now."""
    kept = []
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            path = target / name
            if path.is_symlink() or path.exists():
                old = _free(path)
                path.rename(old)
                kept.append((name, old))
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        raise UsageError(
            f"{error.filename or target} cannot be written: {error.strerror}"
        ) from error
    return kept


def _free(path: Path) -> Path:
    """Return a name that nothing has."""
    old, number = path.with_name(f"{path.name}.old"), 2
    while old.is_symlink() or old.exists():
        old, number = path.with_name(f"{path.name}.old{number}"), number + 1
    return old
