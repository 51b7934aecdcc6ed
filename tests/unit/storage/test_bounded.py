"""The store of a rehearsal: all is counted exactly, only the latest part is kept."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymanip_run.clock import VirtualClock
from pymanip_run.records import Event, Window
from pymanip_run.storage.bounded import BoundedStore
from pymanip_run.storage.memory import MemoryStore

S = 1_000_000_000
EPOCH = 1_700_000_000 * S


def store(**options):
    return BoundedStore("a rehearsal", VirtualClock(EPOCH), **options)


def held(stored):
    """Bytes of rows that are kept."""
    return stored._batch.size


def test_a_month_of_values_takes_little_memory():
    stored = store(most=1 << 16)
    for i in range(100_000):
        stored.append_row(EPOCH + i * S, ("T",), (float(i),))
    assert held(stored) <= 1 << 16
    known = stored.variables()["T"].statistics
    assert (known.n, known.min, known.max, known.mean) == (100_000, 0, 99_999, 49_999.5)
    assert (known.first_time, known.last_time) == (EPOCH // S, EPOCH // S + 99_999)
    assert known.rate == pytest.approx(1)
    assert known.longest_gap == 1


def test_the_latest_values_are_there():
    stored = store(most=1 << 12)
    for i in range(10_000):
        stored.append_row(EPOCH + i * S, ("T", "p"), (float(i), -float(i)))
    times, values = stored.read_series("p", Window(tail=10))
    assert values.tolist() == [-float(i) for i in range(9_990, 10_000)]
    assert times[-1] == EPOCH // S + 9_999
    assert stored.last_values()["T"][1] == 9_999


def test_the_last_value_of_what_is_rarely_logged_stays():
    stored = store(most=1 << 12)
    stored.append_row(EPOCH, ("calibration",), (42.0,))
    for i in range(10_000):
        stored.append_row(EPOCH + (i + 1) * S, ("T",), (float(i),))
    assert stored.last_values()["calibration"] == (EPOCH // S, 42.0)
    assert stored.read_series("calibration", Window(tail=1))[1].tolist() == [42.0]
    assert stored.variables()["calibration"].statistics.n == 1


def test_what_a_task_reads_back_is_complete_while_there_is_room():
    stored = store()
    for i in range(1000):
        stored.append_row(EPOCH + i * S, ("T",), (float(i),))
    assert stored.read_series("T", Window())[1].tolist() == list(map(float, range(1000)))


row = st.tuples(st.sampled_from([("a",), ("b",), ("a", "b"), ("c", "a", "b")]), st.floats(width=32))


@settings(deadline=None)
@given(st.lists(row, max_size=300), st.integers(64, 4096))
def test_statistics_are_those_of_a_store_that_keeps_all(rows, most):
    small, whole = store(most=most), MemoryStore()
    for number, (names, value) in enumerate(rows):
        for one in (small, whole):
            one.append_row(EPOCH + number * 1000, names, (value,) * len(names))
    expected = {n: i.statistics for n, i in whole.variables().items()}
    found = {n: i.statistics for n, i in small.variables().items()}
    assert found.keys() == expected.keys()
    for name, known in found.items():
        other = expected[name]
        exact = ("n", "nonfinite", "first_time", "last_time", "min", "max")
        for key in exact:
            np.testing.assert_equal(getattr(known, key), getattr(other, key))
        np.testing.assert_allclose(known.mean, other.mean, rtol=1e-6, atol=1e-30)


def test_records_of_datasets_are_counted_and_the_latest_kept():
    stored = store(most=100_000)
    for i in range(500):
        stored.append_array(EPOCH + i * S, "frame", np.full(1000, i % 256, np.uint8), None)
    info = stored.datasets()["frame"]
    assert (info.n, info.nbytes, info.shape) == (500, 500_000, (1000,))
    assert (info.first_time, info.last_time) == (EPOCH // S, EPOCH // S + 499)
    kept = len(stored.dataset_times("frame"))
    assert 1 <= kept <= 100
    assert stored.dataset_record("frame", kept - 1)[0] == 499 % 256


def test_a_record_larger_than_the_room_is_kept_until_the_next():
    stored = store(most=1000)
    for i in range(3):
        stored.append_array(EPOCH + i * S, "frame", np.full(10_000, i, np.uint8), None)
    assert stored.datasets()["frame"].n == 3
    assert stored.dataset_record("frame", len(stored.dataset_times("frame")) - 1)[0] == 2


def test_events_are_bounded():
    stored = store()
    for i in range(25_000):
        stored.append_event(Event(EPOCH + i * 1000, "parameter", "V", "V: 0 → 1"))
    assert len(stored.events()) <= 20_000
    assert sys.getsizeof(stored._batch.events) < 1 << 20


def test_the_size_of_the_file_is_foreseen():
    stored = store()
    stored.append_row(EPOCH, ("a", "b"), (1.0, 2.0))
    stored.append_array(EPOCH, "frame", np.zeros(100), None)
    assert stored.bytes == 2 * 16 + 800 + 16


def test_it_tells_when_something_is_recorded():
    told = []
    stored = store(on_record=lambda: told.append(1))
    stored.append_row(EPOCH, ("a",), (1.0,))
    stored.append_array(EPOCH, "frame", np.zeros(1), None)
    stored.append_event(Event(EPOCH, "note", "", "refilled"))
    stored.append_event(Event(EPOCH, "start", "run", "run 0 started"))
    assert len(told) == 3


def test_the_session_is_created_in_virtual_time():
    assert store().info().created == EPOCH // S


window = st.builds(
    Window,
    st.none() | st.floats(-10, 60) | st.sampled_from([float("-inf"), float("inf"), 1e300]),
    st.none() | st.floats(-10, 60) | st.sampled_from([float("-inf"), float("inf"), -1e300]),
    st.none() | st.integers(0, 20),
    st.none() | st.integers(0, 20),
)


@settings(deadline=None)
@given(st.lists(st.sampled_from([("a",), ("b",), ("a", "b")]), max_size=60), window)
def test_windows_are_cut_as_from_the_whole_series(rows, cut):
    stored = MemoryStore()
    for number, names in enumerate(rows):
        stored.append_row(number * S, names, (float(number),) * len(names))
    times, values = stored.read_series("a", Window())
    inside = np.ones(len(times), bool)
    if cut.since is not None:
        inside &= times >= cut.since
    if cut.until is not None:
        inside &= times < cut.until
    expected = values[inside]
    if cut.tail is not None:
        expected = expected[max(0, len(expected) - cut.tail) :]
    if cut.head is not None:
        expected = expected[: cut.head]
    assert stored.read_series("a", cut)[1].tolist() == expected.tolist()
