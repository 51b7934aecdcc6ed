"""A part of a long variable costs what the part has, not what the variable has."""

import os
from pathlib import Path
from uuid import uuid4

import h5py
import numpy as np
import pytest
from helpers_storage import EPOCH, MS

from pymanip_run import SavedAsyncSession
from pymanip_run.records import Window
from pymanip_run.storage import layout
from pymanip_run.storage.append import Appender
from pymanip_run.storage.batch import Batch
from pymanip_run.storage.carried import Direct
from pymanip_run.storage.files import SYSTEM_FILES, Files, SessionPaths
from pymanip_run.storage.journal import Position
from pymanip_run.storage.snapshot import SnapshotStore

COUNT = 3_000_000
VALUE_BYTES = 8
IO = Path("/proc/self/io")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A session of 48 MB, as a closed run leaves it."""
    path = tmp_path_factory.mktemp("long") / "s.h5"
    paths = SessionPaths(path)
    layout.create(SYSTEM_FILES, paths, uuid4(), "long", Position(1, 0))
    with h5py.File(path, "r+", libver=layout.LIBVER, locking=False) as h5:
        appender = Appender(h5, Direct())
        for first in range(0, COUNT, COUNT // 3):
            rows = np.empty((COUNT // 3, 2))
            index = np.arange(first, first + COUNT // 3)
            rows[:, 0] = (EPOCH + MS * index).view("f8")
            rows[:, 1] = index
            batch = Batch()
            batch.row_set(("T",)).data = bytearray(rows.tobytes())
            assert not appender.append(batch)
        appender.finish(Position(1, 0), 1)
    assert path.stat().st_size > 2 * VALUE_BYTES * COUNT
    return path


class CountingFiles(Files):
    """The seam, which counts the bytes that pass through it."""

    def __init__(self):
        self.bytes = 0

    def pread(self, fd, size, offset):
        data = os.pread(fd, size, offset)
        self.bytes += len(data)
        return data

    def preadv(self, fd, buffers, offset):
        count = os.preadv(fd, buffers, offset)
        self.bytes += count
        return count


def read_by_process():
    """Bytes that this process read by system calls so far, HDF5 included (proc(5))."""
    if not IO.exists():
        pytest.skip("needs /proc/self/io")
    return int(IO.read_text().split()[1])


START = EPOCH / 1e9


@pytest.mark.parametrize(
    ("part", "first", "stop"),
    [
        (lambda s: s.tail(100), COUNT - 100, COUNT),
        (lambda s: s.tail(100_000), COUNT - 100_000, COUNT),
        (lambda s: s.head(100), 0, 100),
        (lambda s: s.since("-1s"), COUNT - 1001, COUNT),
        (lambda s: s.since("-2min"), COUNT - 120_001, COUNT),
        (lambda s: s.between(START + 1000, START + 1001), 1_000_000, 1_001_000),
        (lambda s: s.between(START + 1000, START + 1100).tail(10), 1_099_990, 1_100_000),
        (lambda s: s.since(START + 2000).head(70_000), 2_000_000, 2_070_000),
    ],
)
def test_a_part_of_a_series_reads_little_more_than_the_part(path, part, first, stop):
    session = SavedAsyncSession(path, verbose=False)
    before = read_by_process()
    times, values = part(session["T"])
    read = read_by_process() - before
    assert (values[0], values[-1], len(values)) == (first, stop - 1, stop - first)
    assert times[0] == (EPOCH + MS * first) // 1000 / 1e6
    # Whole chunks at both ends, the search for them, and what HDF5 reads of its own index.
    assert read < 2 * VALUE_BYTES * (stop - first) + 1_200_000, f"{read} bytes"


def test_a_part_of_a_dask_array_reads_the_chunks_that_it_touches(path):
    pytest.importorskip("dask.array")
    session = SavedAsyncSession(path, verbose=False)
    _, values = session.to_dask("T", 20_000)
    values[0].compute(scheduler="sync")  # what dask imports is read, too
    before = read_by_process()
    assert values[-100:].compute(scheduler="sync").tolist() == list(range(COUNT - 100, COUNT))
    assert read_by_process() - before < 1_200_000


def test_through_the_seam_nothing_but_the_part_is_read(path):
    files = CountingFiles()
    store = SnapshotStore(path, files)
    files.bytes = 0
    store.read_series("T", Window(tail=100_000))
    assert 2 * VALUE_BYTES * 100_000 <= files.bytes < 2 * VALUE_BYTES * 100_000 + 20_000
    files.bytes = 0
    store.read_series("T", Window())
    assert files.bytes >= 2 * VALUE_BYTES * COUNT  # so the count can tell


def test_a_series_is_lazy(path):
    session = SavedAsyncSession(path, verbose=False)
    before = read_by_process()
    series = session["T"]
    assert (series.size, series.last[1]) == (COUNT, COUNT - 1)
    repr(series), series._repr_html_(), session._repr_html_()
    assert read_by_process() - before < 3_000_000


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 5), (7, 2048), (2047, 2049), (1_000_000, 1_100_000), (COUNT - 3, COUNT), (COUNT - 3, COUNT + 9), (5, 5)],
)  # fmt: skip
def test_values_by_their_numbers(path, low, high):
    store = SnapshotStore(path)
    times, values = store.read_slice("T", low, high)
    assert values.tolist() == list(range(low, min(high, COUNT)))
    np.testing.assert_array_equal(
        times, (EPOCH + MS * np.arange(low, min(high, COUNT))) // 1000 / 1e6
    )
    assert len(store.read_slice("no such", 0, 5)[0]) == 0


def test_a_long_variable_is_decimated_without_being_in_memory(path, monkeypatch):
    monkeypatch.setattr("pymanip_run.core.decimate.AT_ONCE", 1 << 18)
    session = SavedAsyncSession(path, verbose=False)
    found = session.decimated("T", points=500)
    assert 250 <= len(found.timestamps) <= 500
    assert found.min[0] == 0
    assert found.max[-1] == COUNT - 1
    assert np.all(found.min[1:] == found.max[:-1] + 1)
    part = session.decimated("T", since="-10min", points=100)
    assert part.min[0] == COUNT - 600_001
