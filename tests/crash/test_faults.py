"""Faults from the operating system, through the public surface and real processes.

Errors are injected with strace into the run and its checkpointer, limits are set with prlimit, and a
disk becomes read-only. In each case a call either raises a StorageError and leaves nothing, or
is found by every reader from then on.
"""

import errno
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers_storage import EPOCH, MS, checkpoint, die, finish, quiet_store, side_files, wait_until

from pymanip_run.errors import StorageError
from pymanip_run.records import Window
from pymanip_run.session import AsyncSession, SavedAsyncSession, internals
from pymanip_run.storage.files import Files
from pymanip_run.storage.snapshot import SnapshotStore
from pymanip_run.storage.store import FileStore

#: A run that goes on after each refusal, and says which calls were refused.
RUN = """
import json, sys, time
import numpy as np
from pymanip_run.errors import StorageError
from pymanip_run.session import AsyncSession

stored, refused, syncs = [], [], 0
try:
    session = AsyncSession(sys.argv[1], verbose=False, checkpoint_period=0.03)
except StorageError as error:
    print(json.dumps({"unopened": str(error)}))
    sys.exit()
for n in range(int(sys.argv[2])):
    try:
        if n % 10 == 3:
            session.add_dataset(few=np.array([n]))
        else:
            session.add_entry(n=n)
        stored.append(n)
    except StorageError as error:
        refused.append([n, str(error)])
    if n % 50 == 0 and len(sys.argv) == 3:
        try:
            session.sync()
        except StorageError:
            syncs += 1
    time.sleep(0.002)
session.close()
print(json.dumps({"stored": stored, "refused": refused, "syncs": syncs}))
"""


