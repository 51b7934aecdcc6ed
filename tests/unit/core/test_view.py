"""Every read, the same on sessions in memory, in a file being written, and saved."""

import sys
from pathlib import Path

import numpy as np
import pytest

from pymanip_run import AsyncSession, SavedAsyncSession, Series
from pymanip_run.core.view import SessionView
from pymanip_run.errors import NotFoundError, UsageError
from pymanip_run.records import Event, Events, Run, Runs
from pymanip_run.storage.memory import MemoryStore
from pymanip_run.storage.pymanip_db import PymanipStore

FRAMES = [np.arange(6).reshape(2, 3) + i for i in range(4)]


def record(sesn):
    sesn.describe("T_bottom", unit="°C", label="Bottom plate")
    for i in range(100):
        sesn.add_entry(T_bottom=20 + i, _internal=i)
        if i % 10 == 0:
            sesn.add_entry(T_top=-i)
    sesn.add_entry({"a/b": 1.5, "<i>": np.nan})
    for frame in FRAMES:
        sesn.add_dataset(frame=frame)
    sesn.add_dataset(note={"a": [1, 2]}, _hidden=[1])
    sesn.save_parameter(power=12.5, mode="slow", on=True, n=3, _secret=1)
    sesn.save_metadata(operator="Ann", setup={"gain": [1, 2]}, _figures=[{"fignum": 1}])
    sesn.note("stirrer on")
    sesn.save_parameter(power=13.5)


@pytest.fixture(scope="module", params=["memory", "live", "closed", "saved"])
def view(request, tmp_path_factory):
    path = None if request.param == "memory" else tmp_path_factory.mktemp("view") / "convection"
    sesn = AsyncSession(path, verbose=False)
    try:
        record(sesn)
        if request.param == "closed":
            sesn.close()
        yield SavedAsyncSession(path, verbose=False) if request.param == "saved" else sesn
    finally:
        sesn.close()


# -- identity -----------------------------------------------------------------------------------


def test_a_session_knows_its_name_and_times(view):
    path = view.session_path
    assert view.session_name == (path.stem if path else None)
    assert path is None or (path.is_absolute() and path.suffix == ".h5")
    assert view.t0 == view.initial_timestamp == view.info().created
    assert view.t0 <= view["T_bottom"].timestamps[0]
    assert view.last_timestamp == view.dataset_times("note")[-1] == view.dataset_times("_hidden")[0]
    assert view.get_version() == 1


# -- logged variables ---------------------------------------------------------------------------


def test_internal_names_are_not_listed_but_read_by_name(view):
    names = {"T_bottom", "T_top", "a/b", "<i>"}
    assert view.logged_variables() == names
    assert (
        set(view.variables()) == set(view.logged_data()) == set(view.logged_last_values()) == names
    )
    assert set(view.logged_first_values()) == set(view) == names
    assert view["_internal"].size == 100
    assert view.has_parameter("_secret")
    assert view.parameter("_secret") == 1
    assert "_secret" not in view.parameters()
    assert view.metadata("_figures") == [{"fignum": 1}]
    assert "_figures" not in view.metadatas()
    assert view.dataset("_hidden") == [1]
    assert view.dataset_names() == {"frame", "note"}


def test_a_variable_is_the_published_pair_of_arrays(view):
    t, v = view["T_bottom"]
    assert t.dtype == v.dtype == np.float64
    assert t.shape == v.shape == (100,)
    np.testing.assert_array_equal(v, np.arange(20.0, 120.0))
    assert np.all(np.diff(t) > 0)
    again = view.logged_variable("T_bottom")
    assert isinstance(again, Series)
    np.testing.assert_array_equal(again.timestamps, t)
    np.testing.assert_array_equal(view.logged_data()["T_bottom"].values, v)


def test_what_was_read_belongs_to_the_reader(view):
    t, v = view["T_bottom"]
    t -= t[0]
    v[:] = 0
    assert view["T_bottom"].values[0] == 20.0
    assert view["T_bottom"].timestamps[0] > 0


def test_first_and_last_values_are_pairs_of_time_and_value(view):
    t = view["T_bottom"].timestamps
    assert view.logged_first_values()["T_bottom"] == (t[0], 20.0)
    assert view.logged_last_values()["T_bottom"] == (t[-1], 119.0) == view["T_bottom"].last
    assert view.logged_last_values()["a/b"][1] == 1.5


def test_values_from_a_time_on_include_that_time(view):
    t, v = view["T_bottom"]
    since, values = view.logged_data_fromtimestamp("T_bottom", t[90])
    np.testing.assert_array_equal(since, t[90:])
    np.testing.assert_array_equal(values, v[90:])
    assert [len(part) for part in view.logged_data_fromtimestamp("T_bottom", t[-1] + 1)] == [0, 0]


