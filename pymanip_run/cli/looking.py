"""A session at a glance: what ``pymanip-inspect FILE`` prints, without what only its options need.

This is what one types most. Nothing is imported that it does not need: a call without options is not even
parsed by Typer, which would import pydantic for it.
"""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

from pymanip_run.cli.collection import is_collection
from pymanip_run.cli.files import found, opened

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from pymanip_run.core.view import SessionView

__all__ = ["check_names", "has_name", "is_plain", "look", "print_text", "session_summary", "width"]

#: Off a terminal nothing has to fit.
WIDE = 160
NARROWEST = 40


def is_plain(words: Sequence[str]) -> bool:
    """Tell whether words ask for no more than a look at one session."""
    has_options = any(word.startswith("-") for word in words)
    return bool(words) and not has_options and not is_collection(words[0], words[1:])


def look(words: Sequence[str]) -> None:
    """Print what is in a session: the first of the words, the others are names in it."""
    path, names = found(words[0], "inspect"), tuple(dict.fromkeys(words[1:]))
    with opened(path, at_once=True) as view:
        check_names(view, names)
        text = session_summary(view, path, names)
    print_text(text)


def session_summary(view: SessionView, path: Path, names: Sequence[str]) -> str:
    """Return what is in a session as lines that fit the terminal."""
    from pymanip_run.cli.format import session_text

    return session_text(view, path, names, is_running=lambda: _is_running(path), width=width())


def has_name(view: SessionView, name: str) -> bool:
    """Tell whether a name is that of anything in a session."""
    others = view.parameter_table().keys() | view.metadatas().keys() | view.dataset_names()
    return name in others or name in view


def check_names(view: SessionView, names: Sequence[str]) -> None:
    """Refuse names that are nowhere in a session, with the nearest ones."""
    for name in names:
        if not has_name(view, name):
            view.logged_variable(name)


def width() -> int:
    """Return how many characters a line may have."""
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else WIDE
    return max(NARROWEST, columns)


def print_text(text: str) -> None:
    """Print within what the encoding of standard output has."""
    from pymanip_run.livetable.text import glyphs_for

    print(glyphs_for(sys.stdout.encoding).encodable(text))


def _is_running(path: Path) -> bool:
    from pymanip_run.registry import writer_of

    return writer_of(path) is not None
