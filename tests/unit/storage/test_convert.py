"""Converting: all or nothing, compared, and nothing of the old session is touched."""

import math
import os
import pickle
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import h5py
import numpy as np
import pytest

from pymanip_run import AsyncSession, SavedAsyncSession
from pymanip_run.core.view import SessionView
from pymanip_run.errors import DamagedFileError, SessionLockedError, StorageError, UsageError
from pymanip_run.storage.append import Appender
from pymanip_run.storage.convert import convert
from pymanip_run.storage.pymanip_sync import SyncStore, is_synchronous
from pymanip_run.storage.unpickle import UnsafePickleError
from pymanip_run.storage.verify import verify

SESSIONS = Path(__file__).parent / "pymanip_sessions"


@pytest.fixture
def old(tmp_path):
    return Path(shutil.copy(SESSIONS / "schema_4.1.db", tmp_path / "old.db"))


@pytest.fixture
def synchronous(tmp_path):
    for suffix in (".hdf5", ".dat", ".log"):
        shutil.copy(SESSIONS / f"sync_by_0.4.4{suffix}", tmp_path / f"old{suffix}")
    return tmp_path / "old.hdf5"


def names(folder):
    return sorted(p.name for p in folder.iterdir())


def changed(path, *statements):
    with sqlite3.connect(path) as connection:
        for statement in statements:
            connection.execute(*statement)
    connection.close()


def add_dataset(path, name, value):
    data = value if isinstance(value, bytes) else pickle.dumps(value, 4)
    changed(
        path, ("INSERT INTO dataset (timestamp, name, data) VALUES (1.7e9, ?, ?)", (name, data))
    )


def test_the_new_session_is_whole_and_says_where_it_is_from(old, tmp_path):
    before = old.read_bytes(), old.stat().st_mtime_ns
    seen = []
    done = convert(old, tmp_path / "new.h5", progress=seen.append)
    assert (done.variables, done.values, done.datasets, done.records) == (3, 85, 21, 23)
    assert (done.parameters, done.metadata, done.figures, done.remarks) == (4, 3, 2, [])
    assert names(tmp_path) == ["new.h5", "old.db"]
    assert (old.read_bytes(), old.stat().st_mtime_ns) == before
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
    assert verify(tmp_path / "new.h5").healthy
    with SavedAsyncSession(tmp_path / "new.h5", verbose=False) as sesn:
        assert sesn.metadata("_converted_from")["program"] == "pymanip"
        assert sesn.metadata("_converted_from")["format_version"] == 4.1
        assert len(sesn.figures()) == 2
        assert sesn.parameter("_database_version") == 4.1


def test_a_converted_session_can_be_continued(old, tmp_path):
    convert(old, tmp_path / "new.h5")
    with AsyncSession(tmp_path / "new.h5", verbose=False) as sesn:
        before = sesn.last_timestamp
        sesn.add_entry(T_bottom=99.0, new=1.0)
        assert sesn["T_bottom"].size == 41
        assert sesn["T_bottom"].last[0] > before
    assert verify(tmp_path / "new.h5").healthy


def test_any_hdf5_program_opens_the_new_session(old, tmp_path):
    convert(old, tmp_path / "new.h5")
    with h5py.File(tmp_path / "new.h5") as h5:
        assert h5["variables/T_bottom/value"][:3].tolist() == [20.0, 20.1, 20.2]


def test_an_existing_target_is_only_replaced_when_that_is_asked_for(old, tmp_path):
    target = tmp_path / "new.h5"
    target.write_text("precious")
    with pytest.raises(UsageError, match=r"new\.h5 exists already; .* --force"):
        convert(old, target)
    assert target.read_text() == "precious"
    convert(old, target, force=True)
    assert verify(target).healthy
    assert names(tmp_path) == ["new.h5", "old.db"]


def test_the_old_session_is_never_the_target(old, synchronous):
    for path in (old, synchronous):
        before = path.read_bytes()
        with pytest.raises(UsageError, match="is the old session itself"):
            convert(path, path, force=True)
        assert path.read_bytes() == before


def test_a_session_that_a_run_is_writing_is_not_replaced(old, tmp_path):
    with AsyncSession(tmp_path / "new.h5", verbose=False) as sesn:
        sesn.add_entry(T=1.0)
        with pytest.raises((UsageError, SessionLockedError)):
            convert(old, tmp_path / "new.h5", force=True)
    with SavedAsyncSession(tmp_path / "new.h5", verbose=False) as sesn:
        assert sesn["T"].values.tolist() == [1.0]


class Evil:
    def __reduce__(self):
        return os.system, ("touch hacked",)


def test_what_is_not_read_is_refused_by_name_and_nothing_is_made(old, tmp_path):
    add_dataset(old, "evil", Evil())
    with pytest.raises(
        UnsafePickleError, match=r"(?s)record 0 of dataset 'evil' .* posix\.system.*--skip"
    ):
        convert(old, tmp_path / "new.h5")
    assert names(tmp_path) == ["old.db"]