def test_parts_of_a_series(view):
    t, v = series = view["T_bottom"]
    np.testing.assert_array_equal(series.tail(3).values, v[-3:])
    np.testing.assert_array_equal(view["T_bottom"].between(t[10], t[20]).values, v[10:20])
    np.testing.assert_array_equal(view["T_bottom"].between(t[10], t[20]).tail(2).values, v[18:20])
    np.testing.assert_array_equal(view["T_bottom"].tail(10).since(t[95]).tail(2).values, v[98:])
    assert (series.size, series.unit, series.label) == (100, "°C", "Bottom plate")


def test_the_envelope_of_a_part(view):
    t, v = view["T_bottom"]
    found = view.decimated("T_bottom", since=t[20], until=t[60], points=4)
    np.testing.assert_array_equal(found.timestamps, t[20:60:10])
    np.testing.assert_array_equal(found.min, v[20:60:10])
    np.testing.assert_array_equal(found.max, v[29:69:10])
    assert len(view.decimated("T_bottom", until=t[50]).timestamps) == 50


def test_statistics_are_exact(view):
    found = view.variables()["T_bottom"]
    assert (found.statistics.n, found.statistics.min, found.statistics.max) == (100, 20.0, 119.0)
    assert found.statistics.mean == pytest.approx(69.5)
    assert found.description.unit == "°C"
    assert view.variables()["<i>"].statistics.nonfinite == 1


def test_a_name_can_be_looked_for(view):
    assert "T_bottom" in view
    assert "_internal" in view
    assert "T" not in view
    assert 3 not in view
    assert list(view) == sorted(view.logged_variables())


# -- datasets -----------------------------------------------------------------------------------


def test_a_dataset_is_read_as_last_by_number_or_by_time(view):
    times = view.dataset_times("frame")
    assert times.shape == (4,)
    np.testing.assert_array_equal(view.dataset("frame"), FRAMES[-1])
    np.testing.assert_array_equal(view.dataset("frame", n=1), FRAMES[1])
    np.testing.assert_array_equal(view.dataset("frame", n=-4), FRAMES[0])
    np.testing.assert_array_equal(view.dataset("frame", ts=times[2]), FRAMES[2])
    assert view.dataset("note") == {"a": [1, 2]}
    time, data = view.dataset_last_data("frame")
    assert time == times[-1]
    np.testing.assert_array_equal(data, FRAMES[-1])


def test_a_record_that_is_not_there_is_said(view):
    with pytest.raises(IndexError, match="'frame' has 4 records, there is no 4"):
        view.dataset("frame", n=4)
    with pytest.raises(IndexError):
        view.dataset("frame", n=-5)
    with pytest.raises(KeyError, match=r"no record of the time 1\.0; dataset_times"):
        view.dataset("frame", ts=1.0)


def test_datasets_come_one_after_the_other(view):
    pairs = view.datasets("frame")
    time, first = next(pairs)
    assert time == view.dataset_times("frame")[0]
    np.testing.assert_array_equal(first, FRAMES[0])
    assert [int(frame[0, 0]) for _, frame in pairs] == [1, 2, 3]


def test_a_summary_of_each_dataset(view):
    info = view.datasets_info()["frame"]
    assert (info.n, info.shape, info.dtype) == (4, (2, 3), str(FRAMES[0].dtype))
    assert info.nbytes == 4 * FRAMES[0].nbytes


class CountingStore(MemoryStore):
    """Counts the records that are read and still there."""

    def __init__(self):
        super().__init__()
        self.reads = 0

    def dataset_record(self, name, index):
        self.reads += 1
        return super().dataset_record(name, index)


def test_only_one_record_at_a_time_is_read():
    store = CountingStore()
    for i in range(5):
        store.append_array(i * 10**9, "d", np.zeros(3), None)
    pairs = SessionView(store, "test").datasets("d")
    assert store.reads == 0
    for i, _ in enumerate(pairs, 1):
        assert store.reads == i


def test_records_are_in_the_order_of_their_times():
    store = MemoryStore()
    for second in (1, 3, 2):  # a large record is stored after a small one that was stamped later
        store.append_array(second * 10**9, "d", np.array([second]), None)
    view = SessionView(store, "test")
    assert list(view.dataset_times("d")) == [1.0, 2.0, 3.0]
    assert [int(d[0]) for _, d in view.datasets("d")] == [1, 2, 3]
    assert [int(view.dataset("d", n=i)[0]) for i in range(3)] == [1, 2, 3]
    assert int(view.dataset("d", ts=2.0)[0]) == 2
    assert (view.dataset_last_data("d")[0], int(view.dataset("d")[0])) == (3.0, 3)


# -- parameters, metadata, events, runs ---------------------------------------------------------


