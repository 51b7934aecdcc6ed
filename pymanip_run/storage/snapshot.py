"""The reader: the HDF5 file as it was committed, and behind it what the journal has beyond.

Nothing is written, and the writer is never stopped: the file is held under a shared lock for the
moment of a read, during which the checkpointer at most puts its next in-place change off.
"""

from __future__ import annotations

import math
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from pymanip_run.clock import SYSTEM, as_seconds
from pymanip_run.errors import StorageError
from pymanip_run.records import (
    DatasetInfo,
    Description,
    Event,
    FloatArray,
    Parameter,
    Run,
    SessionInfo,
    Statistics,
    SweepPoint,
    VariableInfo,
    Window,
    merge_series,
)
from pymanip_run.storage import base, layout
from pymanip_run.storage.append import read_statistics
from pymanip_run.storage.batch import Batch, as_run, cut_series, dataset_info
from pymanip_run.storage.files import SYSTEM_FILES, Files, SessionPaths
from pymanip_run.storage.holding import (
    TRIES,
    Key,
    hold,
    key_of,
    let_go,
    repaired,
    same_file,
    state_of,
)
from pymanip_run.storage.opening import check_is_session
from pymanip_run.storage.source import open_to_read
from pymanip_run.storage.tail import Findings, JournalReader
from pymanip_run.storage.values import decode_value

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["SnapshotStore"]


@dataclass(slots=True)
class _Base:
    """What is remembered of the HDF5 file while it does not change."""

    key: Key
    state: bytes
    paths: SessionPaths
    #: The file to open: the session file, or a repaired copy.
    source: Path
    info: SessionInfo
    reader: JournalReader
    statistics: dict[str, Statistics]
    descriptions: dict[str, Description] | None = None
    batch: Batch = field(default_factory=Batch)


class _View:
    """The session at one moment: the HDF5 file, opened when it is needed, and the batch behind it."""

    def __init__(self, base_state: _Base, fd: int | None) -> None:
        self.base = base_state
        self.batch = base_state.batch
        #: The session file, None where a repaired copy is read in its place.
        self.fd = fd
        self._h5: Any = None

    @property
    def h5(self) -> Any:
        """The open HDF5 file."""
        if self._h5 is None:
            source = self.base.source
            self._h5 = open_to_read(source if self.fd is None else same_file(self.fd, source))
        return self._h5

    def close(self) -> None:
        """Close the HDF5 file."""
        if self._h5 is not None:
            self._h5.close()


