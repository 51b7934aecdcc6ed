"""Reports at regular times."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from pymanip_run.mail.facts import Occasion

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymanip_run.mail.outbox import Outbox

__all__ = ["report_regularly"]


async def report_regularly(
    outbox: Outbox, now: Callable[[], float], every: float, first: float
) -> None:
    """Post a report after `first` seconds, then one every `every` seconds; until it is cancelled.

    On a grid of the loop's time, which is virtual in a rehearsal.
    """
    loop = asyncio.get_running_loop()
    due = loop.time() + first
    while True:
        await asyncio.sleep(max(0.0, due - loop.time()))
        outbox.post(Occasion("report", "", "", "", now()))
        due += every
        behind = loop.time() - due
        if behind > 0:  # the computer was asleep: one report tells it all
            due += (behind // every + 1) * every
