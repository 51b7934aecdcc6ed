"""Look through a whole session: every record of the journal, every value, every sum."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from pymanip_run.errors import PymanipError
from pymanip_run.records import Statistics, Window
from pymanip_run.storage.files import SYSTEM_FILES, Files, SessionPaths
from pymanip_run.storage.redo import read_redo
from pymanip_run.storage.snapshot import SnapshotStore

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Verification", "verify"]

#: Values read at a time.
STEP = 1 << 20
EXACT = (
    "n", "nonfinite", "first_time", "first_value", "last_time", "last_value", "min", "max", "longest_gap",
)  # fmt: skip
#: Of a mean, as a part of the range.
ROUNDING = 1e-6
#: Records of one dataset that cannot be read, before the others are left alone.
MAX_BAD = 20


@dataclass(slots=True)
class Verification:
    """What was found; `problems` is empty for a healthy session."""

    problems: list[str] = field(default_factory=list)
    values: int = 0
    records: int = 0
    #: Bytes of journal that are not in the HDF5 file yet, 0 for a closed session.
    journal_bytes: int = 0
    transaction_pending: bool = False

    @property
    def healthy(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def verify(path: Path, files: Files = SYSTEM_FILES) -> Verification:
    """Read everything in a session and check it against what the file says of itself.

    Journal and transaction file are checked by their checksums, each variable for increasing
    times and against its statistics, each record of a dataset by reading it.

    Raises
    ------
    FileNotFoundError, DamagedFileError, NewerFormatError, StorageError
        If the file cannot be opened as a session at all.
    """
    found = Verification()
    paths = SessionPaths(path)
    found.transaction_pending = read_redo(files, paths.redo) is not None
    store = SnapshotStore(path, files)
    try:
        findings, found.journal_bytes = store.journal_state()
        for segment, offset, length in findings.damaged:
            found.problems.append(
                f"journal segment {segment}: {length} damaged bytes at {offset}"
                if length
                else f"journal segment {segment} is missing"
            )
        if findings.lost:
            found.problems.append(f"{findings.lost} records of the journal are lost")
        _check_variables(store, found)
        _check_datasets(store, found)
        for event in store.events():
            if event.kind == "damage":
                found.problems.append(f"an earlier loss: {event.text}")
    finally:
        store.close()
    return found


def _check_variables(store: SnapshotStore, found: Verification) -> None:
    for name, info in store.variables().items():
        try:
            told, counted = info.statistics, _counted(store, name, found)
        except (PymanipError, OSError) as error:
            found.problems.append(f"{name}: cannot be read: {error}")
            continue
        found.values += counted.n
        for what in EXACT:
            a, b = getattr(told, what), getattr(counted, what)
            if a != b and not (np.isnan(a) and np.isnan(b)):
                found.problems.append(f"{name}: the statistics tell {what} = {a}, the values {b}")
        # It depends on the parts in which the values came.
        if abs(told.mean - counted.mean) > ROUNDING * (counted.max - counted.min):
            found.problems.append(
                f"{name}: the statistics tell mean = {told.mean}, the values {counted.mean}"
            )


def _counted(store: SnapshotStore, name: str, found: Verification) -> Statistics:
    """Return the statistics of the values themselves, read in bounded memory."""
    counted, since = Statistics(), -np.inf
    while True:
        times, values = store.read_series(name, Window(since=since, head=STEP))
        if not len(times):
            return counted
        if not (np.isfinite(times).all() and (np.diff(times) > 0).all() and times[0] >= since):
            # Nor can be searched for a time what is not in their order.
            found.problems.append(f"{name}: the times do not increase after {float(times[0])!r}")
            return counted.extended(times, values)
        counted = counted.extended(times, values)
        since = float(np.nextafter(times[-1], np.inf))


def _check_datasets(store: SnapshotStore, found: Verification) -> None:
    for name, info in store.datasets().items():
        if len(store.dataset_times(name)) != info.n:
            found.problems.append(
                f"dataset {name}: {info.n} records, but as many times are not there"
            )
        bad = 0
        for index in range(info.n):
            try:
                store.dataset_record(name, index)
            except Exception as error:  # noqa: BLE001 - whatever HDF5 says of damaged data
                found.problems.append(f"dataset {name}: record {index} cannot be read: {error}")
                bad += 1
            if bad >= MAX_BAD:
                found.problems.append(f"dataset {name}: the records after {index} were not read")
                break
        found.records += info.n
