import math

import numpy as np
import pytest

from pymanip_run.livetable.model import HISTORY, Model
from pymanip_run.records import Description, Entry, Event, VariableInfo

START = 1_763_800_000.0


def entry(time, **values):
    return Entry(round(time * 1e9), tuple(values), tuple(map(float, values.values())))


def test_the_last_value_is_kept_whatever_the_number_of_rows_at_once():
    model = Model(START)
    model.absorb([entry(START + i / 1000, T=i) for i in range(10_001)])
    assert model.traces["T"].last == (pytest.approx(START + 10), 10_000.0)
    assert model.traces["T"].count == 10_001
    assert model.traces["T"].rate(START + 10) == pytest.approx(1000, rel=1e-3)


@pytest.mark.parametrize("period", [0.1, 1.0, 600.0])
def test_the_rate_is_that_of_the_last_values(period):
    model = Model(START)
    for i in range(20):
        model.absorb([entry(START + i * period, T=i)])
    now = START + 19 * period
    assert model.traces["T"].rate(now) == pytest.approx(1 / period)
    assert math.isnan(model.traces["T"].rate(now + 11 * period + 3))


def test_the_history_is_the_mean_of_each_part_and_its_end_is_now():
    model = Model(START)
    for i in range(HISTORY):
        model.absorb([entry(START + i, T=i)])
    cells = model.traces["T"].history(START + HISTORY - 1, 10, HISTORY)
    assert cells == pytest.approx(np.arange(10) * 60 + 29.5, abs=30)
    assert np.all(np.diff(cells) > 0)


def test_what_is_older_than_the_history_leaves_it():
    model = Model(START)
    model.absorb([entry(START, T=1000.0), entry(START + HISTORY + 5, T=1.0)])
    cells = model.traces["T"].history(START + HISTORY + 5, 60, HISTORY)
    assert cells[np.isfinite(cells)] == pytest.approx(1.0)


def test_a_history_shorter_than_a_step_is_carried_on_but_not_past_a_gap():
    model = Model(START)
    for i in range(0, 60, 10):
        model.absorb([entry(START + i, T=5.0)])
    cells = model.traces["T"].history(START + 59, 60, 60)
    assert np.isfinite(cells[-50:]).all()
    later = model.traces["T"].history(START + 400, 60, HISTORY)
    assert np.isnan(later[-20:]).all()


def test_values_that_are_not_finite_do_not_spoil_the_history():
    model = Model(START)
    model.absorb([entry(START, T=math.nan), entry(START + 1, T=math.inf), entry(START + 2, T=3.0)])
    cells = model.traces["T"].history(START + 2, 60, 60)
    assert cells[np.isfinite(cells)] == pytest.approx(3.0)
    assert model.traces["T"].last[1] == 3.0


def test_only_a_variable_with_a_period_grows_stale():
    model = Model(START)
    model.describe({"slow": VariableInfo("slow", Description(period=10.0))})
    model.absorb([entry(START, slow=1, free=1)])
    slow, free = model.traces["slow"], model.traces["free"]
    assert slow.stale_since(START + 29, START) is None
    assert slow.stale_since(START + 31, START) == pytest.approx(31)
    assert free.stale_since(START + 1e6, START) is None


def test_a_fast_variable_is_not_called_stale_for_a_hiccup():
    model = Model(START)
    model.describe({"fast": VariableInfo("fast", Description(period=0.01))})
    model.absorb([entry(START, fast=1)])
    assert model.traces["fast"].stale_since(START + 1.5, START) is None


def test_a_variable_that_never_came_is_stale_after_its_time():
    model = Model(START)
    model.describe({"never": VariableInfo("never", Description(period=1.0))})
    assert model.traces["never"].stale_since(START + 2, START) is None
    assert model.traces["never"].stale_since(START + 5, START) == pytest.approx(5)


def test_internal_variables_are_not_shown():
    model = Model(START)
    model.absorb([entry(START, T=1, _point_scan=3)])
    assert list(model.traces) == ["T"]


def test_memory_is_bounded():
    model = Model(START)
    model.absorb([Event(i, "note", "", "x") for i in range(1000)])
    for i in range(2000):
        model.absorb([entry(START + i, T=i)])
    assert len(model.events) <= 50
    assert len(model.traces["T"].samples) <= 40
