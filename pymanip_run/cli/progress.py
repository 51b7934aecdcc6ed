"""How far something is, and how long it will still take, where somebody sees it."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["progress"]

CLEAR = "\r\x1b[K"
#: An estimate needs some time and some progress.
LEAST_SECONDS, LEAST_SHARE = 2.0, 0.01


@contextmanager
def progress() -> Iterator[Callable[[float], None] | None]:
    """Give what is called with the share that is done, 0 to 1; None where standard error is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from pymanip_run.clock import SYSTEM
    from pymanip_run.units import format_clock

    began, shown = SYSTEM.monotonic(), ""

    def show(share: float) -> None:
        nonlocal shown
        elapsed = SYSTEM.monotonic() - began
        text = f"{min(1.0, share):4.0%}"
        if elapsed > LEAST_SECONDS and LEAST_SHARE < share < 1:
            text += f", {format_clock(elapsed / share - elapsed)} left"
        if text != shown:
            shown = text
            print(f"{CLEAR}{text}", end="", file=sys.stderr, flush=True)

    try:
        yield show
    finally:
        print(CLEAR, end="", file=sys.stderr, flush=True)
