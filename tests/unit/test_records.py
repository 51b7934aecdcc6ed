"""The rules for names and values, statistics, and series that read only what is asked."""

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from pymanip_run.records import (
    Description,
    Entry,
    Event,
    Series,
    Statistics,
    VariableInfo,
    as_float,
    as_parameter,
    as_timestamp,
    check_name,
    check_text,
    clean_text,
    merge_series,
)

# -- names and texts ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["T", "T bottom", "a/b", "_internal", "ΔT", "x" * 255, "é" * 127, "...", "1", "a.b"]
)
def test_a_name_is_any_text_of_up_to_255_bytes(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "x" * 256, "é" * 128, "a\0b", "a\nb", "\x7f", "\x9f", "\u2028", "\udc80"],
)
def test_what_cannot_be_a_name_is_refused(name):
    with pytest.raises(ValueError, match="dataset"):
        check_name(name, "dataset")


@pytest.mark.parametrize("name", [1, None, b"T", ("T",)])
def test_a_name_that_is_no_text_is_a_type_error(name):
    with pytest.raises(TypeError, match="variable name must be a text"):
        check_name(name)


@given(st.text())
def test_a_cleaned_text_can_always_be_stored_and_is_otherwise_unchanged(text):
    cleaned = clean_text(text)
    assert "\0" not in cleaned
    assert cleaned.encode().decode() == cleaned
    assert clean_text(cleaned) == cleaned
    if "\0" not in text:
        assert cleaned == text


def test_undecodable_characters_are_spelled_out():
    assert clean_text("a\0b\udc80é") == "a\\x00b\\udc80é"


@pytest.mark.parametrize("text", ["a\0b", "\udc80"])
def test_a_text_that_hdf5_cannot_hold_is_refused_with_its_name(text):
    with pytest.raises(ValueError, match=r"^idn: the text .* cannot hold"):
        check_text("idn", text)
    with pytest.raises(TypeError, match=r"^T: a unit is a text, not int 3"):
        check_text("T", 3, "unit")


# -- values -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [3, 3.0, True, False, np.float64(3), np.float32(3), np.float16(3), np.longdouble(3), np.int8(3), np.uint64(3),
     np.bool_(True), np.array(3), np.array(3.0), np.array(True), -(2**53), math.inf, -math.inf],
)  # fmt: skip
def test_a_number_is_a_value(value):
    result = as_float("T", value)
    assert type(result) is float
    assert result == value


def test_nan_is_a_value():
    assert math.isnan(as_float("T", math.nan))
    assert math.isnan(as_float("T", np.float32("nan")))


@pytest.mark.parametrize(
    "value",
    [None, "3", b"3", 3j, np.complex128(3), [3], (3,), {"a": 3}, np.array([3]), np.array("3"), np.array(3j), np.array(None),
     Decimal(3), Fraction(3), datetime.now(UTC), np.timedelta64(3, "s"), np.datetime64("2026-11-22"), np.ma.masked, object(), float],
)  # fmt: skip
def test_what_is_no_number_is_a_type_error_that_names_the_variable(value):
    with pytest.raises(TypeError, match=r"^T_bottom: a value must be a number, not "):
        as_float("T_bottom", value)


@pytest.mark.parametrize(("value", "hint"), [([3], "add_dataset"), ("3", "save_parameter")])
def test_the_message_says_what_to_use_instead(value, hint):
    with pytest.raises(TypeError, match=hint):
        as_float("T", value)


@pytest.mark.parametrize(
    "value", [10**400, -(10**400), 10**5000], ids=["large", "negative", "too large to be shown"]
)
def test_an_integer_too_large_for_float64_is_an_overflow_that_names_the_variable(value):
    with pytest.raises(OverflowError, match=r"^count: the integer .* too large for float64"):
        as_float("count", value)


def test_an_object_that_cannot_be_shown_is_refused_all_the_same():
    class Shy:
        def __repr__(self):
            raise RuntimeError("no")

    with pytest.raises(TypeError, match=r"not Shy \(unprintable\)"):
        as_float("T", Shy())