def test_what_is_not_read_can_be_left_out_which_is_said(old, tmp_path):
    add_dataset(old, "evil", Evil())
    add_dataset(old, "frame", b"damaged")
    add_dataset(old, "odd", {(1, 2): "key"})
    done = convert(old, tmp_path / "new.h5", skip=True)
    assert len(done.remarks) == 3
    with SavedAsyncSession(tmp_path / "new.h5", verbose=False) as sesn:
        assert sesn.dataset_times("frame").size == 2
        assert "evil" not in sesn.dataset_names()
        texts = [e.text for e in sesn.events() if e.kind == "convert"]
        assert any("posix.system" in text for text in texts)
        assert any("keys that are no texts" in text for text in texts)
    assert verify(tmp_path / "new.h5").healthy


def test_arrays_within_structures_become_lists_which_is_said(old, tmp_path):
    add_dataset(old, "structure", {"x": np.arange(3), "y": [np.float64(0.5), (np.array([[1.5]]),)]})
    done = convert(old, tmp_path / "new.h5")
    assert done.remarks == ["1 record of dataset 'structure': arrays within became lists"]
    with SavedAsyncSession(tmp_path / "new.h5", verbose=False) as sesn:
        assert sesn.dataset("structure") == {"x": [0, 1, 2], "y": [0.5, ([[1.5]],)]}


def test_names_that_a_session_cannot_have_are_changed_which_is_said(old, tmp_path):
    for name in ("a\nb", "a_b", "x" * 300, ""):
        changed(old, ("INSERT INTO log_names VALUES (?)", (name,)),
                ("INSERT INTO log (timestamp, name, value) VALUES (1e9, ?, 1)", (name,)))  # fmt: skip
    done = convert(old, tmp_path / "new.h5")
    assert done.variables == 7
    assert len(done.remarks) == 3
    with SavedAsyncSession(tmp_path / "new.h5", verbose=False) as sesn:
        assert {"a_b", "a_b_1", "x" * 240, "unnamed"} <= sesn.logged_variables()
        assert len(sesn.logged_variables()) == 7


def test_values_of_one_time_are_a_microsecond_apart_and_a_clock_set_back_is_sorted(tmp_path):
    done = convert(SESSIONS / "schema_3_by_0.4.3.db", tmp_path / "new.h5")
    assert done.remarks == ["1 values had the same time as the one before; they are 1 µs later"]
    with SavedAsyncSession(tmp_path / "new.h5", verbose=False) as sesn:
        times, values = sesn["clock"]
        assert values.tolist() == [3.0, 1.0, 2.0, 4.0]
        assert times[2] - times[1] == pytest.approx(1e-6, abs=3e-7)
    assert verify(tmp_path / "new.h5").healthy


def test_a_long_session_comes_in_many_parts(old, tmp_path, monkeypatch):
    monkeypatch.setattr("pymanip_run.storage.pymanip_log.STEP", 100)
    monkeypatch.setattr("pymanip_run.storage.carried.STEP", 70)
    rows = [(1.6e9 + i / 3, f"v{i % 3}", None if i % 11 == 0 else i / 7) for i in range(2000)]
    with sqlite3.connect(old) as connection:
        connection.executemany("INSERT INTO log (timestamp, name, value) VALUES (?, ?, ?)", rows)
    connection.close()
    changed(old, *[("INSERT INTO log_names VALUES (?)", (f"v{k}",)) for k in range(3)])
    convert(old, tmp_path / "new.h5")
    with SavedAsyncSession(tmp_path / "new.h5", verbose=False) as sesn:
        for k in range(3):
            times, values = sesn[f"v{k}"]
            mine = [(t, math.nan if v is None else v) for t, n, v in rows if n == f"v{k}"]
            assert times.tolist() == [t for t, _ in mine]
            assert repr(values.tolist()) == repr([v for _, v in mine])


@pytest.mark.parametrize("what", ["values", "records", "parameters"])
def test_a_copy_that_is_not_the_same_is_thrown_away(old, tmp_path, monkeypatch, what):
    honest = Appender.append

    def corrupt(self, batch):
        refused = honest(self, batch)
        if what == "values" and batch.names:
            self._h5[f"variables/{batch.names[0]}/value"][0] = 12345.0
        if what == "records" and "frame" in batch.arrays:
            self._h5["datasets/frame/000000/value"][0] = 7
        if what == "parameters" and batch.parameters:
            del self._h5["parameters/gain"]
        return refused

    monkeypatch.setattr(Appender, "append", corrupt)
    with pytest.raises(DamagedFileError, match="other than written"):
        convert(old, tmp_path / "new.h5")
    assert names(tmp_path) == ["old.db"]


