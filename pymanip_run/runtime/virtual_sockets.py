"""The sockets of an event loop that are owed an answer.

A dry run may talk to a simulated instrument over a real socket. Its answer takes real time, and
virtual time must wait for it. That a socket is registered for reading says nothing: a server waits
for ever. A *connected* socket that was *written to since it was last readable* is owed an answer.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary, WeakSet, ref

from pymanip_run.runtime.virtual_jobs import Job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Sockets"]

#: Local and remote address; what tells a socket's peer.
_Ends = tuple[Any, Any]
_WRITES = ("write", "writelines", "sendto")


class _Link(Job):
    """A connected socket of this loop."""

    __slots__ = ("_socket", "_transport", "_waiter", "answered")

    def __init__(self, sock: Any, transport: asyncio.BaseTransport | None = None) -> None:
        super().__init__("answer", f"answer from {_shown(_ends(sock)[1])}")
        self._socket = ref(sock)
        self._transport = None if transport is None else ref(transport)
        self.answered = False
        self._waiter: object = None

    def readable(self) -> None:
        """Note that there is something to read."""
        reader = _stream_of(self._transport() if self._transport is not None else None)
        self._waiter = getattr(reader, "_waiter", None)
        self.answered = True
        self.given_up = False  # it does answer
        self.since = None

    @property
    def ends(self) -> _Ends:
        sock = self._socket()
        return _ends(sock) if sock is not None else (None, None)

    def is_of(self, sock: Any) -> bool:
        return self._socket() is sock

    @property
    def is_gone(self) -> bool:
        sock = self._socket()
        transport = self._transport() if self._transport is not None else None
        if sock is None or sock.fileno() < 0 or (self._transport is not None and transport is None):
            return True
        return transport is not None and transport.is_closing()

    def is_awaited(self, is_read: Callable[[int], bool]) -> bool:
        """Return whether somebody waits for the answer, or for the rest of one."""
        transport = self._transport() if self._transport is not None else None
        reader = _stream_of(transport)
        if reader is None:
            if self.answered:
                return _is_partly_read(transport)
            sock = self._socket()
            return sock is not None and is_read(sock.fileno())
        waiter = getattr(reader, "_waiter", None)
        if waiter is None:
            return False
        # What came was none for the reader, as what TLS has to say for itself; or not all of it: a
        # reader that waits although it has something waits for the rest of a line or a block.
        incomplete = waiter is self._waiter or bool(getattr(reader, "_buffer", b""))
        return not self.answered or incomplete


class Sockets:
    """Knows which sockets of a loop are owed an answer.

    Parameters
    ----------
    is_read
        Whether a descriptor is registered for reading.
    """

    def __init__(self, is_read: Callable[[int], bool]) -> None:
        self._is_read = is_read
        self._links: dict[int, _Link] = {}
        self._asked: set[int] = set()
        #: Sockets that others connected to, by their ends.
        self._accepted: dict[_Ends, WeakSet[Any]] = {}
        self._raw_accepted: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()

    def __len__(self) -> int:
        return len(self._asked)

    def accepted(self, sock: Any, holder: Any = None) -> None:
        """Note a socket that somebody connected to; `holder` lives as long as it is open."""
        holders = self._accepted.setdefault(_ends(sock), WeakSet())
        holders.add(sock if holder is None else holder)
        if holder is None:
            self._raw_accepted[sock] = True
        if len(self._accepted) > 100:
            self._accepted = {ends: held for ends, held in self._accepted.items() if len(held)}

    def connected(self, sock: Any, transport: asyncio.BaseTransport) -> None:
        """Note the transport of a connected socket; from now on it tells when it is written to."""
        fd = sock.fileno()
        self._links[fd] = _Link(sock, transport)
        self._asked.discard(fd)
        for name in _WRITES:
            if hasattr(type(transport), name):
                setattr(transport, name, self._noting(ref(transport), name, fd))

    def seen(self, sock: Any) -> None:
        """Note a socket without a transport that is read from or written to."""
        link = self._links.get(sock.fileno())
        if link is None or link.is_gone or not link.is_of(sock):
            self._links[sock.fileno()] = _Link(sock)

    def written(self, sock: Any) -> None:
        """Note that a socket without a transport was written to."""
        if not self._raw_accepted.get(sock):
            self.seen(sock)
            self._ask(sock.fileno())

    def readable(self, fd: int) -> None:
        """Note that a descriptor can be read from."""
        link = self._links.get(fd)
        if link is not None:
            link.readable()

    def pending(self) -> Iterator[Job]:
        """Return those that are owed an answer that somebody waits for."""
        for fd in tuple(self._asked):
            link = self._links[fd]
            if link.is_gone:
                self._asked.discard(fd)
                del self._links[fd]
            elif not link.given_up and link.is_awaited(self._is_read) and not self._is_here(link):
                yield link
            elif link.answered:
                link.since = None

    def _ask(self, fd: int) -> None:
        link = self._links.get(fd)
        if link is not None:
            link.answered = False
            link.since = None
            self._asked.add(fd)

    def _noting(
        self, transport: ref[asyncio.BaseTransport], name: str, fd: int
    ) -> Callable[..., Any]:
        def write(*args: Any, **kwargs: Any) -> Any:
            present = transport()
            self._ask(fd)
            return getattr(type(present), name)(present, *args, **kwargs)

        return write

    def _is_here(self, link: _Link) -> bool:
        """Return whether the peer of a socket is in this loop."""
        local, remote = link.ends
        if self._accepted.get((remote, local)):
            return True
        # Those that nobody connected to: pairs, and datagrams.
        return any(
            other is not link
            and not other.is_gone
            and (other.ends == (remote, local) or (other.ends[0] == remote and remote))
            for other in tuple(self._links.values())
        )


def _stream_of(transport: asyncio.BaseTransport | None) -> Any:
    """Return the stream reader behind a transport, also behind TLS; None for other protocols."""
    protocol: Any = transport.get_protocol() if transport is not None else None
    protocol = getattr(protocol, "_app_protocol", None) or protocol
    if isinstance(protocol, asyncio.StreamReaderProtocol):
        return getattr(protocol, "_stream_reader", None)
    return None


def _is_partly_read(transport: asyncio.BaseTransport | None) -> bool:
    """Return whether somebody waits for the rest of an answer to an HTTP request of aiohttp.

    Its head comes first, and often by itself; what follows is owed as well. After an upgrade (a web
    socket) nothing is owed any more.
    """
    protocol: Any = transport.get_protocol() if transport is not None else None
    protocol = getattr(protocol, "_app_protocol", None) or protocol
    body = getattr(protocol, "_payload", None)
    return getattr(body, "_waiter", None) is not None and not getattr(protocol, "_upgraded", False)


def _ends(sock: Any) -> _Ends:
    return _address(sock.getsockname), _address(sock.getpeername)


def _address(ask: Callable[[], Any]) -> Any:
    try:
        address = ask()
    except OSError:  # not connected any more
        return None
    return address[:2] if isinstance(address, tuple) else address


def _shown(address: Any) -> str:
    if isinstance(address, tuple):
        return f"{address[0]}:{address[1]}"
    if isinstance(address, bytes):
        return address.decode(errors="replace")
    return str(address) if address else "the other end of a socket pair"
