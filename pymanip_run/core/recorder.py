"""The way in: names and values are checked, stamped, stored, and then announced.

Everything may be called from any thread; the store's lock makes stamping and storing one step, so
that the order in the journal is the order of time.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

from pymanip_run.clock import SYSTEM, Clock, ClockStep, SessionClock, as_ns, as_seconds
from pymanip_run.core.context import POINT_PREFIX, current_point
from pymanip_run.errors import DamagedFileError, UsageError
from pymanip_run.masking import starred
from pymanip_run.records import (
    PLAIN_SCALARS,
    Description,
    Entry,
    Event,
    as_float,
    as_parameter,
    check_name,
    check_text,
    clean_text,
)
from pymanip_run.storage.untrusted import check_nesting
from pymanip_run.storage.values import encode_value
from pymanip_run.units import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from pymanip_run.core.feed import Feed
    from pymanip_run.records import SweepPoint
    from pymanip_run.storage.contract import WritableStore

__all__ = ["Recorder"]

#: Larger records are written in parts, without keeping others from recording.
LARGE_RECORD = 1 << 20


class Recorder:
    """Records into a store and announces on a feed.

    Parameters
    ----------
    store
        Where the data go.
    feed
        Who is told.
    clock
        What the time is read from.
    """

    def __init__(self, store: WritableStore, feed: Feed, clock: Clock = SYSTEM) -> None:
        self._store = store
        self._feed = feed
        self._clock = SessionClock(clock, _last_ns(store), self._clock_stepped)
        self._stamp = self._clock.stamp
        self._append_row = store.append_row
        self._known: set[tuple[str, ...]] = set()
        self._parameters = {name: p.value for name, p in store.parameters().items()}
        self._metadata = store.metadata()
        self._run_index: int | None = None
        #: Entries recorded since the session was opened.
        self.entries = 0

    def now(self) -> float:
        """Return the session's time in Unix seconds."""
        return as_seconds(self._clock.now_ns())

    def position(self) -> int:
        """Return the time (ns) up to which all entries and events are stored: later ones have later times."""
        with self._store.lock:
            return self._clock.last_ns

    def add_entry(self, /, *dicts: Mapping[str, Any], **values: Any) -> None:
        """Record scalars under one timestamp; on return they are safe against a crash.

        Raises
        ------
        TypeError
            If a value is no number, or a name no text; nothing of the call is stored.
        OverflowError
            If an integer does not fit into float64.
        StorageError
            If it could not be written; nothing of the call is stored.
        """
        if dicts:
            values = _merged(dicts, values)
        if values and (point := current_point.get()) is not None:
            values[POINT_PREFIX + point[0]] = point[1]
        names = tuple(values)
        if names not in self._known:
            if not names:
                return
            for name in names:
                check_name(name)
            self._known.add(names)
        numbers = tuple(values.values())
        for number in numbers:
            # The first question is quicker, and usually enough.
            if type(number) is not float and type(number) not in PLAIN_SCALARS:
                numbers = tuple(map(as_float, names, numbers))
                break
        try:
            # Re-entrant: a clock step found while stamping is recorded within the same call.
            with self._store.lock:
                ns = self._stamp()
                self._append_row(ns, names, numbers)
                self.entries += 1
                # Under the lock: what is announced is in the order of time, whoever records.
                if self._feed.active:
                    self._feed.publish(Entry(ns, names, tuple(map(float, numbers))))
        except (OverflowError, struct.error):
            tuple(map(as_float, names, numbers))  # names the variable
            raise

    def add_dataset(self, /, *dicts: Mapping[str, Any], **values: Any) -> None:
        """Record arrays or plain values, each as a record of the dataset of its name.

        Raises
        ------
        TypeError
            If a value cannot be stored; nothing of the call is.
        ValueError
            If a record is 4 GiB or more.
        StorageError
            If it could not be written.
        """
        merged = _merged(dicts, values)
        records = [
            (check_name(name, "dataset"), *encode_value(name, value))
            for name, value in merged.items()
        ]
        if not records:
            return
        with self._store.lock:
            ns = self._stamp()
            if sum(_size(stored) for _, stored, _ in records) <= LARGE_RECORD:
                self._store.append_arrays(ns, records)
                return
        self._store.append_arrays(ns, records)

    def save_parameter(self, /, *dicts: Mapping[str, Any], **values: Any) -> None:
        """Set parameters; the change of an existing one is an event.

        Raises
        ------
        TypeError
            If a value is no number, truth value or text; nothing of the call is stored.
        ValueError
            If a text has NUL or lone surrogates; nothing of the call is stored.
        """
        checked = _checked_parameters(_merged(dicts, values))
        with self._store.lock:
            stamps = [self._stamp() for _ in checked]
            with self._store.together():
                events = [
                    self._store_parameter(ns, name, value)
                    for ns, (name, value) in zip(stamps, checked, strict=True)
                ]
            self._parameters.update(checked)
            for event in filter(None, events):
                self._feed.publish(event)

    def put_parameter(
        self, name: str, value: float | bool | str, unit: str | None = None, source: str = ""
    ) -> Event | None:
        """Set one parameter, with its unit and who set it; return the event of a change."""
        value = as_parameter(check_name(name, "parameter"), value)
        if unit is not None:
            check_text(name, unit, "unit")
        with self._store.lock:
            ns = self._stamp()
            with self._store.together():
                event = self._store_parameter(ns, name, value, unit, source)
            self._parameters[name] = value
            if event is not None:
                self._feed.publish(event)
        return event

    def _store_parameter(
        self,
        ns: int,
        name: str,
        value: float | bool | str,
        unit: str | None = None,
        source: str = "",
    ) -> Event | None:
        """Store a parameter and the event of its change, which is returned, and still to be announced."""
        missing = object()
        old = self._parameters.get(name, missing)
        self._store.put_parameter(ns, name, value, unit)
        if old is missing or _same(old, value):
            return None
        event = Event(ns, "parameter", source or name, f"{name}: {old!r} → {value!r}")
        self._store.append_event(event)
        return event

    def save_metadata(self, /, *dicts: Mapping[str, Any], **values: Any) -> None:
        """Set metadata: texts, or what JSON can hold; the change of an existing one is an event.

        Raises
        ------
        TypeError
            If JSON cannot hold a value; nothing of the call is stored.
        ValueError
            If a text has NUL or lone surrogates; nothing of the call is stored.
        """
        merged = {
            check_name(name, "metadata"): _checked_json(name, value)
            for name, value in _merged(dicts, values).items()
        }
        with self._store.lock:
            stamps = [self._stamp() for _ in merged]
            events = []
            with self._store.together():
                for ns, (name, value) in zip(stamps, merged.items(), strict=True):
                    self._store.put_metadata(ns, name, value)
                    old = self._metadata.get(name, value)
                    if old != value and not name.startswith("_"):
                        events.append(Event(ns, "metadata", name, f"{name}: {old!r} → {value!r}"))
                        self._store.append_event(events[-1])
            self._metadata.update(merged)
            for event in events:
                self._feed.publish(event)

    def describe(
        self,
        name: str,
        unit: str | None = None,
        label: str | None = None,
        format: str | None = None,
        period: float | str | None = None,
    ) -> None:
        """Say how a variable is shown and exported.

        Raises
        ------
        TypeError, ValueError
            If the name, the format or the period is none.
        """
        check_name(name)
        if format is not None:
            _check_format(format)
        seconds = None if period is None else parse_duration(period)
        for what, text in (("unit", unit), ("label", label)):
            if text is not None:
                check_text(name, text, what)
        wanted = Description(unit, label, format, seconds)
        attributes = {
            key: value
            for key in ("unit", "label", "format", "period")
            if (value := getattr(wanted, key)) is not None
        }
        if attributes:
            with self._store.lock:
                self._store.put_attributes(self._stamp(), name, attributes)

    def note(self, text: str, source: str | None = None) -> Event:
        """Record a remark as an event, and return it.

        Raises
        ------
        TypeError
            If it is no text.
        """
        if not isinstance(text, str):
            raise TypeError(f"a note is a text, not {type(text).__name__}")
        if not (source is None or isinstance(source, str)):
            raise TypeError(f"the source of a note is a text, not {type(source).__name__}")
        return self.event("note", source or "", text)

    def event(self, kind: str, source: str, text: str) -> Event:
        """Record an event now, and return it."""
        with self._store.lock:
            # An error of a driver may quote the password that it was given.
            event = Event(self._stamp(), kind, clean_text(source), clean_text(starred(text)))
            self._event(event)
        return event

    def begin_run(self, attributes: Mapping[str, Any], texts: Mapping[str, str]) -> float:
        """Record the start of a run and return its time; `attributes` and `texts` tell where it comes from."""
        with self._store.lock:
            self._run_index = len(self._store.runs())
            ns = self._stamp()
            known = {"start": as_seconds(ns), **_cleaned(attributes)}
            self._store.put_run(ns, self._run_index, known, _cleaned(texts))
        self.event("start", "run", f"run {self._run_index} started")
        return as_seconds(ns)

    def end_run(self, exit_code: int, reason: str) -> None:
        """Record the end of the run."""
        with self._store.lock:
            if self._run_index is None:
                return
            event = self.event("stop", "run", reason)
            attributes = {"stop": event.time, "exit_code": exit_code, "exit_reason": event.text}
            self._store.put_run(event.ns, self._run_index, attributes, {})
            self._run_index = None

    def instant(self) -> int:
        """Return a time (ns) between all that was recorded so far and all that will be."""
        with self._store.lock:
            return self._stamp()

    def end_point(self, point: SweepPoint) -> None:
        """Record that a point of a sweep of this run is over now, behind all its data; outside of a run nothing."""
        with self._store.lock:
            if self._run_index is not None:
                self._store.append_point(self._run_index, point._replace(ns=self._stamp()))

    def _event(self, event: Event) -> None:
        self._store.append_event(event)
        self._feed.publish(event)

    def _clock_stepped(self, step: ClockStep) -> None:
        self._event(Event(step.ns, "clock", "clock", step.text))


