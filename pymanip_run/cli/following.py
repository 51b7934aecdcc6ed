"""``inspect --follow``: what comes into a session, line by line, across the ends and starts of runs."""

from __future__ import annotations

import select
import sys
from typing import TYPE_CHECKING

from pymanip_run.cli.outcome import say
from pymanip_run.clock import SYSTEM, as_seconds, iso_local
from pymanip_run.describe.news import Follower, NewRecord
from pymanip_run.livetable.lines import item_json, to_json
from pymanip_run.livetable.output import descriptor_of
from pymanip_run.livetable.text import Number, event_line, glyphs_for
from pymanip_run.records import Entry
from pymanip_run.registry import writer_of
from pymanip_run.wording import inert

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from pymanip_run.core.view import SessionView
    from pymanip_run.describe.news import Item

__all__ = ["follow"]

#: Seconds between two looks at the session, and at whether its writer is alive.
LOOK, LOOK_AT_WRITER = 0.25, 2.0


def follow(
    view: SessionView, path: Path, names: Collection[str], tail: int, *, json: bool, events: bool
) -> None:
    """Print what is new in a session until Ctrl-C, or until nobody reads it any more.

    Parameters
    ----------
    tail
        So many of the last values of each variable come first.
    json
        JSON lines, as a run with ``--json`` prints them.
    events
        Only events.
    """
    follower, writer = Follower(view, names, tail), _Writer(path)
    line = _as_json if json else _Lines(view)
    try:
        items = _news(follower, path)
        while True:
            writer.tell()  # from when it says that it follows, nothing is missed
            for item in items:
                if not events or not isinstance(item, (Entry, NewRecord)):
                    print(line(item))
            sys.stdout.flush()
            if _is_unread():
                return
            items = _news(follower, path)
    except KeyboardInterrupt:
        return  # as it is meant to end


def _news(follower: Follower, path: Path) -> list[Item]:
    """Return what is new; of a file that is moved away, what is in the one that follows it."""
    is_told = False
    while True:
        try:
            return follower.news()
        except FileNotFoundError:
            if not is_told:
                say(f"{path} is gone; waiting until there is one again")
            is_told = True
            if _is_unread():
                return []


def _is_unread() -> bool:
    """Wait a moment; return at once, and True, when the reader of standard output has left."""
    descriptor = descriptor_of(sys.stdout)
    if descriptor is None:
        SYSTEM.pause(LOOK)
        return False
    poll = select.poll()
    poll.register(descriptor, 0)
    return bool(poll.poll(LOOK * 1000))


# -- who writes it ------------------------------------------------------------------------------


class _Writer:
    """Says who writes the session, whenever that has changed: silence has a reason."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked = -LOOK_AT_WRITER
        self._told: int | None = -1

    def tell(self) -> None:
        """Look now and then, and say what is new."""
        now = SYSTEM.monotonic()
        if now - self._looked < LOOK_AT_WRITER:
            return
        self._looked = now
        run = writer_of(self._path)
        pid = None if run is None else run.pid
        if pid == self._told:
            return
        first = self._told == -1
        self._told = pid
        hint = "; Ctrl-C ends this" if first else ""
        if run is None:
            say(f"no run is writing {self._path} now; waiting for the next one{hint}")
        else:
            say(f"{self._path} is being written by process {run.pid}{hint}")


# -- lines --------------------------------------------------------------------------------------


class _Lines:
    """Writes an item as a line; numbers keep their width while they change."""

    def __init__(self, view: SessionView) -> None:
        self._view = view
        self._units: dict[str, str] = {}
        self._numbers: dict[str, Number] = {}
        self._encodable: Callable[[str], str] = glyphs_for(sys.stdout.encoding).encodable

    def __call__(self, item: Item) -> str:
        """Return the line."""
        if isinstance(item, Entry):
            text = "  ".join(map(self._value, item.names, item.values))
        elif isinstance(item, NewRecord):
            text = f"{inert(item.name)}  record {item.number}, {item.shape} {inert(item.dtype)}"
        else:
            text = event_line(item.kind, item.source, item.text)
        return self._encodable(f"{iso_local(as_seconds(item.ns), 'milliseconds')}  {text}")

    def _value(self, name: str, value: float) -> str:
        if name not in self._numbers:
            self._learn(name)
        number = self._numbers[name]
        number.saw(value)
        return f"{inert(name)} {number(value)}{self._units[name]}"

    def _learn(self, name: str) -> None:
        info = self._view.variables().get(name)
        about = None if info is None else info.description
        self._numbers[name] = Number(about.format if about else None)
        self._units[name] = f" {inert(about.unit)}" if about and about.unit else ""


def _as_json(item: Item) -> str:
    if not isinstance(item, NewRecord):
        return item_json(item)
    return to_json({
        "type": "record", "time": as_seconds(item.ns), "name": item.name, "number": item.number,
        "shape": list(item.shape), "dtype": item.dtype,
    })  # fmt: skip
