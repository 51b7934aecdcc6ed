"""The stores that read pymanip's sessions keep the contract of a readable store, and a converted session is the same."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers_storage import differences, everything

from pymanip_run.records import Window
from pymanip_run.storage.convert import convert
from pymanip_run.storage.reading import open_store
from pymanip_run.storage.snapshot import SnapshotStore

SESSIONS = Path(__file__).parents[1] / "unit" / "storage" / "pymanip_sessions"
OLD = sorted([*SESSIONS.glob("*.db"), *SESSIONS.glob("*.hdf5")])


@pytest.fixture(params=OLD, ids=lambda path: path.name, scope="module")
def old(request):
    return request.param


@pytest.fixture(scope="module")
def converted(old, tmp_path_factory):
    path = tmp_path_factory.mktemp("converted") / "new.h5"
    convert(old, path)
    return path


@pytest.fixture(params=["old", "converted"], scope="module")
def store(request, old, converted):
    found = open_store(old if request.param == "old" else converted)
    yield found
    found.close()


def plain(content):
    """What a store can tell, in the forms that both kinds share."""
    content = dict(content)
    # The size of a pickle is not that of an array, and of some plain values only one says what they are.
    content["datasets"] = {n: (i.n, i.first_time, i.last_time, i.unit) for n, i in content["datasets"].items()}  # fmt: skip
    content["records"] = {
        name: [np.asarray(r) if isinstance(r, np.generic) else r for r in records]
        for name, records in content["records"].items()
    }
    content["metadata"] = {n: v for n, v in content["metadata"].items() if n != "_converted_from"}
    return content


def test_a_converted_session_is_the_same(old, converted):
    before, after = open_store(old), SnapshotStore(converted)
    expected, found = plain(everything(before)), plain(everything(after))
    if "clock" in expected["series"]:  # two values of one time: the second is now 1 µs later
        times = expected["series"]["clock"][0]
        assert times[1] == times[2]
        times[2] = found["series"]["clock"][0][2]
        assert 0 < times[2] - times[1] < 2e-6
        assert expected["variables"].pop("clock").statistics.n == 4
        del found["variables"]["clock"]
    assert differences(found, expected) == []
    assert after.info().created == pytest.approx(before.info().created, abs=1e-6)
    assert after.info().title == before.info().title
    before.close()
    after.close()


def test_values_are_in_time_order_and_floats(store):
    for name in store.variables():
        times, values = store.read_series(name, Window())
        assert times.dtype == values.dtype == np.float64
        assert times.shape == values.shape
        assert np.all(np.diff(times) >= 0)


@pytest.mark.parametrize("tail", [None, 0, 3, 1000])
@pytest.mark.parametrize("bounds", [(None, None), (0.2, None), (None, 0.7), (0.2, 0.7), (0.7, 0.2), (-1.0, 2.0)])  # fmt: skip
def test_a_window_is_cut_out_of_the_series(store, bounds, tail):
    for name in store.variables():
        times, values = store.read_series(name, Window())
        span = times[-1] - times[0]
        since, until = (None if b is None else times[0] + b * span for b in bounds)
        low, high = (-math.inf if since is None else since, math.inf if until is None else until)
        wanted = np.flatnonzero((times >= low) & (times < high))
        if tail is not None:
            wanted = wanted[max(0, len(wanted) - tail) :]
        found = store.read_series(name, Window(since, until, tail))
        assert found[0].tolist() == times[wanted].tolist()
        assert repr(found[1].tolist()) == repr(values[wanted].tolist())
        head = store.read_series(name, Window(since, until, head=2))
        if tail is None:
            assert head[0].tolist() == times[wanted][:2].tolist()


def test_statistics_are_those_of_the_whole_series(store):
    assert store.variables().keys() == store.last_values().keys()
    for name, info in store.variables().items():
        times, values = store.read_series(name, Window())
        s, finite = info.statistics, values[np.isfinite(values)]
        assert (s.n, s.nonfinite) == (len(values), len(values) - len(finite))
        assert (s.first_time, s.last_time) == (times[0], times[-1])
        assert (s.min, s.max) == (finite.min(), finite.max())
        assert s.mean == pytest.approx(finite.mean(), rel=1e-9)
        assert repr(store.last_values()[name]) == repr((float(times[-1]), float(values[-1])))


def test_what_is_not_there_is_empty_or_an_index_error(store):
    assert store.read_series("no such", Window(tail=3))[0].shape == (0,)
    assert store.dataset_times("no such").shape == (0,)
    for name in [*store.datasets(), "no such"]:
        count = len(store.dataset_times(name))
        for index in (-1, count, count + 100):
            with pytest.raises(IndexError, match=f"has {count} records, there is no {index}"):
                store.dataset_record(name, index)


def test_closing_twice_does_nothing(old, tmp_path):
    copy = Path(shutil.copy(old, tmp_path))
    store = open_store(copy)
    store.close()
    store.close()
