"""Durations and sizes as people write them."""

import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymanip_run.units import (
    format_clock,
    format_duration,
    format_size,
    parse_duration,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (10, 10.0), (2.5, 2.5), ("10", 10.0), ("0", 0.0), ("1e3", 1000.0),
        ("250ms", 0.25), ("10s", 10.0), ("10 s", 10.0), ("5µs", 5e-6), ("5us", 5e-6), ("3ns", 3e-9),
        ("2h30m", 9000.0), ("2 h 30 min", 9000.0), ("1.5d", 129600.0), ("1w", 604800.0),
        ("1 day 2 hours", 93600.0), ("  90 seconds  ", 90.0), (".5s", 0.5),
        ("PT10S", 10.0), ("PT1H30M", 5400.0), ("P1DT2H", 93600.0), ("P2W", 1209600.0), ("PT0.5S", 0.5),
    ],
)  # fmt: skip
def test_a_duration_is_understood(text, seconds):
    assert parse_duration(text) == pytest.approx(seconds, rel=1e-12)


@pytest.mark.parametrize(
    "text",
    ["", " ", "s", "10 x", "10s!", "ten", "-1", -1, "1h -5m", "nan", "inf", math.inf, math.nan, True, "P", "PT",
     "P1Y", "P1M", "PT5", "P1H", "10S", "5 M", "1,5s"],
)  # fmt: skip
def test_what_is_no_duration_is_refused_and_shown(text):
    with pytest.raises(ValueError, match="duration") as caught:
        parse_duration(text)
    assert not str(text).strip() or repr(text) in str(caught.value)


@given(st.floats(0, 1e12))
def test_a_number_of_seconds_is_itself_as_number_and_as_text(seconds):
    assert parse_duration(seconds) == parse_duration(repr(seconds)) == seconds


@given(st.text(max_size=12))
def test_any_text_is_a_duration_or_a_value_error(text):
    with suppress(ValueError):
        assert parse_duration(text) >= 0


@pytest.mark.parametrize(
    ("text", "size"),
    [
        (0, 0), (812, 812), ("812", 812), ("812 B", 812), ("500MB", 500_000_000), ("2GB", 2 * 10**9),
        ("512MiB", 512 * 2**20), ("1.5 kB", 1500), ("1KiB", 1024), ("1TB", 10**12),
    ],
)  # fmt: skip
def test_a_size_is_understood(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize(
    "text", ["", "B", "2gb", "2 GBs", "-1", -1, True, "1 2 MB", None, 1.5, "nan"]
)
def test_what_is_no_size_is_refused_and_shown(text):
    if text == 1.5:
        assert parse_size(text) == 2  # a number of bytes is rounded
        return
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("seconds", "clock"),
    [(-3, "0:00:00"), (0, "0:00:00"), (127.9, "0:02:07"), (8047, "2:14:07"), (86399, "23:59:59"),
     (3 * 86400 + 8047, "3 d 2:14:07")],
)  # fmt: skip
def test_a_running_time_has_a_steady_width(seconds, clock):
    assert format_clock(seconds) == clock


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.25, "250 ms"), (0, "0 ms"), (1, "1 s"), (1.234, "1.23 s"), (10, "10 s"), (59.4, "59 s"), (60, "1 min"),
     (90, "1 min 30 s"), (9000, "2 h 30 min"), (7200, "2 h"), (90000, "1 d 1 h"), (math.nan, "–"), (math.inf, "–")],
)  # fmt: skip
def test_a_duration_is_said_in_one_or_two_units(seconds, words):
    assert format_duration(seconds) == words


near_a_unit = st.builds(
    lambda limit, off: limit * (1 + off),
    st.sampled_from([1, 10, 60, 3600, 86400]),
    st.floats(-0.01, 0.01),
)


@given(near_a_unit)
def test_a_formatted_duration_never_shows_sixty(seconds):
    words = format_duration(seconds)
    assert "60 s" not in words
    assert "60 min" not in words
    assert "e+" not in words
    assert "24 h" not in words


@given(st.floats(1e-3, 1e8))
def test_a_formatted_duration_is_understood_and_near(seconds):
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.03)


@pytest.mark.parametrize(
    ("size", "words"),
    [(0, "0 B"), (812, "812 B"), (3_100_000, "3.1 MB"), (42e9, "42.0 GB"), (999, "999 B"), (999.9, "1.0 kB"),
     (123456, "123 kB"), (5e15, "5000.0 TB")],
)  # fmt: skip
def test_a_size_is_said_with_a_prefix(size, words):
    assert format_size(size) == words
