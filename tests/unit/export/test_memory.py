"""What an export holds in memory is a block, not the whole."""

import tracemalloc
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from helpers_storage import finish, quiet_store

from pymanip_run.core.view import SessionView
from pymanip_run.export import table
from pymanip_run.export.job import Job
from pymanip_run.export.run import export_to
from pymanip_run.session import SavedAsyncSession
from pymanip_run.storage.memory import MemoryStore

PARIS = ZoneInfo("Europe/Paris")
ROWS = 100_000
START = 1_763_800_000_000_000_000
#: As long as Paris had a time of its own, its offset had seconds.
LONG_AGO = -1_900_000_000_000_000_000


@pytest.fixture(scope="module")
def long_session(tmp_path_factory):
    """A session of two variables, one of them internal."""
    path = tmp_path_factory.mktemp("long") / "long.h5"
    store = quiet_store(path)
    for i in range(ROWS):
        store.append_row(START + i * 1_000_000, ("T", "_hidden"), (i, -i))
    finish(store)
    return SavedAsyncSession(path, verbose=False)


@pytest.mark.parametrize(
    "asked", [("npz", "T", PARIS), ("mat", "T", PARIS), ("npz", "_hidden", None)], ids=str
)
def test_a_long_table_is_not_held_as_a_whole(long_session, tmp_path, monkeypatch, asked):
    to, name, zone = asked
    pytest.importorskip("scipy" if to == "mat" else "numpy")
    monkeypatch.setattr(table, "BLOCK_VALUES", 2000)
    monkeypatch.setattr("pymanip_run.core.pages.pages.__defaults__", (None, None, 2000))
    view = long_session
    export_to(Job(view, names=[name], until=START / 1e9 + 1, zone=zone), to, tmp_path / "warm")
    tracemalloc.start()
    try:
        assert export_to(Job(view, names=[name], zone=zone), to, tmp_path / "out").rows == ROWS
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * ROWS, f"{peak} bytes; the table has {16 * ROWS}, its stamps many more"


@pytest.mark.parametrize("to", ["npz", "mat"])
def test_stamps_of_different_lengths_are_texts_all_the_same(tmp_path, monkeypatch, to):
    scipy = pytest.importorskip("scipy.io")
    monkeypatch.setattr(table, "BLOCK_VALUES", 1)
    monkeypatch.setattr(table, "BLOCK_ROWS", 1)
    store = MemoryStore()
    for ns in (LONG_AGO, START, START + 1000):
        store.append_row(ns, ("T",), (1.0,))
    target = tmp_path / "out"
    export_to(Job(SessionView(store, "old"), zone=PARIS), to, target)
    expected = [
        "1909-10-17T06:22:41.000000+00:09:21",
        "2025-11-22T09:26:40.000000+01:00",
        "2025-11-22T09:26:40.000001+01:00",
    ]
    if to == "npz":
        with np.load(target) as arrays:
            assert arrays["time"].tolist() == expected
    else:
        found = scipy.loadmat(target.rename(target.with_suffix(".mat")))
        assert found["time"].shape == (3, 1)
        assert [cell.item() for cell in found["time"].ravel().tolist()] == expected
        assert "pymanip-run from session" in str(found["__header__"])


def test_an_empty_table_with_a_zone_is_written(long_session, tmp_path):
    scipy = pytest.importorskip("scipy.io")
    job = Job(long_session, names=["T"], until=0.0, zone=PARIS)
    for to in ("npz", "mat"):
        assert export_to(job, to, tmp_path / f"out.{to}").rows == 0
    with np.load(tmp_path / "out.npz") as arrays:
        assert arrays["time"].shape == (0,)
    assert scipy.loadmat(tmp_path / "out.mat")["time"].size == 0
