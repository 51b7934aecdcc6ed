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
from pymanip_run.masking import masked_arguments, masked_diff

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["attributes", "git_state", "packages", "texts"]

GIT_SECONDS = 2.0
MAX_DIFF = 1 << 20


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


def texts(folder: Path | None) -> dict[str, str]:
    """Return the texts stored with a run, without secrets.

    Parameters
    ----------
    folder
        Where the user's code is, for its git state; None when there is none.
    """
    found = {
        "argv": json.dumps(masked_arguments(sys.argv), ensure_ascii=False),
        "packages": json.dumps(packages()),
    }
    if folder is not None:
        found |= git_state(folder)
    return found


def packages() -> dict[str, str]:
    """Return the versions of Python and of every imported package that tells its own."""
    found = {"python": platform.python_version()}
    for name, module in sorted(sys.modules.items()):
        # From the namespace: asking a lazy module for an attribute would import half a library.
        version = getattr(module, "__dict__", {}).get("__version__")
        if "." not in name and not name.startswith("_") and isinstance(version, str):
            found[name] = version
    return found


def git_state(folder: Path) -> dict[str, str]:
    """Return commit and uncommitted changes of the repository around `folder`, nothing outside one."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return {}
    found = {"git_commit": commit.strip()}
    diff = _git(folder, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--no-color", "--", ".")
    if diff:
        cut = diff if len(diff) <= MAX_DIFF else diff[:MAX_DIFF] + "\n(cut)\n"
        found["git_diff"] = masked_diff(cut)
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
