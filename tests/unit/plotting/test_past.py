"""What was recorded before a plot began."""

import math

import numpy as np
import pytest

from pymanip_run import AsyncSession, SavedAsyncSession
from pymanip_run.plotting import past
from pymanip_run.plotting.plot import Plot
from pymanip_run.plotting.sheets import Sheet


@pytest.fixture
def session(tmp_path):
    with AsyncSession(tmp_path / "a", verbose=False) as sesn:
        for i in range(500):
            sesn.add_entry(T=i)
            if i % 7 == 0:
                sesn.add_entry(V=-i)
    with SavedAsyncSession(tmp_path / "a", verbose=False) as view:
        yield view


def filled(sheet, view):
    for part in past.missing(sheet, view):
        sheet.take(part)
    return sheet.curves()


@pytest.mark.parametrize("part", [3, 50, 1 << 17])
def test_parts_are_together_all_there_is(session, monkeypatch, part):
    monkeypatch.setattr(past, "PART", part)
    curves = filled(Sheet(Plot(("T", "V", "silent"))), session)
    assert curves["T"].low.tolist() == list(range(500))
    assert curves["V"].low.tolist() == [-i for i in range(0, 500, 7)]
    assert len(curves["silent"].x) == 0


@pytest.mark.parametrize("part", [3, 50, 1 << 17])
def test_pairs_do_not_depend_on_the_parts(session, monkeypatch, part):
    monkeypatch.setattr(past, "PART", part)
    across, up, _ = filled(Sheet(Plot(x="V", y="T")), session)["T"]
    # The first T comes before any V; V follows the T of its number.
    assert up.tolist() == list(range(1, 500))
    assert across.tolist() == [-(7 * ((i - 1) // 7)) for i in range(1, 500)]


def test_only_what_is_to_be_seen_is_read(session):
    assert filled(Sheet(Plot(("T",), maxvalues=5)), session)["T"].low.tolist() == [
        495,
        496,
        497,
        498,
        499,
    ]
    times = session["T"].timestamps
    window = float(times[-1] - times[-4])
    assert filled(Sheet(Plot(("T",), window=window)), session)["T"].low.tolist() == [
        496,
        497,
        498,
        499,
    ]


def test_what_was_missed_is_read_and_nothing_twice(session):
    times, values = session["T"]
    sheet = Sheet(Plot(("T",)))
    sheet.take({"T": (times[:100], values[:100])})
    assert filled(sheet, session)["T"].low.tolist() == list(range(500))


def test_a_session_in_memory_has_a_past_too():
    with AsyncSession(verbose=False) as sesn:
        sesn.add_entry(T=math.nan)
        sesn.add_entry(T=2)
        found = past.tails(sesn, ["T", "silent"], 10)
    assert list(found) == ["T"]
    assert np.array_equal(found["T"][1], [math.nan, 2], equal_nan=True)
