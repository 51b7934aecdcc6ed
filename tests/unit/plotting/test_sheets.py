"""The data of a plot: as much as can be seen, in memory that is bounded."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymanip_run.plotting.plot import Plot
from pymanip_run.plotting.sheets import CLOUD_POINTS, POINTS, Sheet


def pair(times, values=None):
    times = np.asarray(times, float)
    return times, times.copy() if values is None else np.asarray(values, float)


def test_the_last_values_are_kept_singly():
    sheet = Sheet(Plot(("T",), maxvalues=1000))
    for start in range(0, 50_000, 700):
        sheet.take({"T": pair(np.arange(start, start + 700))})
    x, low, high = sheet.curves()["T"]
    assert x.tolist() == list(range(49_400, 50_400))
    assert np.array_equal(low, high)


def test_one_large_part_does_not_make_the_last_values_coarser():
    sheet = Sheet(Plot(("T",), maxvalues=10))
    sheet.take({"T": pair(np.arange(1_000_000))})
    assert sheet.curves()["T"].x.tolist() == list(range(999_990, 1_000_000))


def test_a_window_forgets_what_is_earlier_by_the_latest_of_all_variables():
    sheet = Sheet(Plot(("a", "b"), window=10.0))
    sheet.take({"a": pair([0, 5, 9]), "b": pair([1])})
    sheet.take({"b": pair([18])})
    assert sheet.curves()["a"].x.tolist() == [9]
    assert sheet.curves()["b"].x.tolist() == [18]


def test_a_long_history_keeps_its_extremes_and_its_gaps():
    values = np.sin(np.arange(1_000_000) / 1e4)
    values[123_456], values[654_321] = 50.0, -50.0
    values[200_000:260_000] = np.nan
    sheet = Sheet(Plot(("T",)))
    for part in np.array_split(np.arange(1_000_000), 13):
        sheet.take({"T": pair(part, values[part])})
    x, low, high = sheet.curves()["T"]
    assert POINTS / 2 <= len(x) <= POINTS
    assert (np.nanmin(low), np.nanmax(high)) == (-50.0, 50.0)
    assert abs(x[np.nanargmax(high)] - 123_456) <= 1_000_000 / len(x) + 1
    gap = x[np.isnan(low)]
    assert 200_000 <= gap.min() <= 200_600
    assert 259_400 <= gap.max() < 260_000


def test_what_is_here_already_is_left_out():
    sheet = Sheet(Plot(("T",)))
    sheet.take({"T": pair([1, 2, 3])})
    version = sheet.version
    sheet.take({"T": pair([2, 3])})
    assert sheet.version == version
    sheet.take({"T": pair([2, 3, 4]), "other": pair([9])})
    assert sheet.curves()["T"].x.tolist() == [1, 2, 3, 4]
    assert (sheet.last("T"), sheet.latest) == (4.0, 4.0)


times = st.lists(st.integers(0, 50), max_size=20, unique=True).map(sorted)


@settings(max_examples=200, deadline=None)
@given(x=times, y=times, cuts=st.lists(st.integers(0, 51), max_size=4))
def test_each_y_is_drawn_over_the_nearest_earlier_x(x, y, cuts):
    expected = [
        (10 * max(t for t in x if t <= when), when) for when in y if any(t <= when for t in x)
    ]
    sheet = Sheet(Plot(x="x", y="y"))
    edges = [-1, *sorted(cuts), 100]
    for begin, end in pairwise(edges):
        part = {
            name: pair(p := [t for t in all_ if begin <= t < end], [factor * t for t in p])
            for name, all_, factor in (("x", x, 10), ("y", y, 1))
        }
        sheet.take(part)
    across, up, _ = sheet.curves()["y"]
    assert list(zip(across.tolist(), up.tolist(), strict=True)) == expected


def test_a_nan_of_x_is_a_gap():
    sheet = Sheet(Plot(x="x", y="y"))
    sheet.take({"x": pair([0, 1], [5, math.nan]), "y": pair([0.5, 1.5])})
    across = sheet.curves()["y"].x
    assert across[0] == 5
    assert math.isnan(across[1])


def test_of_very_many_points_every_nth_is_kept():
    sheet = Sheet(Plot(x="x", y="y"))
    for start in range(0, 200_000, 1_111):
        t = np.arange(start, start + 1_111)
        sheet.take({"x": pair(t, t), "y": pair(t, 2 * t)})
    across, up, _ = sheet.curves()["y"]
    assert CLOUD_POINTS / 2 <= len(across) <= CLOUD_POINTS
    assert np.array_equal(up, 2 * across)
    assert len(set(np.diff(across).tolist())) == 1


@pytest.mark.parametrize("plot", [Plot(("T",)), Plot(x="x", y="y")])
def test_without_values_there_is_nothing_to_draw(plot):
    sheet = Sheet(plot)
    sheet.take({})
    assert [len(c.x) for c in sheet.curves().values()] == [0]
    assert sheet.latest == -math.inf
