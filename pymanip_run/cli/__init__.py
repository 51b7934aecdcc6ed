"""The command line: one module per command, each of which parses, calls and prints.

Nothing heavy is imported here: ``--help`` and ``--version`` must be there at once.
"""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import os
import sys

__all__ = ["main", "main_export", "main_inspect", "main_observe"]


def main() -> None:
    """Run ``pymanip-run``."""
    from pymanip_run.cli.app import COMMANDS, build, looks_like_a_file, prefixed
    from pymanip_run.cli.outcome import leave

    if "_PYMANIP_RUN_COMPLETE" in os.environ:
        from pymanip_run.cli.complete import with_run

        with_run(os.environ, lambda word: word not in COMMANDS and looks_like_a_file(word))
    leave(build(), "pymanip-run", prefixed(sys.argv[1:]))


def main_inspect() -> None:
    """Run ``pymanip-inspect``."""
    from pymanip_run.cli.looking import is_plain, look

    if is_plain(sys.argv[1:]):
        from pymanip_run.cli.outcome import leave

        leave(lambda words, **_: look(words), "pymanip-inspect", sys.argv[1:])
    _alone("inspect")


def main_export() -> None:
    """Run ``pymanip-export``."""
    _alone("export")


def main_observe() -> None:
    """Run ``pymanip-observe``."""
    _alone("observe")


def _alone(name: str) -> None:
    from pymanip_run.cli.app import build_one
    from pymanip_run.cli.outcome import leave

    leave(build_one(name), f"pymanip-{name}", sys.argv[1:])
