"""Conditions of alarms: what they mean, and what is said of texts that are none."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymanip_run.alarms.grammar import Condition, ConditionError, parse_condition


@pytest.mark.parametrize(
    ("text", "variable", "quantity", "magnitude", "comparison", "limit"),
    [
        ("T > 60", "T", "value", False, ">", 60),
        ("T>60", "T", "value", False, ">", 60),
        ("  T_bottom<=-1.5e-3 ", "T_bottom", "value", False, "<=", -1.5e-3),
        ("T >= +.5", "T", "value", False, ">=", 0.5),
        ("state == 1", "state", "value", False, "==", 1),
        ("state != 0", "state", "value", False, "!=", 0),
        ("age(T_top) > 2min", "T_top", "age", False, ">", 120),
        ("age ( T_top ) > 2 min", "T_top", "age", False, ">", 120),
        ("age(T) > 90", "T", "age", False, ">", 90),
        ("age(T) > 1h30m", "T", "age", False, ">", 5400),
        ("rate(T) < -2", "T", "rate", False, "<", -2),
        ("rate(T) > 2 per 1min", "T", "rate", False, ">", 2 / 60),
        ("rate(T) > 2 per min", "T", "rate", False, ">", 2 / 60),
        ("rate(T) > 2 per 10 s", "T", "rate", False, ">", 0.2),
        ("abs(T) > 3", "T", "value", True, ">", 3),
        ("abs(rate(T_bottom)) > 2 per 1min", "T_bottom", "rate", True, ">", 2 / 60),
        ('"T top" > 3', "T top", "value", False, ">", 3),
        ("'p > q' < 1", "p > q", "value", False, "<", 1),
        ('age("T (top)") > 3s', "T (top)", "age", False, ">", 3),
        ("cell/T-1.5 > 3", "cell/T-1.5", "value", False, ">", 3),
        ("age > 3", "age", "value", False, ">", 3),
        ("per > 3", "per", "value", False, ">", 3),
        ("°C > 3", "°C", "value", False, ">", 3),
    ],
)
def test_a_condition_means_what_it_says(text, variable, quantity, magnitude, comparison, limit):  # noqa: PLR0917
    found = parse_condition(text)
    assert (found.variable, found.quantity, found.magnitude) == (variable, quantity, magnitude)
    assert found.comparison == comparison
    assert found.limit == pytest.approx(limit)
    assert str(found) == text.strip()


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("", 0, "a condition is missing; write for example  T > 60"),
        ("T", 1, "a comparison is missing: one of >, >=, <, <=, ==, !="),
        ("T 60", 2, "a comparison is missing: one of >, >=, <, <=, ==, !="),
        ("T >", 3, "a number is missing"),
        ("> 3", 0, "the name of a variable is missing"),
        ("abs() > 3", 4, "the name of a variable is missing"),
        ("'' > 3", 0, "the name of a variable is missing"),
        ("60 < T", 0, "the name of a variable comes first: write  T > 60, not  60 < T"),
        ("0 < T < 1", 0, "the name of a variable comes first: write  T > 60, not  60 < T"),
        ("T > 6 < 7", 6, "one comparison is possible; make another alarm for another one"),
        ("T > 60 and T < 70", 7, "one comparison is possible; make another alarm for another one"),
        ("T => 60", 2, "'=>' is no comparison; write >="),
        ("T = 60", 2, "'=' is no comparison; write =="),
        ("T ≥ 60", 2, "'≥' is no comparison; write >="),
        ("T <<>> 60", 2, "'<<>>' is no comparison; one of >, >=, <, <=, ==, != is needed"),
        ("T > 60 degC", 7, "a unit cannot stand here, only 'per' and a time after a rate"),
        ("T > 60degC", 6, "only a number can stand here, without a unit: 60"),
        ("T > 3,5", 5, "a number is written with a decimal point: 3.5"),
        ("T > nan", 4, "a number is needed here, not 'nan'"),
        ("T > U", 4, "a number is needed here, not 'U'"),
        ("T > 1e999", 4, "this number is too large"),
        ("T > (3)", 4, "a number is missing"),
        ("T > 3)", 5, "this does not belong to the condition"),
        ("mean(T) > 3", 0, "the function 'mean' is unknown; there are age, rate, abs"),
        ("rat(T) > 3", 0, "the function 'rat' is unknown; did you mean 'rate'?"),
        ("abs(age(T)) > 3", 4, "the function 'age' does not go here; abs() takes a name or rate(name)"),
        ("rate(abs(T)) > 1", 5, "the name of a variable is needed here"),
        ("age(T > 3", 6, "')' is missing here"),
        ("abs(rate(T) > 3", 12, "')' is missing here"),
        ("T top > 3", 2, 'a comparison is missing; a name with a blank needs quotes: "T top"'),
        ("T + U > 3", 2, "nothing is calculated here; log the result under a name of its own"),
        ("T > 3 per 1s", 6, "'per' goes with rate(…) only"),
        ("age(T) > 3 per 1s", 11, "'per' goes with rate(…) only"),
        ("rate(T) > 3 per", 15, "a time is missing after 'per', such as 1min"),
        ("rate(T) > 3 per 0s", 16, "'per' needs a time above 0"),
        ("age(T) > soon", 9, "'soon' is not a duration; write for example 250ms, 10s, 2h30m or 1.5d"),
        ("age(T) >", 8, "a duration is missing, such as 2min"),
        ('"T > 3', 0, "this quote is not closed"),
        ("x" * 1001, 0, "too long for a condition"),
    ],
)  # fmt: skip
def test_a_text_that_is_no_condition_is_told_where(text, column, message):
    with pytest.raises(ConditionError) as caught:
        parse_condition(text)
    assert (str(caught.value), caught.value.column) == (message, column)


@pytest.mark.parametrize(
    ("text", "true", "false"),
    [
        ("T > 60", [60.1, math.inf], [60, -61, math.nan]),
        ("T >= 60", [60], [59.9]),
        ("T != 0", [1], [0, math.nan]),
        ("abs(T) > 3", [4, -4], [3, -3]),
        ("rate(T) < -2 per 10s", [-0.21], [-0.19, 5]),
    ],
)
def test_a_condition_holds_or_not(text, true, false):
    condition = parse_condition(text)
    assert all(map(condition.holds, true))
    assert not any(map(condition.holds, false))


@pytest.mark.parametrize(
    ("when", "clear", "excluded"),
    [
        ("T > 60", "T < 55", True), ("T > 60", "T <= 60", True), ("T >= 60", "T <= 60", False), ("T > 60", "T < 61", False),
        ("T == 1", "T != 1", True), ("T == 1", "T == 2", True), ("T != 1", "T != 2", False), ("T > 1", "T > 0", False),
        ("abs(T) < 1", "abs(T) > 2", True), ("abs(T) > 0", "abs(T) < 0", True), ("age(T) > 1", "age(T) < 0", True),
        ("T > 60", "age(T) < 55", False), ("T > 60", "U < 55", False),
    ],
)  # fmt: skip
def test_whether_two_conditions_can_be_true_at_once(when, clear, excluded):
    assert parse_condition(when).excludes(parse_condition(clear)) is excluded
    assert parse_condition(clear).excludes(parse_condition(when)) is excluded


PIECES = st.sampled_from([
    "T", "age(", "rate(", "abs(", ")", ">", "<=", "==", "60", "2min", "per", " ", "'", '"', "-", "1e9", ",", "and", "\n", "é",
])  # fmt: skip


@given(st.one_of(st.lists(PIECES, max_size=12).map("".join), st.text(max_size=40)))
def test_any_text_is_a_condition_or_an_error_within_it(text):
    error = found = None
    try:
        found = parse_condition(text)
    except ConditionError as caught:
        error = caught
    if error is not None:
        assert 0 <= error.column <= len(text)
        assert str(error)
    else:
        assert isinstance(found, Condition)
        assert math.isfinite(found.limit)
        assert parse_condition(str(found)) == found


def test_a_rate_beyond_all_numbers_is_refused():
    with pytest.raises(ConditionError, match="too large"):
        parse_condition("rate(T) > 1e308 per 1ns")
