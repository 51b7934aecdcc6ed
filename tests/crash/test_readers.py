"""Many readers while a run writes: nobody ever meets an error, nobody is stale, the writer does not notice.

Twenty processes by default, half of them with plain h5py; a hundred by::

    PYMANIP_RUN_TEST_READERS=100 pytest -s tests/crash/test_readers.py
"""

import multiprocessing
import os
import subprocess
import threading
import time

import h5py
import numpy as np
import pytest
from helpers_storage import EPOCH, MS, die, finish, put, quiet_store, side_files, wait_until

from pymanip_run.records import Window
from pymanip_run.session import AsyncSession, SavedAsyncSession
from pymanip_run.storage import checkpointer
from pymanip_run.storage.checkpoint import Checkpoint
from pymanip_run.storage.files import SYSTEM_FILES, SessionPaths
from pymanip_run.storage.snapshot import SnapshotStore

READERS = int(os.environ.get("PYMANIP_RUN_TEST_READERS", "20"))
SECONDS = 6.0
PERIOD = 0.1


def begin(go, results):
    """Say that this process is there, wait for all others, and return when to end."""
    results.put("ready")
    go.wait()
    return time.monotonic() + SECONDS + READERS / 10


def read_with_ours(path, acknowledged, go, results):
    """Read in a loop; what was acknowledged before a read began must be in it."""
    reads, staleness, until = 0, 0, begin(go, results)
    with SavedAsyncSession(path, verbose=False) as saved:
        while time.monotonic() < until:
            before = acknowledged.value
            last = saved["n"].values
            staleness = max(staleness, before - int(last[-1]))
            assert np.array_equal(last, np.arange(len(last)))
            assert int(saved.logged_last_values()["n"][1]) >= before
            reads += 1
            time.sleep(0.02)
    results.put(("ours", reads, staleness, 0.0))


def read_plainly(path, acknowledged, go, results):
    """Read as a script does; an apply window is waited for, and nothing else."""
    reads, oldest, longest, until = 0, 0.0, 0.0, begin(go, results)
    while time.monotonic() < until:
        began = time.monotonic()
        while True:
            try:
                h5 = h5py.File(path)
                break
            except BlockingIOError:
                time.sleep(0.001)
        longest = max(longest, time.monotonic() - began)
        with h5:
            now = time.time()
            values = h5["variables/n/value"][:]
            times = h5["variables/n/time"][:]
        assert len(values) == len(times)
        assert np.array_equal(values, np.arange(len(values)))
        oldest = max(oldest, now - times[-1])
        reads += 1
        time.sleep(0.02)
    results.put(("plain", reads, oldest, longest))


