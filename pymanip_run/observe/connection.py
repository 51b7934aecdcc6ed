"""Questions to a server, with the standard library alone, each answered or refused within its time."""

from __future__ import annotations

import errno
import http.client
import io
import json
import socket
import ssl
import threading
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from pymanip_run import access
from pymanip_run.clock import SYSTEM
from pymanip_run.errors import RemoteError
from pymanip_run.runtime.threads import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pymanip_run.access import Address

__all__ = ["Connection", "RefusedError", "UnreachableError"]

BLOCK = 1 << 16
MAX_ANSWER = 1 << 30


class UnreachableError(RemoteError):
    """Nobody answers there."""

    #: "refused", "lost", "timeout", "unknown": how.
    kind = "unknown"


class RefusedError(RemoteError):
    """The server answered, but not with what was asked for."""

    status = 0
    code = ""


class _NotReachedError(TimeoutError):
    """There was not even a connection."""


class _Incoming(io.RawIOBase):
    """What comes over a socket: each piece within what is left of the time for all of it."""

    def __init__(self, socket: _Timed, incoming: io.RawIOBase) -> None:
        self._socket = socket
        self._incoming = incoming

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.limit()
        count: int | None = self._incoming.readinto(buffer)
        return count

    def close(self) -> None:
        self._incoming.close()
        super().close()


