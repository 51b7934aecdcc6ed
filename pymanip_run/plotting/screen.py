"""Whether windows can be opened: a screen, and a matplotlib that is not told to do without."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MISSING", "has_matplotlib", "has_screen"]

#: What is said where matplotlib is not installed.
MISSING = "matplotlib is not installed: pip install 'pymanip-run[plot]'"
#: Backends of matplotlib that open no windows.
WITHOUT_WINDOWS = ("agg", "cairo", "pdf", "pgf", "ps", "svg", "template")


def has_screen(environ: Mapping[str, str], platform: str = sys.platform) -> bool:
    """Return whether there is a screen for windows.

    Parameters
    ----------
    environ
        The environment. ``MPLBACKEND=agg`` says that no windows are wanted.
    platform
        The operating system, as Python calls it.
    """
    if environ.get("MPLBACKEND", "").lower() in WITHOUT_WINDOWS:
        return False
    if platform == "darwin":
        return "SSH_CONNECTION" not in environ
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def has_matplotlib() -> bool:
    """Return whether matplotlib is installed. It is not imported."""
    return find_spec("matplotlib") is not None