@pytest.mark.timeout(300)
def test_readers_in_a_loop_meet_no_error_and_are_not_stale_and_the_writer_goes_on(tmp_path):
    path = tmp_path / "s.h5"
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["pymanip_run.session", "numpy", "h5py", __name__])
    results, acknowledged = context.Queue(), context.Value("q", -1, lock=False)
    session = AsyncSession(path, verbose=False, checkpoint_period=PERIOD)
    tick, n = threading.Event(), 0

    def add():
        nonlocal n
        session.add_entry(n=n, m=-n)
        acknowledged.value = n
        n += 1
        tick.wait(0.005)

    def is_in_the_file():
        add()
        return in_the_file(path)

    wait_until(is_in_the_file, 30)
    go = context.Event()
    readers = [
        context.Process(
            target=read_with_ours if i % 2 else read_plainly,
            args=(path, acknowledged, go, results),
        )
        for i in range(READERS)
    ]
    for reader in readers:
        reader.start()
    ready = 0
    while ready < READERS:  # entries go on: without new ones the file would only look stale
        add()
        if not results.empty():
            assert results.get() == "ready"
            ready += 1
    go.set()
    longest, until = 0.0, time.monotonic() + SECONDS + READERS / 10
    while time.monotonic() < until:
        began = time.perf_counter()
        session.add_entry(n=n, m=-n)
        longest = max(longest, time.perf_counter() - began)
        acknowledged.value = n
        n += 1
        tick.wait(0.005)
    found = [results.get(timeout=20) for _ in readers]
    for reader in readers:
        reader.join()
    assert [reader.exitcode for reader in readers] == [0] * READERS
    session.close()
    ours = [f for f in found if f[0] == "ours"]
    plain = [f for f in found if f[0] == "plain"]
    oldest, wait = max(f[2] for f in plain), max(f[3] for f in plain)
    print(
        f"{READERS} readers, {sum(f[1] for f in ours)} reads by ours and {sum(f[1] for f in plain)} plain ones; "
        f"plain ones at most {oldest:.2f} s old, {wait:.2f} s in wait; longest add_entry {longest * 1e3:.1f} ms"
    )
    assert max(f[2] for f in ours) <= 0
    assert min(f[1] for f in found) >= 1
    # A checkpoint, a deferral that ends in a copy, and several syncs, while all readers keep the processors busy.
    assert oldest < PERIOD + 2 + 0.3 * READERS
    assert side_files(path) == []
    with SavedAsyncSession(path, verbose=False) as saved:
        assert saved["n"].values.tolist() == list(range(n))


def in_the_file(path):
    try:
        with h5py.File(path) as h5:
            return "n" in h5["variables"]
    except BlockingIOError:
        return False


# -- a reader that holds the file -------------------------------------------------------------------


def values(store):
    return store.read_series("n", Window())[1].tolist()


def test_a_reader_that_holds_the_file_defers_and_a_journal_beyond_its_bound_replaces_it(tmp_path):
    path = tmp_path / "s.h5"
    store = quiet_store(path)
    store.append_row(EPOCH, ("n",), [0])
    engine = Checkpoint(SYSTEM_FILES, SessionPaths(path))
    assert engine.advance()
    watch = checkpointer.Escalation(engine, seconds=1e9, size=50_000)
    inode = path.stat().st_ino
    reader = SnapshotStore(path)
    with h5py.File(path) as held:
        rows = 1
        while path.stat().st_ino == inode:
            for _ in range(100):
                store.append_row(EPOCH + rows * MS, ("n",), [rows])
                rows += 1
            engine.advance()
            watch.look()
            assert values(reader) == list(range(rows))
            assert rows < 5000
        assert rows * 40 > 45_000  # not before the bound
        assert held["variables/n/value"][:].tolist() == [0.0]
    assert engine.pending is None
    engine.advance()
    with h5py.File(path) as plain:
        assert plain["variables/n/value"][:].tolist() == list(range(rows))
    engine.close()
    reader.close()
    die(store)


def test_a_reader_that_holds_the_file_for_long_is_left_its_own_file(tmp_path):
    path = tmp_path / "s.h5"
    store = quiet_store(path)
    store.append_row(EPOCH, ("n",), [0])
    engine = Checkpoint(SYSTEM_FILES, SessionPaths(path))
    engine.advance()
    watch = checkpointer.Escalation(engine, seconds=0.2, size=1 << 40)
    inode = path.stat().st_ino
    with h5py.File(path):
        store.append_row(EPOCH + MS, ("n",), [1])
        engine.advance()
        began = time.monotonic()
        watch.look()
        assert path.stat().st_ino == inode
        wait_until(lambda: watch.look() or path.stat().st_ino != inode)
        assert 0.15 < time.monotonic() - began < 5
    engine.close()
    die(store)


def test_readers_that_leave_no_gap_do_not_keep_a_small_file_from_showing_what_is_new(tmp_path):
    path = tmp_path / "s.h5"
    store = quiet_store(path)
    store.append_row(EPOCH, ("n",), [0])
    engine = Checkpoint(SYSTEM_FILES, SessionPaths(path))
    engine.advance()
    watch = checkpointer.Escalation(engine)
    inode = path.stat().st_ino
    with h5py.File(path):
        store.append_row(EPOCH + MS, ("n",), [1])
        engine.advance()
        wait_until(lambda: watch.look() or path.stat().st_ino != inode, 5)
    engine.close()
    die(store)


