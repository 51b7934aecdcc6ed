"""Folders: where sessions go, and where pymanip-run keeps its own files."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pymanip_run.checkup.finding import Finding, output_of
from pymanip_run.clock import SYSTEM
from pymanip_run.storage.files import SYSTEM_FILES, SessionPaths
from pymanip_run.units import format_duration, format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["leftovers", "look_at_folder", "look_at_hdf5_locking", "look_at_own_files"]

MOUNTS = Path("/proc/self/mountinfo")
NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "fuse.rclone"}
IN_MEMORY = {"tmpfs", "ramfs"}
LITTLE = 1_000_000_000
NOTHING = 20_000_000
BLOCK = bytes(1 << 20)
#: Enough to tell, little enough not to wear a memory card.
WRITE_BLOCKS = 32
WRITE_SECONDS = 0.5
SYNCS = 10
SYNC_SECONDS = 0.8
#: The journal is synced five times a second: a disk that takes this long falls behind.
SLOW_SYNC = 0.1
#: Another process tries a lock that this one holds.
TRY_LOCK = """\
import fcntl, sys
try:
    fcntl.flock(open(sys.argv[1], "rb"), fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("refused")
else:
    print("granted")
"""


def look_at_folder(folder: Path) -> Sequence[Finding]:
    """Return findings on a folder for sessions: space, speed and locks, in a temporary file."""
    subject = f"folder {folder}"
    try:
        free = shutil.disk_usage(folder).free
        fd, name = tempfile.mkstemp(prefix=".pymanip-run-doctor-", dir=folder)
    except OSError as error:
        cure = f"choose another folder, or: chmod u+w '{folder}'"
        return [Finding(subject, "broken", f"not writable: {error.strerror}", cure)]
    try:
        return [_space(subject, folder, free), _speed(fd, free), _locks(fd, Path(name))]
    finally:
        os.close(fd)
        Path(name).unlink(missing_ok=True)


def _space(subject: str, folder: Path, free: int) -> Finding:
    kind = _file_system(folder)
    text = f"{format_size(free)} free" + (f", {kind}" if kind else "")
    if free < NOTHING:
        return Finding(subject, "broken", text, "make room, or choose another folder")
    if kind in NETWORK:
        cure = "measure on a disk of this computer, copy afterwards"
        return Finding(subject, "warning", f"{text}: a network file system", cure)
    if kind in IN_MEMORY:
        cure = "choose a folder on a disk"
        return Finding(subject, "warning", f"{text}: in memory, lost when the computer stops", cure)
    if free < LITTLE:
        return Finding(subject, "warning", text, "make room, or choose another folder")
    return Finding(subject, "ok", text)


def _file_system(folder: Path) -> str | None:
    """Return the type of the file system of a folder, from proc(5)."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    for line in reversed(lines):
        about, _, rest = line.partition(" - ")
        if about.split()[2:3] == [number] and rest:
            return rest.split()[0]
    return None


def _speed(fd: int, free: int) -> Finding:
    """Write and sync as the journal does."""
    blocks = WRITE_BLOCKS if free > 10 * WRITE_BLOCKS * len(BLOCK) else 1
    began, written = SYSTEM.monotonic(), 0
    while written < blocks and SYSTEM.monotonic() - began < WRITE_SECONDS:
        os.write(fd, BLOCK)
        written += 1
    os.fdatasync(fd)
    speed = written * len(BLOCK) / max(SYSTEM.monotonic() - began, 1e-6)
    waits = sorted(_sync_times(fd))
    median = waits[len(waits) // 2]
    text = (
        f"writes {format_size(speed)}/s; a sync takes {format_duration(median)}, "
        f"at most {format_duration(waits[-1])}"
    )
    if median > SLOW_SYNC:
        return Finding(
            "disk", "warning", f"{text}: slow", "a power cut may cost more than a second here"
        )
    return Finding("disk", "ok", text)


def _sync_times(fd: int) -> Iterator[float]:
    began = SYSTEM.monotonic()
    for _ in range(SYNCS):
        before = SYSTEM.monotonic()
        os.write(fd, BLOCK[:4096])
        os.fdatasync(fd)
        after = SYSTEM.monotonic()
        yield after - before
        if after - began > SYNC_SECONDS:
            return


def _locks(fd: int, path: Path) -> Finding:
    held = SYSTEM_FILES.try_lock(fd, exclusive=True)
    answer = output_of([sys.executable, "-I", "-S", "-c", TRY_LOCK, str(path)], 2.0)
    if held and answer is not None and answer.strip() == "refused":
        return Finding("file locks", "ok", "work here")
    cure = "choose a folder on a disk of this computer"
    if answer is not None and answer.strip() == "granted":
        text = "do not work here: two runs could write the same session"
        return Finding("file locks", "broken", text, cure)
    return Finding("file locks", "warning", "could not be tried", cure)


def look_at_own_files(state: Path, settings: Path | None) -> Sequence[Finding]:
    """Return findings on the folder for the state of runs, and on the user's configuration."""
    return [_state(state), *(_settings(settings) if settings is not None else ())]


def _state(folder: Path) -> Finding:
    cure = f"mkdir -p -m 700 '{folder}'; chmod 700 '{folder}'"
    lost = "runs can be neither found nor controlled by other commands"
    above = folder
    while not above.exists() and above != above.parent:
        above = above.parent
    if not (above.is_dir() and os.access(above, os.W_OK | os.X_OK)):
        return Finding("state", "broken", f"{folder} cannot be written: {lost}", cure)
    if folder.is_dir() and folder.stat().st_mode & 0o077:
        return Finding(
            "state", "warning", f"{folder} is open to other users", f"chmod 700 '{folder}'"
        )
    return Finding("state", "ok", str(folder))


def _settings(file: Path) -> Iterator[Finding]:
    if not file.exists():
        yield Finding("configuration", "absent", f"no {file}; it is optional")
    elif not os.access(file, os.R_OK):
        yield Finding("configuration", "broken", f"{file} cannot be read", f"chmod u+r '{file}'")
    elif file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        text = f"{file} can be read by other users; it may hold a password"
        yield Finding("configuration", "warning", text, f"chmod 600 '{file}'")
    else:
        yield Finding("configuration", "ok", str(file))


def look_at_hdf5_locking() -> Sequence[Finding]:
    """Return a finding on the environment variable by which HDF5 gives up its locks."""
    value = os.environ.get("HDF5_USE_FILE_LOCKING")
    if value is None:
        return [Finding("HDF5 locks", "ok", "as HDF5 has them (HDF5_USE_FILE_LOCKING is not set)")]
    if value.upper() in ("FALSE", "0"):
        text = (
            f"HDF5_USE_FILE_LOCKING={value}: an HDF5 program started like this that reads a session "
            "during its run may meet it half changed"
        )
        return [Finding("HDF5 locks", "warning", text, "unset HDF5_USE_FILE_LOCKING")]
    return [Finding("HDF5 locks", "ok", f"HDF5_USE_FILE_LOCKING={value}")]


def leftovers(sessions: Sequence[Path]) -> Sequence[Finding]:
    """Return a finding for each session of a dead run that still has a journal beside it."""
    found = []
    for session in dict.fromkeys(sessions):
        try:
            size = sum(
                path.stat().st_size for _, path in SYSTEM_FILES.segments(SessionPaths(session).main)
            )
        except OSError:
            continue
        if size:
            text = f"{session} has {format_size(size)} in the journal of a run that was killed; nothing is lost"
            found.append(Finding("journals", "warning", text, f"pymanip-run recover '{session}'"))
    return found or [Finding("journals", "ok", "none left behind by a dead run")]
