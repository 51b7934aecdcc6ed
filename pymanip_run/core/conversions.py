"""A session as pandas, xarray and dask objects, as an envelope, and as what a notebook shows."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from pymanip_run.core import chunked, frames, notebook
from pymanip_run.core.decimate import Envelope, decimated
from pymanip_run.errors import UsageError
from pymanip_run.lazily import provided
from pymanip_run.records import Statistics, as_timestamp

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from pymanip_run.core.view import SessionState
    from pymanip_run.records import DatasetInfo, FloatArray, Series, VariableInfo, When

__all__ = ["Conversions", "Drawn"]


class Conversions:
    """What other libraries and notebooks make of a session; a part of `SessionView`."""

    _session: SessionState

    if TYPE_CHECKING:  # what `SessionView` has

        def logged_variable(self, name: str) -> Series: ...  # noqa: D102
        def logged_data(self) -> dict[str, Series]: ...  # noqa: D102
        def _records(self, name: str) -> tuple[FloatArray, NDArray[np.intp]]: ...

    def decimated(
        self, name: str, since: When | None = None, until: When | None = None, points: int = 1000
    ) -> Envelope:
        """Return the minimum and maximum of a variable in at most `points` stretches.

        A long variable is read in parts: the memory needed does not grow with its length.
        """
        self.logged_variable(name)
        known = self._statistics(name)
        low, high = (
            None if w is None else as_timestamp(w, known.last_time) for w in (since, until)
        )
        read = partial(self._session.store.read_series, name)
        return decimated(read, points, low, high, known.expected(low, high))

    def to_dataframe(
        self, *names: str, how: Literal["outer", "ffill"] = "outer", tz: str | None = None
    ) -> pd.DataFrame:
        """Return logged variables (all, or those named) as a pandas DataFrame, one column each.

        Parameters
        ----------
        how
            ``"outer"``: one row for every time, NaN where a variable has no value;
            ``"ffill"``: there its last value before.
        tz
            Time zone of the index, UTC where none is given.

        Raises
        ------
        UsageError
            If pandas is not installed; the message says how to get it.
        """
        with chunked.one_moment(self._session.store):
            return frames.to_dataframe(self._named(names), how, tz)

    def to_xarray(self, *names: str, chunks: int | str | None = None) -> xr.Dataset:
        """Return logged variables, or one dataset, as an xarray Dataset with units in ``attrs``.

        Parameters
        ----------
        names
            Logged variables, all by default; or one dataset, whose records are along ``time``.
        chunks
            None: all is read now, and variables of different times share the dimension ``time``.
            ``"auto"``, or how many values a chunk has: dask arrays that are read when they are computed. The
            variables must have been logged together; their dimension is ``sample``, with the times as its coordinate.

        Raises
        ------
        UsageError
            If a library is not installed, or the variables were not logged together and `chunks` is given.
        """
        if len(names) == 1 and self._is_dataset(names[0]):
            return self._records_as_xarray(names[0], chunks)
        if chunks is None:
            with chunked.one_moment(self._session.store):
                return frames.to_xarray(self._named(names))
        return self._chunked(names or tuple(self.logged_data()), chunks)

    def to_dask(self, name: str, chunks: int | str = "auto") -> tuple[Any, Any]:
        """Return times and data of a variable, or else of a dataset, of which parts are read when they are computed.

        Of a run that goes on, they are those of this moment.

        Parameters
        ----------
        chunks
            How many values, or records, a chunk has; by default some tens of megabytes.

        Returns
        -------
        times, data
            Of a logged variable two dask arrays of shape (n,), float64; of a dataset its times as a numpy
            array of shape (n,), and a dask array of its records of shape ``(n, *shape)``.

        Raises
        ------
        UsageError
            If dask is not installed, or the records of the dataset are not all alike.
        NotFoundError
            If there is neither.
        """
        store = self._session.store
        if self._is_dataset(name):
            times, order = self._records(name)
            return times, chunked.dataset_array(store, store.datasets()[name], order, chunks)
        self.logged_variable(name)
        return chunked.series_arrays(store, name, self._statistics(name), chunks)

    def _chunked(self, names: Iterable[str], chunks: int | str) -> xr.Dataset:
        series = [self.logged_variable(name) for name in dict.fromkeys(names)]
        if not series:
            raise UsageError("there is no logged variable yet")
        known = {one.name: self._statistics(one.name) for one in series}
        chunked.together(known)
        pairs = [
            chunked.series_arrays(self._session.store, name, one, chunks, series[0].name)
            for name, one in known.items()
        ]
        return frames.chunked_dataset(series, pairs)

    def _records_as_xarray(self, name: str, chunks: int | str | None) -> xr.Dataset:
        times, records = self.to_dask(name, chunks or "auto")
        info: DatasetInfo = self._session.store.datasets()[name]
        return frames.records_dataset(info, times, records.compute() if chunks is None else records)

    def _is_dataset(self, name: str) -> bool:
        store = self._session.store
        return name not in store.last_values() and name in store.datasets()

    def _statistics(self, name: str) -> Statistics:
        info: VariableInfo | None = self._session.store.variables().get(name)
        return Statistics() if info is None else info.statistics

    def _named(self, names: Iterable[str]) -> list[Series]:
        return [self.logged_variable(name) for name in names] or list(self.logged_data().values())

    def _repr_html_(self) -> str:
        return notebook.session_html(self)  # type: ignore[arg-type]

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.logged_data())


class Drawn(Conversions):
    """A session that is only looked at; in one that runs, ``plot`` is a task of the run."""

    def plot(
        self,
        *names: str,
        since: When | None = None,
        until: When | None = None,
        points: int = 2000,
        ax: Any = None,
    ) -> Any:
        """Draw logged variables (all, or those named) over local time, long ones as the envelope of their values.

        Parameters
        ----------
        since, until
            A part: Unix seconds, a datetime, ISO 8601 text, or ``"-1h"`` before the last value.
        points
            The most stretches of an envelope.
        ax
            The matplotlib axes to draw on; those of a new figure by default.

        Returns
        -------
        matplotlib.axes.Axes

        Raises
        ------
        UsageError
            If matplotlib is not installed; the message says how to get it.
        """
        series = self._named(names)
        if since is not None:
            series = [one.since(since) for one in series]
        if until is not None:
            series = [one.between(-np.inf, until) for one in series]
        return provided("plot")(series, ax=ax, points=points)