def run(path, *before, count=300, more=()):
    """Let it run under another program; return what it says of itself."""
    done = subprocess.run(
        [*before, sys.executable, "-c", RUN, path, str(count), *more],
        capture_output=True, text=True, check=False, timeout=60,
        cwd=Path(__file__).parents[2], env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def is_as_told(path, told):
    """Exactly what was acknowledged is there: plainly readable, for our readers, and after the repair."""
    with h5py.File(path) as plain:
        assert plain.attrs["format"] == "pymanip-run"
    for _ in range(2):
        with SavedAsyncSession(path, verbose=False) as saved:
            entries = saved["n"].values.astype(int).tolist()
            records = [int(x[0]) for _, x in saved.datasets("few")]
        assert sorted(entries + records) == told["stored"]
        AsyncSession(path, verbose=False).close()
        assert side_files(path) == []


def injected(path, fault, *calls, follow=True):
    """The arguments of strace that make calls on this session's files fail."""
    names = [path, *(f"{path}{s}" for s in (".redo", ".tmp", *(f".wal.{i}" for i in range(1, 9))))]
    places = [argument for name in names for argument in ("-P", str(name))]
    return [
        "strace", *(["-f"] if follow else []), "-qq", "-o", "/dev/null", *places,
        "-e", f"inject={','.join(calls)}:{fault}",
    ]  # fmt: skip


@pytest.mark.needs_system("strace")
@pytest.mark.parametrize(
    ("calls", "fault", "refusals"),  # strace counts each call for itself
    [
        (("write", "writev"), "error=ENOSPC:when=4", 2),
        (("write", "writev"), "error=EIO:when=37..60", 24),
        (("write", "writev", "pwrite64"), "error=ENOSPC:when=100..140", 41),
        (("write", "ftruncate"), "error=EIO:when=30..31", 2),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else str(value).replace(":", " "),
)
def test_a_write_that_fails_is_refused_and_all_others_are_there(tmp_path, calls, fault, refusals):
    path = tmp_path / "s.h5"
    told, _ = run(path, *injected(path, fault, *calls, follow=False))
    assert len(told["refused"]) == refusals
    assert all("not stored" in text for _, text in told["refused"])
    is_as_told(path, told)


@pytest.mark.needs_system("strace")
@pytest.mark.parametrize(
    ("calls", "fault"),
    [
        (("pwrite64",), "error=ENOSPC:when=5"),
        (("pwrite64",), "error=EIO:when=40..45"),
        (("ftruncate",), "error=EIO:when=2"),
        (("fdatasync",), "error=EIO:when=3..4"),
        (("fdatasync",), "error=EIO:when=9+"),
        (("rename", "unlink"), "error=EIO:when=1..2"),
        (("pread64",), "error=EIO:when=60"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else str(value).replace(":", " "),
)
def test_a_checkpointer_that_meets_errors_costs_nothing(tmp_path, calls, fault):
    path = tmp_path / "s.h5"
    told, _ = run(path, *injected(path, fault, *calls))
    if "unopened" in told:
        assert calls != ("fdatasync",)
        told = run(path)[0]
    assert told["refused"] == []
    is_as_told(path, told)


@pytest.mark.needs_system("strace")
def test_a_disk_that_becomes_read_only_refuses_and_keeps_everything_before(tmp_path):
    path = tmp_path / "s.h5"
    calls = "write", "writev", "pwrite64", "ftruncate", "fdatasync", "unlink", "rename"
    told, _ = run(path, *injected(path, "error=EROFS:when=120+", *calls), count=200)
    assert len(told["refused"]) > 50
    assert "Read-only" in told["refused"][0][1]
    is_as_told(path, told)


# -- a sync that fails ----------------------------------------------------------------------------


class UnsyncedFiles(Files):
    """Syncs of journal segments fail while `broken`; as in the kernel, the next one succeeds over the loss."""

    def __init__(self):
        self.broken = 0

    def fdatasync(self, fd):
        if self.broken and ".wal." in str(Path(f"/proc/self/fd/{fd}").readlink()):
            self.broken -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().fdatasync(fd)


def test_after_a_failed_sync_none_succeeds_before_the_records_are_in_the_file(tmp_path):
    path, files = tmp_path / "s.h5", UnsyncedFiles()
    store = quiet_store(path, files=files)
    store.append_row(EPOCH, ("T",), [1.0])
    store.sync()
    store.append_row(EPOCH + MS, ("T",), [2.0])
    files.broken = 1
    for _ in range(3):  # it fails once; the others would succeed over pages that are lost
        with pytest.raises(StorageError, match="could not be synced"):
            store.sync()
    assert side_files(path) == ["s.h5.lock", "s.h5.wal.1", "s.h5.wal.2"]
    store.append_row(EPOCH + 2 * MS, ("T",), [3.0])
    checkpoint(path)
    store.sync()
    assert store.read_series("T", Window())[1].tolist() == [1.0, 2.0, 3.0]
    finish(store)


def test_a_failed_sync_of_an_old_segment_is_not_forgotten_either(tmp_path):
    path, files = tmp_path / "s.h5", UnsyncedFiles()
    store = quiet_store(path, files=files, segment_size=1000)
    for i in range(60):
        store.append_row(EPOCH + i * MS, ("T",), [i])
    files.broken = 1
    for _ in range(2):
        with pytest.raises(StorageError, match="could not be synced"):
            store.sync()
    checkpoint(path)
    store.sync()
    finish(store)


@pytest.mark.needs_system("strace")
def test_the_checkpointer_tells_of_a_sync_that_failed_and_recording_goes_on_elsewhere(tmp_path):
    path = tmp_path / "s.h5"
    fault = ["strace", "-f", "-qq", "-o", "/dev/null", "-P", f"{path}.wal.1", "-e",
             "inject=fdatasync:error=EIO:when=2"]  # fmt: skip
    told, said = run(path, *fault, count=900, more=["no sync"])
    assert told["refused"] == []
    assert "could not be synced" in said
    is_as_told(path, told)
    with SavedAsyncSession(path, verbose=False) as saved:
        (event,) = [e for e in internals(saved).store.events() if e.kind == "error"]
    assert "new segment" in event.text


# -- limits ---------------------------------------------------------------------------------------


@pytest.mark.needs_system("prlimit")
@pytest.mark.parametrize("limit", [8, 9, 10, 11, 12, 13, 16, 24])
def test_with_few_descriptors_a_session_is_refused_or_works(tmp_path, limit):
    path = tmp_path / "s.h5"
    told, _ = run(path, "prlimit", f"--nofile={limit}", count=100)
    if "unopened" in told:
        assert limit < 16
        assert "Too many open files" in told["unopened"]
        assert side_files(path) == []
        return
    assert told["refused"] == []
    is_as_told(path, told)


@pytest.mark.parametrize("what", ["AS", "NOFILE", "FSIZE"])
def test_a_checkpointer_at_its_limits_is_replaced_and_nothing_is_lost(tmp_path, what):
    path = tmp_path / "s.h5"
    session = AsyncSession(path, verbose=False, checkpoint_period=0.05)
    child = internals(session).store._child
    wait_until(lambda: can_be_read(path, session))
    first = child.pid
    kind = getattr(resource, f"RLIMIT_{what}")
    tight = {"AS": 1 << 20, "NOFILE": 3, "FSIZE": 4096}[what]
    resource.prlimit(first, kind, (tight, tight))
    session.add_dataset(x=np.arange(400_000.0))
    count = 0

    def another():
        nonlocal count
        session.add_entry(n=count)
        count += 1
        return child.pid != first

    wait_until(another, 20)
    session.close()
    assert side_files(path) == []
    with SavedAsyncSession(path, verbose=False) as saved:
        assert saved["n"].values.tolist() == list(range(count))
        assert np.array_equal(saved.dataset("x"), np.arange(400_000.0))


def can_be_read(path, session):
    """Whether the checkpointer has begun to work."""
    session.add_entry(begun=0)
    return Path(f"{path}.redo").exists()


# -- disks ----------------------------------------------------------------------------------------


@pytest.mark.needs_system("mount", "umount")
def test_on_a_full_disk_a_session_refuses_and_goes_on_when_there_is_room(small_disk):
    path = small_disk / "s.h5"
    ballast = small_disk / "ballast"
    session = AsyncSession(path, verbose=False, checkpoint_period=0.05)
    ballast.write_bytes(bytes(1_500_000))
    stored, refused, number, before = [], 0, 0, 0
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and len(stored) < 20_000:
        if refused == 40 and ballast.exists():
            before = len(stored)
            with SavedAsyncSession(path, verbose=False) as saved:
                assert saved["n"].values.tolist() == stored
            ballast.unlink()
        number += 1
        try:
            session.add_entry(n=number, **{f"v{i}": float(i) for i in range(20)})
            stored.append(number)
        except StorageError as error:
            assert "not stored" in str(error)  # noqa: PT017
            refused += 1
        if refused >= 40 and len(stored) > before + 200:
            break
    assert refused >= 40
    session.close()
    with SavedAsyncSession(path, verbose=False) as saved:
        assert saved["n"].values.tolist() == stored
        assert len(saved["v7"].values) == len(stored)


@pytest.mark.needs_system("mount", "umount")
@pytest.mark.parametrize("state", ["closed", "killed"])
def test_on_a_read_only_disk_all_is_readable_and_nothing_writable(small_disk, state):
    path = small_disk / "s.h5"
    store = FileStore(path, checkpoint_period=float("inf"))
    for i in range(50):
        store.append_row(EPOCH + i * MS, ("T",), [i])
    if state == "closed":
        finish(store)
    else:
        checkpoint(path)
        store.append_row(EPOCH + 50 * MS, ("T",), [50])
        die(store)
    before = {p.name: p.read_bytes() for p in small_disk.iterdir()}
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    reader = SnapshotStore(path)
    assert reader.read_series("T", Window())[1].tolist() == list(
        range((len(before) > 1 and 51) or 50)
    )
    reader.close()
    with pytest.raises(StorageError, match="Read-only"):
        AsyncSession(path, verbose=False)
    assert {p.name: p.read_bytes() for p in small_disk.iterdir()} == before
