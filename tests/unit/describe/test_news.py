"""What is new in a session: each value once, in the order of time, whoever writes it."""

import numpy as np

from pymanip_run.core.view import SessionView
from pymanip_run.describe.news import Follower, NewRecord
from pymanip_run.records import Entry, Event
from pymanip_run.storage.memory import MemoryStore
from pymanip_run.storage.values import encode_value

SECOND = 10**9
START = 1_763_800_000 * SECOND


class Run:
    """Writes into a session in memory, a second later each time."""

    def __init__(self):
        self.store = MemoryStore()
        self.view = SessionView(self.store, "s")
        self.ns = START

    def add(self, **values):
        self.ns += SECOND
        self.store.append_row(self.ns, tuple(values), list(values.values()))

    def event(self, text, kind="note"):
        self.ns += SECOND
        self.store.append_event(Event(self.ns, kind, "", text))

    def record(self, name, value):
        self.ns += SECOND
        self.store.append_array(self.ns, name, *encode_value(name, value))


def test_each_value_is_told_once_and_those_of_an_entry_together():
    run = Run()
    run.add(T=1.0, P=2.0)
    follower = Follower(run.view)
    assert follower.news() == []  # what was there before is not new
    run.add(T=3.0, P=4.0)
    run.add(T=5.0)
    first, second = follower.news()
    assert dict(zip(first.names, first.values, strict=True)) == {"T": 3.0, "P": 4.0}
    assert second == Entry(run.ns, ("T",), (5.0,))
    assert follower.news() == []


def test_a_variable_that_comes_later_is_told_from_its_first_value():
    run = Run()
    run.add(T=1.0)
    follower = Follower(run.view)
    follower.news()
    run.add(late=7.0)
    run.add(late=8.0)
    assert [item.values for item in follower.news()] == [(7.0,), (8.0,)]


def test_the_last_values_come_first_when_they_are_asked_for():
    run = Run()
    for i in range(5):
        run.add(T=float(i))
    run.add(rare=9.0)
    follower = Follower(run.view, tail=2)
    assert [item.values for item in follower.news()] == [(3.0,), (4.0,), (9.0,)]
    assert follower.news() == []


def test_events_and_records_come_between_the_entries_in_the_order_of_time():
    run = Run()
    follower = Follower(run.view)
    follower.news()
    run.add(T=1.0)
    run.event("refilled")
    run.record("frame", np.zeros((2, 3), np.uint8))
    run.add(T=2.0)
    found = follower.news()
    assert [type(item) for item in found] == [Entry, Event, NewRecord, Entry]
    assert found[2][1:] == ("frame", 0, (2, 3), "uint8")
    run.record("frame", np.zeros((2, 3), np.uint8))
    assert [item.number for item in follower.news()] == [1]


def test_names_restrict_it_and_leave_events_out():
    run = Run()
    follower = Follower(run.view, ["T", "_hidden", "not yet"])
    follower.news()
    run.add(T=1.0, P=2.0)
    run.event("refilled")
    run.add(_hidden=3.0)
    run.record("frame", np.zeros(3))
    assert [(item.names, item.values) for item in follower.news()] == [
        (("T",), (1.0,)),
        (("_hidden",), (3.0,)),
    ]


def test_another_session_under_the_same_name_is_all_new():
    run, other = Run(), Run()
    run.add(T=1.0)
    follower = Follower(run.view)
    follower.news()
    other.add(T=2.0)  # at the time of what was seen of the first
    follower._view = other.view
    assert [item.values for item in follower.news()] == [(2.0,)]
