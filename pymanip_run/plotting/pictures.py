"""Plots as pictures for a mail, drawn by a child that is started for them."""

from __future__ import annotations

import io
import subprocess
import tempfile
from typing import TYPE_CHECKING

from pymanip_run.errors import UsageError
from pymanip_run.plotting.display import PAINTER, start_frames
from pymanip_run.plotting.screen import MISSING, has_matplotlib
from pymanip_run.plotting.wire import read_frame
from pymanip_run.spawn import start_module
from pymanip_run.units import format_duration

if TYPE_CHECKING:
    from pymanip_run.plotting.display import Order

__all__ = ["DRAWING_SECONDS", "pictures"]

#: A mail has 30 s altogether.
DRAWING_SECONDS = 10.0


def pictures(order: Order, seconds: float = DRAWING_SECONDS) -> list[tuple[str, bytes]]:
    """Return the plots as they are now: titles, and the bytes of PNG files. In a thread that may wait.

    Parameters
    ----------
    order
        What is to be drawn.
    seconds
        How long it may take.

    Raises
    ------
    UsageError
        If they cannot be drawn; the message says why.
    """
    if not has_matplotlib():
        raise UsageError(MISSING)
    with tempfile.TemporaryFile() as errors:
        process = start_module(
            PAINTER, ["pictures"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, own_session=True,
        )  # fmt: skip
        try:
            drawn, _ = process.communicate(start_frames(order), seconds)
        except subprocess.TimeoutExpired:
            raise UsageError(f"they could not be drawn within {format_duration(seconds)}") from None
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()
        if process.returncode:
            errors.seek(0)
            said = errors.read()[-2000:].decode(errors="replace").strip().splitlines()
            raise UsageError(said[-1] if said else f"status {process.returncode}")
    file = io.BytesIO(drawn)
    found = [frame.content for frame in iter(lambda: read_frame(file), None)]
    return [(plot.heading, png) for plot, png in zip(order.plots, found, strict=False)]