@pytest.mark.parametrize(
    ("value", "kind"),
    [(True, bool), (np.bool_(False), bool), (3, int), (np.uint8(3), int), (np.int64(-3), int), (3.5, float),
     (np.float32(0.5), float), ("text", str), (np.str_("text"), str), (np.array(3), int), (2**63 - 1, int), (-(2**63), int)],
)  # fmt: skip
def test_a_parameter_keeps_its_kind(value, kind):
    result = as_parameter("p", value)
    assert type(result) is kind
    assert result == value


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (None, TypeError),
        ([1], TypeError),
        (1j, TypeError),
        (b"x", TypeError),
        (2**63, OverflowError),
        ("a\0", ValueError),
    ],
)
def test_what_cannot_be_a_parameter_is_refused_with_its_name(value, error):
    with pytest.raises(error, match=r"^power: "):
        as_parameter("power", value)


# -- times --------------------------------------------------------------------------------------


def test_a_time_is_a_number_a_datetime_or_a_text():
    moment = datetime(2026, 11, 22, 15, tzinfo=UTC)
    assert as_timestamp(3) == 3.0
    assert as_timestamp(moment) == as_timestamp("2026-11-22T15:00+00:00") == moment.timestamp()
    assert as_timestamp(moment.astimezone().replace(tzinfo=None)) == moment.timestamp()
    assert as_timestamp("-1h", now=10_000.0) == 6400.0


@pytest.mark.parametrize("text", ["yesterday", "", "-1h", "1h"])
def test_what_is_no_time_is_refused_and_shown(text):
    with pytest.raises(ValueError, match="is not a time"):
        as_timestamp(text)


def test_entries_and_events_tell_seconds():
    assert Entry(1_500_000_000, ("T",), (1.0,)).time == 1.5
    assert Event(2_500_000_000, "note", "", "x").time == 2.5


# -- statistics ---------------------------------------------------------------------------------


series_of_values = npst.arrays(
    np.float64,
    st.integers(0, 30),
    elements=st.floats(-1e6, 1e6) | st.sampled_from([math.nan, math.inf, -math.inf]),
)


@given(series_of_values, st.integers(0, 30), st.integers(0, 30))
def test_statistics_of_parts_are_those_of_the_whole(values, a, b):
    times = np.cumsum(np.arange(1.0, len(values) + 1) % 7 + 1)
    parts = np.split(np.arange(len(values)), sorted({min(a, len(values)), min(b, len(values))}))
    found = Statistics()
    for part in parts:
        found = found.extended(times[part], values[part])
    finite = values[np.isfinite(values)]
    assert (found.n, found.nonfinite) == (len(values), len(values) - len(finite))
    if len(values):
        assert (found.first_time, found.last_time) == (times[0], times[-1])
        np.testing.assert_equal([found.first_value, found.last_value], values[[0, -1]])
        assert found.longest_gap == (np.diff(times).max() if len(times) > 1 else 0.0)
    if len(finite):
        assert (found.min, found.max) == (finite.min(), finite.max())
        assert found.mean == pytest.approx(finite.mean(), abs=1e-6)
        assert found.std == pytest.approx(finite.std(), abs=1e-3)
    else:
        assert math.isnan(found.mean)
        assert math.isnan(found.std)


def test_the_rate_is_values_per_second():
    assert Statistics().extended(np.arange(11.0), np.zeros(11)).rate == 1.0
    assert math.isnan(Statistics().extended(np.zeros(1), np.zeros(1)).rate)


def test_values_near_the_end_of_float64_give_no_warning():
    found = Statistics().extended(np.arange(2.0), np.array([1e308, -1e308]))
    assert found.extended(np.arange(2.0, 4.0), np.array([1e308, 1e308])).n == 4


def test_a_description_changes_only_in_what_is_given():
    described = Description(unit="K").updated({"label": "Bath", "unit": None, "other": 3})
    assert described == Description(unit="K", label="Bath")


# -- series -------------------------------------------------------------------------------------


class Source:
    """A source in memory that counts what is read."""

    def __init__(self, times, values, unit=None):
        self.times, self.values = np.asarray(times, float), np.asarray(values, float)
        self.description = Description(unit=unit, label="Bath")
        self.reads = []

    def read_series(self, name, window):
        low = 0 if window.since is None else np.searchsorted(self.times, window.since)
        high = (
            len(self.times) if window.until is None else np.searchsorted(self.times, window.until)
        )
        if window.tail is not None:
            low = max(low, high - window.tail)
        self.reads.append(max(0, high - low))
        return self.times[low:high].copy(), self.values[low:high].copy()

    def variable_info(self, name):
        return VariableInfo(name, self.description, Statistics().extended(self.times, self.values))


