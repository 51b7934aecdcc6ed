import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymanip_run.core.plainly import MOST, as_text, from_text, shown

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(), inner)
        | st.dictionaries(st.integers() | st.tuples(st.text()), inner)
    ),
    max_leaves=10,
)


@given(VALUES)
def test_what_a_task_returns_comes_back_as_it_was(value):
    back = from_text(as_text(value))
    assert back == value
    assert repr(back) == repr(value)


@pytest.mark.parametrize(
    "value",
    [
        np.float32(0.1), np.int64(-3), np.bool_(True), np.arange(6.0).reshape(2, 3), np.array(1.5),
        np.empty((0, 3), np.int16), np.array(["a", "bcd"]), np.datetime64("2024-05-01T10:00"),
        np.zeros(2, [("a", "<f8"), ("b", "<i4")]), float("nan"), float("-inf"), -0.0,
        {"f": (np.float32(2.5), [np.arange(3)])},
    ],
)  # fmt: skip
def test_what_numpy_made_keeps_its_kind(value):
    back = from_text(as_text(value))
    assert type(back) is type(value)
    assert repr(back) == repr(value)
    assert getattr(back, "dtype", None) == getattr(value, "dtype", None)


def test_an_array_that_came_back_can_be_written_into():
    back = from_text(as_text(np.zeros(3)))
    back[0] = 1
    assert back[0] == 1


class Reading:
    pass


LOOP: list = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Reading(), "a Reading"),
        ([1, {"a": {2, 3}}], "a set"),
        (np.array([Reading()]), "an array of object"),
        (np.zeros(MOST), "8388608 bytes"),
        ("x" * MOST, "longer than 1 MiB"),
        (LOOP, "contains itself"),
    ],
)
def test_what_cannot_be_written_is_named(value, reason):
    with pytest.raises((TypeError, ValueError), match=reason):
        as_text(value)
    with pytest.raises(ValueError, match="could not be stored"):
        from_text(as_text(value, lenient=True) if value is not LOOP else '{"object":"list"}')


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "{}", '{"tuple": 3}', '{"array": ["<f8", [2], "AAAA"]}', '{"array": ["|O", [0], ""]}',
        '{"a": 1, "b": 2}', '{"scalar": []}', '{"complex": "x"}', '{"bytes": 7}', '{"items": [[[], 1]]}',
        "[" * 300 + "]" * 300, "[" * 100_000, '{"array": ["<f8", ["x"], ""]}',
    ],
)  # fmt: skip
def test_a_text_that_stands_for_nothing_is_refused(text):
    with pytest.raises(ValueError):
        from_text(text)


def test_a_value_is_shown_as_people_write_it():
    assert shown(as_text(0.5)) == "0.5"
    assert shown(as_text((1, "a"))) == "(1, 'a')"
    assert shown(as_text(list(range(100)))).endswith("…")
    assert shown(json.dumps({"object": "Reading"})) == '{"object": "Reading"}'