def test_an_interruption_leaves_nothing(old, tmp_path):
    def interrupt(share):
        if share > 0.7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(old, tmp_path / "new.h5", progress=interrupt)
    assert names(tmp_path) == ["old.db"]


@pytest.mark.parametrize("content", [b"", b"hello", b"SQLite format 3\0" + b"x" * 999])
def test_what_is_no_old_session_is_refused(tmp_path, content):
    (tmp_path / "x.db").write_bytes(content)
    with pytest.raises(DamagedFileError, match=r"x\.db"):
        convert(tmp_path / "x.db", tmp_path / "new.h5")
    assert names(tmp_path) == ["x.db"]
    with pytest.raises(FileNotFoundError):
        convert(tmp_path / "nowhere.db", tmp_path / "new.h5")


def test_pymanip_may_go_on_writing_while_its_session_is_converted(old, tmp_path):
    inserted = 0

    def write(_):
        nonlocal inserted
        changed(old, ("INSERT INTO log (timestamp, name, value) VALUES (9e9 + ?, 'rare', 1)", (inserted,)))  # fmt: skip
        inserted += 1

    convert(old, tmp_path / "new.h5", progress=write)
    assert inserted > 3
    with SavedAsyncSession(tmp_path / "new.h5", verbose=False) as sesn:
        assert 5 <= sesn["rare"].size <= 5 + inserted
    assert verify(tmp_path / "new.h5").healthy


# -- synchronous sessions -----------------------------------------------------------------------


def test_a_synchronous_session_is_told_from_ours(synchronous, old, tmp_path):
    convert(old, tmp_path / "ours.hdf5")
    assert is_synchronous(synchronous)
    assert not is_synchronous(tmp_path / "ours.hdf5")
    with SavedAsyncSession(tmp_path / "ours.hdf5", verbose=False) as sesn:
        assert sesn.info().program == "pymanip-run"
    with pytest.raises(DamagedFileError, match="no session of pymanip"):
        convert(tmp_path / "ours.hdf5", tmp_path / "again.h5")


def test_lines_that_only_the_text_file_has_are_taken_from_it(synchronous, tmp_path):
    with closing(SyncStore(synchronous)) as store:
        last = store.last_values()["T"][0]
    with synchronous.with_suffix(".dat").open("a") as file:
        file.write(f"{last + 1:f} 1.5 2.5 -3.5\n{last + 2:f} 4.5 nan 5.5\n{last + 3:f} 6.5")
    done = convert(synchronous, tmp_path / "new.h5")
    assert done.remarks == ["2 lines were only in the .dat file"]
    with SavedAsyncSession(tmp_path / "new.h5", verbose=False) as sesn:
        assert sesn["P"].values[-2:].tolist() == [1.5, 4.5]
        assert repr(sesn["T"].values[-2:].tolist()) == "[2.5, nan]"
        assert sesn["température"].values[-2:].tolist() == [-3.5, 5.5]
        assert sesn["T"].timestamps[-1] == pytest.approx(last + 2, abs=1e-6)
        assert sesn["T"].size == 32


def test_texts_of_the_log_and_lists_are_metadata(synchronous, tmp_path):
    with h5py.File(synchronous, "r+") as h5:
        h5.attrs["levels"] = [1.5, 2.5]
        h5.attrs["one"] = [7.0]
    convert(synchronous, tmp_path / "new.h5")
    with SavedAsyncSession(tmp_path / "new.h5", verbose=False) as sesn:
        assert "the pump was switched on" in sesn.metadata("log")
        assert sesn.metadata("levels") == [1.5, 2.5]
        assert sesn.parameter("one") == 7.0
        assert sesn.parameter("who") == "Ada é"


def test_a_synchronous_session_that_is_being_written_is_refused(synchronous, tmp_path):
    with h5py.File(synchronous, "r+"), pytest.raises((DamagedFileError, StorageError)) as refused:  # fmt: skip
        convert(synchronous, tmp_path / "new.h5")
    assert str(synchronous) in str(refused.value)


@pytest.mark.parametrize("trick", ["link", "shape"])
def test_a_synchronous_session_is_not_trusted(synchronous, tmp_path, trick):
    with h5py.File(synchronous, "r+") as h5:
        del h5["variables/T"]
        if trick == "link":
            h5["variables/T"] = h5py.ExternalLink("/etc/passwd", "/")
        else:
            h5.create_dataset("variables/T", (2**50,), "f8", chunks=(1024,))
    with pytest.raises(DamagedFileError, match=r"old\.hdf5"):
        convert(synchronous, tmp_path / "new.h5")
    assert "new.h5" not in names(tmp_path)


def test_a_view_of_a_synchronous_session_reads_as_any_other(synchronous):
    store = SyncStore(synchronous)
    view = SessionView(store, "old")
    assert view["T"].tail(2).values.tolist() == pytest.approx([22.8, 22.9])
    assert view.dataset("scan").tolist()[0] == 0.5
    assert view.runs() == view.events() == []
    store.close()