@pytest.fixture
def source():
    return Source(np.arange(100.0), np.arange(100.0) * 10, "°C")


@pytest.fixture
def series(source):
    return Series("T", source)


def test_a_series_behaves_as_the_published_pair(series):
    t, v = series
    assert len(series) == 2
    assert series[0] is series[-2] is t is series.timestamps
    assert series[1] is series[-1] is v is series.values
    assert t.dtype == v.dtype == np.float64
    assert t.shape == v.shape == (100,)
    assert tuple(series)[1] is v
    assert [len(part) for part in series[0:2]] == [100, 100]
    with pytest.raises(IndexError):
        series[2]


def test_a_series_is_an_array_of_two_rows_for_numpy(series):
    both = np.array(series)
    assert both.shape == (2, 100)
    np.testing.assert_array_equal(np.column_stack(series)[3], [3, 30])
    np.testing.assert_array_equal(np.asarray(series)[1], series.values)


def test_nothing_is_read_until_it_is_needed_and_then_once(series, source):
    part = series.since(10).between(20, 30).tail(5)
    assert (series.size, series.unit, series.label, repr(series)) == (
        100, "°C", "Bath", "<Series 'T': 100 values in °C>",
    )  # fmt: skip
    assert source.reads == []
    assert len(part.timestamps) == len(part.values) == part.size == 5
    assert len(tuple(part)) == 2
    assert source.reads == [5]


def test_the_last_value_reads_one_value(series, source):
    assert series.last == (99.0, 990.0)
    assert source.reads == [1]
    assert series.between(0, 50).last == (49.0, 490.0)
    assert source.reads == [1, 1]
    len(series.values)
    assert series.last == (99.0, 990.0)
    assert source.reads == [1, 1, 100]


def test_since_is_inclusive_and_between_excludes_its_end(series):
    assert list(series.since(97).timestamps) == [97, 98, 99]
    assert list(series.between(3, 5).timestamps) == [3, 4]
    assert list(series.between(5, 3).timestamps) == []


def test_a_negative_text_is_before_the_last_value(series):
    assert list(series.since("-2s").timestamps) == [97, 98, 99]
    assert list(series.between("-3s", "-1s").timestamps) == [96, 97]


def test_a_datetime_or_iso_text_is_a_limit():
    start = datetime(2026, 11, 22, tzinfo=UTC)
    source = Source([(start + timedelta(hours=h)).timestamp() for h in range(5)], range(5))
    series = Series("T", source)
    assert list(series.since(start + timedelta(hours=3)).values) == [3, 4]
    assert list(series.since("2026-11-22T04:00+00:00").values) == [4]


def test_an_empty_part_has_no_last_value(series):
    assert series.since(1000).size == 0
    assert series.tail(0).size == 0
    with pytest.raises(IndexError, match="T has no value in this part"):
        series.since(1000).last  # noqa: B018


def test_a_negative_tail_is_refused(series):
    with pytest.raises(ValueError, match="0 or more, not -1"):
        series.tail(-1)


operations = st.lists(
    st.one_of(
        st.tuples(st.just("since"), st.integers(-10, 110)),
        st.tuples(st.just("between"), st.integers(-10, 110), st.integers(-10, 110)),
        st.tuples(st.just("tail"), st.integers(0, 110)),
    ),
    max_size=6,
)


@given(operations)
def test_limits_combine_in_any_order_as_they_are_read(chain):
    source = Source(np.arange(100.0), np.arange(100.0))
    series, expected = Series("T", source), list(range(100))
    for operation, *numbers in chain:
        series = getattr(series, operation)(*numbers)
        if operation == "tail":
            expected = (
                expected[len(expected) - numbers[0] :] if numbers[0] < len(expected) else expected
            )
        else:
            low, high = numbers[0], numbers[1] if len(numbers) > 1 else math.inf
            expected = [t for t in expected if low <= t < high]
    if expected:
        assert series.last == (expected[-1], expected[-1])
    assert series.size == len(expected)
    assert list(series.values) == expected


def test_several_series_are_merged_in_time_order():
    t, v = merge_series(
        [
            (np.array([1.0, 4.0]), np.array([1.0, 4.0])),
            (np.empty(0), np.empty(0)),
            (np.array([2.0, 3.0]), np.array([2.0, 3.0])),
        ]
    )
    assert list(t) == list(v) == [1, 2, 3, 4]
    assert [len(part) for part in merge_series([])] == [0, 0]
