import math

import numpy as np
import pytest

from pymanip_run.livetable.text import ASCII, UNICODE, Number, glyphs_for, inert, sparkline


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("T_bottom", "T_bottom"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("two\nlines\t", "two\\nlines\\t"),
        ("right\u202eleft", "right\\u202eleft"),
        ("\x9b2J", "\\x9b2J"),
        ("[bold]as it is[/bold]", "[bold]as it is[/bold]"),
        ("°C µm", "°C µm"),
    ],
)
def test_nothing_in_a_text_acts_on_the_terminal(text, shown):
    assert inert(text) == shown


def test_a_number_keeps_its_width_while_it_changes():
    number = Number()
    for value in (41.273, 0.5, 9.99):
        number.saw(value)
    assert [number(v) for v in (41.273, 41.27, 41.0, 9.5)] == [
        "41.273",
        "41.270",
        "41.000",
        "9.500",
    ]


def test_whole_numbers_are_shown_without_decimals_until_one_is_not_whole():
    number = Number()
    number.saw(12.0)
    assert number(12.0) == "12"
    number.saw(12.5)
    assert number(12.0) == "12.000"


@pytest.mark.parametrize("value", [1e-12, 3.2e-7, 4.5e12, -1e300, 5e-324])
def test_very_large_and_very_small_values_stay_readable_and_short(value):
    number = Number()
    number.saw(value)
    assert float(number(value)) == pytest.approx(value, rel=1e-3)
    assert len(number(value)) <= 12


def test_a_value_far_below_the_largest_one_is_not_shown_as_zero():
    number = Number()
    number.saw(1000.5)
    assert float(number(1e-7)) == 1e-7


def test_a_format_of_the_experiment_goes_first_and_a_broken_one_does_no_harm():
    assert Number(".2f")(1.23456) == "1.23"
    broken = Number("no format")
    broken.saw(1.5)
    assert broken(1.5) == "1.5000"


def test_what_is_not_finite_is_said_so():
    assert [Number(".2f")(v) for v in (math.nan, math.inf, -math.inf)] == ["nan", "inf", "-inf"]


def test_a_sparkline_spans_from_lowest_to_highest_and_is_blank_without_values():
    cells = np.array([np.nan, 0.0, 7.0, 3.5, np.nan])
    assert sparkline(cells) == " ▁█▅ "
    assert sparkline(np.full(4, np.nan)) == "    "


def test_a_sparkline_of_the_largest_floats_does_not_overflow():
    assert sparkline(np.array([-1.7e308, 0.0, 1.7e308])) == "▁▅█"


def test_a_constant_is_a_flat_line():
    assert len(set(sparkline(np.full(5, 3.0)))) == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "no-such-codec", None])
def test_everything_can_be_encoded_where_the_terminal_has_no_unicode(encoding):
    glyphs = glyphs_for(encoding)
    drawn = glyphs.spark + glyphs.bar_done + glyphs.bar_open + glyphs.dot + glyphs.dash
    known = "ascii" if encoding in (None, "no-such-codec") else encoding
    (drawn + glyphs.ellipsis + glyphs.encodable("Bénard 25 °C · 水")).encode(known)


def test_units_are_transliterated_where_they_cannot_be_shown():
    assert ASCII.encodable("°C, µm, Ω, Bénard") == "degC, um, Ohm, Benard"
    assert UNICODE.encodable("°C") == "°C"
    assert glyphs_for("utf-8") is UNICODE
