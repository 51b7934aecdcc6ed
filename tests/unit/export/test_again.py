"""An export is known to be of a session by what is in it."""

import pytest
from helpers_export import session

from pymanip_run.core.view import SessionView
from pymanip_run.export import FORMATS
from pymanip_run.export.again import is_of_session
from pymanip_run.export.job import Job
from pymanip_run.export.run import export_to
from pymanip_run.storage.memory import MemoryStore

LIBRARIES = {"parquet": "pyarrow", "netcdf": "h5netcdf", "mat": "scipy", "zarr": "zarr"}


def elsewhere(seconds):
    store = MemoryStore()
    store.append_row(seconds * 10**9, ("T",), (1.0,))
    return SessionView(store, "elsewhere")


@pytest.mark.parametrize("how", ["outer", "separate"])
@pytest.mark.parametrize("to", FORMATS)
def test_its_own_export_is_known_and_no_other(tmp_path, to, how):
    pytest.importorskip(LIBRARIES.get(to, "numpy"))
    view, other = session(entries=3), elsewhere(1_700_000_000)
    suffix = "" if how == "separate" and not FORMATS[to].holds_tables else FORMATS[to].suffix
    target = tmp_path / f"out{suffix}"
    export_to(Job(view, how=how), to, target)
    assert is_of_session(target, view)
    assert not is_of_session(target, other)
    assert not is_of_session(target, session(entries=0))


@pytest.mark.parametrize(
    "text", ["", "time\n", "t,U\n1,2\n", "time,T\n1700000000,2\n", "time,T\nyesterday,2\n", "\x00\xff"]
)  # fmt: skip
def test_a_table_of_something_else_is_none(tmp_path, text):
    path = tmp_path / "cell.csv"
    path.write_text(text)
    assert is_of_session(path, session()) == (text == "time\n")


def test_a_table_of_stretches_is_known_whatever_was_rounded(tmp_path):
    path = tmp_path / "cell.csv"
    for i in range(50):
        one = MemoryStore()
        one.append_row(1_763_800_000_000_000_000 + i * 10**8, ("T",), (1.0,))
        view = SessionView(one, "cell")
        export_to(Job(view, step=0.1), "csv", path)
        assert is_of_session(path, view, 0.1), i


def test_a_table_of_stretches_begins_before_the_session(tmp_path):
    view = elsewhere(1_700_000_123)
    path = tmp_path / "cell.csv"
    export_to(Job(view, step=3600.0), "csv", path)
    assert is_of_session(path, view, 3600.0)
    assert not is_of_session(path, view)
