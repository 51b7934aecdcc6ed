"""Listening sockets, before anything else of a run is there. Without aiohttp."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pymanip_run.access import DEFAULT_PORT
from pymanip_run.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Listening", "PortTakenError", "listen"]

BACKLOG = 128
#: Ports that are tried after the default one.
TRIED = 100
EVERYWHERE = ("", "0.0.0.0", "::", "*")  # noqa: S104 - recognised, not bound
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class PortTakenError(UsageError):
    """The port that was asked for cannot be had."""


@dataclass(frozen=True)
class Listening:
    """Sockets that listen."""

    sockets: tuple[socket.socket, ...]
    port: int
    #: Whether other computers reach them.
    shared: bool
    #: Whether it is not the port that was asked for.
    moved: bool = False
    #: The one address that was asked for, by number or name; None: this computer alone, or all.
    at: str | None = None

    def close(self) -> None:
        """Close them."""
        for one in self.sockets:
            one.close()


def listen(host: str = "127.0.0.1", port: int | None = None) -> Listening:
    """Open a port on this computer (127.0.0.1 and ::1), on one address, or on all.

    Parameters
    ----------
    host
        ``127.0.0.1``, an address of this computer, or ``0.0.0.0`` for all.
    port
        0: any free one. None: the default one, or the next that is free.

    Raises
    ------
    PortTakenError
        If the port, or the address, cannot be had.
    """
    addresses = _addresses(host)
    shared = host not in LOOPBACK
    at = None if host in (*LOOPBACK, *EVERYWHERE) else host
    if port is not None:
        sockets = _open(addresses, port)
        return Listening(sockets, sockets[0].getsockname()[1], shared, at=at)
    for candidate in range(DEFAULT_PORT, DEFAULT_PORT + TRIED):
        try:
            sockets = _open(addresses, candidate)
        except PortTakenError as error:
            if (
                not isinstance(error.__cause__, OSError)
                or error.__cause__.errno != errno.EADDRINUSE
            ):
                raise
            continue
        return Listening(sockets, candidate, shared, candidate != DEFAULT_PORT, at)
    raise PortTakenError(
        f"none of the ports {DEFAULT_PORT} to {DEFAULT_PORT + TRIED - 1} is free; choose another one"
    )


def _addresses(host: str) -> Sequence[tuple[socket.AddressFamily, str]]:
    if host in LOOPBACK:
        return (socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")
    if host in EVERYWHERE:
        return (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")  # noqa: S104 - asked for
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise PortTakenError(f"the address {host!r} is not known: {error.strerror}") from error
    return [(family, str(address[0])) for family, _, _, _, address in found]


def _open(
    addresses: Sequence[tuple[socket.AddressFamily, str]], port: int
) -> tuple[socket.socket, ...]:
    sockets: list[socket.socket] = []
    try:
        for family, address in addresses:
            chosen = sockets[0].getsockname()[1] if sockets and port == 0 else port
            try:
                sockets.append(_one(family, address, chosen))
            except OSError as error:
                # A computer without IPv6, or without one of its addresses, is served by the rest.
                if error.errno in (errno.EADDRINUSE, errno.EACCES) or not sockets:
                    raise
    except OSError as error:
        for one in sockets:
            one.close()
        raise PortTakenError(_refusal(port, error)) from error
    return tuple(sockets)


def _one(family: socket.AddressFamily, address: str, port: int) -> socket.socket:
    one = socket.socket(family, socket.SOCK_STREAM)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        one.bind((address, port))
        one.listen(BACKLOG)
        one.setblocking(False)
    except OSError:
        one.close()
        raise
    return one


def _refusal(port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} is taken by another program; choose another one, "
            "or none: then the next free one is taken"
        )
    if error.errno == errno.EACCES:
        return f"port {port} is reserved for the system; choose one above 1023"
    return f"port {port} cannot be opened: {error.strerror}"
