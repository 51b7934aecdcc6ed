"""Compacting, verifying and recovering a session by hand."""

import os
import signal
import subprocess
import sys

import h5py
import numpy as np
import pytest

from pymanip_run import AsyncSession, SavedAsyncSession
from pymanip_run.errors import DamagedFileError, SessionLockedError
from pymanip_run.records import Window
from pymanip_run.storage.chunks import read_floats
from pymanip_run.storage.compact import compact
from pymanip_run.storage.files import SYSTEM_FILES, Files
from pymanip_run.storage.opening import recover_by_hand
from pymanip_run.storage.snapshot import SnapshotStore
from pymanip_run.storage.verify import verify

ENTRIES = 5000


@pytest.fixture
def session(tmp_path):
    path = tmp_path / "s.h5"
    with AsyncSession(path, verbose=False, checkpoint_period=0.2) as sesn:
        for i in range(ENTRIES):
            sesn.add_entry(T=20 + i % 7, p=[1.5, np.nan, np.inf][i % 3])
        sesn.add_dataset(frame=np.arange(6000, dtype=np.uint16).reshape(60, 100))
        sesn.add_dataset(
            frame=np.zeros((60, 100), np.uint16), text="größer", plain={"a": (1, None)}
        )
        sesn.save_parameter(voltage=3.0)
        sesn.save_metadata(who=["night", "shift"])
        sesn.describe("T", unit="°C", label="Cell")
        sesn.note("refilled")
    return path


def content(path):
    s = SavedAsyncSession(path, verbose=False)
    return (
        {name: (t.tobytes(), v.tobytes()) for name, (t, v) in s.logged_data().items()},
        {name: [(t, np.asarray(d).tolist()) for t, d in s.datasets(name)] for name in s.dataset_names()},
        s.parameters(), s.metadatas(), s.events(), s.runs(), repr(s.variables()), s.t0,
    )  # fmt: skip


def test_a_compacted_session_has_the_same_content_and_is_smaller(session):
    before = content(session)
    done = compact(session)
    assert content(session) == before
    assert done.after == session.stat().st_size < done.before / 2
    assert verify(session).healthy


def test_a_compacted_file_has_checksums_units_and_axes(session):
    compact(session)
    with h5py.File(session) as h5:
        value = h5["variables/T/value"]
        assert value.fletcher32
        assert value.shuffle
        assert value.compression == "gzip"
        assert value.attrs["units"] == "°C"
        assert value.dims[0][0].name == "/variables/T/time"


def test_numbers_of_a_few_digits_become_several_times_smaller(tmp_path):
    path, n = tmp_path / "digits.h5", 20_000
    noise = np.random.default_rng(0).standard_normal(n)
    with AsyncSession(path, verbose=False) as sesn:
        for value in np.round(20 + noise / 100, 3):
            sesn.add_entry(T=value)
    compact(path)
    with h5py.File(path) as h5:
        assert h5["variables/T/value"].id.get_storage_size() < 2 * n
        assert h5["variables/T/time"].id.get_storage_size() < 3 * n


def test_a_compacted_session_can_be_continued(session):
    compact(session)
    with AsyncSession(session, verbose=False) as sesn:
        sesn.add_entry(T=99.0, fresh=1.0)
    s = SavedAsyncSession(session, verbose=False)
    assert s["T"].size == ENTRIES + 1
    assert s["T"].values[-1] == 99.0
    assert verify(session).healthy


def test_an_interrupted_compaction_leaves_the_original(session):
    original = session.read_bytes()

    class Interrupted(Files):
        def replace(self, source, target):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compact(session, files=Interrupted())
    assert session.read_bytes() == original
    assert [p.name for p in session.parent.iterdir() if p.suffix != ".log"] == ["s.h5"]


def test_a_session_that_is_being_written_is_not_compacted(session):
    with AsyncSession(session, verbose=False), pytest.raises(SessionLockedError):
        compact(session)


def test_a_damaged_compressed_chunk_is_found(session):
    compact(session)
    with h5py.File(session) as h5:
        place = h5["variables/T/value"].id.get_chunk_info(0).byte_offset
    with session.open("r+b") as file:
        file.seek(place + 20)
        file.write(b"\xff\xfe\xfd")
    result = verify(session)
    assert not result.healthy
    assert any(problem.startswith("T:") for problem in result.problems)


def test_values_that_do_not_fit_the_statistics_are_found(session):
    with h5py.File(session, "r+") as h5:
        h5["variables/T/value"][17] = 1e9
    assert [p for p in verify(session).problems if "T: the statistics tell max" in p]


