"""The envelope of a long series."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from pymanip_run.core.decimate import envelope


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
