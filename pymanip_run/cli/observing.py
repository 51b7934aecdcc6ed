"""What ``pymanip-run observe`` shows and stores of a session elsewhere."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymanip_run.cli.outcome import say
from pymanip_run.clock import SYSTEM, as_ns
from pymanip_run.core.feed import Feed
from pymanip_run.errors import RemoteError, UsageError
from pymanip_run.livetable import Display, Options, choose_mode
from pymanip_run.livetable.state import AlarmState, SweepProgress, TaskProgress
from pymanip_run.observe import RefusedError, entries_of
from pymanip_run.records import Entry, Event
from pymanip_run.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from pymanip_run.observe import RemoteEntry, RemoteObserver

__all__ = ["print_once", "record_into", "show_live"]

POLL = 0.5
RETRY = 2.0
#: The status of a server that has too much to do at the moment.
BUSY = 503


def print_once(observer: RemoteObserver, *, as_json: bool) -> None:
    """Print the last values."""
    from pymanip_run.livetable.text import inert  # noqa: PLC0415

    shown = observer.snapshot()
    if as_json:
        print(json.dumps(shown, allow_nan=False))
        return
    say(f"{inert(shown['title'])} · {shown['state']} · {observer.url}")
    words = dict(shown["nonfinite"])
    for name, one in sorted(shown["values"].items()):
        value = words.get(name) or f"{one['value']:{one['format'] or '.6g'}}"
        unit = f" {inert(one['unit'])}" if one["unit"] else ""
        stale = "  no fresh value" if one["stale"] else ""
        print(f"{inert(name)} {value}{unit}  {format_duration(one['age'])} ago{stale}")


class Following:
    """Asks for what is new, and goes on where it was after the connection was lost.

    Parameters
    ----------
    observer
        The session.
    """

    def __init__(self, observer: RemoteObserver) -> None:
        self.observer = observer
        self.shown: dict[str, Any] = observer.snapshot()
        self._cursor: str = self.shown["next"]
        self._event_ns = max((as_ns(e["t"]) for e in self.shown["events"]), default=0)
        self.lost = False
        self.over: str | None = None

    def items(self) -> Iterator[Entry | Event]:
        """Yield what is new, until the run ends; an error of the connection is said and tried again."""
        while self.over is None:
            try:
                yield from self._new()
            except RemoteError as error:
                if isinstance(error, RefusedError) and error.status != BUSY:
                    raise
                self._cut_off(error)
            else:
                if self.lost:
                    self.lost = False
                    say("the connection is there again; nothing was missed")

    def _cut_off(self, error: RemoteError) -> None:
        if self.over is not None:
            say(f"the run has ended, and not all of it could be read: {error}")
            return
        if not self.lost:
            self.lost = True
            say(f"connection lost: {error}\ntrying again; Ctrl-C ends it")
        SYSTEM.pause(RETRY)

    def _new(self) -> Iterator[Entry | Event]:
        how = self.observer.state(0.0 if self.lost else POLL, self._cursor)
        if how["state"] == "finished":
            self.over = str(how["reason"])
        events = [Event(as_ns(e["t"]), e["kind"], e["source"], e["text"]) for e in how["events"]]
        for event in events:
            if event.ns > self._event_ns:
                self._event_ns = event.ns
                yield event
        entries = list(entries_of(how))
        if self.over is None and any(one.values.keys() - self.shown["values"] for one in entries):
            self.observer.variables()  # lets the server read them anew: then it has units of what is new
            self.shown = self.observer.snapshot()
        self._cursor, more = how["next"], how["more"]
        while entries:
            yield from map(as_entry, entries)
            entries = []
            if more:
                entries, self._cursor, more = self.observer.page_after(self._cursor)
        if self.over is None:
            self.shown = self.observer.snapshot()


def as_entry(entry: RemoteEntry) -> Entry:
    """Return an entry as the recorder would have announced it."""
    return Entry(as_ns(entry.t), tuple(entry.values), tuple(entry.values.values()))


# -- the table ----------------------------------------------------------------------------------


class RemoteRun:
    """A `RunState` of a run elsewhere."""

    safety = "elsewhere"
    file_size: int | None = None

    def __init__(self, following: Following) -> None:
        self._following = following
        shown = following.shown
        self.name: str = shown["session"] or following.observer.host
        self.title: str = shown["title"]
        self.path: str | None = shown["file"]
        self.started: float = shown["started"] or shown["now"]
        self.duration: float | None = shown["duration"]
        self.address: str | None = following.observer.url
        self._offset: float = shown["now"] - SYSTEM.time()

    @property
    def stopping(self) -> str | None:
        """Why the run is stopping."""
        if self._following.lost:
            return "connection lost"
        return self._following.shown["reason"] if self._shown["state"] != "running" else None

    @property
    def _shown(self) -> dict[str, Any]:
        return self._following.shown

    @property
    def entries(self) -> int:
        """Entries that it has recorded."""
        return int(self._shown.get("entries") or 0)

    def now(self) -> float:
        """Return its time."""
        return SYSTEM.time() + self._offset

    def tasks(self) -> Sequence[TaskProgress]:
        """Return the state of every task."""
        return [
            TaskProgress(t["name"], t["state"], t["next"], t["period"])
            for t in self._shown["tasks"]
        ]

    def sweeps(self) -> Sequence[SweepProgress]:
        """Return the progress of every sweep."""
        return [
            SweepProgress(s["name"], s["done"], s["total"], s["remaining"])
            for s in self._shown["sweeps"]
        ]

    def alarms(self) -> Mapping[str, AlarmState]:
        """Return the worst alarm of each variable that has one."""
        order = ("ok", "cleared", "pending", "active")
        found: dict[str, AlarmState] = {}
        for one in sorted(self._shown["alarms"], key=lambda a: order.index(a["state"])):
            found[one["variable"]] = AlarmState(one["state"], one["name"])
        return found


def show_live(observer: RemoteObserver, *, as_json: bool) -> None:
    """Show the session until it ends, or Ctrl-C."""
    following = Following(observer)
    feed = Feed()
    mode = "json" if as_json else choose_mode("auto")
    display = Display(
        observer, feed, RemoteRun(following), Options(mode, 10.0), on_note=observer.note
    )  # fmt: skip
    display.start()
    outcome = "not watched any more; the run goes on"
    try:
        for item in following.items():
            feed.publish(item)
        outcome = f"finished: {following.over}"
    except KeyboardInterrupt:
        pass
    finally:
        display.close(outcome, {"type": "summary", "outcome": outcome} if as_json else None)


# -- recording ----------------------------------------------------------------------------------


def record_into(observer: RemoteObserver, name: str) -> None:
    """Store what a session logs from now on into a file, until it ends or Ctrl-C."""
    path = Path(name)
    if path.suffix.lower() not in (".h5", ".hdf5", ".csv"):
        raise UsageError(f"--record {name}: the name must end with .h5 or .csv")
    if path.exists():
        raise UsageError(f"{name} exists, and is not overwritten; choose another name")
    following = Following(observer)
    say(f"recording {observer.url} into {name}; Ctrl-C ends it")
    record = _into_csv if path.suffix.lower() == ".csv" else _into_session
    count = record(following, path)
    if following.over is not None:
        say(f"the run has finished: {following.over}")
    say(f"{name}: {count} entries")


def _until_interrupted(following: Following, take: Callable[[Entry | Event], object]) -> int:
    count = 0
    try:
        for item in following.items():
            take(item)
            count += isinstance(item, Entry)
    except KeyboardInterrupt:
        pass
    return count


def _into_session(following: Following, path: Path) -> int:
    from pymanip_run.storage.store import FileStore  # noqa: PLC0415

    shown = following.shown
    store = FileStore(path, shown["title"])
    try:
        ns = as_ns(shown["now"])
        store.put_metadata(
            ns, "observed", {"url": following.observer.url, "session": shown["session"]}
        )
        for name, one in following.observer.parameter_table().items():
            store.put_parameter(ns, name, one.value, one.unit)
        described: dict[str, dict[str, Any]] = {}

        def take(item: Entry | Event) -> None:
            if isinstance(item, Event):
                store.append_event(item)
                return
            for name in item.names:
                known = _description(following.shown["values"].get(name, {}))
                if known and known != described.get(name):
                    described[name] = known
                    store.put_attributes(item.ns, name, known)
            with store.lock:
                store.append_row(item.ns, item.names, item.values)

        return _until_interrupted(following, take)
    finally:
        store.close()


def _description(shown: Mapping[str, Any]) -> dict[str, Any]:
    return {key: shown[key] for key in ("unit", "label", "format") if shown.get(key)}


def _into_csv(following: Following, path: Path) -> int:
    columns: list[str] = []
    late: set[str] = set()
    with path.open("x", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")

        def begin(names: Iterable[str]) -> None:
            known = following.shown["values"]
            columns.extend(sorted(names))
            units = {name: known[name]["unit"] if name in known else None for name in columns}
            writer.writerow(["time", *(f"{n} [{units[n]}]" if units[n] else n for n in columns)])

        if following.shown["values"]:
            begin(following.shown["values"])

        def take(item: Entry | Event) -> None:
            if isinstance(item, Event):
                return
            values = dict(zip(item.names, item.values, strict=True))
            if not columns:  # the recording was sooner than the first entry
                begin(values.keys() | following.shown["values"].keys())
            new = values.keys() - set(columns) - late
            if new:
                late.update(new)
                say(f"{', '.join(sorted(new))} came later and has no column; a .h5 takes all")
            if values.keys() & set(columns):
                writer.writerow([repr(item.time), *(_cell(values.get(n)) for n in columns)])
                file.flush()

        return _until_interrupted(following, take)


def _cell(value: float | None) -> str:
    return "" if value is None else "nan" if math.isnan(value) else repr(value)
