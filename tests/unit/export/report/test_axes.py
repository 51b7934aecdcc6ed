"""Axes: round values within the range, few enough to read, and times as a calendar has them."""

import math
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymanip_run.export.report.axes import linear_axis, log_axis, time_axis

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


def labels(axis):
    return [tick.label for tick in axis.ticks]


@pytest.mark.parametrize(
    ("low", "high", "expected", "remark"),
    [
        (0.0, 10.0, ["0", "2", "4", "6", "8", "10"], ""),
        (-0.02, 0.02, ["−0.02", "−0.01", "0.00", "0.01", "0.02"], ""),
        (20.9, 21.3, ["20.9", "21.0", "21.1", "21.2", "21.3"], ""),
        (0.0, 3e-7, ["0", "1", "2", "3"], "×10⁻⁷"),
        (0.0, 0.0, ["−1.0", "−0.5", "0.0", "0.5", "1.0"], ""),
        (25.0, 25.0, ["24.8", "24.9", "25.0", "25.1", "25.2"], ""),
        (-4e12, 4e12, ["−4", "−2", "0", "2", "4"], "×10¹²"),
    ],
)
def test_values_are_round_and_alike(low, high, expected, remark):
    axis = linear_axis(low, high)
    assert (labels(axis), axis.remark) == (expected, remark)


@given(NUMBERS, NUMBERS)
def test_any_range_has_an_axis_that_holds_it(a, b):
    low, high = min(a, b), max(a, b)
    axis = linear_axis(low, high)
    places = axis.places(np.array([low, high]))
    assert axis.low < axis.high
    assert np.all((places > -0.01) & (places < 1.01)), places
    assert len(axis.ticks) <= 15
    assert all(axis.low <= tick.value <= axis.high for tick in axis.ticks)


@given(st.floats(1e-300, 1e300), st.floats(1e-300, 1e300))
def test_any_range_above_zero_has_a_logarithmic_axis(a, b):
    axis = log_axis(min(a, b), max(a, b))
    places = axis.places(np.array([a, b, 0.0, -1.0]))
    assert np.all((places[:2] > 0) & (places[:2] < 1)), places
    assert np.isnan(places[2:]).all()
    assert len(axis.ticks) <= 15


def test_decades_are_written_as_powers():
    assert labels(log_axis(1e-6, 1e6)) == ["10⁻⁶", "0.001", "1", "1000", "10⁶"]
    assert labels(log_axis(1.0, 90.0)) == ["1", "2", "5", "10", "20", "50", "100"]


@pytest.fixture
def paris(time_zone):
    time_zone("Europe/Paris")


def at(text):
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.usefixtures("paris")
@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        ("2026-11-22T12:48:02", "2026-11-22T15:02:11", ["13:00\n22 Nov 2026", "13:30", "14:00", "14:30", "15:00"]),
        ("2026-11-22T12:00:00", "2026-11-22T12:00:03", ["12:00:00.000\n22 Nov 2026", "12:00:00.500", "12:00:01.000", "12:00:01.500", "12:00:02.000", "12:00:02.500", "12:00:03.000"]),
        ("2026-11-22T12:00:05", "2026-11-22T12:00:50", ["12:00:10\n22 Nov 2026", "12:00:20", "12:00:30", "12:00:40", "12:00:50"]),
        ("2026-12-31T20:00", "2027-01-01T04:00", ["20:00\n31 Dec 2026", "22:00", "00:00\n1 Jan 2027", "02:00", "04:00"]),
        ("2026-12-20T20:00", "2027-01-15T04:00", ["27 Dec\n2026", "3 Jan\n2027", "10 Jan"]),
        ("2025-11-20", "2026-12-15", ["Jan\n2026", "Apr", "Jul", "Oct"]),
        ("1990-11-20", "2026-12-15", ["Jan\n1990", "Jan\n2000", "Jan\n2010", "Jan\n2020"]),
    ],
)  # fmt: skip
def test_times_are_those_of_clock_and_calendar(begin, end, expected):
    shown = labels(time_axis(at(begin), at(end)))
    assert [label for label in shown if "1990" not in label or "1990" not in expected[0]] == [
        label for label in expected if "1990" not in label
    ]


@pytest.mark.usefixtures("paris")
def test_a_change_of_summer_time_moves_nothing():
    axis = time_axis(at("2026-10-24T12:00:00+02:00"), at("2026-10-27T12:00:00+01:00"))
    assert axis.remark == "local time"
    assert [datetime.fromtimestamp(t.value).strftime("%H:%M") for t in axis.ticks][-1] in {"00:00", "11:00", "12:00", "23:00"}  # noqa: DTZ006 - the zone of the test  # fmt: skip


@given(NUMBERS, NUMBERS)
def test_times_that_no_calendar_has_are_numbers(a, b):
    axis = time_axis(min(a, b), max(a, b))
    assert math.isfinite(axis.low)
    assert axis.low < axis.high
    assert len(axis.ticks) <= 60