def _size(stored: NDArray[np.generic] | str) -> int:
    return len(stored) if isinstance(stored, str) else stored.nbytes


def _last_ns(store: WritableStore) -> int:
    """Return the latest time in a session that is continued."""
    times = [time for time, _ in store.last_values().values()]
    times += [info.last_time for info in store.datasets().values()]
    times += [event.time for event in store.events()[-1:]]
    times += [as_seconds(parameter.ns) for parameter in store.parameters().values()]
    return as_ns(max(times)) if times else 0


def _merged(dicts: tuple[Mapping[str, Any], ...], values: dict[str, Any]) -> dict[str, Any]:
    if not dicts:
        return values
    if len(dicts) == 1 and type(dicts[0]) is dict:
        return {**dicts[0], **values}
    merged: dict[str, Any] = {}
    for one in dicts:
        if type(one) is not dict and not hasattr(one, "keys"):
            raise TypeError(f"give dicts or keyword arguments, not {type(one).__name__}")
        merged.update(one)
    merged.update(values)
    return merged


def _checked_parameters(values: Mapping[str, Any]) -> list[tuple[str, float | bool | str]]:
    return [
        (check_name(name, "parameter"), as_parameter(name, value)) for name, value in values.items()
    ]


def _same(old: object, new: object) -> bool:
    return type(old) is type(new) and (old == new or (old != old and new != new))  # noqa: PLR0124 - NaN


def _cleaned(items: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: clean_text(value) if isinstance(value, str) else value for key, value in items.items()
    }


def _checked_json(name: str, value: Any) -> Any:
    """Return a copy of `value` as it comes back from the file: what its owner changes later is not saved."""
    if isinstance(value, str):
        return check_text(name, value)
    try:
        copy = check_nesting(json.loads(json.dumps(value)))
        if copy != value and repr(copy) != repr(value):  # NaN differs from itself
            raise TypeError("it would come back changed")
    except (TypeError, ValueError, RecursionError, DamagedFileError) as error:
        raise TypeError(
            f"{name}: metadata is text, or numbers, lists and dicts with text keys ({error}); "
            "use save_parameter for numpy scalars, add_dataset for arrays"
        ) from None
    check_text(name, json.dumps(value, ensure_ascii=False))
    return copy


def _check_format(text: object) -> None:
    if not isinstance(text, str):
        raise TypeError(f"a format is a text such as '.3f', not {type(text).__name__}")
    try:
        format(1.0, text)
    except ValueError:
        raise UsageError(
            f"{text!r} is no format of a number; write for example '.3f' or '.2e'"
        ) from None
