"""Series drawn with characters."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymanip_run.plotting.sheets import Curve
from pymanip_run.plotting.terminal import ASCII, BRAILLE, panel
from pymanip_run.plotting.ticks import time_ticks, value_labels, value_ticks

START = 1_789_992_000.0  # a full hour everywhere but where clocks go by quarters


@pytest.fixture(autouse=True)
def _in_berlin(time_zone):
    time_zone("Europe/Berlin")


def drawn(values, step=60.0, width=40, height=5, **options):
    values = np.asarray(values, float)
    return panel(
        Curve(START + step * np.arange(len(values)), values, values),
        width=width, height=height, **options,
    )  # fmt: skip


def test_a_rising_line_in_ascii():
    assert drawn(range(21), pen=ASCII, width=24) == [
        "20 +                ..''",
        "   |            ..''",
        "10 +        ..:'",
        "   |    ..''",
        " 0 +..''",
        "   ++---------+---------",
        "    14:00     14:10",
        "    2026-09-21 14:00:00 to 14:20:00 (0:20:00)",
    ]


def test_a_rising_line_in_braille():
    assert drawn(range(21))[:5] == [
        "20 ┤                             ⢀⣀⠤⠤⠒⠊⠉",
        "   │                      ⢀⣀⠤⠤⠒⠊⠉⠁",
        "10 ┤             ⢀⣀⠤⠤⠔⠒⠒⠊⠉⠁",
        "   │      ⢀⣀⠤⠤⠒⠊⠉⠁",
        " 0 ┤⣀⠤⠤⠒⠊⠉⠁",
    ]


def test_the_time_axis_says_local_times_below_their_marks():
    lines = drawn(range(121), width=60)
    axis, labels, span = lines[-3:]
    assert span.strip() == "2026-09-21 14:00:00 → 16:00:00 (2:00:00)"
    for label in re.finditer(r"\d\d:\d\d", labels):
        assert axis[label.start()] == "┬", (axis, labels)
    assert re.findall(r"\S+", labels)[:2] == ["14:00", "14:30"]


def test_nan_is_a_gap():
    lines = drawn([1.0] * 40 + [math.nan] * 40 + [1.0] * 40, width=62)
    assert lines[2] == f"1.000 ┤{'⠒' * 18}⠂{' ' * 17}⠐{'⠒' * 18}"


def test_a_log_axis_has_powers_of_ten():
    lines = drawn(10.0 ** np.linspace(-3, 3, 50), log=True, height=12)
    ticks = [line.split("┤")[0].strip() for line in lines if "┤" in line]
    assert ticks == ["1000", "10", "0.1", "0.001"]


@pytest.mark.parametrize("values", [[], [math.nan], [math.inf]])
def test_without_a_number_that_is_said(values):
    assert drawn(values) == ["  no values"]
    assert drawn([-1.0, 0.0], log=True) == ["  no values above 0"]


@settings(max_examples=300, deadline=None)
@given(
    values=st.lists(st.floats(width=64), min_size=1, max_size=30),
    step=st.sampled_from([1e-6, 0.3, 60.0, 1e5, 1e7]),
    log=st.booleans(),
    pen=st.sampled_from([ASCII, BRAILLE]),
    size=st.tuples(st.integers(1, 120), st.integers(1, 20)),
)
def test_any_series_can_be_drawn_within_its_width(values, step, log, pen, size):
    width, height = size
    lines = drawn(values, step, width, height, log=log, pen=pen)
    if pen is ASCII:
        assert "".join(lines).isascii()
    margin = max((len(line) for line in lines[:-3]), default=0)
    assert margin <= max(width, 40)
    assert len(lines) in (1, max(height, 2) + 3)


@settings(max_examples=300, deadline=None)
@given(low=st.floats(-1e300, 1e300), span=st.floats(0, 1e300), count=st.integers(2, 8))
def test_ticks_lie_within_and_are_told_apart(low, span, count):
    high = low + span
    if not high > low:
        return
    ticks = value_ticks(low, high, count)
    slack = 1e-6 * (high / 2 - low / 2)
    assert all(low - slack <= tick <= high + slack for tick in ticks)
    assert 2 <= len(ticks) <= 3 * count
    if span > 1e-9 * max(abs(low), abs(high)):
        assert len(set(value_labels(ticks))) == len(ticks), value_labels(ticks)


def test_labels_have_as_many_digits_as_are_needed():
    assert value_labels(value_ticks(0, 1, 4)) == ["0.0", "0.5", "1.0"]
    assert value_labels(value_ticks(1e6, 1e6 + 0.01, 4))[0] == "1000000.000"
    assert value_labels(value_ticks(2e-9, 4e-9, 2)) == ["2.0e-09", "3.0e-09", "4.0e-09"]


@pytest.mark.parametrize(
    ("span", "label"),
    [(0.05, "00:00.000"), (30, "14:00:00"), (3600, "14:00"), (3 * 86400, "09-22"), (4e7, "2026-")],
)
def test_times_are_as_fine_as_their_span(span, label):
    ticks, labels = time_ticks(START, START + span, 80)
    assert len(ticks) == len(labels) >= 2
    assert labels[0].startswith(label)


def test_days_begin_at_local_midnight():
    ticks, labels = time_ticks(START, START + 5 * 86400, 80)
    assert labels[:2] == ["09-22", "09-23"]
    assert ticks[0] == START + 10 * 3600  # it is summer in Berlin: 14:00 there


@pytest.mark.parametrize("last", [1e13, 1e300, 1.7e308])
@pytest.mark.parametrize("first", [START, -1.7e308])
def test_times_without_a_date_are_numbers(first, last):
    values = np.array([1.0, 2.0, 3.0])
    times = np.array([first, (first + last) / 2, last])
    lines = panel(Curve(times, values, values), width=80, height=6)
    assert lines[-1].strip() == f"{first:.15g} → {last:.15g} s after 1970, which are no dates"
    assert all(len(line) <= 80 for line in lines)
    labels = lines[-2].split()
    assert len(set(labels)) == len(labels) >= 2
    assert lines[0].rstrip()[-1] in "⠉⠁⠒⠑⠊"  # the last value is in the last column


def test_a_label_of_a_time_stands_where_the_report_has_it_too():
    from pymanip_run.export.report.axes import time_axis

    low, high = START, START + 6 * 3600
    ticks, _ = time_ticks(low, high, 60)
    assert ticks == [tick.value for tick in time_axis(low, high).ticks]
