"""The sub-processes of an event loop in virtual time."""

from __future__ import annotations

from asyncio.subprocess import SubprocessStreamProtocol
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from pymanip_run.runtime.virtual_jobs import Job

if TYPE_CHECKING:
    from asyncio import SubprocessTransport
    from collections.abc import Iterator

__all__ = ["Children", "command_of"]


class Children:
    """The sub-processes of a loop."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        self._transports: WeakSet[SubprocessTransport] = WeakSet()

    def __len__(self) -> int:
        return len(self._transports)

    def add(self, transport: SubprocessTransport, command: str) -> None:
        """Take a process that was started."""
        self._transports.add(transport)
        self._jobs[id(transport)] = Job("process", command)

    def pending(self) -> Iterator[Job]:
        """Return those that live and whose exit or output somebody awaits."""
        for transport in tuple(self._transports):
            if transport.get_returncode() is not None:
                self._transports.discard(transport)
                del self._jobs[id(transport)]
            elif not (job := self._jobs[id(transport)]).given_up and _is_awaited(transport):
                yield job


def _is_awaited(transport: SubprocessTransport) -> bool:
    protocol: Any = transport.get_protocol()
    if not isinstance(protocol, SubprocessStreamProtocol):
        return True  # its own callbacks wait for whatever comes
    exits = any(not waiter.done() for waiter in getattr(transport, "_exit_waiters", None) or ())
    streams = (protocol.stdout, protocol.stderr)
    return exits or any(getattr(stream, "_waiter", None) is not None for stream in streams)


def command_of(args: tuple[Any, ...]) -> str:
    """Return how a process is called in a report."""
    words = [w.decode(errors="replace") if isinstance(w, bytes) else str(w) for w in args]
    return " ".join(words)[:60]
