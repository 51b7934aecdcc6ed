"""Series and datasets as dask arrays that are read in parts, from files that workers open themselves."""

import pickle
import shutil
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from helpers_storage import EPOCH, MS, checkpoint, finish, quiet_store

from pymanip_run import AsyncSession, NotFoundError, SavedAsyncSession, Sessions, UsageError
from pymanip_run.core.chunked import one_moment
from pymanip_run.core.view import SessionView
from pymanip_run.errors import StorageError
from pymanip_run.storage.database import Database
from pymanip_run.storage.memory import MemoryStore

pytest.importorskip("dask.array")
OLD = Path(__file__).parents[1] / "storage" / "pymanip_sessions" / "schema_4.1.db"
COUNT = 5000


def fill(store, first, count):
    for i in range(first, first + count):
        store.append_row(EPOCH + i * MS, ("T", "p"), (i, -i))
        if i % 3 == 0:
            store.append_row(EPOCH + i * MS + 1000, ("rare",), (i,))
    for i in range(first, first + count, 500):
        store.append_array(EPOCH + i * MS + 2000, "frame", np.full((2, 3), i, "<i4"), None)


def saved(folder):
    store = quiet_store(folder / "s.h5")
    fill(store, 0, COUNT)
    finish(store)
    return SavedAsyncSession(folder / "s", verbose=False), None