class _Timed:
    """A socket, as `http.client` uses it, with a time by which all must be over.

    A plain socket has a time for each piece: a server that drips would be waited for much longer.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.deadline = 0.0

    def limit(self) -> None:
        left = self.deadline - SYSTEM.monotonic()
        if left <= 0:
            raise TimeoutError
        self.sock.settimeout(left)

    def sendall(self, data: Any) -> None:
        self.limit()
        self.sock.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Incoming(self, self.sock.makefile("rb", buffering=0)))

    def close(self) -> None:
        self.sock.close()


class Connection:
    """A server, asked over one connection that is kept while it lasts. For any thread, one after the other.

    Parameters
    ----------
    address
        Where it is, with the token.
    timeout
        Seconds for each question.
    """

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._http: http.client.HTTPConnection | None = None
        self._timed: _Timed | None = None
        self._lock = threading.RLock()

    def __del__(self) -> None:
        # In a notebook nobody closes an observer.
        if getattr(self, "_http", None) is not None:
            self.close()

    @property
    def url(self) -> str:
        """The address of the server."""
        return self._address.url

    def close(self) -> None:
        """Hang up; the next question connects again."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def get(self, path: str, query: Mapping[str, Any] | Sequence[tuple[str, Any]] = ()) -> Any:
        """Return the JSON that answers a question.

        Raises
        ------
        RemoteError
            If there is none within the time.
        """
        return self._decoded(self.raw(path, query))

    def post(self, path: str, content: Mapping[str, Any]) -> Any:
        """Send JSON, and return the JSON that answers."""
        return self._decoded(self._ask("POST", path, json.dumps(content).encode()))

    def raw(self, path: str, query: Mapping[str, Any] | Sequence[tuple[str, Any]] = ()) -> bytes:
        """Return the bytes that answer a question."""
        asked = urlencode(query, doseq=True)
        return self._ask("GET", f"{path}?{asked}" if asked else path, None)

    def _decoded(self, body: bytes) -> Any:
        try:
            return json.loads(body)
        except ValueError as error:
            raise self.no_server() from error

    def _ask(self, method: str, path: str, body: bytes | None) -> bytes:
        with self._lock:
            return self._answer(method, path, body)

    def _answer(self, method: str, path: str, body: bytes | None) -> bytes:
        deadline = SYSTEM.monotonic() + self._timeout
        if method != "GET":
            self.close()  # a post is never sent twice: not over what the server may have closed meanwhile
        is_kept = self._http is not None
        try:
            try:
                status, answer = self._exchange(method, path, body, deadline)
            except (http.client.RemoteDisconnected, ConnectionError, BrokenPipeError):
                # A kept connection may have been closed meanwhile.
                if not is_kept:
                    raise
                self.close()
                status, answer = self._exchange(method, path, body, deadline)
        except (OSError, http.client.HTTPException, ssl.SSLError) as error:
            self.close()
            raise self._unreachable(error) from error
        if status >= 300:
            raise self._refused(status, answer, path)
        return answer

    def _exchange(
        self, method: str, path: str, body: bytes | None, deadline: float
    ) -> tuple[int, bytes]:
        if self._http is None or self._timed is None:
            self._http, self._timed = self._connected(deadline)
        headers = {"Accept": "application/json"}
        if self._address.token:
            headers["Authorization"] = f"Bearer {self._address.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        self._timed.deadline = deadline
        self._http.request(method, path, body, headers)
        response = self._http.getresponse()
        parts: list[bytes] = []
        size = 0
        while True:
            part = response.read1(BLOCK)
            if not part:
                break
            parts.append(part)
            size += len(part)
            if size > MAX_ANSWER:
                raise http.client.HTTPException("the answer does not end")
        if response.length:
            raise ConnectionResetError(errno.ECONNRESET, "the answer was cut off")
        response.read()  # nothing is left: now the connection can be used again
        if response.will_close:
            self.close()
        return response.status, b"".join(parts)

    def _connected(self, deadline: float) -> tuple[http.client.HTTPConnection, _Timed]:
        at = self._address
        seconds = max(0.001, deadline - SYSTEM.monotonic())
        if at.tls:
            context = ssl.create_default_context()
            made: http.client.HTTPConnection = http.client.HTTPSConnection(
                at.host, at.port, timeout=seconds, context=context
            )
        else:
            made = http.client.HTTPConnection(at.host, at.port, timeout=seconds)
        # In a thread: looking a name up takes as long as it likes.
        worker = Worker("observer: connect")
        try:
            worker.submit(made.connect).result(seconds)
        except (FutureTimeoutError, TimeoutError):
            raise _NotReachedError from None
        finally:
            worker.shutdown(wait=False)
        timed = _Timed(made.sock)
        made.sock = timed
        return made, timed

    # -- what went wrong ------------------------------------------------------------------------

    def _unreachable(self, error: BaseException) -> UnreachableError:
        at = self._address
        kind, why, hint = "lost", str(error) or type(error).__name__, "is the run still going on?"
        if isinstance(error, ssl.SSLError):
            kind, why = "unknown", f"no encrypted connection ({error.reason or error})"
            hint = "is its certificate known here (SSL_CERT_FILE=cert.pem), and is it https at all? If not: "
            hint += at._replace(tls=False).url
        elif isinstance(error, ConnectionRefusedError):
            kind, why = "refused", "nobody listens there"
            hint = (
                "is a run going on, and on this port?"
                if access.is_here(at.host)
                else "is a run going on there, and is it shared?  pymanip-run experiment.yaml --share"
            )
        elif isinstance(error, socket.gaierror):
            kind, why, hint = (
                "unknown",
                "this name is not known",
                "is it spelled right? its number works too",
            )
        elif isinstance(error, OSError) and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH):
            kind, why = "unknown", "this computer is not to be reached"
            hint = "is it on, and in this network?"
        elif isinstance(error, TimeoutError):
            kind = "unknown" if isinstance(error, _NotReachedError) else "timeout"
            why = f"no answer within {self._timeout:g} s"
            hint = "is the computer on, and does a firewall let this port through?"
        elif isinstance(error, http.client.HTTPException) and not isinstance(
            error, http.client.RemoteDisconnected
        ):
            return self.no_server()
        elif isinstance(error, OSError) and error.strerror:
            why = error.strerror.lower()
        made = UnreachableError(f"{at.url}: {why}; {hint}")
        made.kind = kind
        return made

    def no_server(self) -> UnreachableError:
        """Return the error that another kind of server answers there."""
        made = UnreachableError(
            f"{self.url}: what answers there is no pymanip-run; is it the right port"
            f"{'' if self._address.tls else ', and is it not https'}?"
        )
        made.kind = "unknown"
        return made

    def _refused(self, status: int, body: bytes, path: str) -> RemoteError:
        error: Any = None
        with suppress(ValueError, TypeError, KeyError):
            error = json.loads(body)["error"]
        if not isinstance(error, dict):
            error = {"code": "", "message": f"it answers {status} to {path}", "hint": ""}
        hint = f"; {error['hint']}" if error.get("hint") else ""
        made = RefusedError(f"{self.url}: {error.get('message', status)}{hint}")
        made.status, made.code = status, str(error.get("code", ""))
        return made
