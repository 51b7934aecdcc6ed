"""Opening what is no session, not ours, or not there: one clear sentence, and nothing touched."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers_storage import EPOCH, die, finish, kill, quiet_store, side_files, wait_until

from pymanip_run.errors import DamagedFileError, NewerFormatError, SessionLockedError, StorageError
from pymanip_run.storage.files import SessionPaths
from pymanip_run.storage.snapshot import SnapshotStore
from pymanip_run.storage.store import FileStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "s.h5"


def session(path):
    store = quiet_store(path)
    store.append_row(EPOCH, ("T",), (1.0,))
    finish(store)


def change(**attributes):
    def make(path):
        session(path)
        with h5py.File(path, "r+", libver=("v110", "v110")) as h5:
            for name, value in attributes.items():
                h5.attrs[name] = value

    return make


def plain_hdf5(**options):
    def make(path):
        with h5py.File(path, "w", **options) as h5:
            h5["x"] = np.arange(1000)

    return make


def marked_as_open(path):
    session(path)
    data = bytearray(path.read_bytes())
    data[11] = 1
    path.write_bytes(data)


def cut(path):
    session(path)
    path.write_bytes(path.read_bytes()[:3000])


def spoilt_root(path):
    session(path)
    data = bytearray(path.read_bytes())
    data[60:300] = bytes(240)
    path.write_bytes(data)


BAD = {
    "empty": (lambda p: p.write_bytes(b""), DamagedFileError, "is empty"),
    "one byte": (lambda p: p.write_bytes(b"x"), DamagedFileError, "not an HDF5 file"),
    "garbage": (lambda p: p.write_bytes(os.urandom(100_000)), DamagedFileError, "not an HDF5 file"),
    "text": (lambda p: p.write_text("T = 3\n" * 1000), DamagedFileError, "not an HDF5 file"),
    "HDF5": (plain_hdf5(libver=("v110", "v110")), DamagedFileError, "not a session of pymanip-run"),
    "old HDF5": (plain_hdf5(libver=("earliest", "v110")), DamagedFileError, "superblock of version 0"),
    "newer": (change(format_version=2), NewerFormatError, "reads up to format 1: install a newer one"),
    "another format": (change(format="other"), DamagedFileError, "not a session of pymanip-run"),
    "bad uuid": (change(session_uuid="x"), DamagedFileError, "identity is damaged"),
    "bad position": (change(wal_pos="x"), DamagedFileError, "identity is damaged"),
    "marked": (marked_as_open, DamagedFileError, "marked as open"),
    "cut": (cut, DamagedFileError, None),
    "spoilt": (spoilt_root, DamagedFileError, None),
}  # fmt: skip


@pytest.mark.parametrize("beside", [(), ("redo", "segment")], ids=["alone", "with side files"])
@pytest.mark.parametrize("what", BAD)
def test_what_is_no_session_is_refused_and_unchanged(path, what, beside):
    make, error, text = BAD[what]
    make(path)
    paths = SessionPaths(path)
    if "redo" in beside:
        paths.redo.write_bytes(b"not a redo")
        paths.segment(7).write_bytes(b"not a journal")
        path.write_bytes(path.read_bytes() + b"and more" if path.stat().st_size else b"")
    before = {p.name: p.read_bytes() for p in path.parent.iterdir()}
    for opener in (FileStore, SnapshotStore):
        with pytest.raises(error, match=text) as caught:
            opener(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)
        after = {p.name: p.read_bytes() for p in path.parent.iterdir()}
        after.pop("s.h5.lock", None) if beside else None
        assert after == before


def test_a_session_that_is_not_there_is_not_created_by_reading(path):
    with pytest.raises(FileNotFoundError, match="no session file"):
        SnapshotStore(path)
    assert list(path.parent.iterdir()) == []


def test_a_missing_folder_is_named_with_the_command_that_creates_it(tmp_path):
    with pytest.raises(StorageError, match=r"does not exist; create it: mkdir -p '.*missing'"):
        FileStore(tmp_path / "missing" / "s.h5")
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError):
        FileStore(tmp_path / "file" / "s.h5")
    with pytest.raises(StorageError):
        FileStore(tmp_path / ("x" * 300))


def as_another_user(folder, code):
    """Run code as a user who owns nothing; return what it printed."""
    folder.chmod(0o755)
    for parent in folder.parents:
        if parent.stat().st_uid == os.getuid() and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setgid(65534)
            os.setuid(65534)
            os.write(write, code().encode())
        except BaseException as error:  # noqa: BLE001 - the parent shows it
            os.write(write, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(write)
    said = os.read(read, 10_000).decode()
    os.close(read)
    os.waitpid(pid, 0)
    return said


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
def test_a_folder_that_is_not_writable_is_refused_and_stays_readable(tmp_path):
    path = tmp_path / "lab" / "s.h5"
    path.parent.mkdir()
    said = as_another_user(path.parent, lambda: str(FileStore(path)))
    assert said.startswith("StorageError: the folder ")
    assert "is not writable" in said
    session(path)
    path.chmod(0o644)
    assert as_another_user(path.parent, lambda: str(FileStore(path))).startswith("StorageError: ")
    assert as_another_user(path.parent, lambda: repr(SnapshotStore(path).last_values())) == repr(
        {"T": (EPOCH / 1e9, 1.0)}
    )
    path.parent.chmod(0o777)
    assert "cannot be written" in as_another_user(path.parent, lambda: str(FileStore(path)))
    path.chmod(0)
    assert "cannot be read" in as_another_user(path.parent, lambda: str(SnapshotStore(path)))
    assert side_files(path) == []


def test_a_session_that_another_process_writes_is_refused_naming_it(path):
    code = (
        "import sys, pathlib\nfrom pymanip_run.storage.store import FileStore\n"
        "s = FileStore(pathlib.Path(sys.argv[1])); print(flush=True); sys.stdin.read(); s.close()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        other.stdout.readline()
        started = time.monotonic()
        with pytest.raises(
            SessionLockedError, match=f"process {other.pid} on {socket.gethostname()} since"
        ):
            FileStore(path)
        assert time.monotonic() - started < 2, "at once"
        SnapshotStore(path).close()
        other.stdin.close()
        assert other.wait() == 0
    assert side_files(path) == []


def test_a_session_that_this_process_writes_is_refused_too(path):
    store = quiet_store(path)
    with pytest.raises(SessionLockedError, match=f"process {os.getpid()} "):
        FileStore(path)
    store.append_row(EPOCH, ("T",), (1.0,))
    finish(store)


def test_the_checkpointer_of_a_dead_run_is_waited_for(path, caplog):
    session(path)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    code = (
        "import fcntl, json, socket, sys\nf = open(sys.argv[1] + '.lock', 'w')\n"
        "json.dump({'pid': int(sys.argv[2]), 'host': socket.gethostname()}, f); f.flush()\n"
        "fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, path, str(dead.pid)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as finishing:  # fmt: skip
        finishing.stdout.readline()
        opened = []
        thread = threading.Thread(target=lambda: opened.append(quiet_store(path)))
        thread.start()
        wait_until(lambda: "finishing the previous run" in caplog.text)
        assert not opened
        finishing.stdin.close()
        thread.join()
    assert json.loads(SessionPaths(path).lock.read_text())["pid"] == os.getpid()
    finish(opened[0])


def test_a_run_that_was_killed_does_not_lock_the_session(path):
    code = (
        "import sys, pathlib\nfrom pymanip_run.storage.store import FileStore\n"
        "s = FileStore(pathlib.Path(sys.argv[1]), checkpoint_period=100)\n"
        "s.append_row(1000, ('T',), (3.0,)); print(s._child.pid, flush=True); sys.stdin.read()"
    )
    for who in ("parent", "both"):
        with subprocess.Popen(
            [sys.executable, "-c", code, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as run:
            child = int(run.stdout.readline())
            if who == "both":
                kill(child)
            kill(run.pid)
        store = quiet_store(path)
        assert bool(store.report) == (who == "both")
        assert store.last_values() == {"T": (1e-6, 3.0)}
        finish(store)
        assert side_files(path) == []
        path.unlink()


def test_a_session_file_that_a_power_cut_took_away_is_made_anew_from_its_journal(path):
    store = quiet_store(path)
    uuid = store.info().uuid
    store.append_row(EPOCH, ("T",), (1.0,))
    die(store)
    path.unlink()
    store = quiet_store(path)
    assert store.info().uuid == uuid
    assert store.last_values() == {"T": (EPOCH / 1e9, 1.0)}
    finish(store)


def test_a_failed_opening_leaves_no_descriptor_and_no_lock(path):
    path.write_bytes(b"garbage")
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        with pytest.raises(DamagedFileError):
            FileStore(path)
        with pytest.raises(DamagedFileError):
            SnapshotStore(path)
    path.unlink()
    for _ in range(5):
        finish(quiet_store(path))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_file_system_on_which_no_file_is_itself_is_refused_after_a_while(path, monkeypatch):
    from pymanip_run.storage import opening
    from pymanip_run.storage.files import Files

    class Unstable(Files):
        def is_at(self, fd, path):
            return not path.name.endswith(".lock")

    monkeypatch.setattr(opening, "FINISHING_SECONDS", 0.05)
    with pytest.raises(StorageError, match="another file each time"):
        quiet_store(path, files=Unstable())


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to become another user")
def test_the_lock_of_somebody_else_is_said_to_be_that(tmp_path):
    path = tmp_path / "lab" / "s.h5"
    path.parent.mkdir(mode=0o777)
    path.parent.chmod(0o777)
    store = quiet_store(path)
    path.chmod(0o666)
    SessionPaths(path).lock.chmod(0o600)
    folder_mode = path.parent.stat().st_mode
    said = as_another_user(path.parent.parent, lambda: str(FileStore(path)))
    assert path.parent.stat().st_mode == folder_mode
    assert "belongs to a run of somebody else" in said
    finish(store)