class SnapshotStore:
    """Reads a session file, also while another process writes it. For any thread.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DamagedFileError, NewerFormatError, StorageError
        If it is not a session, of a newer format, or cannot be read.
    """

    def __init__(self, path: Path, files: Files = SYSTEM_FILES) -> None:
        self._files = files
        self._path = path
        self._reading = threading.RLock()
        self._base: _Base | None = None
        self._moment: _View | None = None
        if not files.exists(path):
            raise FileNotFoundError(2, "there is no session file of this name", str(path))
        check_is_session(files, path)
        with self._view():
            pass  # what is wrong with the file is said now

    @property
    def path(self) -> Path:
        """The session file."""
        return self._path

    def close(self) -> None:
        """Release the journal's segments."""
        with self._reading:
            self._forget()

    @contextmanager
    def moment(self) -> Iterator[None]:
        """Make all reads of this thread within the context see one moment, and open the file once."""
        with self._opened() as view:
            outer, self._moment = self._moment, view
            try:
                yield
            finally:
                self._moment = outer

    # -- what is in it --------------------------------------------------------------------------

    def info(self) -> SessionInfo:
        """Return the identity of the session."""
        with self._view() as view:
            return view.base.info

    def variables(self) -> dict[str, VariableInfo]:
        """Return descriptions and exact statistics of all variables."""
        with self._view() as view:
            if view.base.descriptions is None:
                view.base.descriptions = base.read_descriptions(view.h5)
            statistics = view.batch.extend_statistics(view.base.statistics)
            return {
                name: VariableInfo(
                    name,
                    view.base.descriptions.get(name, Description()).updated(
                        view.batch.attributes.get(name, {})
                    ),
                    one,
                )
                for name, one in statistics.items()
            }

    def last_values(self) -> dict[str, tuple[float, float]]:
        """Return the last (timestamp, value) of every variable."""
        with self._view() as view:
            result = {
                name: (s.last_time, s.last_value) for name, s in view.base.statistics.items() if s.n
            }
            return result | view.batch.last_values()

    def read_series(self, name: str, window: Window) -> tuple[FloatArray, FloatArray]:
        """Return (timestamps, values) of shape (n,); empty for a name without values."""
        with self._view() as view:
            times, values = cut_series(view.batch.series(name), window)
            missing = None if window.tail is None else window.tail - len(times)
            if name not in view.base.statistics or (missing is not None and missing <= 0):
                return times, values
            before = base.read_series(
                view.h5,
                name,
                window._replace(tail=missing),
                view.base.statistics[name],
                (self._files, view.fd),
            )
        merged = merge_series([before, (times, values)])
        return (
            merged if window.head is None else (merged[0][: window.head], merged[1][: window.head])
        )

    def read_slice(self, name: str, low: int, high: int) -> tuple[FloatArray, FloatArray]:
        """Return the values number `low` to `high` of a variable with their times, shape (n,).

        What a variable has never changes its number: more is only added behind it.
        """
        with self._view() as view:
            statistics = view.base.statistics.get(name)
            count = statistics.n if statistics else 0
            parts = []
            if low < count:
                file = (self._files, view.fd)
                parts.append(base.read_slice(view.h5, name, low, min(high, count), file))
            if high > count:
                times, values = view.batch.series(name)
                behind = slice(max(0, low - count), high - count)
                parts.append((times[behind], values[behind]))
        return merge_series(parts)

    def parameters(self) -> dict[str, Parameter]:
        """Return all parameters."""
        with self._view() as view:
            return base.read_parameters(view.h5) | view.batch.parameters

    def metadata(self) -> dict[str, Any]:
        """Return all metadata."""
        with self._view() as view:
            return base.read_metadata(view.h5) | view.batch.metadata

    def events(self, after_ns: float = -math.inf) -> list[Event]:
        """Return the events later than `after_ns`, in time order."""
        with self._view() as view:
            events = base.read_events(view.h5) + view.batch.events
        return sorted((e for e in events if e.ns > after_ns), key=lambda e: e.ns)

    def runs(self) -> list[Run]:
        """Return all runs, the earliest first."""
        with self._view() as view:
            attributes, texts = base.read_runs(view.h5)
            for index, run in view.batch.runs.items():
                attributes[index] = attributes.get(index, {}) | run.attributes
                texts[index] = texts.get(index, {}) | run.texts
        return [
            as_run(index, attributes[index], texts.get(index, {})) for index in sorted(attributes)
        ]

    def sweep_points(self, run: int) -> list[SweepPoint]:
        """Return the points of the sweeps of a run that are over, in the order of recording."""
        with self._view() as view:
            return base.read_points(view.h5, run) + view.batch.points.get(run, [])

    def journal_state(self) -> tuple[Findings, int]:
        """Return what reading the journal found, and its bytes that the HDF5 file does not have yet."""
        with self._view() as view:
            return view.base.reader.findings, view.base.reader.bytes_read

    def datasets(self) -> dict[str, DatasetInfo]:
        """Return a summary of every dataset."""
        with self._view() as view:
            before = base.read_dataset_infos(view.h5)
            return before | {
                name: dataset_info(name, before.get(name), records)
                for name, records in view.batch.arrays.items()
            }

    def dataset_times(self, name: str) -> FloatArray:
        """Return the timestamps of the records, shape (n,)."""
        with self._view() as view:
            after = np.array(
                [as_seconds(r.ns) for r in view.batch.arrays.get(name, ())], np.float64
            )
            return np.concatenate((base.read_dataset_times(view.h5, name), after))

    def dataset_record(self, name: str, index: int) -> Any:
        """Return the index-th record as it was given to ``add_dataset``.

        Raises
        ------
        IndexError
            If there is none.
        """
        with self._view() as view:
            count = base.count_records(view.h5, name)
            if 0 <= index < count:
                return decode_value(*base.read_record(view.h5, name, index))
            records = view.batch.arrays.get(name, [])
            if 0 <= index - count < len(records):
                record = records[index - count]
                return decode_value(record.load(), record.python_type)
        raise IndexError(
            f"dataset {name!r} has {count + len(records)} records, there is no {index}"
        )

    # -- the moment of a read -------------------------------------------------------------------

    @contextmanager
    def _view(self) -> Iterator[_View]:
        with self._opened() as view, layout.damage_is_said(self._path):
            yield view

    @contextmanager
    def _opened(self) -> Iterator[_View]:
        with self._reading:
            if self._moment is not None:
                yield self._moment
                return
            fd, state = self._settled()
            view = _View(state, fd if state.source == self._path else None)
            try:
                yield view
            finally:
                view.close()
                let_go(self._files, fd)

    def _settled(self) -> tuple[int, _Base]:
        """Return the held file and its state, read while nothing changed."""
        for _ in range(TRIES):
            fd = hold(self._files, self._path)
            try:
                state = self._refreshed(fd)
            except BaseException:
                let_go(self._files, fd)
                raise
            if state is not None:
                return fd, state
            let_go(self._files, fd)
            SYSTEM.pause(0.01)
        raise StorageError(f"{self._path} changes all the time; try again later")

    def _refreshed(self, fd: int) -> _Base | None:
        """Return the present state; None when the file changed meanwhile, so that journal may be missing.

        Under the lock that happens only where the file was replaced, or where locks do not exist.
        """
        key = key_of(self._files, fd)
        with layout.damage_is_said(self._path):
            # To find out what a symbolic link means costs as much as all the rest; a new file is found anew.
            paths = SessionPaths(self._path) if self._base is None else self._base.paths
            state = state_of(self._files, paths, fd)
            if self._base is None or (self._base.key, self._base.state) != (key, state):
                self._forget()
                self._base = self._load(fd, key, state)
        with layout.damage_is_said(self._path):
            self._base.reader.read(self._base.batch)
        unchanged = key_of(self._files, fd) == key and self._files.is_at(fd, self._path)
        return self._base if unchanged else None

    def _forget(self) -> None:
        if self._base is not None:
            self._base.reader.close()
            if self._base.source != self._path:
                self._files.unlink(self._base.source)
            self._base = None

    def _load(self, fd: int, key: Key, state: bytes) -> _Base:
        paths = SessionPaths(self._path)
        source = repaired(self._files, paths, fd) or self._path
        try:
            h5 = open_to_read(source)
            try:
                identity = layout.read_identity(h5, self._path)
                reader = JournalReader(self._files, paths, identity.position, str(identity.uuid))
                info, statistics = layout.read_info(h5), read_statistics(h5)
                return _Base(key, state, paths, source, info, reader, statistics)
            finally:
                h5.close()
        except BaseException:
            if source != self._path:
                self._files.unlink(source)
            raise
