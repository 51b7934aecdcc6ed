"""The envelope of a long series."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from pymanip_run.core.decimate import Decimator, envelope


@given(
    npst.arrays(np.float64, st.integers(0, 200), elements=st.floats(allow_nan=True, width=32)),
    st.integers(1, 50),
)
def test_every_value_lies_in_the_envelope_and_both_ends_are_values(values, points):
    times = np.arange(len(values), dtype=float)
    found = envelope(times, values, points)
    assert len(found.timestamps) == len(found.min) == len(found.max) == min(points, len(values))
    bounds = np.searchsorted(found.timestamps, times, side="right") - 1
    for stretch in range(len(found.timestamps)):
        inside = values[bounds == stretch]
        assert len(inside)
        numbers = inside[~np.isnan(inside)]
        if len(numbers):
            assert (found.min[stretch], found.max[stretch]) == (numbers.min(), numbers.max())
        else:
            assert np.isnan(found.min[stretch])
            assert np.isnan(found.max[stretch])


def test_a_short_series_is_its_own_envelope():
    times, values = np.arange(3.0), np.array([1.0, np.nan, 3.0])
    found = envelope(times, values, 3)
    np.testing.assert_array_equal(found.timestamps, times)
    np.testing.assert_array_equal(found.min, values)
    np.testing.assert_array_equal(found.max, values)


def test_a_peak_of_one_value_in_a_million_is_seen():
    values = np.zeros(1_000_000)
    values[765_432] = 5.0
    assert envelope(np.arange(1e6), values, 100).max.max() == 5.0


def test_an_envelope_of_no_point_is_refused():
    with pytest.raises(ValueError, match="at least 1 point, not 0"):
        envelope(np.empty(0), np.empty(0), 0)


@pytest.mark.parametrize("expected", [0, 1, 700, 10_000])
@pytest.mark.parametrize("cuts", [[], [1], [500], [3, 4, 5, 999], list(range(0, 1000, 7))])
def test_a_series_in_parts_is_decimated_like_the_whole(cuts, expected):
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.random(1000))
    values = rng.normal(size=1000)
    values[[17, 400, 401]] = [np.nan, np.inf, np.nan]
    values[200:300] = np.nan
    whole, parted = Decimator(50, expected), Decimator(50, expected)
    whole.add(times, values)
    for part in np.split(np.arange(1000), cuts):
        parted.add(times[part], values[part])
    for one, other in zip(
        (*whole.envelope(), *whole.means()), (*parted.envelope(), *parted.means()), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-12, equal_nan=True)
    found = parted.envelope()
    assert 1 <= len(found.timestamps) <= 50
    assert parted.count == 1000
    assert np.nanmax(found.max) == np.inf
    assert np.nanmin(found.min) == np.nanmin(values)
    assert found.timestamps[0] == times[0]
    assert np.all(np.diff(found.timestamps) > 0)


def test_means_are_of_the_finite_values():
    decimator = Decimator(2)
    decimator.add(np.arange(4.0), np.array([1.0, 3.0, np.nan, 5.0]))
    assert decimator.means().values.tolist() == [2.0, 5.0]
    assert Decimator(3).means().values.tolist() == []


def test_fewer_values_than_points_stay_as_they_are():
    decimator = Decimator(100)
    decimator.add(np.arange(5.0), np.arange(5.0) ** 2)
    found = decimator.envelope()
    assert found.min.tolist() == found.max.tolist() == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("size", [7, 500])
def test_the_oldest_can_be_forgotten_by_time_and_by_number(size):
    decimator = Decimator(100)
    for part in np.array_split(np.arange(1000.0), 1000 // size):
        decimator.add(part, part)
        decimator.forget(before=600.0, most=300)
    times, low, high = decimator.envelope()
    stretch = times[1] - times[0]
    # Whole stretches go: of those that begin in time, and within the last values, none is missing.
    assert 700 - stretch < times[0] <= 700 + stretch
    assert (low[0], high[-1]) == (times[0], 999.0)
    decimator.forget(before=2000.0)
    decimator.add(np.array([3000.0]), np.array([1.0]))
    assert decimator.envelope().timestamps.tolist() == [3000.0]
