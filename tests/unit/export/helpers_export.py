"""A session with all that makes trouble in a format, and what a table of it must be."""

import math

import numpy as np

from pymanip_run.core.view import SessionView
from pymanip_run.records import Event
from pymanip_run.storage.memory import MemoryStore
from pymanip_run.storage.values import encode_value

START = 1_763_800_000_123_456_000
SECOND = 10**9
#: Numbers that are hard to write.
HARD = [0.1, math.nan, math.inf, -math.inf, 1 / 3, 5e-324, -1.7976931348623157e308, -0.0]
NAMES = ["T", "t", "température", "a/b c", "9 lives", "end", "time", "温度", "x" * 200]
UNITS = {"T": "°C", "température": "µm/s²", "a/b c": "%", "rare": "Ω"}


def session(names=NAMES, entries=40):
    """A view of a session in memory: all names in every entry, `rare` in every seventh."""
    store = MemoryStore("A cell, §1")
    for i in range(entries):
        values = [HARD[(i + k) % len(HARD)] for k in range(len(names))]
        store.append_row(START + i * SECOND, tuple(names), values)
        if i % 7 == 3:
            store.append_row(START + i * SECOND + SECOND // 2, ("rare",), (float(i),))
    for name, unit in UNITS.items():
        store.put_attributes(START, name, {"unit": unit})
    store.put_attributes(START, "T", {"label": "bottom plate"})
    store.put_attributes(START, "described only", {"unit": "V"})
    store.put_parameter(START, "gain", 2.5, "dB")
    store.put_parameter(START, "who", "Ada é", None)
    store.put_parameter(START, "on/off", True, None)
    store.put_parameter(START, "not a number", math.nan, None)
    store.put_metadata(START, "sample", "He-4 §")
    store.put_metadata(START, "setup", {"tags": ["a", 1.5, None]})
    store.append_event(Event(START, "note", "me", "refilled\nnitrogen"))
    return SessionView(store, "cell")


def add_record(view, seconds, name, value):
    """Add a record to a dataset of such a session."""
    stored, python_type = encode_value(name, value)
    view._session.store.append_array(START + int(seconds * SECOND), name, stored, python_type)


def table(view, names=()):
    """The outer table, the slow and obvious way: times, and for each name {time: value}."""
    names = names or [n for n in view.variables() if view.variables()[n].statistics.n]
    columns = {
        name: dict(zip(*(a.tolist() for a in view.logged_variable(name)), strict=True))
        for name in names
    }
    times = sorted({t for column in columns.values() for t in column})
    return times, columns


def dense(times, column):
    """A column with NaN where it has no value."""
    return np.array([column.get(t, math.nan) for t in times])


def same(a, b):
    """Whether two arrays of numbers are the same to the last bit, all NaN alike."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return a.shape == b.shape and np.array_equal(a, b, equal_nan=True) and np.array_equal(np.signbit(a[~np.isnan(a)]), np.signbit(b[~np.isnan(b)]))  # fmt: skip
