"""`RemoteObserver`: a running session on another computer, or on this one."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import quote

from pymanip_run import access
from pymanip_run.clock import as_ns
from pymanip_run.core.conversions import Drawn
from pymanip_run.core.view import SessionView
from pymanip_run.errors import PymanipError, RemoteError, UsageError
from pymanip_run.observe.connection import Connection, RefusedError, UnreachableError
from pymanip_run.observe.store import API, RemoteStore, finite_again
from pymanip_run.records import Event

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["RefusedError", "RemoteEntry", "RemoteObserver", "UnreachableError", "token_for"]

POLL_SECONDS = 0.5


class RemoteEntry(NamedTuple):
    """The scalars that were logged under one timestamp."""

    #: Unix seconds.
    t: float
    values: dict[str, float]


class RemoteObserver(Drawn, SessionView):
    """A session that runs elsewhere: reads it, records what it logs, writes notes into it.

    All reads of a session are there, and show its present state.

    Parameters
    ----------
    host
        A name, ``name:port``, or the link that the run printed.
    port
        Where neither a link nor the name says it.
    token
        Lets in. Left out: that of the link, of ``PYMANIP_RUN_TOKEN``, the one kept for this host, or
        that of the same user on the same computer.
    timeout
        Seconds within which each question is answered, or ends in an error.
    tls
        Whether the connection is encrypted; a link says so itself, and it is known of a host whose token
        was kept by ``pymanip-observe``.

    Raises
    ------
    UsageError
        If the host is none.
    RemoteError
        From each call that cannot be answered, with the address and what may help.
    """

    def __init__(
        self,
        host: str,
        port: int = access.DEFAULT_PORT,
        token: str | None = None,
        timeout: float = 10,
        tls: bool = False,
    ) -> None:
        if not timeout > 0:
            raise UsageError(f"timeout needs a number of seconds above 0, not {timeout!r}")
        address = access.parse_address(host, port, tls=tls)
        if "://" not in host and access.is_encrypted(address):
            address = address._replace(tls=True)
        address = address._replace(token=token or address.token or token_for(address))
        self._address = address
        self._timeout = timeout
        self._connection = Connection(address, timeout)
        self._store = RemoteStore(self._connection)
        super().__init__(self._store, address.host)
        self._cursor: str | None = None
        self._names: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up. Each further call connects again."""
        self._connection.close()

    @property
    def url(self) -> str:
        """The address of the server."""
        return self._address.url

    @property
    def address(self) -> access.Address:
        """Where the server is, and what gets in."""
        return self._address

    @property
    def host(self) -> str:
        """The computer that is asked."""
        return self._address.host

    @property
    def port(self) -> int:
        """The port that is asked."""
        return self._address.port

    @property
    def session_name(self) -> str | None:
        """Name of the session; None if it is in memory."""
        found: str | None = self.snapshot()["session"]
        return found

    def snapshot(self) -> dict[str, Any]:
        """Return how the run is doing: state, values, parameters, tasks, sweeps, alarms, events."""
        found: dict[str, Any] = self._store.get("snapshot")
        return found

    def state(self, wait: float = 0.0, after: str | None = None) -> dict[str, Any]:
        """Return whether the run goes on: at its end at once, else after `wait` seconds.

        With a cursor the answer has what came after it, too: of the last moments of a run nothing
        could be asked later.
        """
        # Never so long that the answer would come too late.
        query: dict[str, Any] = {"wait": max(0.0, min(wait, self._timeout / 2))}
        if after is not None:
            query["after"] = after
        found: dict[str, Any] = self._store.get("state", query)
        return found

    def get_last_values(self) -> dict[str, float]:
        """Return the last value of each logged variable."""
        return {name: value for name, (_, value) in self.logged_last_values().items()}

    # -- recording ------------------------------------------------------------------------------

    def start_recording(self) -> None:
        """Begin to record: what is logged from now on is returned by :meth:`stop_recording`."""
        found = self.snapshot()
        self._cursor = found["next"]
        self._names = set(found["values"])

    def stop_recording(
        self, reduce_time: bool = True, force_reduce_time: bool = False
    ) -> dict[str, Any]:
        """Return everything that was logged since :meth:`start_recording`, each value once.

        Parameters
        ----------
        reduce_time
            Whether equal times of all variables are returned as one list ``"time"``.
        force_reduce_time
            Whether the times of the first variable are taken for those of all.

        Returns
        -------
        data : dict
            ``{name: {"t": [...], "value": [...]}}``, or ``{name: [...], "time": [...]}``; besides,
            the parameters under their names where no variable has it, and all under ``"parameters"``.

        Raises
        ------
        UsageError
            If nothing is being recorded.
        RemoteError
            If the server does not answer; the recording goes on, and can be stopped later.
        """
        if self._cursor is None:
            raise UsageError("nothing is being recorded; call start_recording() before")
        data: dict[str, dict[str, list[float]]] = {n: {"t": [], "value": []} for n in self._names}
        cursor, more = self._cursor, True
        while more:
            page = self._store.get("data", {"after": cursor})
            for name in page["series"]:
                times, values = finite_again(page, name)
                kept = data.setdefault(name, {"t": [], "value": []})
                kept["t"] += times
                kept["value"] += values
            cursor, more = page["next"], page["more"]
        parameters = self.parameters()
        self._cursor = None
        return _with_parameters(_reduced(data, reduce_time, force_reduce_time), parameters)

    @contextmanager
    def recording(
        self, reduce_time: bool = True, force_reduce_time: bool = False
    ) -> Iterator[dict[str, Any]]:
        """Record within the context; the dict is filled when it is left."""
        data: dict[str, Any] = {}
        self.start_recording()
        try:
            yield data
        except BaseException:
            with suppress(RemoteError):  # what ended the context is said, and nothing in its place
                data.update(self.stop_recording(reduce_time, force_reduce_time))
            raise
        data.update(self.stop_recording(reduce_time, force_reduce_time))

    def follow(self, poll: float = POLL_SECONDS) -> Iterator[RemoteEntry]:
        """Return an iterator of the entries that are logged from now on, until the run ends.

        Parameters
        ----------
        poll
            Seconds between two questions.

        Raises
        ------
        RemoteError
            If the server does not answer, or not any more.
        """
        return self._followed(self.snapshot()["next"], poll)

    def _followed(self, cursor: str, poll: float) -> Iterator[RemoteEntry]:
        while True:
            page = how = self.state(poll, cursor)
            yield from entries_of(page)
            while page["more"]:
                page = self._store.get("data", {"after": page["next"]})
                yield from entries_of(page)
            if how["state"] == "finished":
                return
            cursor = page["next"]

    def page_after(self, cursor: str) -> tuple[list[RemoteEntry], str, bool]:
        """Return the entries after a cursor, the next cursor, and whether there are more already."""
        page = self._store.get("data", {"after": cursor})
        return list(entries_of(page)), page["next"], page["more"]

    # -- control --------------------------------------------------------------------------------

    def note(self, text: str, source: str | None = None) -> Event:
        """Write a remark into the session, and return the event."""
        content = {"text": text} | ({"source": source} if source else {})
        return _event(self._connection.post(f"{API}/notes", content))

    def set_parameter(self, name: str, value: float | bool | str) -> Event | None:
        """Change a tunable parameter; needs the control token. None where it had the value already."""
        made = self._connection.post(f"{API}/parameters/{quote(name, safe='')}", {"value": value})
        return None if made["event"] is None else _event(made)

    def stop(self, reason: str | None = None) -> Event:
        """Ask the run to end; needs the control token."""
        return _event(self._connection.post(f"{API}/stop", {"reason": reason} if reason else {}))

    def __repr__(self) -> str:
        return f"<RemoteObserver {self.url}>"


