"""Accepting connections, as many as are good for the run, and ending those that only hold on.

A connection counts from the moment it is accepted until its descriptor is closed: also while it
shakes hands, says nothing, or does not take its answer.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections import Counter
from typing import TYPE_CHECKING, Any

from pymanip_run.web.guard import address_group

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable, Coroutine, Sequence

__all__ = ["Gate"]

logger = logging.getLogger(__name__)

CONNECTIONS = 256
PER_ADDRESS = 64
#: Seconds for the first request's head, and for a handshake.
HEAD_SECONDS = 10.0
#: Seconds in which a client takes nothing of its answer.
STUCK_SECONDS = 30.0
#: Bytes of answers that wait for all clients together.
WAITING_BYTES = 128 << 20
SWEEP_SECONDS = 1.0
#: Refused clients that are still told so.
REFUSING = 32
#: Seconds that it may take.
REFUSING_SECONDS = 1.0
REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nX-Content-Type-Options: nosniff\r\nContent-Length: %d\r\n\r\n%s"
)
REFUSAL_BODY = (
    b'{"error":{"code":"too_many_connections","message":"this server has as many connections as it takes",'
    b'"hint":"close other pages of the dashboard, or try again in a few seconds"}}'
)
NO_DESCRIPTORS = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}


class _Connection:
    """One client."""

    __slots__ = ("address", "buffered", "served", "since", "sock", "stuck", "transport")

    def __init__(self, sock: socket.socket, address: str, now: float) -> None:
        self.sock = sock
        self.address = address
        self.since = now
        self.transport: asyncio.Transport | None = None
        #: Whether a whole request has come.
        self.served = False
        self.buffered = 0
        self.stuck = now

    @property
    def is_open(self) -> bool:
        return self.sock.fileno() >= 0

    def is_hanging(self, now: float) -> bool:
        """Tell whether it holds on without doing anything."""
        if not self.served:
            return now - self.since > HEAD_SECONDS
        if self.transport is None:
            return False
        waiting = self.transport.get_write_buffer_size()
        if waiting == 0 or waiting != self.buffered:
            self.buffered, self.stuck = waiting, now
        return now - self.stuck > (HEAD_SECONDS if self.transport.is_closing() else STUCK_SECONDS)

    def abort(self) -> None:
        # A transport that has written its last and closed cannot be aborted any more: it raises.
        if self.transport is not None and self.is_open:
            self.transport.abort()


class _Refuser(asyncio.Protocol):
    """Says 503 over an encrypted connection."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - of a socket
        transport.write(REFUSAL % (len(REFUSAL_BODY), REFUSAL_BODY))
        transport.close()

    def connection_lost(self, _: Exception | None) -> None:
        self.over.set()


class Gate:
    """Accepts connections on listening sockets.

    Parameters
    ----------
    listeners
        The sockets.
    protocol
        Makes what serves a connection.
    tls
        For encrypted connections.
    """

    def __init__(
        self,
        listeners: Sequence[socket.socket],
        protocol: Callable[[], asyncio.BaseProtocol],
        tls: ssl.SSLContext | None,
    ) -> None:
        self._listeners = listeners
        self._protocol = protocol
        self._tls = tls
        self._connections: list[_Connection] = []
        self._by_transport: dict[object, _Connection] = {}
        self._refusing = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return sum(connection.is_open for connection in self._connections)

    def start(self) -> None:
        """Begin to accept."""
        for listener in self._listeners:
            self._spawn(self._accept(listener))
        self._spawn(self._sweep_for_ever())

    async def close(self) -> None:
        """Accept no more, and end all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listener in self._listeners:
            listener.close()
        for connection in self._connections:
            connection.abort()

    def served(self, transport: object) -> None:
        """Take note that a whole request has come."""
        connection = self._by_transport.get(transport)
        if connection is not None:
            connection.served = True

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, address = await self._loop.sock_accept(listener)
            except OSError as error:
                if error.errno not in NO_DESCRIPTORS:
                    logger.debug("a connection could not be accepted: %s", error)
                await asyncio.sleep(0.2)  # until some are closed
                continue
            group = address_group(str(address[0]))
            if self._is_full(group):
                self._refuse(sock)
                continue
            connection = _Connection(sock, group, self._loop.time())
            self._connections.append(connection)
            self._spawn(self._serve(connection))

    async def _serve(self, connection: _Connection) -> None:
        seconds = {"ssl_handshake_timeout": HEAD_SECONDS} if self._tls else {}
        try:
            transport, _ = await self._loop.connect_accepted_socket(
                self._protocol, connection.sock, ssl=self._tls, **seconds
            )
        except (OSError, ConnectionError, TimeoutError) as error:
            logger.debug("a connection came to nothing: %s", error)
            connection.sock.close()
            return
        connection.transport = transport
        self._by_transport[transport] = connection

    # -- limits ---------------------------------------------------------------------------------

    def _is_full(self, group: str) -> bool:
        if len(self._connections) < min(PER_ADDRESS, CONNECTIONS):
            return False
        self._forget_closed()
        counts = Counter(connection.address for connection in self._connections)
        return len(self._connections) >= CONNECTIONS or counts[group] >= PER_ADDRESS

    def _refuse(self, sock: socket.socket) -> None:
        """Say 503 and close; a client that is still sending would not hear it otherwise."""
        if self._refusing >= REFUSING:
            sock.close()
            return
        self._refusing += 1
        self._spawn(self._tell_refusal(sock) if self._tls is None else self._tell_encrypted(sock))

    async def _tell_refusal(self, sock: socket.socket) -> None:
        try:
            async with asyncio.timeout(REFUSING_SECONDS):
                await self._loop.sock_sendall(sock, REFUSAL % (len(REFUSAL_BODY), REFUSAL_BODY))
                sock.shutdown(1)  # SHUT_WR
                for _ in range(16):
                    if not await self._loop.sock_recv(sock, 1 << 16):
                        break
        except (OSError, TimeoutError) as error:
            logger.debug("a refused client has gone: %s", error)
        finally:
            self._refusing -= 1
            sock.close()

    async def _tell_encrypted(self, sock: socket.socket) -> None:
        refuser = _Refuser()
        try:
            async with asyncio.timeout(2 * REFUSING_SECONDS):
                await self._loop.connect_accepted_socket(
                    lambda: refuser, sock, ssl=self._tls,
                    ssl_handshake_timeout=REFUSING_SECONDS, ssl_shutdown_timeout=REFUSING_SECONDS,
                )  # fmt: skip
                await refuser.over.wait()
        except (OSError, TimeoutError) as error:
            logger.debug("a refused client has gone: %s", error)
        finally:
            self._refusing -= 1
            sock.close()

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._forget_closed()
            now = self._loop.time()
            for connection in [c for c in self._connections if c.is_hanging(now)]:
                connection.abort()
            self._relieve()

    def _relieve(self) -> None:
        """End the connections with the largest backlog while the answers take too much memory."""
        waiting = {c: c.transport.get_write_buffer_size() for c in self._connections if c.transport}
        total = sum(waiting.values())
        for connection in sorted(waiting, key=lambda c: waiting[c], reverse=True):
            if total <= WAITING_BYTES:
                return
            total -= waiting[connection]
            connection.abort()

    def _forget_closed(self) -> None:
        for connection in self._connections:
            if not connection.is_open:
                self._by_transport.pop(connection.transport, None)
        self._connections = [c for c in self._connections if c.is_open]
