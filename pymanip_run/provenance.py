"""Where the data of a run come from: computer, user, versions, code."""

from __future__ import annotations

import getpass
import json
import os
import platform
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from pymanip_run.core.context import boot_id
from pymanip_run.masking import masked_arguments, masked_diff, masked_source, starred

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["attributes", "git_state", "packages", "texts"]

GIT_SECONDS = 2.0
MAX_DIFF = MAX_SOURCE = 1 << 20
#: Files that a commit should hold; that they are in none is worth knowing.
CODE = ("*.py", "*.yaml", "*.yml")
MAX_UNTRACKED = 100


def attributes() -> dict[str, Any]:
    """Return host, user, process and boot of this run."""
    found: dict[str, Any] = {"host": socket.gethostname(), "pid": os.getpid()}
    try:
        found["user"] = getpass.getuser()
    except (OSError, KeyError):
        found["user"] = str(os.getuid())
    if (boot := boot_id()) is not None:
        found["boot_id"] = boot
    return found


def texts(folder: Path | None, script: Path | None = None) -> dict[str, str]:
    """Return the texts stored with a run, without secrets.

    Parameters
    ----------
    folder
        Where the user's code is, for its git state; None when there is none.
    script
        The user's script, which is kept as ``module``; None where an experiment file has one of its own.
    """
    found = {
        "argv": json.dumps(list(map(starred, masked_arguments(sys.argv))), ensure_ascii=False),
        "packages": json.dumps(packages()),
    }
    if folder is not None:
        found |= git_state(folder)
    if script is not None and (source := _source(script)):
        found["module"] = starred(masked_source(source))
    return found


def _source(script: Path) -> str:
    try:
        return script.read_text(encoding="utf-8")[:MAX_SOURCE]
    except (OSError, UnicodeDecodeError):
        return ""


def packages() -> dict[str, str]:
    """Return the versions of Python and of every imported package that tells its own."""
    found = {"python": platform.python_version()}
    for name, module in sorted(sys.modules.copy().items()):  # other threads may import
        # From the namespace: asking a lazy module for an attribute would import half a library.
        version = getattr(module, "__dict__", {}).get("__version__")
        foreign = name not in sys.stdlib_module_names and not name.startswith("_")
        if "." not in name and foreign and isinstance(version, str):
            found[name] = version
    return found


def git_state(folder: Path) -> dict[str, str]:
    """Return commit, uncommitted changes and untracked code of the repository around `folder`.

    Nothing outside of a repository.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    found = {"git_commit": commit.strip()}
    diff = _git(folder, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color", "--", ".")
    if diff:
        cut = diff if len(diff) <= MAX_DIFF else diff[:MAX_DIFF] + "\n(cut)\n"
        found["git_diff"] = starred(masked_diff(cut))
    others = _git(folder, "ls-files", "--others", "--exclude-standard", "--", *CODE)
    if others:
        found["git_untracked"] = "\n".join(others.splitlines()[:MAX_UNTRACKED])
    return found


def _git(folder: Path, *arguments: str) -> str | None:
    # Untrusted folders must not make git run their hooks or monitors.
    command = ["git", "-c", "core.fsmonitor=false", "-C", str(folder), *arguments]
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(  # noqa: S603 - a fixed command
            command, capture_output=True, check=False, timeout=GIT_SECONDS, env=environment
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
