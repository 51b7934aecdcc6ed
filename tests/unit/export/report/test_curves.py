"""What is drawn of a series: every value of a short one, the envelope of a long one, and gaps as gaps."""

import itertools
import math

import numpy as np
import pytest

from pymanip_run.core.view import SessionView
from pymanip_run.export.report.curves import read_curve
from pymanip_run.storage.memory import MemoryStore

START = 1_763_800_000


def view_of(times, values):
    store = MemoryStore()
    for time, value in zip(times, values, strict=True):
        store.append_row(round((START + time) * 1e9), ("T",), (float(value),))
    return SessionView(store, "s")


def curve_of(times, values, points=100):
    view = view_of(times, values)
    return read_curve(view, view.variables()["T"], points)


def test_a_short_series_is_drawn_value_by_value():
    curve = curve_of(range(100), range(100))
    assert not curve.is_envelope
    assert (curve.times - START).tolist() == list(range(100))
    assert curve.mean.tolist() == list(range(100))
    assert [(p.start, p.stop) for p in curve.pieces()] == [(0, 100)]


def test_a_long_series_is_an_envelope_that_shows_every_spike():
    values = np.sin(np.arange(20_000) / 1000)
    values[12_345] = 50.0
    values[777] = -50.0
    curve = curve_of(np.arange(20_000) / 10, values, 400)
    assert curve.is_envelope
    assert len(curve.times) <= 400
    assert (curve.low.min(), curve.high.max()) == (-50.0, 50.0)
    assert np.all((curve.low <= curve.mean) & (curve.mean <= curve.high))
    place = np.argmax(curve.high)
    assert curve.times[place] == pytest.approx(START + 1234.5, abs=2000 / 400)
    assert curve.mean[place] < 2


def test_the_mean_of_stretches_is_that_of_all_values_also_over_several_pages(monkeypatch):
    monkeypatch.setattr("pymanip_run.core.pages.PAGE", 100)
    values = np.random.default_rng(0).random(5000)
    curve = curve_of(np.arange(5000) * 0.5, values, 50)
    counts = np.histogram(np.arange(5000) * 0.5, len(curve.times), (0, 2499.5))[0]
    assert np.sum(curve.mean * counts) / 5000 == pytest.approx(values.mean())


@pytest.mark.parametrize("points", [2000, 100], ids=["values", "envelope"])
def test_a_pause_is_a_gap_and_what_is_not_finite_is_missing(points):
    times = np.r_[np.arange(500.0), np.arange(800.0, 1300.0)]
    values = np.ones(1000)
    if points == 2000:
        values[100] = math.nan
        values[200] = math.inf
    curve = curve_of(times, values, points)
    ends = [(curve.times[p.start] - START, curve.times[p.stop - 1] - START) for p in curve.pieces()]
    gaps = [(b[0] - a[1]) for a, b in itertools.pairwise(ends)]
    assert len(ends) == (4 if points == 2000 else 2)
    assert max(gaps) == pytest.approx(301, abs=1300 / 100 * 2)


def test_a_series_of_one_value_or_without_a_finite_one_has_a_curve():
    assert [(p.start, p.stop) for p in curve_of([1], [2.0]).pieces()] == [(0, 1)]
    assert list(curve_of([1, 2, 3], [math.nan] * 3).pieces()) == []


def test_slow_and_regular_is_no_gap():
    curve = curve_of(np.arange(50) * 600.0, np.arange(50))
    assert len(list(curve.pieces())) == 1


def test_values_at_the_edge_of_float64_do_no_harm():
    curve = curve_of(np.arange(3000) / 10, np.resize([1.7e308, -1.7e308], 3000), 100)
    assert np.isfinite(curve.mean).all()
