"""Series drawn in a notebook: with their units, over local time, long ones as an envelope."""

import sys
from datetime import datetime

import numpy as np
import pytest

from pymanip_run import AsyncSession, SavedAsyncSession, UsageError

pyplot = pytest.importorskip("matplotlib.pyplot")
DAY = 86400


@pytest.fixture(autouse=True)
def _no_window():
    pyplot.switch_backend("agg")
    yield
    pyplot.close("all")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("plots") / "s"
    with AsyncSession(path, verbose=False) as sesn:
        sesn.describe("T", unit="°C", label="Bottom plate")
        sesn.describe("T_top", unit="°C")
        for i in range(5000):
            sesn.add_entry(T=np.sin(i / 50), T_top=2 + i / 5000)
        sesn.add_entry(p=3)
    return path


@pytest.fixture
def session(path):
    return SavedAsyncSession(path, verbose=False)


def test_a_series_is_a_line_over_local_time(session):
    ax = session["T"].tail(100).plot()
    (line,) = ax.get_lines()
    times, values = session["T"].tail(100)
    np.testing.assert_array_equal(line.get_ydata(), values)
    np.testing.assert_allclose(line.get_xdata() * DAY, times)
    assert ax.get_ylabel() == "Bottom plate (°C)"
    assert ax.get_legend() is None
    offset = ax.xaxis.get_major_locator().tz.utcoffset(None)
    assert offset == datetime.fromtimestamp(times[-1]).astimezone().utcoffset()
    ax.figure.canvas.draw()


def test_a_long_series_is_drawn_between_its_least_and_largest_values(session):
    (line,) = session["T"].plot(points=50).get_lines()
    values = line.get_ydata()
    assert len(values) == 100
    assert (values.min(), values.max()) == (session["T"].values.min(), session["T"].values.max())
    assert np.all(values[0::2] <= values[1::2])


def test_several_variables_have_a_legend_and_a_common_unit(session):
    ax = session.plot("T", "T_top", since="-10s")
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["T", "T_top"]
    assert ax.get_ylabel() == "°C"
    assert session.plot().get_ylabel() == ""  # not all of them have one
    assert len(session.plot("T", until=session["T"].timestamps[10]).get_lines()[0].get_ydata()) == 10  # fmt: skip


def test_more_is_drawn_on_the_same_axes_as_one_likes(session):
    _, ax = pyplot.subplots()
    assert session["T"].plot(ax, color="red", label="below") is ax
    assert session["T_top"].plot(ax=ax, label="above") is ax
    assert ax.get_lines()[0].get_color() == "red"
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["below", "above"]


def test_an_empty_part_is_an_empty_plot(session):
    ax = session["T"].since(1e12).plot()
    assert len(ax.get_lines()[0].get_ydata()) == 0
    ax.figure.canvas.draw()


def test_a_session_without_variables_has_nothing_to_plot(tmp_path):
    AsyncSession(tmp_path / "empty", verbose=False).close()
    with pytest.raises(UsageError, match="no logged variable to plot yet"):
        SavedAsyncSession(tmp_path / "empty", verbose=False).plot()


def test_without_matplotlib_it_is_said_what_to_install(session, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(UsageError, match=r"needs matplotlib; install it: pip install 'pymanip-run\[plot\]'"):  # fmt: skip
        session["T"].plot()
