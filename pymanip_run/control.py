"""A run that listens to other processes of its user: what ``status``, ``note`` and ``stop`` talk to.

A Unix domain socket, only for its owner. One JSON object a line and an answer to each::

    {"command": "note", "text": "refilled nitrogen"}
    {"ok": true, "time": 1763820000.0}

A thread of its own serves it: neither the event loop nor its clock know of it, and whatever
happens to it, the run goes on.
"""

from __future__ import annotations

import json
import logging
import os
import selectors
import signal
import socket
import struct
import threading
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pymanip_run.errors import RemoteError
from pymanip_run.wording import STOP_REASON

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Self

__all__ = ["STOP_REASON", "Control", "Conversation", "Registered", "listening", "socket_places"]

logger = logging.getLogger(__name__)

#: Of sun_path, see unix(7), with the final NUL.
MAX_ADDRESS = 108
MAX_LINE = 64 * 1024
MAX_ANSWER = 16 * 1024 * 1024
MAX_CLIENTS = 16
#: Seconds that one client may keep the others waiting by not reading.
SEND_SECONDS = 1.0
ANSWER_SECONDS = 5.0
CLOSE_SECONDS = 0.1
CREDENTIALS = struct.Struct("3i")  # struct ucred: pid, uid, gid
TERMINAL_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

if TYPE_CHECKING:
    #: What is done for each command: gets the request, returns what the answer holds.
    Handlers = Mapping[str, Callable[[Mapping[str, Any]], Mapping[str, Any]]]


class Registered(Protocol):
    """Where the address of a run is noted."""

    @property
    def path(self) -> Path | None:
        """Its file, None where it has none."""
        ...

    def update(self, **changes: Any) -> None:
        """Set fields of the run."""
        ...


def socket_places(registered: Path) -> list[Path]:
    """Return where the socket of a run may be: beside its file, or where no file system refuses sockets."""
    name = f"{registered.stem}.sock"
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    others = [Path(runtime) / "pymanip-run" / name] if Path(runtime).is_absolute() else []
    return [registered.with_name(name), *others]


@contextmanager
def listening(registered: Registered, handlers: Handlers) -> Iterator[None]:
    """Serve other processes within the context, as far as that can be had, and say where in the registry."""
    control = None
    if registered.path is not None:
        for place in socket_places(registered.path):
            try:
                control = Control(place, handlers)
            except OSError as error:
                logger.debug("%s cannot be listened on: %s", place, error)
                continue
            registered.update(control=str(place))
            break
    try:
        yield
    finally:
        if control is not None:
            control.close()


