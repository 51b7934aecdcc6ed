"""Numbers as text are those of `repr`, all of them, however they are made."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pymanip_run.export import numbers
from pymanip_run.export.numbers import as_text

RANDOM = np.random.default_rng(0)
SETS = {
    "noise": 20 + 0.01 * RANDOM.standard_normal(50_000),
    "many sizes": RANDOM.standard_normal(50_000) * 10.0 ** RANDOM.integers(-5, 17, 50_000),
    "three decimals": np.round(100 * RANDOM.standard_normal(50_000), 3),
    "tenths": np.arange(-20_000, 20_000) / 10,
    "whole": RANDOM.integers(-(2**53), 2**53, 50_000).astype(float),
    "binary fractions": RANDOM.integers(0, 2**53, 50_000) / 2.0 ** RANDOM.integers(0, 60, 50_000),
    "any bits": RANDOM.integers(-(2**63), 2**63 - 1, 50_000).view(np.float64),
    "powers of two and their neighbours": np.concatenate(
        [np.nextafter(2.0 ** np.arange(-30, 60), towards) for towards in (-np.inf, 0, np.inf)] + [2.0 ** np.arange(-30, 60)]
    ),
    "powers of ten and their neighbours": np.concatenate(
        [np.nextafter(10.0 ** np.arange(-8, 20), towards) for towards in (0, np.inf)] + [10.0 ** np.arange(-8, 20)]
    ),
    "special": np.array([0.0, -0.0, np.nan, np.inf, -np.inf, 5e-324, -1.7976931348623157e308, 0.1, 1 / 3] * 9),
    "zeros": np.zeros(100), "none": np.empty(0),
}  # fmt: skip


def texts(values):
    return [row.tobytes().replace(b"\0", b"").decode() for row in as_text(values)]


@pytest.mark.parametrize("name", SETS)
def test_every_number_is_the_text_of_repr(name):
    assert texts(SETS[name]) == list(map(repr, SETS[name].tolist()))


@settings(max_examples=300)
@given(
    st.lists(
        st.floats(allow_nan=True) | st.decimals(-(10**9), 10**9, places=4).map(float), max_size=20
    )
)
def test_any_numbers_together_are_the_texts_of_repr(values):
    assert texts(np.array(values, float)) == list(map(repr, values))


def test_most_noise_needs_no_repr(monkeypatch):
    asked = []
    honest = numbers._asked
    monkeypatch.setattr(
        numbers, "_asked", lambda values: asked.append(len(values)) or honest(values)
    )
    texts(SETS["noise"])
    assert sum(asked) < 0.03 * len(SETS["noise"])


def test_a_computer_without_longer_numbers_asks_repr(monkeypatch):
    monkeypatch.setattr(numbers, "IS_EXACT", False)
    assert texts(SETS["noise"][:1000]) == list(map(repr, SETS["noise"][:1000].tolist()))
