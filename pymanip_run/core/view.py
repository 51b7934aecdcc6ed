"""Every read of a session, derived once from the primitives of a store.

`AsyncSession`, `SavedAsyncSession` and remote views inherit these methods.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from pymanip_run.clock import iso_local
from pymanip_run.core import frames
from pymanip_run.core.conversions import Conversions
from pymanip_run.errors import NotFoundError, nearest
from pymanip_run.records import (
    DatasetInfo,
    Events,
    FloatArray,
    Parameter,
    Runs,
    Series,
    SessionInfo,
    VariableInfo,
    When,
    Window,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from pymanip_run.records import SweepPoint
    from pymanip_run.storage.contract import ReadableStore

__all__ = ["SessionView", "is_public"]


def is_public(name: str) -> bool:
    """Tell whether a name is shown: internal ones begin with an underscore."""
    return not name.startswith("_")


class SessionState:
    """All private state of a view or a session, behind one attribute."""

    def __init__(self, store: ReadableStore, name: str) -> None:
        self.store = store
        self.name = name


class SessionView(Conversions):
    """The reads of a session. Each call shows its present state.

    Parameters
    ----------
    store
        What is read.
    name
        How the session is called in texts.
    """

    _session: SessionState

    def __init__(self, store: ReadableStore, name: str) -> None:
        self.__dict__["_session"] = SessionState(store, name)

    # -- identity -------------------------------------------------------------------------------

    @property
    def session_name(self) -> str | None:
        """Name of the session: its file's name without suffix; None in memory."""
        return None if self.session_path is None else self._session.name

    @property
    def session_path(self) -> Path | None:
        """The session file, None in memory."""
        return self._session.store.path

    @property
    def t0(self) -> float:
        """When the session was created, Unix seconds."""
        return self._session.store.info().created

    @property
    def initial_timestamp(self) -> float:
        """When the session was created, Unix seconds; the same as `t0`."""
        return self.t0

    @property
    def last_timestamp(self) -> float | None:
        """Time of the last entry or dataset record, Unix seconds; None before the first."""
        times = [time for time, _ in self._session.store.last_values().values()]
        times += [info.last_time for info in self._session.store.datasets().values()]
        return max(times) if times else None

    def get_version(self) -> float:
        """Return the version of the file format; of a session of pymanip that of its database."""
        return self._session.store.info().format_version

    def info(self) -> SessionInfo:
        """Return uuid, format, creation, title and checkpoint of the session."""
        return self._session.store.info()

    # -- logged variables -----------------------------------------------------------------------

    def variables(self) -> dict[str, VariableInfo]:
        """Return description and exact statistics of every logged variable."""
        return {
            name: info for name, info in self._session.store.variables().items() if is_public(name)
        }

    def logged_variables(self) -> set[str]:
        """Return the names of the logged variables."""
        return set(filter(is_public, self._session.store.last_values()))

    def logged_variable(self, name: str) -> Series:
        """Return the series of one variable; internal ones too.

        Raises
        ------
        NotFoundError
            If there is no such variable; the message has the nearest names.
        """
        known = self._session.store.last_values()
        if name not in known:
            self._missing("logged variable", name, known)
        return Series(name, _Source(self._session.store))

    def __getitem__(self, name: str) -> Series:
        return self.logged_variable(name)

    def __contains__(self, name: object) -> bool:
        return name in self._session.store.last_values()

    def __iter__(self) -> Iterator[str]:
        # Without it, iteration would call self[0], self[1], …
        return iter(sorted(self.logged_variables()))

    def logged_data(self) -> dict[str, Series]:
        """Return the series of all logged variables."""
        source = _Source(self._session.store)
        return {name: Series(name, source) for name in sorted(self.logged_variables())}

    def logged_first_values(self) -> dict[str, tuple[float, float]]:
        """Return the first (timestamp, value) of every logged variable."""
        infos = self.variables().items()
        return {name: (i.statistics.first_time, i.statistics.first_value) for name, i in infos}

    def logged_last_values(self) -> dict[str, tuple[float, float]]:
        """Return the last (timestamp, value) of every logged variable."""
        return {
            name: pair
            for name, pair in self._session.store.last_values().items()
            if name[:1] != "_"
        }

    def logged_data_fromtimestamp(
        self, name: str, timestamp: When
    ) -> tuple[FloatArray, FloatArray]:
        """Return (timestamps, values) of a variable at and after `timestamp`."""
        part = self.logged_variable(name).since(timestamp)
        return part.timestamps, part.values

    # -- datasets -------------------------------------------------------------------------------

    def datasets_info(self) -> dict[str, DatasetInfo]:
        """Return number, shape, dtype and size of every dataset."""
        return {
            name: info for name, info in self._session.store.datasets().items() if is_public(name)
        }

    def dataset_names(self) -> set[str]:
        """Return the names of the datasets."""
        return set(self.datasets_info())

    def datasets(
        self, name: str, since: float = -math.inf, until: float = math.inf
    ) -> Iterator[tuple[float, Any]]:
        """Return an iterator over the (timestamp, data) of a dataset, one record in memory at a time.

        Parameters
        ----------
        since, until
            Only records with ``since <= timestamp < until``, in Unix seconds; the others are not read.

        Raises
        ------
        NotFoundError
            If there is no such dataset.
        """
        times, indices = self._records(name)
        # Sessions of pymanip may have records without a time.
        chosen = ~((times < since) | ((times >= until) & (until < math.inf)))
        return (
            (float(t), self._session.store.dataset_record(name, int(i)))
            for t, i in zip(times[chosen], indices[chosen], strict=True)
        )

    def dataset_times(self, name: str) -> FloatArray:
        """Return the timestamps of a dataset's records in time order, float64 of shape (n,).

        Raises
        ------
        NotFoundError
            If there is no such dataset; the message has the nearest names.
        """
        return self._records(name)[0]

    def _records(self, name: str) -> tuple[FloatArray, NDArray[np.intp]]:
        """Return times and indices of a dataset's records in time order.

        A large record may come into the store after a small one that was stamped later.
        """
        known = self._session.store.datasets()
        if name not in known:
            self._missing("dataset", name, known)
        times = self._session.store.dataset_times(name)
        order = np.argsort(times, kind="stable")
        return times[order], order

    def dataset(self, name: str, ts: float | None = None, n: int | None = None) -> Any:
        """Return a record of a dataset: the last one, that of the exact time `ts`, or the `n`-th.

        Raises
        ------
        NotFoundError
            If there is no such dataset, or no record of that time.
        IndexError
            If there is no `n`-th record.
        """
        times, indices = self._records(name)
        if ts is not None:
            indices = indices[times == ts]
        if ts is not None and not len(indices):
            raise NotFoundError(
                f"dataset {name!r} has no record of the time {ts!r}; dataset_times({name!r}) lists them"
            )
        wanted = -1 if n is None else n
        if not -len(indices) <= wanted < len(indices):
            raise IndexError(f"dataset {name!r} has {len(indices)} records, there is no {wanted}")
        return self._session.store.dataset_record(name, int(indices[wanted]))

    def dataset_last_data(self, name: str) -> tuple[float, Any]:
        """Return the last (timestamp, data) of a dataset."""
        times, indices = self._records(name)
        return float(times[-1]), self._session.store.dataset_record(name, int(indices[-1]))

    # -- parameters, metadata, events, runs -----------------------------------------------------

    def parameter(self, name: str) -> float | int | bool | str | None:
        """Return a parameter's value, None when there is none."""
        found = self._session.store.parameters().get(name)
        return None if found is None else found.value

    def parameters(self) -> dict[str, float | int | bool | str]:
        """Return the values of all parameters."""
        return {name: parameter.value for name, parameter in self.parameter_table().items()}

    def parameter_table(self) -> dict[str, Parameter]:
        """Return all parameters with unit and time of the last change."""
        return {name: p for name, p in self._session.store.parameters().items() if is_public(name)}

    def has_parameter(self, name: str) -> bool:
        """Tell whether there is a parameter of this name."""
        return name in self._session.store.parameters()

    def metadata(self, name: str) -> Any:
        """Return a metadata item, None when there is none."""
        return self._session.store.metadata().get(name)

    def metadatas(self) -> dict[str, Any]:
        """Return all metadata."""
        return {
            name: value for name, value in self._session.store.metadata().items() if is_public(name)
        }

    def has_metadata(self, name: str) -> bool:
        """Tell whether there is a metadata item of this name."""
        return name in self._session.store.metadata()

    def events(self, after: float = -math.inf) -> Events:
        """Return the events later than `after` (Unix seconds), all by default, in time order: a list."""
        return Events(event for event in self._session.store.events() if event.time > after)

    def runs(self) -> Runs:
        """Return all runs of the session, the earliest first: a list."""
        return Runs(self._session.store.runs())

    def sweep_points(self, run: int) -> list[SweepPoint]:
        """Return the points of sweeps that are over in a run, by its number, in the order of time."""
        return self._session.store.sweep_points(run)

    def figures(self) -> list[dict[str, Any]]:
        """Return the descriptions of the figures that were plotted."""
        return list(self._session.store.metadata().get("_figures", []))

    # -- for people -----------------------------------------------------------------------------

    def print_welcome(self) -> None:
        """Print when the session began and when it was last added to."""
        lines = [f"*** Start date: {iso_local(self.initial_timestamp)}"]
        if (last := self.last_timestamp) is not None:
            lines.append(f"***   End date: {iso_local(last)}")
        sys.stdout.write("\n".join(lines) + "\n")

    def print_description(self) -> None:
        """Print the parameters, logged variables, datasets and metadata."""
        last = self.logged_last_values()
        text = frames.to_text(
            f"{self._session.name} is a session of {self.info().program} (format {self.get_version()}).",
            {
                "Parameters": self.parameters(),
                "Logged variables": {name: f"{last[name][1]:g}" for name in sorted(last)},
                "Datasets": {
                    k: f"{i.n} × {i.shape} {i.dtype}" for k, i in self.datasets_info().items()
                },
                "Metadata": self.metadatas(),
            },
        )
        sys.stdout.write(text)

    def __repr__(self) -> str:
        where = self.session_path or "in memory"
        return f"<{type(self).__name__} {self._session.name!r}, {where}>"

    def _missing(self, what: str, name: object, known: Iterable[str]) -> NoReturn:
        names = sorted(filter(is_public, known))
        text = f"{self._session.name} has no {what} {name!r}"
        close = nearest(name, names) if isinstance(name, str) else []
        if close:
            text += f"; did you mean {' or '.join(map(repr, close))}?"
        elif names:
            shown = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
            text += f"; there are {shown}"
        else:
            text += f"; there is no {what} yet"
        raise NotFoundError(text)


class _Source:
    """What a `Series` reads from: a store, by name."""

    __slots__ = ("_store",)

    def __init__(self, store: ReadableStore) -> None:
        self._store = store

    def read_series(self, name: str, window: Window) -> tuple[FloatArray, FloatArray]:
        return self._store.read_series(name, window)

    def variable_info(self, name: str) -> VariableInfo:
        return self._store.variables().get(name) or VariableInfo(name)
