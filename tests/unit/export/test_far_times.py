"""Times that no calendar has, as sessions of other programs may hold: said, or written as they are."""

import io
import math
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from pymanip_run.core.view import SessionView
from pymanip_run.errors import UsageError
from pymanip_run.export.job import Job
from pymanip_run.export.report.curves import read_curve
from pymanip_run.export.report.page import Report, write_report
from pymanip_run.export.run import export_to
from pymanip_run.session import SavedAsyncSession
from pymanip_run.storage.pymanip_db import PymanipStore

OLD = Path(__file__).parents[1] / "storage" / "pymanip_sessions" / "schema_4.1.db"
NOW = 1.7e9
FAR = [1e13, 1e300, 1.7e308, -1e13, -1e300, -1.7e308]
UTC = ZoneInfo("UTC")


def path_of(folder, *times):
    """A session of pymanip whose variable `T` has values at these times."""
    path = folder / "old.db"
    shutil.copy(OLD, path)
    with closing(sqlite3.connect(path)) as connection, connection:
        for table in ("log", "log_names", "dataset"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608
        connection.execute("INSERT INTO log_names VALUES ('T')")
        connection.executemany(
            "INSERT INTO log (timestamp, name, value) VALUES (?, 'T', ?)",
            ((time, i) for i, time in enumerate(times)),
        )
    return path


@pytest.fixture
def view_of(tmp_path):
    stores = []

    def make(*times):
        stores.append(PymanipStore(path_of(tmp_path, *times)))
        return SessionView(stores[-1], "old")

    yield make
    for store in stores:
        store.close()


@pytest.mark.parametrize("far", FAR)
@pytest.mark.parametrize("step", [None, 10.0, 3600.0])
def test_numbers_of_seconds_are_written_whatever_they_are(view_of, tmp_path, far, step):
    view = view_of(NOW, NOW + 1, far)
    export_to(Job(view, step=step), "npz", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as arrays:
        times = arrays["time"]
        values = arrays["T"] if step is None else arrays["T_mean"]
    begins = far if step is None or abs(far) > 1e15 else far // step * step
    near = [NOW, NOW + 1] if step is None else [NOW // step * step]
    order = sorted([*near, begins])
    np.testing.assert_allclose(times, order, rtol=1e-12)
    assert (values[-1] == 2.0) == (far > 0)


@pytest.mark.parametrize("far", FAR)
@pytest.mark.parametrize(
    "to", ["csv", "jsonl", "npz", "sqlite", "parquet", "netcdf", "mat", "zarr"]
)
def test_what_has_no_date_is_refused_with_the_option_that_leaves_it_out(view_of, tmp_path, far, to):
    pytest.importorskip({"parquet": "pyarrow", "netcdf": "h5netcdf", "mat": "scipy", "zarr": "zarr"}.get(to, "numpy"))  # fmt: skip
    view = view_of(NOW, far)
    with pytest.raises(UsageError, match=f"there are values at {far:g} s after 1970".replace("+", "[+]")):  # fmt: skip
        export_to(Job(view, zone=UTC), to, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["old.db"]
    near = Job(view, since=-2e9, until=7e9, zone=UTC)
    assert export_to(near, to, tmp_path / "out").rows == 1


@pytest.mark.parametrize("far", [1.7e308, -1.7e308])
def test_too_many_stretches_to_be_counted_are_refused(view_of, tmp_path, far):
    with pytest.raises(UsageError, match="stretches of 1e-06 s cannot be counted"):
        export_to(Job(view_of(NOW, far), step=1e-6), "csv", tmp_path / "out.csv")


def test_progress_is_a_share_whatever_the_span(view_of, tmp_path):
    shown = []
    job = Job(view_of(-1.7e308, NOW, 1.7e308), progress=shown.append)
    export_to(job, "csv", tmp_path / "out.csv")
    assert shown == sorted(shown)
    assert all(0 <= share <= 1 for share in shown)
    assert shown[-1] == 1


@pytest.mark.parametrize("far", [*FAR, 3.25e10])
def test_pandas_and_xarray_are_not_given_wrong_dates(tmp_path, far):
    pytest.importorskip("xarray")
    session = SavedAsyncSession(path_of(tmp_path, NOW, far), verbose=False)
    with pytest.raises(UsageError, match=f"there are values at {far:g} s".replace("+", "[+]")):
        session.to_xarray()
    with pytest.raises(UsageError, match=r"between\("):
        session.to_xarray("T", chunks=10).compute(scheduler="sync")
    if abs(far) > 1e11:
        with pytest.raises(UsageError, match="there are values at"):
            session.to_dataframe()
    assert session["T"].between("1900-01-01", "2200-01-01").timestamps.tolist() == [NOW]


def test_events_before_1970_are_events(tmp_path):
    path = path_of(tmp_path, NOW)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("INSERT INTO log (timestamp, name, value) VALUES (-6e8, 'T', 'rain')")
    session = SavedAsyncSession(path, verbose=False)
    assert [event.text for event in session.events()] == ["rain"]
    assert session.events(after=-5e8) == []
    assert [event.text for event in session.events(after=-math.inf)] == ["rain"]


@pytest.mark.parametrize("far", FAR)
@pytest.mark.parametrize("count", [2, 5000])
def test_a_report_draws_all_of_it(view_of, far, count):
    file = io.BytesIO()
    view = view_of(*np.linspace(NOW, NOW + 1e5, count).tolist(), -far / 2, far)
    write_report(Report(view), file)
    assert b"</html>" in file.getvalue()
    curve = read_curve(view, view.variables()["T"], 100)
    first, last = sorted([-far / 2, far])
    span = last / 2 - first / 2
    assert abs(curve.times[0] / 2 - first / 2) <= span / 100
    assert abs(curve.times[-1] / 2 - last / 2) <= span / 100


@pytest.mark.parametrize("far", FAR)
def test_a_figure_of_such_times_has_numbers_along_its_axis(tmp_path, far):
    plt = pytest.importorskip("matplotlib.pyplot")
    session = SavedAsyncSession(path_of(tmp_path, NOW, far), verbose=False)
    axes = session.plot("T")
    axes.figure.canvas.draw()
    assert axes.get_xlabel() == "days after 1970"
    plt.close(axes.figure)
    assert len(session.decimated("T", points=1).timestamps) == 1