def half_in_the_journal(folder):
    store = quiet_store(folder / "s.h5")
    fill(store, 0, COUNT // 2)
    checkpoint(folder / "s.h5")
    fill(store, COUNT // 2, COUNT // 2)
    return SavedAsyncSession(folder / "s", verbose=False), store


def live(folder):
    store = quiet_store(folder / "s.h5")
    fill(store, 0, COUNT // 2)
    checkpoint(folder / "s.h5")
    fill(store, COUNT // 2, COUNT // 2)
    return SessionView(store, "s"), store


def in_memory(_folder):
    store = MemoryStore()
    fill(store, 0, COUNT)
    return SessionView(store, "s"), None


@pytest.fixture(
    params=[saved, half_in_the_journal, live, in_memory], ids=lambda make: make.__name__
)
def view(request, tmp_path):
    found, store = request.param(tmp_path)
    yield found
    if store is not None:
        finish(store)


@pytest.mark.parametrize("chunks", ["auto", 1, 999, 10 * COUNT])
def test_a_series_as_a_pair_of_dask_arrays(view, chunks):
    if chunks == 1:
        view = SessionView(MemoryStore(), "short")  # 5000 chunks would be files opened 5000 times
        view._session.store.append_row(EPOCH, ("T",), (1,))
    times, values = view.to_dask("T", chunks)
    assert times.shape == values.shape == (view["T"].size,)
    assert times.dtype == values.dtype == np.float64
    np.testing.assert_array_equal(times.compute(scheduler="sync"), view["T"].timestamps)
    np.testing.assert_array_equal(values.compute(scheduler="sync"), view["T"].values)


@pytest.mark.parametrize(
    "key", [np.s_[10:20], np.s_[-100:], np.s_[::7], np.s_[4990:10:-9], 17, np.s_[0:0], [3, 4000, 2]]
)
def test_parts_are_those_of_the_whole(view, key):
    values = view.to_dask("T", 700)[1]
    np.testing.assert_array_equal(values[key].compute(scheduler="sync"), view["T"].values[key])


def test_it_goes_on_to_be_right_in_threads(view):
    _, values = view.to_dask("p", 100)
    assert values.sum().compute(scheduler="threads") == -sum(range(COUNT))


def test_a_dataset_as_one_dask_array(view):
    times, records = view.to_dask("frame", 3)
    assert records.shape == (10, 2, 3)
    assert records.dtype == np.int32
    assert records.chunks[0] == (3, 3, 3, 1)
    np.testing.assert_array_equal(times, view.dataset_times("frame"))
    found = np.array([record for _, record in view.datasets("frame")])
    np.testing.assert_array_equal(records.compute(scheduler="sync"), found)
    np.testing.assert_array_equal(
        records[2:8:2, 1, :2].compute(scheduler="sync"), found[2:8:2, 1, :2]
    )
    np.testing.assert_array_equal(records[::-1, 0].compute(scheduler="sync"), found[::-1, 0])
    np.testing.assert_array_equal(records[-2, :, 1].compute(scheduler="sync"), found[-2, :, 1])


def test_chunked_xarray_has_units_and_the_times_as_a_coordinate(view):
    pytest.importorskip("xarray")
    data = view.to_xarray("T", "p", chunks=800)
    assert data.sizes == {"sample": COUNT}
    assert data["T"].chunks == ((800,) * 6 + (200,),)
    assert float(data["p"].sum().compute(scheduler="sync")) == -sum(range(COUNT))
    eager = view.to_xarray("T")
    np.testing.assert_array_equal(
        data["time"].compute(scheduler="sync").values, eager["time"].values
    )
    frames = view.to_xarray("frame", chunks=4)
    assert frames["frame"].dims == ("time", "frame_0", "frame_1")
    assert frames["frame"].chunks[0] == (4, 4, 2)
    np.testing.assert_array_equal(
        frames["frame"].compute(scheduler="sync").values, view.to_xarray("frame")["frame"].values
    )


def test_variables_that_were_not_logged_together_are_not_joined(view):
    pytest.importorskip("xarray")
    with pytest.raises(
        UsageError, match="'rare' and 'T' were not always logged by the same add_entry"
    ):
        view.to_xarray("T", "rare", chunks=100)
    with pytest.raises(UsageError, match="not always logged"):
        view.to_xarray(chunks=100)
    assert view.to_xarray("T", "rare").sizes["time"] > COUNT  # without chunks they are joined


def test_what_looks_as_if_logged_together_is_compared_when_it_is_read(tmp_path):
    pytest.importorskip("xarray")
    store = quiet_store(tmp_path / "s.h5")
    for i in range(10):
        names = {4: ("T",), 5: ("p",)}.get(i, ("T", "p"))
        store.append_row(EPOCH + i * MS, names, (1.0,) * len(names))
    finish(store)
    view = SavedAsyncSession(tmp_path / "s", verbose=False)
    data = view.to_xarray("T", "p", chunks=2)
    assert data["T"].sum().compute(scheduler="sync") == 9
    with pytest.raises(UsageError, match="not always logged by the same add_entry"):
        data["p"].compute(scheduler="sync")


def test_a_run_that_goes_on_does_not_change_what_was_asked_for(tmp_path):
    store = quiet_store(tmp_path / "s.h5")
    fill(store, 0, 300)
    view = SavedAsyncSession(tmp_path / "s", verbose=False)
    times, values = view.to_dask("T", 100)
    data, frames = view.to_xarray("T", "p", chunks=100), view.to_dask("frame")[1]
    fill(store, 300, 300)
    checkpoint(tmp_path / "s.h5")
    fill(store, 600, 50)
    assert len(view["T"].values) == 650
    assert values.compute(scheduler="sync").tolist() == list(range(300))
    assert len(times.compute(scheduler="sync")) == 300
    assert data["p"].compute(scheduler="sync").shape == (300,)
    assert frames.compute(scheduler="sync").shape == (1, 2, 3)
    finish(store)
    assert values.compute(scheduler="sync").tolist() == list(range(300))


def test_what_workers_get_is_small_and_can_be_pickled(tmp_path):
    view, _ = saved(tmp_path)
    times, values = view.to_dask("T", 1000)
    sent = pickle.dumps((times, values, view.to_dask("frame")[1]))
    assert len(sent) < 10_000
    for array in pickle.loads(sent):  # noqa: S301 - our own
        assert len(array.compute(scheduler="sync")) in (COUNT, 10)


def test_nothing_is_read_before_it_is_computed(tmp_path):
    view, _ = saved(tmp_path)
    _, values = view.to_dask("T", 1000)
    (tmp_path / "s.h5").rename(tmp_path / "gone.h5")
    with pytest.raises(FileNotFoundError):
        values[:1].compute(scheduler="sync")
    (tmp_path / "gone.h5").rename(tmp_path / "s.h5")
    assert values[1].compute(scheduler="sync") == 1


def test_another_session_in_its_place_is_refused(tmp_path):
    view, _ = saved(tmp_path)
    _, values = view.to_dask("T")
    (tmp_path / "s.h5").unlink()
    with AsyncSession(tmp_path / "s", verbose=False) as other:
        other.add_entry(T=1)
    with pytest.raises(StorageError, match="another session now than when its arrays were made"):
        values.compute(scheduler="sync")


def test_a_session_of_pymanip_can_be_read_in_parts(tmp_path):
    view = SavedAsyncSession(shutil.copy(OLD, tmp_path), verbose=False)
    name = max(view.variables(), key=lambda n: view.variables()[n].statistics.n)
    times, values = view.to_dask(name, 2)
    np.testing.assert_array_equal(times.compute(scheduler="sync"), view[name].timestamps)
    np.testing.assert_array_equal(values.compute(scheduler="sync"), view[name].values)


def old_session(path, times, schema=OLD):
    """A session of pymanip with one variable, its values the numbers of its times."""
    shutil.copy(schema, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO log_names VALUES ('many')")
        connection.executemany(
            "INSERT INTO log (timestamp, name, value) VALUES (?, 'many', ?)",
            ((time, i) for i, time in enumerate(times)),
        )
    return SavedAsyncSession(path, verbose=False)


def test_parts_of_a_session_of_pymanip_begin_among_equal_times_too(tmp_path):
    times = [float(i // 7) for i in range(100)]
    view = old_session(tmp_path / "old.db", times, OLD.with_name("schema_3_by_0.4.3.db"))
    for chunks in (1, 3, 7, 50, 1000):
        found, values = view.to_dask("many", chunks)
        assert found.compute(scheduler="sync").tolist() == times
        assert values.compute(scheduler="sync").tolist() == list(range(100))
        assert values[37:41].compute(scheduler="sync").tolist() == [37, 38, 39, 40]
        assert values[::-9].compute(scheduler="sync").tolist() == list(range(99, -1, -9))


def test_a_part_of_a_session_of_pymanip_is_read_without_those_before_it(tmp_path, monkeypatch):
    view = old_session(tmp_path / "old.db", [i / 10 for i in range(20_000)])
    _, values = view.to_dask("many", 1000)
    rows = []
    read = Database.rows

    def counted(self, query, *arguments):
        for row in read(self, query, *arguments):
            rows.append(row)
            yield row

    monkeypatch.setattr(Database, "rows", counted)
    assert values[19_000:].compute(scheduler="sync").tolist() == list(range(19_000, 20_000))
    assert len(rows) < 1100


def test_records_that_are_not_alike_are_refused():
    sesn = AsyncSession(verbose=False)
    sesn.add_dataset(shape=[1.0, 2.0], text="a", mixed={"a": 1})
    sesn.add_dataset(shape=[1.0, 2.0, 3.0])
    for name in ("shape", "text", "mixed"):
        with pytest.raises(UsageError, match=f"records of '{name}' are not arrays of one shape"):
            sesn.to_dask(name)


def test_what_is_not_there_is_said(view):
    with pytest.raises(NotFoundError, match=r"no logged variable .TT."):
        view.to_dask("TT")
    for wrong in (0, -1, 1.5, "all", None):
        with pytest.raises(UsageError, match="chunks is 'auto' or how many values"):
            view.to_dask("T", wrong)


def test_a_missing_library_is_named_with_its_cure(view, monkeypatch):
    monkeypatch.setitem(sys.modules, "dask.array", None)
    with pytest.raises(
        UsageError, match=r"needs dask; install it: pip install 'pymanip-run\[analysis\]'"
    ):
        view.to_dask("T")


def test_many_sessions_one_after_the_other(tmp_path):
    pytest.importorskip("xarray")
    for number in range(1, 12):
        store = quiet_store(tmp_path / f"run_{number}.h5")
        for i in range(number):
            store.append_row(EPOCH + (number * 100 + i) * MS, ("T", "p"), (number, i))
        finish(store)
    with AsyncSession(tmp_path / "other", verbose=False) as sesn:
        sesn.add_entry(q=1)
    sessions = Sessions(tmp_path)
    times, values = sessions.to_dask("T", 4)
    expected = [float(n) for n in range(1, 12) for _ in range(n)]
    assert values.compute(scheduler="sync").tolist() == expected
    assert np.all(np.diff(times.compute(scheduler="sync")) > 0)
    data = sessions.to_xarray("T", "p", chunks=4)
    assert data.attrs["sessions"] == [f"run_{n}" for n in range(1, 12)]
    assert data["session"].compute(scheduler="sync").values.tolist() == [n - 1 for n in map(int, expected)]  # fmt: skip
    means = data["T"].groupby(data["session"].compute(scheduler="sync")).mean()
    assert means.compute(scheduler="sync").values.tolist() == list(range(1, 12))
    with pytest.raises(NotFoundError, match="no session has a logged variable 'TT'"):
        sessions.to_dask("TT")
    with pytest.raises(NotFoundError, match="no session has all of 'T', 'q'"):
        sessions.to_xarray("T", "q")
    with pytest.raises(UsageError, match="name the variables"):
        sessions.to_xarray()


# -- what it stands on --------------------------------------------------------------------------


def test_a_moment_is_the_same_for_all_reads_in_it(tmp_path):
    store = quiet_store(tmp_path / "s.h5")
    fill(store, 0, 10)
    reader = SavedAsyncSession(tmp_path / "s", verbose=False)
    inside = reader._session.store
    with one_moment(inside), one_moment(inside):
        before = reader["T"].values
        fill(store, 10, 10)
        assert len(reader["T"].values) == len(reader["p"].values) == len(before) == 10
    assert len(reader["T"].values) == 20
    finish(store)


def test_an_error_within_a_moment_stays_what_it_is(tmp_path):
    view, _ = saved(tmp_path)
    with pytest.raises(ZeroDivisionError), one_moment(view._session.store):
        1 / 0  # noqa: B018
    assert view["T"].size == COUNT
