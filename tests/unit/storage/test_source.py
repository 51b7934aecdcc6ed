"""What HDF5 reads from: a file as any other, without what sends the library round in circles."""

import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers_storage import EPOCH, finish, quiet_store

from pymanip_run.errors import DamagedFileError
from pymanip_run.storage.files import SYSTEM_FILES
from pymanip_run.storage.overlay import Overlay
from pymanip_run.storage.source import Source, check_heap, open_to_read

OPEN = Path("/proc/self/fd")


def heap(*objects, size=None):
    """A global heap of objects, each an index and a length: HDF5 File Format 3.0, III.E."""
    body = b"".join(
        index.to_bytes(2, "little")
        + bytes(6)
        + length.to_bytes(8, "little")
        + bytes(min(5000, -(-length // 8) * 8 if index else max(0, length - 16)))
        for index, length in objects
    )
    size = 16 + len(body) if size is None else size
    return b"GCOL\x01\0\0\0" + size.to_bytes(8, "little") + body


def look(content, seen=None):
    check_heap(0, memoryview(content)[:seen], lambda start, size: content[start : start + size])


@pytest.mark.parametrize(
    "content",
    [
        heap((1, 5), (2, 0), (3, 100), (0, 4000)),
        heap((1, 5)),
        heap((1, 5)) + b"what follows",
        heap(),
        b"GCOL of another version",
        b"",
    ],
)
def test_heaps_whose_objects_fill_them_are_left_alone(content):
    look(content)
    look(content, 20)


@pytest.mark.parametrize(
    "content",
    [
        heap((1, 5), (0, 0), (0, 40)),  # the one that HDF5 never leaves
        heap((1, 5), (0, 15), (0, 40)),
        heap((1, 5), (2, 2**64 - 8), (0, 40)),
        heap((1, 5), (0, 40))[:-1],
        heap((1, 5), size=4096),
        heap((1, 5), size=2**63),
        heap(size=3),
    ],
)
def test_heaps_whose_objects_do_not_are_refused(content):
    for seen in (None, 16, 20):
        with pytest.raises(DamagedFileError, match="the texts at byte 0"):
            look(content, seen)


@pytest.fixture
def damaged(tmp_path):
    """A file with a text, and what its free room says of its length gone."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w", libver="latest") as h5:
        h5.attrs["title"] = "a text"
    content = bytearray(path.read_bytes())
    free = content.index(b"GCOL") + 16 + 16 + 8
    assert content[free : free + 2] == bytes(2)
    content[free + 8 : free + 16] = bytes(8)
    path.write_bytes(content)
    return path


def test_hdf5_does_not_get_to_see_a_damaged_one(damaged):
    with open_to_read(damaged) as h5, pytest.raises(DamagedFileError):
        h5.attrs["title"]


def test_nor_does_it_when_it_writes(damaged):
    fd = os.open(damaged, os.O_RDWR)
    overlay = Overlay(SYSTEM_FILES, fd, damaged.stat().st_size)
    with h5py.File(overlay, "r+") as h5, pytest.raises(DamagedFileError):
        h5.attrs["title"]
    os.close(fd)


def test_it_reads_as_any_other_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(range(100)))
    source = Source(path)
    assert source.seek(0, os.SEEK_END) == 100
    assert source.seek(-10, os.SEEK_CUR) == 90 == source.tell()
    assert source.read(3) == b"\x5a\x5b\x5c"
    assert source.read() == bytes(range(93, 100))
    assert source.read(5) == b""
    source.close()
    source.close()
    with pytest.raises(ValueError, match="closed"):
        source.read(1)


@pytest.mark.skipif(not OPEN.exists(), reason="only Linux tells which descriptors are open")
def test_a_file_that_cannot_be_opened_is_not_kept_open(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"no HDF5")
    before = len(list(OPEN.iterdir()))
    for _ in range(3):
        with pytest.raises(OSError, match="signature"):
            open_to_read(path)
    assert len(list(OPEN.iterdir())) == before


class Interrupted(Source):
    """Is interrupted by Ctrl-C in one of its reads."""

    def __init__(self, path, left):
        super().__init__(path)
        self.left = left

    def readinto(self, buffer):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt
        return super().readinto(buffer)


def texts(group):
    return {
        name: (dict(item.attrs), texts(item) if isinstance(item, h5py.Group) else item[()])
        for name, item in group.items()
    }


def test_ctrl_c_in_a_read_is_never_taken_for_something_else(tmp_path):
    store = quiet_store(tmp_path / "s.h5")
    store.append_row(EPOCH, ("T",), [1.5])
    finish(store)
    source = Interrupted(tmp_path / "s.h5", 0)
    with h5py.File(source, "r") as h5:
        texts(h5)
    reads = -source.left
    assert reads > 20
    for read in range(1, reads):
        with (
            pytest.raises(KeyboardInterrupt),
            h5py.File(Interrupted(tmp_path / "s.h5", read), "r") as h5,
        ):
            texts(h5)


FORGETS = """
import sys, threading
from pymanip_run import SavedAsyncSession
saved = SavedAsyncSession(sys.argv[1], verbose=False)
print(saved["T"].values[:])
"""
READS_ON = """
def read():
    while True:
        saved["T"].values[:]
        read_once.set()
read_once = threading.Event()
threading.Thread(target=read, daemon=True).start()
read_once.wait()
"""


@pytest.mark.parametrize("more", ["", "del saved", READS_ON])
def test_a_script_ends_that_did_not_close_it(tmp_path, more):
    store = quiet_store(tmp_path / "s.h5")
    store.append_row(EPOCH, ("T",), [1.5])
    finish(store)
    command = [sys.executable, "-c", FORGETS + more, tmp_path / "s.h5"]
    for _ in range(3 if more == READS_ON else 1):
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "[1.5]\n", "")


def test_a_large_array_is_read_as_it_was_written(tmp_path):
    values = np.random.default_rng(1).random(3_000_000)
    with h5py.File(tmp_path / "a.h5", "w") as h5:
        h5["values"] = values
    with open_to_read(tmp_path / "a.h5") as h5:
        assert np.array_equal(h5["values"][:], values)
        assert h5["values"][1_234_567] == values[1_234_567]
