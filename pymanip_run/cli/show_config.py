"""``pymanip-run EXPERIMENT.yaml --show-config``: what a run would use, and where each value comes from."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pymanip_run.cli.outcome import TALK, say
from pymanip_run.masking import known_secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["print_config"]


def print_config(
    file: str,
    overrides: Sequence[str],
    *,
    duration: str | None = None,
    session: str | None = None,
    new: bool | None = None,
    port: int | None = None,
    no_server: bool = False,
    share: bool = False,
) -> None:
    """Print the experiment with all that changes it; the options as they were typed."""
    from pymanip_run.experiment.load.loading import read_draft
    from pymanip_run.experiment.load.show import shown_config
    from pymanip_run.experiment.text.overrides import Assignment
    from pymanip_run.experiment.text.writing import written

    options = []
    if duration is not None:
        options.append(Assignment("--for", ["limits", "duration"], written(duration)))
    if session is not None:
        path = str(Path(session).absolute()).replace("{", "{{").replace("}", "}}")
        options.append(Assignment("--session", ["session", "file"], written(path)))
    if new is not None:
        word = "new" if new else "append"
        options.append(Assignment(f"--{word}", ["session", "exists"], word))
    if port is not None:
        options.append(Assignment("--port", ["server", "port"], str(port)))
    if no_server:
        options.append(Assignment("--no-server", ["server", "enabled"], "false"))
    if share:
        options.append(Assignment("--share", ["server", "share"], "true"))
    draft = read_draft(file, overrides, options=options)
    text = shown_config(draft)
    with known_secrets(draft.secrets):
        for warning in draft.loaded().warnings if TALK.level >= 0 else ():
            say(f"warning: {warning}")
    print(text, end="")
