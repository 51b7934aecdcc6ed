import math

import pytest
from helpers_alarms import NS, rule

from pymanip_run.alarms.board import Board
from pymanip_run.alarms.rules import Change, Status, stale_rules
from pymanip_run.alarms.words import Words
from pymanip_run.records import Description, VariableInfo

KNOWN = {
    "T": VariableInfo("T", Description("°C", "Plate", ".1f", 10.0)),
    "U": VariableInfo("U"),
}
words = Words(lambda: KNOWN)


def active(a, value):
    return words.became_active(Change(a, "active", 100 * NS, value, math.nan))


def cleared(a, cause):
    return words.cleared(Change(a, "cleared", 100 * NS, 0.0, cause))


@pytest.mark.parametrize(
    ("a", "value", "text"),
    [
        (rule("T > 60"), 61.23, "T above 60 °C (61.2); cleared when it is no longer above 60 °C"),
        (
            rule("T > 60", clear="T < 55", hold=30, message="Plate too hot"), 61.23,
            "Plate too hot: T above 60 °C (61.2) for 30 s; cleared when T is below 55 °C",
        ),
        (rule("abs(U) >= 3"), -3.5, "|U| at or above 3 (-3.5); cleared when it is no longer at or above 3"),
        (rule("U == 0"), 0.0, "U equal to 0 (0); cleared when it is no longer equal to 0"),
        (
            rule("age(T) > 2min"), 130.0,
            "no value of T for 2 min 10 s (limit 2 min); cleared by the next value of T",
        ),
        (
            rule("abs(rate(T)) > 2 per 1min"), 0.05,
            "rate of T (up or down) above 2 °C per 1 min (3); "
            "cleared when it is no longer above 2 °C per 1 min",
        ),
        (
            rule("T > 60", clear="age(T) < 10s"), 61.0,
            "T above 60 °C (61.0); cleared when T: last value less than 10 s old",
        ),
    ],
)  # fmt: skip
def test_the_text_says_the_value_the_limit_and_what_clears_it(a, value, text):
    assert active(a, value) == text


def test_what_cleared_it_is_said():
    assert cleared(rule("T > 60"), 59.0) == "cleared: T is no longer above 60 °C (59.0)"
    assert cleared(rule("T > 60", clear="T < 55"), 54.0) == "cleared: T is below 55 °C (54.0)"
    assert cleared(rule("age(T) > 2min"), 0.0) == "cleared: T has values again"


def test_a_variable_with_a_period_says_since_when_it_is_silent():
    (stale,) = stale_rules(KNOWN)
    assert stale.when.limit == 30
    text = active(stale, 40.0)
    assert text.startswith("no fresh value since ")
    assert text.endswith(":00 (period 10 s)")


def test_a_variable_without_a_period_is_never_stale():
    assert [r.variable for r in stale_rules(KNOWN)] == ["T"]
    assert stale_rules(KNOWN, ["T stale"]) == []


def lines(*statuses, now=100.0):
    return Board(lambda: list(statuses), words, lambda: now).lines()


def test_the_board_tells_how_each_alarm_is_doing():
    ok, pending, on, over = lines(
        Status(rule("T > 60", "a"), "ok"),
        Status(rule("T > 60", "b", hold=30), "pending", 90 * NS, 61.0),
        Status(rule("T > 60", "c"), "active", 90 * NS, 61.0),
        Status(rule("T > 60", "d"), "cleared", 90 * NS, 50.0),
    )
    assert (ok.text, ok.short, ok.since, ok.headline) == ("ok", "ok", None, "")
    assert pending.text == "T above 60 °C (61.0), alarm in 20 s"
    assert pending.short == "b in 20 s"
    assert on.text.startswith("T above 60 °C (61.0), since 1970-01-01")
    assert on.text.endswith("cleared when it is no longer above 60 °C")
    assert on.headline == "T above 60 °C (61.0)"
    assert over.text.startswith("cleared ")
    assert ok.as_json()["value"] is None


@pytest.mark.parametrize("restored", [False, True])
def test_the_age_of_a_silent_variable_goes_on(restored):
    """Also since an earlier run: nothing came meanwhile."""
    (line,) = lines(Status(rule("age(T) > 1min"), "active", 40 * NS, 60.0, restored))
    assert line.headline == "no value of T for 2 min (limit 1 min)"
    assert line.short == "no fresh value"


def test_an_alarm_of_an_earlier_run_says_so():
    (line,) = lines(Status(rule("T > 60"), "active", 90 * NS, 61.0, restored=True))
    assert ", in an earlier run; cleared when" in line.text


def test_the_worst_alarm_of_a_variable_is_shown():
    board = Board(
        lambda: [
            Status(rule("T > 1", "a"), "ok"),
            Status(rule("T > 2", "b"), "active", 1, 3.0),
            Status(rule("T > 3", "c"), "cleared", 1, 3.0),
            Status(rule("U > 3", "d"), "ok"),
        ],
        words,
        lambda: 100.0,
    )
    assert {name: line.name for name, line in board.worst().items()} == {"T": "b", "U": "d"}


def test_what_follows_from_a_period_is_shown_only_while_it_is_so():
    (stale,) = stale_rules(KNOWN)
    assert lines(Status(stale, "ok")) == []
    assert lines(Status(stale, "cleared", 1, 1.0)) == []
    assert [line.short for line in lines(Status(stale, "active", 1, 40.0))] == ["no fresh value"]