def token_for(address: access.Address) -> str | None:
    """Return the token that this user has for a server: of the environment, kept, or their own."""
    given = os.environ.get("PYMANIP_RUN_TOKEN")
    if given:
        return given
    try:
        kept = access.kept_token(address)
        if kept is not None or not access.is_here(address.host):
            return kept
        return access.read_token(access.token_path())
    except (OSError, RuntimeError, PymanipError):
        return None


def entries_of(page: dict[str, Any]) -> Iterator[RemoteEntry]:
    """Yield what was logged under each timestamp, in time order."""
    found: dict[float, dict[str, float]] = {}
    for name in page["series"]:
        for time, value in zip(*finite_again(page, name), strict=True):
            found.setdefault(time, {})[name] = value
    for time in sorted(found):
        yield RemoteEntry(time, found[time])


def _event(made: dict[str, Any]) -> Event:
    one = made["event"]
    return Event(as_ns(one["t"]), one["kind"], one["source"], one["text"])


def _reduced(
    data: dict[str, dict[str, list[float]]], reduce_time: bool, force: bool
) -> dict[str, Any]:
    filled = [one["t"] for one in data.values() if one["t"]]
    times = filled[0] if filled else []
    is_equal = all(other == times for other in filled)
    if not reduce_time or "time" in data or not (is_equal or force):
        return dict(data)
    return {name: one["value"] for name, one in data.items()} | {"time": times}


def _with_parameters(data: dict[str, Any], parameters: dict[str, Any]) -> dict[str, Any]:
    more = {name: value for name, value in parameters.items() if name not in data}
    return {**data, **more, "parameters": parameters}