class Control:
    """Listens on a socket and answers, in a thread of its own, until it is closed.

    Parameters
    ----------
    path
        Of the socket; its folder is made, for the user alone, where it is missing.
    handlers
        What is done for each command, in this thread.

    Raises
    ------
    OSError
        If there can be no socket.
    """

    def __init__(self, path: Path, handlers: Handlers) -> None:
        self._path = path
        self._handlers = handlers
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._listener = _bound(path)
        self._awake, self._wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._thread = threading.Thread(target=self._work, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Listen no more, and remove the socket. Hardly waits, whatever a client does."""
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
        with suppress(OSError):
            os.write(self._wake, b"x")
        self._thread.join(CLOSE_SECONDS)
        if not self._thread.is_alive():
            os.close(self._wake)

    # -- the thread -----------------------------------------------------------------------------

    def _work(self) -> None:
        # A signal must end what the main thread waits for; here it would end nothing.
        signal.pthread_sigmask(signal.SIG_BLOCK, TERMINAL_SIGNALS)
        try:
            with selectors.DefaultSelector() as selector:
                self._serve(selector)
        except Exception:
            logger.exception("the run cannot be controlled by other processes any more")
        finally:
            self._listener.close()
            os.close(self._awake)

    def _serve(self, selector: selectors.BaseSelector) -> None:
        clients: set[_Client] = set()
        selector.register(self._listener, selectors.EVENT_READ, None)
        selector.register(self._awake, selectors.EVENT_READ, None)
        try:
            while True:
                for key, _ in selector.select():
                    if key.fd == self._awake:
                        return
                    if key.data is None:
                        self._accept(selector, clients)
                    elif not key.data.attend(self._answer):
                        selector.unregister(key.fileobj)
                        clients.discard(key.data)
                        key.data.close()
        finally:
            for client in clients:
                client.close()

    def _accept(self, selector: selectors.BaseSelector, clients: set[_Client]) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            logger.debug("a client could not be accepted: %s", error)
            return
        if len(clients) >= MAX_CLIENTS or _peer(connection)[1] != os.geteuid():
            connection.close()
            return
        client = _Client(connection)
        clients.add(client)
        selector.register(connection, selectors.EVENT_READ, client)

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            command = request["command"]
            handler = self._handlers[command]
        except (ValueError, RecursionError, TypeError, KeyError):
            return {"ok": False, "error": "this run does not know that command"}
        try:
            return {"ok": True, **handler(request)}
        except Exception as error:  # noqa: BLE001 - whoever asked shall have it
            return {"ok": False, "error": str(error) or type(error).__name__}


class _Client:
    """One connection to a run."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._received = b""
        connection.settimeout(SEND_SECONDS)

    def attend(self, answer: Callable[[bytes], Mapping[str, Any]]) -> bool:
        """Answer what has come; return whether more may come."""
        try:
            data = self._connection.recv(MAX_LINE)
            *lines, self._received = (self._received + data).split(b"\n")
            for line in lines:
                self._connection.sendall(json.dumps(answer(line)).encode() + b"\n")
        except (OSError, ValueError) as error:
            logger.debug("a client was given up: %s", error)
            return False
        return bool(data) and len(self._received) <= MAX_LINE

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


class Conversation:
    """The other end: asks a run, and takes its answers.

    Parameters
    ----------
    path
        The run's socket.

    Raises
    ------
    RemoteError
        If nobody listens there, or somebody else's process.
    """

    def __init__(self, path: Path, timeout: float = ANSWER_SECONDS) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.settimeout(timeout)
        self._received = b""
        try:
            with _short(path) as address:
                self._socket.connect(address)
        except OSError as error:
            self._socket.close()
            raise RemoteError(f"it does not listen ({error.strerror or error})") from error
        if _peer(self._socket)[1] != os.geteuid():
            self._socket.close()
            raise RemoteError("another user's process listens in its place")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Return the answer to a command.

        Raises
        ------
        RemoteError
            If the run refuses, does not answer in time, or has ended.
        """
        try:
            self._socket.sendall(json.dumps({"command": command, **arguments}).encode() + b"\n")
            answer = json.loads(self._line())
        except TimeoutError as error:
            raise RemoteError("it does not answer; it will do as asked if it wakes up") from error
        except (OSError, ValueError) as error:
            raise RemoteError("it has hung up") from error
        if not isinstance(answer, dict) or answer.pop("ok", None) is not True:
            refusal = answer.get("error", "") if isinstance(answer, dict) else ""
            raise RemoteError(f"it refuses: {refusal}")
        return answer

    def _line(self) -> bytes:
        while b"\n" not in self._received:
            data = self._socket.recv(1 << 16)
            if not data or len(self._received) > MAX_ANSWER:
                raise ValueError("no answer")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        return line


def _bound(path: Path) -> socket.socket:
    """Return a listening socket at `path` that only its owner can use."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with _short(path) as address:
            listener.bind(address)
        try:
            # Nobody can connect before `listen`: there is no moment at which others could.
            path.chmod(0o600)
            listener.listen(MAX_CLIENTS)
            listener.setblocking(False)
        except OSError:
            path.unlink(missing_ok=True)
            raise
    except BaseException:
        listener.close()
        raise
    return listener


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """Give an address for a path that may be longer than an address: through its folder's descriptor."""
    if len(os.fsencode(path)) < MAX_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _peer(connection: socket.socket) -> Sequence[int]:
    """Return pid, uid and gid of the process at the other end."""
    return CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    )
