"""Make a session file of an old session of pymanip: everything is carried over, and read back.

The new file gets its name when it is complete and was compared; the old one is only read.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import h5py

from pymanip_run.clock import SYSTEM, as_ns, as_seconds, iso_utc
from pymanip_run.errors import DamagedFileError, UsageError
from pymanip_run.records import Event, FloatArray, Window
from pymanip_run.storage import layout
from pymanip_run.storage.append import Appender
from pymanip_run.storage.batch import ArrayRecord, Batch
from pymanip_run.storage.carried import Digest, Direct, Names, Part, is_same, series_parts
from pymanip_run.storage.files import SYSTEM_FILES, SessionPaths
from pymanip_run.storage.journal import Position
from pymanip_run.storage.opening import lock_session
from pymanip_run.storage.plain_values import as_recordable
from pymanip_run.storage.pymanip_db import PymanipStore
from pymanip_run.storage.pymanip_sync import SyncStore
from pymanip_run.storage.snapshot import SnapshotStore
from pymanip_run.storage.syncing import sync_path
from pymanip_run.storage.unpickle import UnsafePickleError
from pymanip_run.storage.values import decode_value, encode_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pymanip_run.storage.overlay import Overlay

    Source = PymanipStore | SyncStore
    Pair = tuple[FloatArray, FloatArray]

__all__ = ["Converted", "convert"]

#: Of each series: what is written is not read again, and there may be hundreds.
CACHE = 256 << 10
#: Bytes of records that are written together.
RECORDS = 8 << 20


@dataclass
class Converted:
    """What was carried over."""

    variables: int = 0
    values: int = 0
    datasets: int = 0
    records: int = 0
    parameters: int = 0
    metadata: int = 0
    figures: int = 0
    #: What is not as it was, each in a sentence.
    remarks: list[str] = field(default_factory=list)


def convert(
    source: Path,
    target: Path,
    *,
    force: bool = False,
    skip: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Converted:
    """Write the old session `source` as the session file `target`, and compare.

    Parameters
    ----------
    force
        Replace an existing target.
    skip
        Leave out records of datasets that cannot be carried over, and say so, instead of refusing.
    progress
        Is called with the part that is done, 0 to 1.

    Raises
    ------
    UsageError
        If the target exists, or is the source.
    UnsafePickleError
        If a dataset holds something else than arrays and plain values.
    DamagedFileError
        If the source is damaged, or what was written is not what was read.
    StorageError, OSError
        If the source cannot be read or the target not be written.
    """
    _check_target(source, target, force=force)
    store = _opened(source)
    paths = SessionPaths(target)
    try:
        lock = lock_session(SYSTEM_FILES, paths)
        part = SessionPaths(paths.main.with_name(f"{paths.main.name}.part"))
        try:
            done = _Conversion(store, part, skip=skip, progress=progress or (lambda _: None)).run()
            sync_path(SYSTEM_FILES, part.main)
            SYSTEM_FILES.replace(part.main, paths.main)
            SYSTEM_FILES.sync_directory(paths.main)
        finally:
            for left in (part.main, part.temporary):
                SYSTEM_FILES.unlink(left)
            SYSTEM_FILES.unlink(paths.lock)
            SYSTEM_FILES.close(lock)
    finally:
        store.close()
    return done


def _check_target(source: Path, target: Path, *, force: bool) -> None:
    if not source.exists():
        raise FileNotFoundError(2, "there is no old session of this name", str(source))
    if target.exists() and os.path.samefile(source, target):  # noqa: PTH121
        raise UsageError(f"{target} is the old session itself; give the new one another name")
    paths = SessionPaths(target)
    if SYSTEM_FILES.segments(paths.main) or SYSTEM_FILES.exists(paths.redo):
        raise UsageError(
            f"{target} is being written, or was not closed; take another name, or first: pymanip-run recover {target}"
        )
    if target.exists() and not force:
        raise UsageError(
            f"{target} exists already; take another name, or add --force to replace it"
        )


def _opened(source: Path) -> Source:
    if source.suffix in {".hdf5", ".h5"}:
        return SyncStore(source)
    return PymanipStore(source)


class _Conversion:
    """One session on its way."""

    def __init__(
        self, store: Source, part: SessionPaths, *, skip: bool, progress: Callable[[float], None]
    ) -> None:
        self._store = store
        self._part = part
        self._skip = skip
        self._progress = progress
        self._names = Names({
            "variable": set(store.variables()), "dataset": set(store.datasets()),
            "parameter": set(store.parameters()), "metadata": set(store.metadata()),
        })  # fmt: skip
        self._digests: dict[str, Digest] = {}
        self._kept: dict[str, list[int]] = {}
        self._events: list[Event] = []
        self._approximate: dict[str, int] = {}
        self._done = Converted()

    def run(self) -> Converted:
        """Write and compare."""
        info = self._store.info()
        layout.create(SYSTEM_FILES, self._part, UUID(info.uuid), info.title, Position(1, 0))
        with h5py.File(
            self._part.main, "r+", libver=layout.LIBVER, locking=False, rdcc_nbytes=CACHE
        ) as h5:
            h5.attrs["created"] = iso_utc(info.created)
            appender = Appender(h5, cast("Overlay", Direct()))
            self._log(appender)
            self._datasets(appender)
            self._rest(appender)
            appender.finish(Position(1, 0), 1)
        self._progress(0.6)
        self._compare()
        self._remark()
        return self._done

    def _append(self, appender: Appender, batch: Batch) -> None:
        if refused := appender.append(batch):
            raise DamagedFileError(f"{self._store.path}: HDF5 refused {refused[0]}")

    # -- values ---------------------------------------------------------------------------------

    def _log(self, appender: Appender) -> None:
        total = sum(info.statistics.n for info in self._store.variables().values())
        unordered = self._store.unordered
        for part in self._store.log_parts():
            self._put(appender, {n: pair for n, pair in part.items() if n not in unordered})
            self._progress(0.5 * min(1.0, self._done.values / max(1, total)))
        for name in sorted(unordered):
            self._put(appender, {name: self._store.read_series(name, Window())})
            self._progress(0.5 * min(1.0, self._done.values / max(1, total)))
        self._done.variables = len(self._digests)

    def _put(self, appender: Appender, series: Mapping[str, Pair]) -> None:
        ready = {}
        for old, (times, values) in series.items():
            name = self._names.valid(old, "variable")
            digest = self._digests.setdefault(name, Digest())
            ready[name] = digest.added(times, values)
            self._done.values += len(times)
        if ready:
            self._append(appender, Part(ready))

    # -- datasets -------------------------------------------------------------------------------

    def _datasets(self, appender: Appender) -> None:
        for old in sorted(self._store.datasets()):
            name = self._names.valid(old, "dataset")
            batch, size = Batch(), 0
            kept = self._kept.setdefault(old, [])
            for index, time in enumerate(self._store.dataset_times(old).tolist()):
                record = self._record(old, index, time)
                if record is None:
                    continue
                kept.append(index)
                batch.arrays.setdefault(name, []).append(record)
                size += record.nbytes
                if size > RECORDS:
                    self._append(appender, batch)
                    batch, size = Batch(), 0
            self._append(appender, batch)
            self._done.records += len(kept)
            self._done.datasets += bool(kept)

    def _record(self, name: str, index: int, time: float) -> ArrayRecord | None:
        try:
            stored, python_type = self._encoded(name, index)
        except (UnsafePickleError, TypeError, ValueError) as error:
            if not self._skip:
                cure = "add --skip to leave such records out"
                raise UnsafePickleError(f"{error}\n  {cure}") from error
            self._events.append(
                Event(as_ns(time), "convert", name, f"record {index} was left out: {error}")
            )
            return None
        size = len(stored.encode()) if isinstance(stored, str) else stored.nbytes
        dtype, shape = ("str", ()) if isinstance(stored, str) else (str(stored.dtype), stored.shape)
        return ArrayRecord(as_ns(time), dtype, shape, python_type, size, lambda: stored)

    def _encoded(self, name: str, index: int) -> tuple[Any, str | None]:
        value = self._store.dataset_record(name, index)
        try:
            return encode_value(name, value)
        except TypeError:
            simpler = as_recordable(name, value)
            self._approximate[name] = self._approximate.get(name, 0) + 1
            return encode_value(name, simpler)

    # -- all the rest ---------------------------------------------------------------------------

    def _rest(self, appender: Appender) -> None:
        batch = Batch()
        batch.parameters = {
            self._names.valid(name, "parameter"): value
            for name, value in self._store.parameters().items()
        }
        metadata = self._store.metadata()
        self._done.parameters = sum(not name.startswith("_") for name in batch.parameters)
        self._done.figures = len(metadata.get("_figures", []))
        self._done.metadata = len(metadata) - ("_figures" in metadata)
        batch.metadata = {self._names.valid(n, "metadata"): v for n, v in metadata.items()}
        batch.metadata["_converted_from"] = self._origin()
        batch.events = sorted([*self._store.events(), *self._events], key=lambda e: e.ns)
        self._written = batch
        self._append(appender, batch)

    def _origin(self) -> dict[str, Any]:
        info = self._store.info()
        return {
            "file": str(self._store.path),
            "program": info.program,
            "format_version": info.format_version,
            "converted": iso_utc(SYSTEM.time()),
        }

    # -- comparing ------------------------------------------------------------------------------

    def _compare(self) -> None:
        found = SnapshotStore(self._part.main)
        try:
            self._compare_series(found)
            self._compare_datasets(found)
            for what, wanted, got in (
                ("parameters", self._written.parameters, found.parameters()),
                ("metadata", self._written.metadata, found.metadata()),
                ("events", dict(enumerate(self._written.events)), dict(enumerate(found.events()))),
            ):
                # In words, for NaN is not equal to itself.
                if {k: repr(v) for k, v in wanted.items()} != {k: repr(v) for k, v in got.items()}:
                    raise _differ(what)
        finally:
            found.close()

    def _compare_series(self, found: SnapshotStore) -> None:
        if set(found.last_values()) != set(self._digests):
            raise _differ("the names of the variables")
        read = 0
        for name, digest in self._digests.items():
            again = Digest()
            for times, values in series_parts(found, name):
                again.added(times, values)
                read += len(times)
                self._progress(0.6 + 0.4 * min(1.0, read / max(1, self._done.values)))
            if again.sums != digest.sums:
                raise _differ(f"variable {name!r}")

    def _compare_datasets(self, found: SnapshotStore) -> None:
        for old, indices in self._kept.items():
            if not indices:
                continue
            name = self._names.valid(old, "dataset")
            wanted = self._store.dataset_times(old)[indices]
            times = found.dataset_times(name)
            if times.tolist() != [as_seconds(as_ns(t)) for t in wanted.tolist()]:
                raise _differ(f"the times of dataset {name!r}")
            for new, index in enumerate(indices):
                expected = decode_value(*self._encoded(old, index))
                if not is_same(found.dataset_record(name, new), expected):
                    raise _differ(f"record {new} of dataset {name!r}")

    # -- what is not as it was ------------------------------------------------------------------

    def _remark(self) -> None:
        remarks = self._done.remarks
        moved = sum(digest.moved for digest in self._digests.values())
        if moved:
            remarks.append(
                f"{moved} values had the same time as the one before; they are 1 µs later"
            )
        for name, count in self._approximate.items():
            # Each was encoded a second time for the comparison.
            remarks.append(
                f"{_counted(count // 2, 'record')} of dataset {name!r}: arrays within became lists"
            )
        remarks += [f"dataset {e.source!r}: {e.text.splitlines()[0]}" for e in self._events]
        remarks += self._names.remarks
        texts = [e for e in self._written.events if e.kind == "text"]
        if texts:
            remarks.append(f"{_counted(len(texts), 'text')} among the values became events")
        if isinstance(self._store, SyncStore) and self._store.lines_from_text:
            remarks.append(
                f"{_counted(self._store.lines_from_text, 'line')} were only in the .dat file"
            )


def _differ(what: str) -> DamagedFileError:
    return DamagedFileError(
        f"{what} came back from the new file other than written; it was removed"
    )


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
