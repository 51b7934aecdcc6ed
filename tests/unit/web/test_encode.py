"""JSON as it is sent: the same whether it is written at once or in pieces."""

import json
import math
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymanip_run.web import encode
from pymanip_run.web.encode import dumps, dumps_slowly, is_long

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=30)  # fmt: skip
CONTENT = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=9), inner, max_size=9)
    ),
    max_leaves=60,
)


@pytest.fixture(scope="module", autouse=True)
def _small_pieces():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encode, "PIECE", 4)
        patch.setattr(encode, "BREATH", 0.0)
        yield


@given(CONTENT)
def test_written_in_pieces_it_is_the_same(content):
    assert dumps_slowly(content) == dumps(content)


@given(st.lists(st.floats(width=64), max_size=40))
def test_arrays_are_lists_with_null_for_what_is_not_finite(values):
    array = np.array(values, np.float64)
    wanted = [value if math.isfinite(value) else None for value in values]
    for written in (dumps({"v": array}), dumps_slowly({"v": array})):
        assert json.loads(written) == {"v": wanted}


def test_no_piece_is_long():
    content = {
        "flat": list(range(100)), "array": np.arange(100.0), "rows": [[1] * 30] * 9, "empty": [],
        "dicts": [{"a": 1, "b": [1, 2, 3]}] * 20, "deep": {"x": {"y": list(range(50))}},
    }  # fmt: skip
    pieces = list(encode._pieces(content))
    assert max(len(piece) for piece in pieces) < 60
    assert json.loads("".join(pieces)) == json.loads(dumps(content))


def test_what_is_not_of_json_is_an_error():
    with pytest.raises(TypeError, match="nothing that JSON has"):
        dumps({"a": object()})


@pytest.mark.parametrize(("content", "long"), [
    ({"a": 1}, False), ([0.0] * 2000, True), ({"a": {"b": np.zeros(2000)}}, True), ([[0.0] * 100] * 20, True),
    ([{}] * 3000, True), ("x" * 100_000, True), (["x"] * 500, False), (None, False),
])  # fmt: skip
def test_what_is_long_is_known_without_writing_it(content, long):
    assert is_long(content) is long


def test_others_have_their_turn_while_it_is_written(monkeypatch):
    monkeypatch.setattr(encode, "PIECE", 256)
    monkeypatch.setattr(encode, "BREATH", 0.0002)
    content = {"v": np.random.default_rng(0).random(300_000)}
    gaps, over = [], threading.Event()

    def tick():
        last = time.perf_counter()
        while not over.is_set():
            time.sleep(0.0005)
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    ticking = threading.Thread(target=tick)
    ticking.start()
    dumps_slowly(content)
    over.set()
    ticking.join()
    # Written at once it is some hundred milliseconds in which nobody else has a turn.
    assert len(gaps) > 50
    assert sorted(gaps)[len(gaps) * 9 // 10] < 0.05
