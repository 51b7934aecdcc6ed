"""An event loop whose time is virtual: hours of an experiment pass in seconds.

The rule is that of :mod:`pymanip_run.runtime.virtual_waiting`; here is what tells it what is in
flight: the doors of the loop through which threads, processes and sockets come.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pymanip_run.clock import SYSTEM, VirtualClock, replaced_time
from pymanip_run.runtime.places import place_of
from pymanip_run.runtime.virtual_processes import command_of
from pymanip_run.runtime.virtual_waiting import STILL, VirtualSelector

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from pymanip_run.runtime.virtual_waiting import Cost

__all__ = ["VirtualLoop", "VirtualWorld", "virtual_time"]

RESOLUTION = 1e-7  # seconds: timers that are due so soon are due
READS = 50  # of the clock within one turn of the loop, from which on it is polling
THREADS = 32  # the most that Python gives to `asyncio.to_thread`, on any computer
_PACKAGE = str(Path(__file__).parents[1])

_T = TypeVar("_T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that lives in virtual time.

    Parameters
    ----------
    clock
        The time, moved by this loop.
    on_stall
        Is called when nothing was ready and no timer was set for 10 real seconds.
    """

    def __init__(
        self, clock: VirtualClock, on_stall: Callable[[VirtualLoop], object] | None = None
    ) -> None:
        self._virtual = VirtualSelector(clock)
        self._flight = self._virtual.flight
        super().__init__(self._virtual)
        # After a year a nanosecond more is the same float64, and no timer would ever be due.
        self._clock_resolution = RESOLUTION
        self._clock = clock
        self._virtual.poke = self._poke
        self._virtual.busy_place = self._busy_place
        if on_stall is not None:
            self._virtual.on_stall = lambda: on_stall(self)
        self._threads = self._new_threads()

    def time(self) -> float:
        """Return the virtual time: seconds of a clock that never steps."""
        return self._clock.monotonic()

    @property
    def costs(self) -> list[Cost]:
        """What cost real time, the dearest first."""
        return sorted(self._flight.costs.values(), key=lambda cost: -cost.seconds)

    @property
    def turn_began(self) -> float | None:
        """Real time at which the loop was given something to do; None while it waits."""
        return self._virtual.turn_began

    def sleep_in_thread(self, seconds: float) -> bool:
        """Sleep in virtual time, in a thread that this loop waits for; return False in all others."""
        call = self._flight.calls.of_this_thread()
        if call is None:
            return False
        call.sleep(seconds)
        return True

    def close(self) -> None:
        """Close the loop; who sleeps in virtual time wakes."""
        self._flight.calls.close()
        super().close()

    def _poke(self) -> None:
        with suppress(RuntimeError):  # closed meanwhile
            self.call_soon_threadsafe(_nothing)

    def _busy_place(self) -> str:
        """Return which tasks are always ready, and where; ours by their names only."""
        ready = [t for t in asyncio.all_tasks(self) if getattr(t, "_fut_waiter", None) is None]
        places = {t.get_name(): place_of(t) for t in ready}
        return ", ".join(
            f"task {name!r}" if place.startswith(_PACKAGE) else f"task {name!r} at {place}"
            for name, place in sorted(places.items())
        )

    # Threads

    def _new_threads(self) -> ThreadPoolExecutor:
        threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="asyncio")
        self.set_default_executor(threads)
        return threads

    def set_default_executor(self, executor: Any) -> None:
        """Set where functions run for which no executor is given."""
        self._threads = executor
        super().set_default_executor(executor)

    def run_in_executor(  # type: ignore[override]  # theirs is too clever for our wrapper
        self, executor: Executor | None, func: Callable[..., _T], *args: Any
    ) -> asyncio.Future[_T]:
        """Call a function in a thread; virtual time waits for it."""
        call = self._flight.calls.new(executor or self._threads, func)
        future: asyncio.Future[_T]
        if call.pool is None:
            future = super().run_in_executor(executor, func, *args)
        else:
            future = super().run_in_executor(executor, call.run, func, *args)
        call.future = future
        self._flight.calls.add(call)
        return future

    async def shutdown_default_executor(self, *args: Any, **kwargs: Any) -> None:
        """Wait for the threads of the default executor."""
        with self._flight.other("thread", ""):
            await super().shutdown_default_executor(*args, **kwargs)

    # Sub-processes

    async def subprocess_exec(self, protocol_factory: Any, *args: Any, **kwargs: Any) -> Any:
        """Start a process; virtual time waits while its exit or output is awaited."""
        with self._flight.other("process", command_of(args)):
            transport, protocol = await super().subprocess_exec(protocol_factory, *args, **kwargs)
        self._flight.children.add(transport, command_of(args))
        return transport, protocol

    async def subprocess_shell(self, protocol_factory: Any, cmd: Any, **kwargs: Any) -> Any:
        """Start a shell; virtual time waits while its exit or output is awaited."""
        with self._flight.other("process", command_of((cmd,))):
            transport, protocol = await super().subprocess_shell(protocol_factory, cmd, **kwargs)
        self._flight.children.add(transport, command_of((cmd,)))
        return transport, protocol

    # Sockets

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **kwargs: Any
    ) -> Any:
        """Connect; virtual time waits for the connection."""
        label = f"connection to {host}:{port}" if host else "connection"
        with self._flight.other("connection", label):
            return await super().create_connection(protocol_factory, host, port, **kwargs)

    async def create_unix_connection(
        self, protocol_factory: Any, path: Any = None, **kwargs: Any
    ) -> Any:
        """Connect; virtual time waits for the connection."""
        with self._flight.other("connection", f"connection to {path}"):
            return await super().create_unix_connection(protocol_factory, path, **kwargs)

    async def start_tls(self, *args: Any, **kwargs: Any) -> Any:
        """Encrypt a connection; virtual time waits for the handshake."""
        with self._flight.other("connection", "TLS handshake"):
            return await super().start_tls(*args, **kwargs)

    async def connect_accepted_socket(self, protocol_factory: Any, sock: Any, **kwargs: Any) -> Any:
        """Wrap a socket that was accepted elsewhere."""
        self._accepting = sock
        return await super().connect_accepted_socket(protocol_factory, sock, **kwargs)

    async def sock_accept(self, sock: Any) -> Any:
        """Accept a connection: its socket is not owed anything."""
        connection, address = await super().sock_accept(sock)
        self._flight.sockets.accepted(connection)
        return connection, address

    async def sock_recv(self, sock: Any, nbytes: int) -> bytes:
        """Receive from a socket."""
        self._flight.sockets.seen(sock)
        return await super().sock_recv(sock, nbytes)

    async def sock_recv_into(self, sock: Any, buf: Any) -> int:
        """Receive from a socket into a buffer."""
        self._flight.sockets.seen(sock)
        return await super().sock_recv_into(sock, buf)

    async def sock_sendall(self, sock: Any, data: Any) -> None:
        """Send to a socket, which is owed an answer from now on."""
        self._flight.sockets.written(sock)
        await super().sock_sendall(sock, data)

    # These three are not documented, but the only door to a transport before its first write;
    # they have been the same since Python 3.7.

    def _make_socket_transport(
        self, sock: Any, protocol: Any, *args: Any, server: Any = None, **kwargs: Any
    ) -> Any:
        transport = super()._make_socket_transport(  # type: ignore[misc]
            sock, protocol, *args, server=server, **kwargs
        )
        self._note_transport(sock, transport, accepted=server is not None)
        return transport

    def _make_ssl_transport(
        self, rawsock: Any, *args: Any, server_side: bool = False, **kwargs: Any
    ) -> Any:
        outer = super()._make_ssl_transport(rawsock, *args, server_side=server_side, **kwargs)  # type: ignore[misc]
        inner = self._transports[rawsock.fileno()]  # type: ignore[attr-defined]
        self._note_transport(rawsock, inner, accepted=server_side)
        return outer

    def _make_datagram_transport(
        self, sock: Any, protocol: Any, address: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        transport = super()._make_datagram_transport(sock, protocol, address, *args, **kwargs)  # type: ignore[misc]
        self._note_transport(sock, transport, accepted=False)
        return transport

    def _note_transport(self, sock: Any, transport: Any, *, accepted: bool) -> None:
        if accepted or sock is self._accepting:
            self._accepting = None
            self._flight.sockets.accepted(sock, transport)
        else:
            self._flight.sockets.connected(sock, transport)

    #: What `connect_accepted_socket` is about to wrap.
    _accepting: Any = None


def _nothing() -> None:
    """Wake the loop."""


class VirtualWorld:
    """Virtual time for a program: a clock, loops that move it, and a patched module `time`.

    Attributes
    ----------
    clock : VirtualClock
        The time.
    loop : VirtualLoop or None
        The last loop that was made.
    sleeps : dict
        For each place (file, line) that called ``time.sleep`` on the loop's thread, how long it slept.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.loop: VirtualLoop | None = None
        self.sleeps: dict[tuple[str, int], float] = {}
        self._thread = threading.get_ident()
        self._entered = SYSTEM.monotonic()
        self._turn = 0.0
        self._reads = 0
        self._followed = 0.0

    def new_loop(self, on_stall: Callable[[VirtualLoop], object] | None = None) -> VirtualLoop:
        """Return a loop that moves the clock, for this thread."""
        self.loop = VirtualLoop(self.clock, on_stall)
        return self.loop

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Run a coroutine in a new loop."""
        with asyncio.Runner(loop_factory=self.new_loop) as runner:
            return runner.run(coroutine)

    def catch_up(self) -> None:
        """Let time pass for code that holds the loop and asks for the time again and again.

        It may poll until a deadline, which would never come.
        """
        turn = self._entered if self.loop is None else self.loop.turn_began
        if turn is None:  # the loop waits, and moves the clock itself
            return
        if turn != self._turn:
            self._turn, self._reads, self._followed = turn, 0, turn + STILL
        self._reads += 1
        if self._reads >= READS and (now := SYSTEM.monotonic()) > self._followed:
            self.clock.move_to(self.clock.ns + round((now - self._followed) * 1e9))
            self._followed = now

    def sleep(self, seconds: float) -> None:
        """Do as ``time.sleep``: on the loop's thread time advances, in a counted one it is a timer."""
        caller = sys._getframe(2)  # noqa: SLF001 - whoever called time.sleep
        if caller.f_code.co_filename == subprocess.__file__:
            # It looks again and again whether a process has ended, which takes real time.
            SYSTEM.pause(seconds)
        elif threading.get_ident() == self._thread:
            place = (caller.f_code.co_filename, caller.f_lineno)
            self.sleeps[place] = self.sleeps.get(place, 0.0) + seconds
            self.clock.move_to(self.clock.ns + round(seconds * 1e9))
        elif self.loop is None or not self.loop.sleep_in_thread(seconds):
            SYSTEM.pause(seconds)


@contextmanager
def virtual_time(epoch_ns: int | None = None) -> Iterator[VirtualWorld]:
    """Live in virtual time within the context; enter it before the user's modules are imported.

    Parameters
    ----------
    epoch_ns
        The Unix time at which it begins, in nanoseconds; now if left out.
    """
    world = VirtualWorld(VirtualClock(SYSTEM.wall_ns() if epoch_ns is None else epoch_ns))
    with replaced_time(world.clock, world.sleep, world.catch_up, _in_another_loop):
        yield world


def _in_another_loop() -> bool:
    """Return whether the code that runs belongs to an event loop that lives in real time."""
    running = asyncio._get_running_loop()  # noqa: SLF001 - the public one raises, which is slow
    return running is not None and not isinstance(running, VirtualLoop)
