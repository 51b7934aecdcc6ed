"""Open a session for writing: the lock, what a crash left behind, the file itself."""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID, uuid4

from pymanip_run.clock import SYSTEM, iso_local
from pymanip_run.errors import DamagedFileError, SessionLockedError, StorageError
from pymanip_run.storage import journal, layout, transaction
from pymanip_run.storage.base import check_structure
from pymanip_run.storage.child import run_recovery
from pymanip_run.storage.decode import bodies
from pymanip_run.storage.files import SYSTEM_FILES, Files, SessionPaths
from pymanip_run.storage.journal import Kind, Position
from pymanip_run.storage.source import open_to_read

if TYPE_CHECKING:
    from pathlib import Path


__all__ = ["Opened", "check_is_session", "lock_session", "open_for_writing", "recover_by_hand"]

logger = logging.getLogger(__name__)

MAX_PID = 2**31
#: What is longer was not written by us.
LOCK_BYTES = 4096
#: How long the checkpointer of a dead run is waited for.
FINISHING_SECONDS = 10.0


#: Descriptors that a session needs at most at one time to be opened, and to be closed again.
DESCRIPTORS = 10


class Opened(NamedTuple):
    """A locked, recovered session file, ready for a new journal segment."""

    lock_fd: int
    uuid: UUID
    next_segment: int
    #: What the recovery of an unclean end did, "" after a clean one.
    report: str


def open_for_writing(files: Files, paths: SessionPaths, title: str) -> Opened:
    """Lock a session, finish what a crash interrupted, and create it where it is missing.

    Raises
    ------
    SessionLockedError
        If another process writes it.
    DamagedFileError, NewerFormatError
        If the file is no session that can be continued; it is not touched.
    StorageError
        If the folder is missing or not writable.
    """
    _ask_for_descriptors(paths.main)
    try:
        existed = files.exists(paths.main)
    except OSError as error:
        raise StorageError(f"{paths.main} cannot be reached: {error.strerror}") from error
    if existed:
        check_is_session(files, paths.main, writing=True)
    lock_fd = lock_session(files, paths)
    try:
        report = _recover(files, paths, lock_fd, title)
        with layout.damage_is_said(paths.main), open_to_read(paths.main) as h5:
            identity = layout.read_identity(h5, paths.main)
            check_structure(h5)
    except BaseException as error:
        if not files.segments(paths.main):
            files.unlink(paths.lock)
        files.close(lock_fd)
        if isinstance(error, OSError) and not isinstance(error, StorageError):
            raise StorageError(f"{paths.main}: {error}") from error
        raise
    segment, offset = identity.position
    return Opened(lock_fd, identity.uuid, segment + 1 if offset else segment, report)


def _ask_for_descriptors(path: Path) -> None:
    """Refuse a session that would run out of descriptors half-way, before anything is there.

    Raises
    ------
    StorageError
        If there are too few.
    """
    spare: list[int] = []
    try:
        spare.extend(os.open(os.devnull, os.O_RDONLY) for _ in range(DESCRIPTORS))
    except OSError as error:
        raise StorageError(
            f"{path} cannot be opened: {error.strerror}; a session needs {DESCRIPTORS} at a time, "
            "and this process has too few left (ulimit -n)"
        ) from error
    finally:
        for fd in spare:
            os.close(fd)


def recover_by_hand(path: Path, files: Files = SYSTEM_FILES) -> str:
    """Bring into a session what a crash left beside it; return what was done.

    Raises
    ------
    SessionLockedError
        If another process writes it.
    DamagedFileError, NewerFormatError, StorageError
        If it cannot be done.
    """
    if files.exists(path):
        check_is_session(files, path, writing=True)
    paths = SessionPaths(path)
    lock_fd = lock_session(files, paths)
    try:
        report = _recover(files, paths, lock_fd, path.stem)
        files.unlink(paths.lock)
    finally:
        files.close(lock_fd)
    return report or "nothing to recover, the last run ended cleanly"


def check_is_session(files: Files, path: Path, *, writing: bool = False) -> None:
    """Refuse at a glance what cannot be a session.

    Raises
    ------
    DamagedFileError
        If the file is empty, not HDF5, or HDF5 that a session cannot be.
    StorageError
        If it cannot be read, or not written either.
    """
    try:
        fd = files.open(path, os.O_RDWR if writing else os.O_RDONLY)
    except OSError as error:
        wanted = "written" if writing else "read"
        raise StorageError(f"{path} cannot be {wanted}: {error.strerror}") from error
    try:
        superblock = files.pread(fd, transaction.SUPERBLOCK_SIZE, 0)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}") from error
    finally:
        files.close(fd)
    if not superblock:
        raise DamagedFileError(
            f"{path} is empty; remove it, or choose another name for the session"
        )
    try:
        transaction.superblock_length(superblock)
    except DamagedFileError as error:
        what = "cannot be opened" if transaction.is_marked(superblock) else "is no session"
        raise DamagedFileError(f"{path} {what}: {error}") from None