def test_parameters_keep_their_kind_and_an_absent_one_is_none(view):
    assert view.parameters() == {"power": 13.5, "mode": "slow", "on": True, "n": 3}
    assert [type(view.parameter(name)) for name in ("power", "mode", "on", "n")] == [
        float,
        str,
        bool,
        int,
    ]
    assert view.parameter("absent") is None
    assert not view.has_parameter("absent")
    assert view.parameter_table()["power"].ns > 0


def test_metadata_come_back_as_they_were(view):
    assert view.metadatas() == {"operator": "Ann", "setup": {"gain": [1, 2]}}
    assert view.metadata("absent") is None
    assert (view.has_metadata("operator"), view.has_metadata("absent")) == (True, False)
    assert view.figures() == [{"fignum": 1}]


def test_events_are_in_time_order_and_can_be_asked_from_a_time_on(view):
    note, change = view.events()
    assert (note.kind, note.text) == ("note", "stirrer on")
    assert change.text == "power: 12.5 → 13.5"
    assert view.events(after=note.time) == [change]
    assert view.events(after=change.time) == []
    assert view.runs() == []


# -- missing names ------------------------------------------------------------------------------


@pytest.mark.parametrize("read", ["logged_variable", "__getitem__", "decimated"])
def test_a_missing_variable_is_a_key_error_with_the_nearest_names(view, read):
    with pytest.raises(
        KeyError, match=r"has no logged variable 'T_botom'; did you mean 'T_bottom'"
    ):
        getattr(view, read)("T_botom")
    with pytest.raises(NotFoundError, match=r"there are <i>, T_bottom, T_top, a/b$"):
        getattr(view, read)("xyz")
    with pytest.raises(NotFoundError):
        getattr(view, read)(3)


@pytest.mark.parametrize("read", ["datasets", "dataset", "dataset_times", "dataset_last_data"])
def test_a_missing_dataset_is_a_key_error_with_the_nearest_names(view, read):
    with pytest.raises(KeyError, match=r"has no dataset 'fram'; did you mean 'frame'"):
        getattr(view, read)("fram")


def test_an_empty_session_can_be_read():
    view = SessionView(MemoryStore(), "empty")
    assert view.logged_variables() == view.dataset_names() == set()
    assert view.logged_data() == view.logged_first_values() == view.logged_last_values() == {}
    assert view.last_timestamp is None
    assert view.events() == view.runs() == view.figures() == []
    assert "<table" in view._repr_html_()
    with pytest.raises(
        KeyError, match="empty has no logged variable 'T'; there is no logged variable yet"
    ):
        view["T"]
    pytest.importorskip("pandas")
    assert len(view.to_dataframe()) == 0
    pytest.importorskip("xarray")
    assert len(view.to_xarray()) == 0


# -- conversions --------------------------------------------------------------------------------


def test_a_dataframe_has_one_row_for_every_time(view):
    pandas = pytest.importorskip("pandas")
    frame = view.to_dataframe("T_bottom", "T_top")
    assert list(frame.columns) == ["T_bottom", "T_top"]
    assert len(frame) == 110
    assert str(frame.index.tz) == "UTC"
    assert frame["T_top"].count() == 10
    t = view["T_bottom"].timestamps
    assert frame.index[0] == pandas.Timestamp(round(t[0] * 1e6), unit="us", tz="UTC")
    assert frame["T_bottom"].dropna().tolist() == list(range(20, 120))


def test_a_dataframe_can_be_filled_and_in_a_time_zone(view):
    pytest.importorskip("pandas")
    frame = view.to_dataframe("T_bottom", "T_top", how="ffill", tz="Europe/Paris")
    assert str(frame.index.tz) == "Europe/Paris"
    assert frame["T_bottom"].notna().all()
    assert frame["T_top"].iloc[-1] == -90
    assert set(view.to_dataframe().columns) == view.logged_variables()
    with pytest.raises(UsageError, match="'outer' or 'ffill', not 'inner'"):
        view.to_dataframe(how="inner")


def test_an_xarray_dataset_has_units(view):
    pytest.importorskip("xarray")
    dataset = view.to_xarray("T_bottom", "T_top")
    assert dataset.sizes == {"time": 110}
    assert dataset["T_bottom"].attrs == {"units": "°C", "long_name": "Bottom plate"}
    assert dataset["T_top"].attrs == {}
    assert int(dataset["T_top"].count()) == 10
    np.testing.assert_allclose(
        dataset["T_bottom"].dropna("time").time.astype("int64") / 1e9,
        view["T_bottom"].timestamps,
        atol=2e-6,
    )


@pytest.mark.parametrize(("module", "read"), [("pandas", "to_dataframe"), ("xarray", "to_xarray")])
def test_a_missing_library_is_named_with_its_cure(view, monkeypatch, module, read):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        UsageError, match=rf"needs {module}; install it: pip install 'pymanip-run\[analysis\]'"
    ):
        getattr(view, read)("T_bottom")


