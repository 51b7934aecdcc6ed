"""`Sessions`: many session files as one table."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

import pymanip_run
from pymanip_run.errors import NotFoundError, StorageError, UsageError, did_you_mean
from pymanip_run.session.collection import joined, table
from pymanip_run.session.collection.conditions import condition, is_met
from pymanip_run.session.collection.finding import Place, cards, natural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path
    from typing import Self

    import pandas as pd
    import xarray as xr

    from pymanip_run.session.collection.card import SessionCard
    from pymanip_run.session.saved import SavedAsyncSession

__all__ = ["Sessions"]

Statistic: TypeAlias = Literal["last", "first", "min", "max", "mean", "n"]


class Sessions:
    """Session files as one table, with the parameters and results of each.

    It is a sequence of `SavedAsyncSession`, in the natural order of their names: ``run_2`` comes before ``run_10``. What
    is known of the files is kept beside them in ``.pymanip-run-sessions.json``, which is renewed where it is stale and
    can be removed at any time.

    Parameters
    ----------
    places
        A folder, a pattern such as ``"data/*.h5"`` (``**`` for folders at any depth), a session file, or several of these.
    progress
        Is called with the share of the files that are read, 0 to 1.

    Raises
    ------
    FileNotFoundError
        If a folder or a file does not exist. A pattern may match nothing.
    """

    def __init__(
        self,
        places: Place | Iterable[Place] = ".",
        *,
        progress: Callable[[float], object] | None = None,
    ) -> None:
        several = not isinstance(places, (str, os.PathLike))
        self._places: list[Place] = [*places] if several else [places]  # type: ignore[list-item, misc]
        self._progress = progress
        found = cards(self._places, pymanip_run.__version__, progress)
        self._cards = [card for card in found if card.problem is None]
        self._damaged = {card.path: str(card.problem) for card in found if card.problem is not None}

    # -- the table ------------------------------------------------------------------------------

    @property
    def cards(self) -> Sequence[SessionCard]:
        """What the table knows of each session, without opening its file."""
        return tuple(self._cards)

    @property
    def names(self) -> list[str]:
        """The names of the sessions."""
        return [card.name for card in self._cards]

    @property
    def paths(self) -> list[Path]:
        """The session files."""
        return [card.path for card in self._cards]

    @property
    def unreadable(self) -> dict[Path, str]:
        """The files that cannot be read as sessions, each with the reason."""
        return dict(self._damaged)

    def column(self, name: str) -> list[Any]:
        """Return of each session a parameter, metadata item, last value of a variable, or fact, looked up in this order.

        None where a session does not have it. Facts are ``name``, ``title``, ``created``, ``start``, ``stop``,
        ``duration``, ``runs``, ``exit_code``, ``exit_reason``, ``host`` and ``user``; times are Unix seconds.

        Raises
        ------
        NotFoundError
            If no session has it; the message offers the nearest names.
        """
        self._check(name)
        return [card.get(name) for card in self._cards]

    def where(self, *conditions: str, **wanted: Any) -> Self:
        """Return the sessions that meet all conditions.

        Parameters
        ----------
        conditions
            Texts: a name as in :meth:`column`, one of ``= != < <= > >=``, and a value: ``"voltage > 3"``,
            ``"operator = Ann"``, ``"start >= 2026-11-01"``.
        wanted
            Values that are to be equal, ``voltage=3``, or functions of a value,
            ``voltage=lambda v: 3 < v < 5``.

        Raises
        ------
        NotFoundError
            If no session has the name; the message offers the nearest.
        UsageError
            If a text is no condition.
        """
        checks = [*map(condition, conditions)]
        checks += [(name, partial(is_met, value)) for name, value in wanted.items()]
        for name, _ in checks:
            self._check(name)
        return self._with(
            card
            for card in self._cards
            if all((v := card.get(name)) is not None and meets(v) for name, meets in checks)
        )

    def sorted(self, by: str, *, reverse: bool = False) -> Self:
        """Return the sessions in the order of a column; those that do not have it come last.

        Raises
        ------
        NotFoundError
            If no session has it.
        """
        self._check(by)
        having = [card for card in self._cards if card.get(by) is not None]
        others = [card for card in self._cards if card.get(by) is None]
        having.sort(key=lambda card: _ordered(card.get(by)), reverse=reverse)
        return self._with([*having, *others])

    def refresh(self) -> Self:
        """Look at the files again, and return a new table of them all."""
        return type(self)(self._places, progress=self._progress)

    # -- a sequence -----------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._cards)

    def __iter__(self) -> Iterator[SavedAsyncSession]:
        return map(_opened, self._cards)

    def __contains__(self, name: object) -> bool:
        return any(card.name == name for card in self._cards)

    @overload
    def __getitem__(self, key: slice) -> Self: ...
    @overload
    def __getitem__(self, key: int | str) -> SavedAsyncSession: ...

    def __getitem__(self, key: int | str | slice) -> SavedAsyncSession | Self:
        if isinstance(key, slice):
            return self._with(self._cards[key])
        if isinstance(key, str):
            return _opened(self._named(key))
        try:
            return _opened(self._cards[key])
        except IndexError:
            raise IndexError(f"there are {len(self)} sessions, and no number {key}") from None

    def _named(self, name: str) -> SessionCard:
        stem = name.removesuffix(".h5")
        found = [card for card in self._cards if stem == card.name]
        if len(found) == 1:
            return found[0]
        if not found:
            raise NotFoundError(f"there is no session {name!r}{did_you_mean(name, self.names)}")
        places = ", ".join(str(card.path) for card in found)
        raise NotFoundError(
            f"several sessions are called {name!r}: {places}; take one by its number"
        )

    def _ipython_key_completions_(self) -> list[str]:
        return self.names

    # -- conversions ----------------------------------------------------------------------------

    def to_dataframe(self, *names: str, statistic: Statistic = "last") -> pd.DataFrame:
        """Return the table as a pandas DataFrame, one row a session.

        Parameters
        ----------
        names
            The columns, as in :meth:`column`; by default start, duration and exit code, all parameters, and all variables.
        statistic
            Of a variable: its ``"last"``, ``"first"``, ``"min"``, ``"max"`` or ``"mean"`` value, or their number ``"n"``.

        Raises
        ------
        NotFoundError
            If no session has a name.
        UsageError
            If pandas is not installed; the message says how to get it.
        """
        for name in names:
            self._check(name)
        return table.to_dataframe(self._cards, names, statistic)

    def to_dask(self, name: str, chunks: int | str = "auto") -> tuple[Any, Any]:
        """Return times and values of a logged variable in all sessions that have it, one session after the other.

        Returns
        -------
        times, values
            Two dask arrays of shape (n,), float64, read in parts when they are computed.

        Raises
        ------
        NotFoundError
            If no session has the variable.
        UsageError
            If dask is not installed.
        """
        return joined.to_dask(self._having([name]), name, chunks)

    def to_xarray(self, *names: str, chunks: int | str = "auto") -> xr.Dataset:
        """Return variables that were logged together, in all sessions that have them, as one xarray Dataset.

        Its dimension is ``sample``; coordinates are ``time``, and ``session``, the number of the session in the
        attribute ``sessions``. The arrays are dask's, read in parts when they are computed.

        Raises
        ------
        NotFoundError
            If no session has all the variables.
        UsageError
            If a library is not installed, or the variables were not logged together.
        """
        return joined.to_xarray(self._having(names), names, chunks)

    def _having(self, names: Sequence[str]) -> list[SavedAsyncSession]:
        if not names:
            raise UsageError("name the variables, for example to_xarray('T_top', 'T_bottom')")
        for name in names:
            if not any(name in card.results for card in self._cards):
                known = {n for card in self._cards for n in card.results}
                raise NotFoundError(
                    f"no session has a logged variable {name!r}{did_you_mean(name, known)}"
                )
        found = [c for c in self._cards if all(name in c.results for name in names)]
        if not found:
            raise NotFoundError(f"no session has all of {', '.join(map(repr, names))}")
        return [_opened(card) for card in found]

    # -- for people -----------------------------------------------------------------------------

    def __repr__(self) -> str:
        places = ", ".join(map(str, self._places[:3])) + (", …" if len(self._places) > 3 else "")
        bad = f", {len(self._damaged)} unreadable" if self._damaged else ""
        return f"<Sessions {places}: {len(self)}{bad}>"

    def _repr_html_(self) -> str:
        return table.to_html(self._cards, self._damaged)

    # -- inside ---------------------------------------------------------------------------------

    def _with(self, chosen: Iterable[SessionCard]) -> Self:
        other = type(self).__new__(type(self))
        other.__dict__.update(self.__dict__, _cards=list(chosen))
        return other

    def _check(self, name: str) -> None:
        if not self._cards or any(card.has(name) for card in self._cards):
            return
        known = {n for card in self._cards for n in card.names()}
        raise NotFoundError(f"no session has {name!r}{did_you_mean(name, known)}")


def _opened(card: SessionCard) -> SavedAsyncSession:
    from pymanip_run.session.saved import SavedAsyncSession  # noqa: PLC0415 - brings HDF5

    try:
        return SavedAsyncSession(card.path, verbose=False)
    except FileNotFoundError:
        raise StorageError(f"{card.path} is gone; refresh() looks at the files again") from None


def _ordered(value: Any) -> tuple[int, Any]:
    """Return a key for values of any kind: numbers before texts before the rest."""
    if isinstance(value, (bool, int, float)):
        return 0, value
    return 1, natural(str(value))