def lock_session(files: Files, paths: SessionPaths) -> int:
    """Take the session's lock, and say in the lock file who has it; return its descriptor."""
    deadline = SYSTEM.monotonic() + FINISHING_SECONDS
    told = False
    while True:
        fd = _open_lock(files, paths)
        if files.try_lock(fd, exclusive=True):
            # Its last owner may have removed it meanwhile.
            if files.is_at(fd, paths.lock):
                break
            if SYSTEM.monotonic() > deadline:
                files.close(fd)
                raise StorageError(
                    f"{paths.lock} is another file each time it is looked at; use a local disk"
                )
            SYSTEM.pause(0.001)
        else:
            holder = _read_holder(files, fd)
            if not _is_finishing(holder) or SYSTEM.monotonic() > deadline:
                files.close(fd)
                raise SessionLockedError(_locked_message(paths, holder))
            if not told:
                logger.warning("finishing the previous run of %s", paths.main)
                told = True
            SYSTEM.pause(0.02)
        files.close(fd)
    _check_lock_file(files, paths, fd)
    content = {"pid": os.getpid(), "host": socket.gethostname(), "since": iso_local(SYSTEM.time())}
    try:
        files.resemble(fd, files.path_stat(paths.main))
        files.truncate(fd, 0)
        files.write_all(fd, json.dumps(content).encode(), 0)
    except OSError as error:
        files.unlink(paths.lock)
        files.close(fd)
        raise StorageError(f"{paths.lock} cannot be written: {error.strerror}") from error
    return fd


def _check_lock_file(files: Files, paths: SessionPaths, fd: int) -> None:
    """Refuse to write into a file that may be somebody's, and has the name of our lock by accident or intent."""
    status = files.stat(fd)
    if status.st_nlink > 1 or status.st_size > LOCK_BYTES:
        files.close(fd)
        raise StorageError(f"{paths.lock} is no lock of a session; move it elsewhere")


def _open_lock(files: Files, paths: SessionPaths) -> int:
    try:
        return files.open(paths.lock, os.O_RDWR | os.O_CREAT)
    except FileNotFoundError:
        raise StorageError(
            f"the folder {paths.main.parent} does not exist; create it: mkdir -p '{paths.main.parent}'"
        ) from None
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EPERM} and files.exists(paths.lock):
            raise StorageError(
                f"{paths.lock} belongs to a run of somebody else, and may not be opened ({error.strerror})"
            ) from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise StorageError(
                f"the folder {paths.main.parent} is not writable ({error.strerror})"
            ) from error
        why = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise StorageError(f"{paths.lock} cannot be opened: {why}; move it elsewhere") from error


def _read_holder(files: Files, fd: int) -> dict[str, object]:
    try:
        content = json.loads(files.pread(fd, LOCK_BYTES, 0))
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _is_finishing(holder: dict[str, object]) -> bool:
    """Tell whether the run is over and only its checkpointer is at work, or it is just beginning."""
    if not holder:
        return True
    pid = holder.get("pid")
    if holder.get("host") != socket.gethostname() or not isinstance(pid, int):
        return False
    if not 0 < pid < MAX_PID:
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _locked_message(paths: SessionPaths, holder: dict[str, object]) -> str:
    pid, host, since = (_word(holder.get(key, "?")) for key in ("pid", "host", "since"))
    who = f"process {pid} on {host} since {since}"
    if holder.get("pid") == os.getpid() and holder.get("host") == socket.gethostname():
        return (
            f"{paths.main} is being written by this program itself ({who}); "
            "close that session first, with its close(), or choose another file"
        )
    return (
        f"{paths.main} is being written by {who}; stop that run first, or choose another file. "
        f"To look at it meanwhile: pymanip-inspect {paths.main}"
    )


def _word(value: object) -> str:
    return "".join(c for c in str(value)[:64] if c.isprintable())


def _recover(files: Files, paths: SessionPaths, lock_fd: int, title: str) -> str:
    """Make the session file complete, or create it; return the report of a recovery."""
    segments = files.segments(paths.main)
    if not files.exists(paths.main):
        uuid = (_journal_uuid(files, segments[0][1]) if segments else None) or uuid4()
        layout.create(files, paths, uuid, title, Position(segments[0][0] if segments else 1, 0))
    if not segments and not files.exists(paths.redo):
        return ""
    return run_recovery(paths, lock_fd, remove_lock=False)


def _journal_uuid(files: Files, path: Path) -> UUID | None:
    """Return the session's uuid from the header of a segment, for a file that a power cut took away."""
    for kind, body in bodies(files.read_whole(path)[: journal.BLOCK]):
        if kind == Kind.HEADER:
            return UUID(journal.load_json(body[1:])["session_uuid"])
    return None
