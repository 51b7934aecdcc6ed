"""Each file operation of a short life fails once: disk full, input/output error, half of a write.

The life is that of `scenario.py`, in a process of its own, for the handle of a checkpoint that
failed must not be used again. What was acknowledged is found before and after the repair, what was refused is not.
All kinds of failure at every operation, not one in turn at every other::

    PYMANIP_RUN_TEST_FAULTS=all pytest tests/crash/test_every_fault.py
"""

import errno
import itertools
import os
import pickle

import h5py
import pytest
from disk import RecordingFiles
from helpers_storage import in_a_fork, side_files
from scenario import Call, Life, check, short_life

from pymanip_run.errors import StorageError
from pymanip_run.storage.checkpoint import recover
from pymanip_run.storage.files import SYSTEM_FILES, SessionPaths

KINDS = ("full", "broken", "short")
ERRORS = {"full": errno.ENOSPC, "broken": errno.EIO}


class FaultyFiles(RecordingFiles):
    """Fails the operation with one number; afterwards everything works again."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.fail_at = -1
        self.kind = "full"
        self.failed = ""

    def _fails(self, operation: str) -> bool:
        """Whether this operation is cut short; raises where it fails."""
        self.count += 1
        if self.count != self.fail_at:
            return False
        self.failed = operation
        if self.kind == "short" and operation in {"write", "writev", "pwrite"}:
            return True
        code = ERRORS.get(self.kind, errno.EIO)
        raise OSError(code, os.strerror(code))

    def open(self, path, flags):
        if flags & os.O_ACCMODE != os.O_RDONLY:
            self._fails("open")
        return super().open(path, flags)

    def write(self, fd, data):
        half = self._fails("write")
        return super().write(fd, data[: len(data) // 2] if half else data)

    def writev(self, fd, parts):
        if self._fails("writev"):
            whole = b"".join(map(bytes, parts))
            return super().write(fd, whole[: len(whole) // 2])
        return super().writev(fd, parts)

    def pwrite(self, fd, data, offset):
        half = self._fails("pwrite")
        return super().pwrite(fd, data[: len(data) // 2] if half else data, offset)

    def truncate(self, fd, size):
        self._fails("truncate")
        super().truncate(fd, size)

    def fdatasync(self, fd):
        self._fails("fdatasync")
        super().fdatasync(fd)

    def replace(self, source, target):
        self._fails("replace")
        super().replace(source, target)

    def unlink(self, path):
        self._fails("unlink")
        super().unlink(path)

    def sync_directory(self, path):
        self._fails("sync_directory")
        super().sync_directory(path)


class Watched:
    """A checkpointer that does nothing any more after a failure, as a process that ended."""

    def __init__(self, engine):
        self.engine = engine
        self.dead = False

    @property
    def pending(self):
        return self.dead or self.engine.pending

    def advance(self):
        try:
            return not self.dead and self.engine.advance()
        except OSError:
            self.dead = True
            return False


class Unlucky(Life):
    """Goes on after each refusal, as a measuring loop does; a checkpoint that fails ends the checkpoints."""

    def __init__(self, folder, fail_at, kind):
        super().__init__(folder, files=FaultyFiles())
        self.files.fail_at, self.files.kind = self.files.count + fail_at, kind
        self.first = self.files.count
        self.refused = self.unsynced = 0
        self.checkpoint = Watched(self.checkpoint)

    def _try(self, call, *arguments):
        try:
            call(*arguments)
        except StorageError:
            self.refused += 1
            self.tick += 1

    def row(self, *names):
        self._try(super().row, *names)

    def array(self, name, array):
        self._try(super().array, name, array)

    def event(self, text):
        self._try(super().event, text)

    def parameter(self, name, value):
        self._try(super().parameter, name, value)

    def point(self, number):
        self._try(super().point, number)

    def sync(self):
        try:
            super().sync()
        except StorageError:
            self.unsynced += 1

    def end(self):
        """Do nothing: the run is killed here, and the repair is the test's."""


def live(folder, fail_at, kind):
    """Live with one fault; leave the acknowledged calls in a file. 1 when the fault came too late."""
    life = short_life_of(Unlucky(folder, fail_at, kind))
    (folder.parent / "calls").write_bytes(
        pickle.dumps((list(map(tuple, life.calls)), life.refused, life.files.failed))
    )
    return 0 if life.files.failed else 1


def short_life_of(life):
    return short_life(life.paths.main.parent, life)


@pytest.mark.timeout(900)
def test_whatever_operation_fails_what_was_acknowledged_is_kept_and_recording_goes_on(tmp_path):
    thorough = os.environ.get("PYMANIP_RUN_TEST_FAULTS") == "all"
    operations, refusals = {}, 0
    for number in itertools.count(1, 1 if thorough else 2):
        for kind in KINDS if thorough else [KINDS[number // 2 % len(KINDS)]]:
            folder = tmp_path / f"{number}-{kind}"
            (folder / "life").mkdir(parents=True)
            status = in_a_fork(lambda f=folder / "life", n=number, k=kind: live(f, n, k))
            assert status in {0, 1}, (number, kind)
            calls, refused, failed = pickle.loads((folder / "calls").read_bytes())  # noqa: S301
            try:
                survives(folder / "life" / "s.h5", calls, refused)
            except Exception as error:
                error.add_note(f"{failed} number {number} failed: {kind}")
                raise
            operations[failed] = operations.get(failed, 0) + 1
            refusals += refused
        if status == 1:
            break
    assert operations.keys() >= {"open", "write", "pwrite", "fdatasync"}
    assert sum(operations.values()) > 90
    assert refusals > 15
    print(f"{operations}, {refusals} calls refused")


class Known:
    """Stands for a life whose process is gone."""

    def __init__(self, calls):
        self.calls = [Call(*call) for call in calls]


def survives(path, calls, refused):
    with h5py.File(path) as plain:
        assert plain.attrs["format"] == "pymanip-run"
    assert refused <= 1  # the failure is over, and so is the refusing
    life = Known(calls)
    check(life, path, len(calls), len(calls))
    recover(SYSTEM_FILES, SessionPaths(path), remove_lock=True)
    check(life, path, len(calls), len(calls))
    assert side_files(path) == []
