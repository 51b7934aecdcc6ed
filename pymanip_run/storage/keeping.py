"""What is set aside beside a session instead of being deleted, and how that is told."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pymanip_run.clock import SYSTEM
from pymanip_run.records import Event

if TYPE_CHECKING:
    from pathlib import Path

    from pymanip_run.storage.files import Files, SessionPaths

__all__ = ["damage_event", "keep_segment", "put_aside"]


def damage_event(text: str) -> Event:
    """Return the event that tells of a loss, or of something that was kept aside."""
    return Event(int(SYSTEM.time() * 1e6) * 1000, "damage", "storage", text)


def keep_segment(files: Files, paths: SessionPaths, number: int) -> None:
    """Copy a segment of the journal beside the session; nothing where it is gone."""
    copies = 0
    while files.exists(kept := paths.damaged(number, copies)):
        copies += 1
    try:
        old = files.open(paths.segment(number), os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        new = files.open(kept, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        try:
            files.resemble(new, files.stat(old))
            files.copy(old, new, files.size(old))
            files.fdatasync(new)
        finally:
            files.close(new)
    finally:
        files.close(old)


def put_aside(files: Files, paths: SessionPaths) -> Path | None:
    """Give a file that has the session's name a second one, which is returned; None where there is none.

    At no moment is there no file of the session's name, which a crash could leave.
    """
    if not files.exists(paths.main):
        return None
    number = 0
    while files.exists(aside := paths.aside(number)):
        number += 1
    files.link(paths.main, aside)
    return aside