def test_closing_does_not_wait_for_a_reader_that_holds_the_file(tmp_path):
    path = tmp_path / "s.h5"
    session = AsyncSession(path, verbose=False, checkpoint_period=PERIOD)
    session.add_entry(n=0)
    wait_until(lambda: in_the_file(path))
    while True:
        try:
            held = h5py.File(path)
            break
        except BlockingIOError:
            time.sleep(0.001)
    with held:
        before = len(held["variables/n/value"])
        for i in range(1, 50):
            session.add_entry(n=i)
        began = time.monotonic()
        session.close()
        assert time.monotonic() - began < 8
        assert len(held["variables/n/value"]) == before
        assert side_files(path) == []
        with SavedAsyncSession(path, verbose=False) as saved:
            assert saved["n"].values.tolist() == list(range(50))
    with h5py.File(path) as plain:
        assert len(plain["variables/n/value"]) == 50


# -- other programs ---------------------------------------------------------------------------------


@pytest.fixture
def finished(tmp_path):
    path = tmp_path / "s.h5"
    store = quiet_store(path)
    store.put_attributes(EPOCH, "T", {"unit": "K", "label": "Temperature"})
    for i in range(100):
        store.append_row(EPOCH + i * 1000 * MS, ("T", "p"), [300 + i, -i])
    put(store, EPOCH, "image", np.eye(4))
    finish(store)
    return path


def test_xarray_decodes_times_and_units(finished):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    with xarray.open_dataset(
        finished, engine="h5netcdf", group="variables/T", phony_dims="sort"
    ) as dataset:
        assert dataset["value"].dims == ("time",)
        assert dataset["value"].attrs["units"] == "K"
        assert dataset["value"].attrs["long_name"] == "Temperature"
        times = dataset["time"].values
        assert times.dtype.kind == "M"
        assert times[0] == np.datetime64(EPOCH, "ns")
        assert times[99] - times[0] == np.timedelta64(99, "s")
        assert float(dataset["value"].sel(time=times[50])) == 350.0


def test_the_groups_follow_the_convention_of_nexus_as_silx_reads_it(finished):
    with h5py.File(finished) as h5:
        assert h5.attrs["NX_class"] == "NXroot"
        for group in h5["variables"].values():
            assert group.attrs["NX_class"] == "NXdata"
            signal, axis = group[group.attrs["signal"]], group[group.attrs["axes"]]
            assert signal.shape == axis.shape
            assert signal.dims[0]["time"] == axis
        assert h5["variables/T/value"].attrs["units"] == "K"
        assert h5["variables/T/time"].attrs["units"].startswith("seconds since 1970-01-01")


def dumped(path):
    """The output of h5dump on the whole file, tried again while the file is being changed."""
    for _ in range(50):
        done = subprocess.run(["h5dump", path], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return done
        assert "unable to lock file" in done.stderr or "unable to open file" in done.stderr
    raise AssertionError(done.stderr)


@pytest.mark.needs_system("h5dump")
def test_h5dump_reads_the_whole_file_during_a_run_and_after_it(tmp_path):
    path = tmp_path / "s.h5"
    with AsyncSession(path, verbose=False, checkpoint_period=0.05) as session:
        session.add_dataset(image=np.eye(3))
        session.save_parameter(gain=2)
        for count in range(5):
            for i in range(200):
                session.add_entry({"n": count * 200 + i, f"v{count}": i})
            done = dumped(path)
            assert done.stderr == ""
            assert 'GROUP "variables"' in done.stdout
    done = dumped(path)
    assert done.stderr == ""
    assert 'GROUP "v4"' in done.stdout
    assert "999" in done.stdout
