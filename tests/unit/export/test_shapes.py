"""Tables before they are written: filled, in stretches, in windows, always in blocks."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pymanip_run.core.view import SessionView
from pymanip_run.export import table
from pymanip_run.export.job import Job
from pymanip_run.export.table import in_full
from pymanip_run.storage.memory import MemoryStore


def view(data):
    store = MemoryStore()
    rows = sorted((round(t * 1e6) * 1000, n, v) for n, pairs in data.items() for t, v in pairs)
    for ns, name, value in rows:
        store.append_row(ns, (name,), (value,))
    return SessionView(store, "s")


def rows(session, **options):
    """All rows of the one table, None for a missing cell; and the names of the columns."""
    (one,) = Job(session, **options).tables()
    found = []
    for block in one.blocks():
        columns = []
        for column in block.columns:
            there = np.ones(len(block.times), bool)
            if column.rows is not None:
                there[:] = False
                there[column.rows] = True
            values = in_full(column, len(block.times)).tolist()
            columns.append([v if t else None for v, t in zip(values, there, strict=True)])
        found += [(t, *row) for t, *row in zip(block.times.tolist(), *columns, strict=True)]
    return [f.name for f in one.fields], found


@pytest.fixture(params=[1, 3, 1000])
def small_blocks(request, monkeypatch):
    """Blocks of few rows, so that everything happens at their borders."""
    monkeypatch.setattr(table, "BLOCK_VALUES", request.param)
    monkeypatch.setattr(table, "BLOCK_ROWS", 1)


@pytest.mark.usefixtures("small_blocks")
def test_missing_cells_are_filled_with_the_last_value_before():
    session = view({"a": [(1, 10), (4, math.nan)], "b": [(2, 20), (3, 30), (5, 50)]})
    assert repr(rows(session, how="ffill")[1]) == repr(
        [(1.0, 10.0, None), (2.0, 10.0, 20.0), (3.0, 10.0, 30.0), (4.0, math.nan, 30.0), (5.0, math.nan, 50.0)]
    )  # fmt: skip


@pytest.mark.usefixtures("small_blocks")
def test_a_window_is_filled_with_what_was_before_it():
    session = view({"a": [(1, 10), (4, 40)], "b": [(2, 20), (3, 30)]})
    assert rows(session, how="ffill", since=3.0)[1] == [(3.0, 10.0, 30.0), (4.0, 40.0, 30.0)]


@pytest.mark.usefixtures("small_blocks")
def test_a_stretch_has_mean_minimum_maximum_and_count():
    session = view(
        {
            "T": [(0.5, 1), (1.5, 3), (9.9, -1), (10, 7), (25, math.nan), (31, math.inf)],
            "r": [(12, 2)],
        }
    )
    names, found = rows(session, names=["T", "r"], step=10.0)
    assert names == ["T_mean", "T_min", "T_max", "T_count", "r_mean", "r_min", "r_max", "r_count"]
    assert found == [
        (0.0, 1.0, -1.0, 3.0, 3.0, None, None, None, 0.0),
        (10.0, 7.0, 7.0, 7.0, 1.0, 2.0, 2.0, 2.0, 1.0),
        (20.0, None, None, None, 0.0, None, None, None, 0.0),
        (30.0, math.inf, math.inf, math.inf, 1.0, None, None, None, 0.0),
    ]
    assert rows(session, names=["T"], step=10.0, how="ffill")[1][2] == (20.0, 7.0, 7.0, 7.0, 0.0)


@pytest.mark.parametrize("step", [0.1, 0.2, 0.3, 1.0, 3e-6])
def test_a_value_at_the_beginning_of_a_stretch_is_in_it(step):
    width = round(step * 1e6)
    numbers = 1_763_800_000_000_000 // width + np.arange(2000)
    begins = numbers * width
    both = np.sort(np.r_[begins, begins + width - 1])
    found = rows(
        view({"T": list(zip((both * 1000 / 1e9).tolist(), both.tolist(), strict=True))}), step=step
    )[1]
    assert [row[0] for row in found] == (begins / 1e6).tolist()
    assert [row[2:] for row in found] == [(b, b + width - 1, 2.0) for b in begins.tolist()]


@given(
    pairs=st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 40), st.floats(-1e6, 1e6) | st.just(math.nan)), max_size=30
    ),
    step=st.sampled_from([0.1, 1.0, 3.0, 7.5, 100.0]),
    size=st.integers(1, 5),
)  # fmt: skip
def test_any_stretch_is_that_of_its_values_whatever_the_blocks(pairs, step, size):
    data = {}
    for name, t, v in pairs:
        data.setdefault(name, {})[float(t)] = v
    session = view({n: list(one.items()) for n, one in data.items()})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "BLOCK_VALUES", size)
        patch.setattr(table, "BLOCK_ROWS", 1)
        names, found = rows(session, step=step)
    bins = sorted({math.floor(t / step) for one in data.values() for t in one})
    assert [row[0] for row in found] == [round(b * step, 6) for b in bins]
    for at, name in enumerate(n.removesuffix("_mean") for n in names[::4]):
        for b, row in zip(bins, found, strict=True):
            inside = [v for t, v in data[name].items() if math.floor(t / step) == b and v == v]  # noqa: PLR0124
            mean, low, high, count = row[1 + 4 * at : 5 + 4 * at]
            assert count == len(inside)
            if not inside:
                assert (mean, low, high) == (None, None, None)
            else:
                assert (low, high) == (min(inside), max(inside))
                assert mean == pytest.approx(sum(inside) / len(inside), rel=1e-9, abs=1e-6)


def test_a_burst_after_a_quiet_time_does_not_come_in_one_block(monkeypatch):
    monkeypatch.setattr(table, "BLOCK_VALUES", 80)
    monkeypatch.setattr(table, "BLOCK_ROWS", 1)
    quiet = [(1000.0 * i, i) for i in range(60)]
    burst = [(60_000 + i / 1000, i) for i in range(5000)]
    session = view({"a": quiet + burst, "b": [(60_002.5, 1.0), (60_100.0, 2.0)]})
    (one,) = Job(session).tables()
    sizes = [len(block.times) for block in one.blocks()]
    assert max(sizes) <= 170
    assert [(t, a) for t, a, _ in rows(session)[1] if a is not None] == quiet + burst
    assert [(t, b) for t, _, b in rows(session)[1] if b is not None] == [
        (60_002.5, 1.0), (60_100.0, 2.0)
    ]  # fmt: skip


def test_progress_rises_to_one_over_all_tables():
    seen = []
    session = view({n: [(float(i), i) for i in range(50)] for n in "abc"})
    for one in Job(session, how="separate", progress=seen.append).tables():
        list(one.blocks())
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
