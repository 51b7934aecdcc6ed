"""``pymanip-run schema``: the JSON Schema of the experiment file, for editors and checks."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pymanip_run.cli.outcome import say
from pymanip_run.errors import UsageError

__all__ = ["schema"]


def schema(
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write it there; without: print it."),
    ] = None,
) -> None:
    """Print the JSON Schema of the experiment file: editors complete and check the file by it.

    With -o it also says which line an experiment needs, so that an editor checks it by the file.
    """
    from json import dumps

    from pymanip_run.experiment.model.schema import experiment_schema

    text = f"{dumps(experiment_schema(), indent=2, ensure_ascii=False)}\n"
    if output is None or output == "-":
        print(text, end="")
        return
    path = Path(output)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{output} cannot be written: {error.strerror}") from None
    say(
        f"{output} is written; the first line of an experiment beside it:\n"
        f"  # yaml-language-server: $schema=./{path.name}"
    )
