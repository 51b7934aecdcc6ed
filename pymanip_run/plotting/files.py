"""Plots as PNG files beside the session, written again and again while it runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading
    from pathlib import Path
    from typing import Any

    from pymanip_run.plotting.album import Album

__all__ = ["file_name", "write_files"]

#: Until the first picture, and between two of them.
FIRST_SECONDS, SECONDS = 1.0, 10.0
LONGEST_TITLE = 60


class Say(Protocol):
    """Tells the run something."""

    def __call__(self, **words: Any) -> None:
        """Tell it."""


def file_name(number: int, title: str) -> str:
    """Return the name of the file of a plot, counted from 1: ``01_T_top_T_bottom.png``."""
    plain = re.sub(r"[^\w.-]+", "_", title).strip("_.")[:LONGEST_TITLE]
    return f"{number:02}_{plain or 'plot'}.png"


def write_files(album: Album, folder: Path, over: threading.Event, say: Say) -> None:
    """Draw all plots into a folder, now and then and a last time when it is over.

    Parameters
    ----------
    album
        What is drawn.
    folder
        Made where it does not exist.
    over
        Ends it.
    say
        Is told when files cannot be written.
    """
    drawn: dict[int, int] = {}
    told, is_last, wait = False, False, FIRST_SECONDS
    while not is_last:
        is_last = over.wait(wait)
        wait = SECONDS
        try:
            _draw(album, folder, drawn)
        except OSError as error:
            if not told:
                say(failed=f"{folder}: {error.strerror}")
            told = True
        else:
            told = False


def _draw(album: Album, folder: Path, drawn: dict[int, int]) -> None:
    from pymanip_run.plotting.canvas import picture  # noqa: PLC0415 - matplotlib takes a moment

    for number, sheet in enumerate(album.sheets, 1):
        version = sheet.version
        if drawn.get(number) == version:
            continue
        folder.mkdir(exist_ok=True)
        path = folder / file_name(number, sheet.plot.heading)
        part = path.with_suffix(".png.part")
        part.write_bytes(picture(sheet.plot, album.curves(sheet), album.about()))
        # Who looks at it sees the earlier one or this one, never half of it.
        part.replace(path)
        drawn[number] = version