def test_a_value_within_the_range_that_does_not_fit_the_statistics_is_found(session):
    with h5py.File(session, "r+") as h5:
        values = h5["variables/T/value"]
        where = [int(np.argmin(values[:])), int(np.argmax(values[:]))]
        between = next(i for i in range(1, len(values) - 1) if i not in where)
        values[between] = values[where[int(values[between] < values[:].mean())]]
    assert [p for p in verify(session).problems if "T: the statistics tell mean" in p]


def test_times_that_go_back_are_found(session):
    with h5py.File(session, "r+") as h5:
        h5["variables/T/time"][100] = h5["variables/T/time"][99]
    assert any("do not increase" in p for p in verify(session).problems)


def test_verifying_a_running_session_says_what_is_in_the_journal(tmp_path):
    path = tmp_path / "s.h5"
    with AsyncSession(path, verbose=False, checkpoint_period=1000) as sesn:
        for i in range(100):
            sesn.add_entry(a=i)
        result = verify(path)
        assert result.healthy
        assert result.values == 100
        assert result.journal_bytes > 100 * 40
    assert verify(path).journal_bytes == 0


KILLED = """
import os, signal, sys
from pymanip_run import AsyncSession
sesn = AsyncSession(sys.argv[1], verbose=False, checkpoint_period=1000)
for i in range(50):
    sesn.add_entry(a=i)
os.kill(sesn._session.store._child.pid, signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_crash_left_is_recovered_by_hand(tmp_path):
    path = tmp_path / "s.h5"
    died = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert died.returncode == -signal.SIGKILL
    assert (tmp_path / "s.h5.wal.1").exists()
    assert "records taken from the journal" in recover_by_hand(path)
    assert [p.name for p in tmp_path.iterdir()] == ["s.h5"]
    with h5py.File(path) as h5:
        assert h5["variables/a/value"].shape == (50,)
    assert "nothing to recover" in recover_by_hand(path)


# -- reading past HDF5 ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("long") / "long.h5"
    with h5py.File(path, "w", libver=("v110", "v110")) as h5:
        for name in "ab":  # grown in turns, so that their chunks lie between each other
            h5.create_dataset(name, (0,), "<f8", maxshape=(None,), chunks=(2048,), fillvalue=np.nan)
        for part in range(50):
            for name in "ab":
                n = h5[name].shape[0]
                h5[name].resize((n + 5000,))
                h5[name][n:] = np.arange(n, n + 5000) + part / 8
    return path


@pytest.mark.parametrize(
    ("low", "high"), [(0, 250_000), (1, 249_999), (2047, 150_000), (70_001, 248_003)]
)
def test_long_reads_past_hdf5_give_the_same_values(long_file, low, high):
    fd = os.open(long_file, os.O_RDONLY)
    try:
        with h5py.File(long_file) as h5:
            for name in "ab":
                got = read_floats(h5[name], low, high, SYSTEM_FILES, fd)
                assert got.tobytes() == h5[name][low:high].tobytes()
    finally:
        os.close(fd)


def test_chunks_that_were_never_written_are_nan(tmp_path):
    path = tmp_path / "holes.h5"
    with h5py.File(path, "w") as h5:
        h5.create_dataset("a", (0,), "<f8", maxshape=(None,), chunks=(2048,), fillvalue=np.nan)
        h5["a"].resize((200_000,))
        h5["a"][100_000:100_010] = 7.0
    fd = os.open(path, os.O_RDONLY)
    try:
        with h5py.File(path) as h5:
            got = read_floats(h5["a"], 0, 200_000, SYSTEM_FILES, fd)
    finally:
        os.close(fd)
    assert np.isnan(got[:100_000]).all()
    assert (got[100_000:100_010] == 7.0).all()


def test_a_chunk_map_that_points_outside_of_the_file_is_damage(long_file, tmp_path):
    cut = tmp_path / "cut.bin"
    cut.write_bytes(long_file.read_bytes()[:100_000])
    fd = os.open(cut, os.O_RDONLY)
    try:
        with h5py.File(long_file) as h5, pytest.raises(DamagedFileError, match="ends before"):
            read_floats(h5["a"], 0, 250_000, SYSTEM_FILES, fd)
    finally:
        os.close(fd)


def test_a_window_can_have_a_head(session):
    store = SnapshotStore(session)
    times, values = store.read_series("T", Window(head=10))
    assert values.tolist() == [20.0 + i % 7 for i in range(10)]
    _, values = store.read_series("T", Window(since=times[5], head=3))
    assert values.tolist() == [25.0, 26.0, 20.0]
    store.close()