# -- for people ---------------------------------------------------------------------------------


def test_the_notebook_table_escapes_what_users_write(view):
    html = view._repr_html_()
    assert "&lt;i&gt;" in html
    assert "<i>" not in html
    assert "T_bottom" in html
    assert "_internal" not in html
    assert view._ipython_key_completions_() == ["<i>", "T_bottom", "T_top", "a/b"]


def test_parameters_and_units_are_escaped_too():
    sesn = AsyncSession(verbose=False)
    sesn.save_parameter({"<b>": "<script>"})
    sesn.add_entry(T=1)
    sesn.describe("T", unit="<u>")
    html = sesn._repr_html_()
    assert "<script>" not in html
    assert "<u>" not in html
    assert "<b>&lt;b&gt;" not in html


def test_the_description_lists_what_is_there(view, capsys):
    view.print_description()
    view.print_welcome()
    text = capsys.readouterr().out
    for line in (
        "power: 13.5",
        "T_bottom: 119",
        "frame: 4 × (2, 3)",
        "operator: Ann",
        "*** Start date: 20",
        "***   End date: 20",
    ):
        assert line in text
    assert "_internal" not in text
    assert "_secret" not in text


def test_a_session_shows_what_it_is(view):
    assert repr(view).startswith(
        f"<{type(view).__name__} {view.session_name or 'session in memory'!r}, "
    )


def test_a_measured_nan_is_not_filled():
    pytest.importorskip("pandas")
    store = MemoryStore()
    for second, name, value in ((1, "a", 1.0), (2, "b", 5.0), (3, "a", np.nan), (4, "b", 6.0)):
        store.append_row(second * 10**9, (name,), (value,))
    frame = SessionView(store, "s").to_dataframe("a", "b", how="ffill")
    assert repr(frame["a"].tolist()) == "[1.0, 1.0, nan, nan]"
    assert repr(frame["b"].tolist()) == "[nan, 5.0, 5.0, 6.0]"


def test_values_of_one_time_in_an_old_session_are_all_in_the_frame():
    pytest.importorskip("pandas")
    pytest.importorskip("xarray")
    folder = Path(__file__).parents[1] / "storage" / "pymanip_sessions"
    view = SessionView(PymanipStore(folder / "schema_3_by_0.4.3.db"), "old")
    assert view.to_dataframe("clock", "T_bottom")["clock"].dropna().tolist() == [3.0, 1.0, 2.0, 4.0]
    assert view.to_xarray("clock")["clock"].values.tolist() == [3.0, 1.0, 2.0, 4.0]


def test_series_and_runs_are_small_tables_in_a_notebook(view):
    html = view["T_bottom"]._repr_html_()
    assert "<b>T_bottom</b>" in html
    assert "color:inherit" in html, "readable in dark notebooks, too"
    assert "20 °C at " in html
    part = view["T_bottom"].tail(2)._repr_html_()
    assert ">values</th>" in part
    assert ">2</td>" in part
    assert "118 °C at " in part
    run = Run(0, 1.5e9, None, exit_reason="<b>", host="lab")
    assert "&lt;b&gt;" in run._repr_html_()
    assert "not ended, or killed" in run._repr_html_()
    assert "2017-07-14" in Run(1, 1.5e9, 1.5e9 + 60, 0, "finished")._repr_html_()


def test_a_notebook_shows_what_a_session_is_and_lists_of_runs_and_events_as_tables(view):
    html = view._repr_html_()
    for text in ("T_bottom", "°C", "power = 13.5", "operator: Ann", "frame", "2 × 3"):
        assert text in html
    assert "color:inherit" in html
    events = view.events()._repr_html_()
    assert "stirrer on" in events
    assert events.count("<tr>") == 3
    runs = Runs([Run(0, 1.5e9, 1.5e9 + 60, 1, "<b>", "lab"), Run(1, 1.6e9)])._repr_html_()
    assert "&lt;b&gt;" in runs
    assert "<b>" not in runs
    assert "2017-07-14" in runs
    assert isinstance(view.runs(), list)
    assert isinstance(view.events(), list)


def test_a_notebook_shows_the_last_of_very_many_events():
    many = Events(Event(i * 10**9, "note", "me", f"event {i}.") for i in range(1, 1001))
    html = many._repr_html_()
    assert "800 earlier events" in html
    assert "event 1000." in html
    assert "event 801." in html
    assert "event 800." not in html


def test_records_of_a_part_are_those_from_its_beginning_to_before_its_end(view):
    times = view.dataset_times("frame")
    part = list(view.datasets("frame", since=times[1], until=times[3]))
    assert [time for time, _ in part] == times[1:3].tolist()
    assert all(np.array_equal(a, b) for (_, a), b in zip(part, FRAMES[1:3], strict=True))
