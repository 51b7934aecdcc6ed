"""What is in flight in a dry run: the real things that virtual time must not run away from.

Functions in threads are let go one at a time, when the loop has nothing else to do, and in the
order in which they were asked for: otherwise the order of what they record would be that of the
operating system, and no two rehearsals would be equal.
"""

from __future__ import annotations

import contextvars
import functools
import inspect
import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from pymanip_run.clock import SYSTEM
from pymanip_run.runtime.places import place_of_thread
from pymanip_run.runtime.threads import waiting_thread

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor

    from pymanip_run.clock import VirtualClock

__all__ = ["Call", "Calls", "Job"]

TURN = 0.1  # seconds that a function in a thread has for itself before the next is let go
FALLBACK = 0.25  # seconds after which it begins without being let: the loop itself may wait for it
#: Their functions go to other processes or interpreters, where nothing can be held.
ELSEWHERE = {"ProcessPoolExecutor", "InterpreterPoolExecutor"}
_PACKAGE = str(Path(__file__).parents[1])


class Job:
    """Something real that virtual time waits for.

    Attributes
    ----------
    kind : str
        What it is: ``"thread"``, ``"process"``, ``"connection"``, ``"answer"`` or ``"writing"``.
    since : float or None
        Real seconds at which time was first held for it.
    given_up : bool
        Whether it was waited for so long that it does not count any more.
    """

    __slots__ = ("given_up", "kind", "label", "since")

    def __init__(self, kind: str, label: str = "") -> None:
        self.kind = kind
        self.label = label
        self.since: float | None = None
        self.given_up = False

    @property
    def place(self) -> str:
        """Where it is now, as far as that can be told."""
        return self.label


class Call(Job):
    """A function in a thread of an executor, asked for by this loop."""

    __slots__ = (
        "_awake",
        "_calls",
        "_gate",
        "asleep_until",
        "began",
        "ended",
        "future",
        "ident",
        "opened",
        "pool",
    )

    def __init__(self, calls: Calls, pool: _Pool | None, function: Callable[..., Any]) -> None:
        super().__init__("thread", _name_of(function))
        self._calls = calls
        self._gate = threading.Event()
        self._awake = threading.Event()
        self.pool = pool
        self.future: asyncio.Future[Any] | None = None
        self.ident: int | None = None
        #: Whether it was let go, and real seconds at which.
        self.opened = pool is None
        self.began = 0.0
        self.ended = False
        #: Virtual time up to which it is inside ``time.sleep``.
        self.asleep_until: int | None = None

    @property
    def counts(self) -> bool:
        """Whether virtual time waits for it."""
        return (
            self.opened
            and self.asleep_until is None
            and not self.given_up
            and self.future is not None
            and not self.future.done()
        )

    @property
    def is_over(self) -> bool:
        """Whether nothing of it is left: neither its future nor its thread is waited for."""
        over = self.future is None or self.future.done()
        return over and (self.ended or self.ident is None)

    @property
    def place(self) -> str:
        """Where its thread is now."""
        return self.label if self.ident is None else place_of_thread(self.ident)

    def open(self) -> None:
        """Let it begin."""
        self.began = SYSTEM.monotonic()
        self.opened = True
        self._gate.set()

    def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call the function when it is let; in its thread."""
        self.ident = threading.get_ident()
        with self._calls.entered(self):
            if not self._gate.wait(FALLBACK):
                self._calls.begin_unasked(self)
            return function(*args)

    def sleep(self, seconds: float) -> None:
        """Sleep in virtual time; in its thread."""
        self._awake.clear()
        self._calls.fall_asleep(self, seconds)
        slept = 0.0
        while not self._awake.wait(FALLBACK):
            slept += FALLBACK
            if slept >= seconds and self._calls.is_held():
                self.wake()  # the loop itself may wait for what comes next

    def wake(self) -> None:
        """End its sleep."""
        self.since = None
        self.asleep_until = None
        self.began = SYSTEM.monotonic()
        self._awake.set()


class _Pool:
    """The threads of an executor: how many there are, how many are taken, and who is next."""

    __slots__ = ("__weakref__", "capacity", "queue", "taken")

    def __init__(self, executor: Executor) -> None:
        self.capacity = int(getattr(executor, "_max_workers", 1))
        self.taken = 0
        self.queue: deque[Call] = deque()

    def next(self) -> Call | None:
        """Return the call that would begin now, None if there is none or no thread for it."""
        while self.queue and self.queue[0].is_over:
            self.queue.popleft()
        return self.queue[0] if self.queue and self.taken < self.capacity else None


class Calls:
    """The functions in threads that this loop waits for.

    Parameters
    ----------
    clock
        The virtual clock.
    poke
        Wakes the loop; from any thread.
    is_held
        Whether something holds the loop.
    """

    def __init__(
        self, clock: VirtualClock, poke: Callable[[], object], is_held: Callable[[], bool]
    ) -> None:
        self._clock = clock
        self._poke = poke
        self.is_held = is_held
        self._lock = threading.Lock()
        self._calls: list[Call] = []
        self._pools: WeakKeyDictionary[Executor, _Pool] = WeakKeyDictionary()
        self._by_thread: dict[int, Call] = {}
        self._closed = False

    def __len__(self) -> int:
        return len(self._calls)

    def new(self, executor: Executor, function: Callable[..., Any]) -> Call:
        """Return the call of a function that is about to be submitted; its future is set later."""
        pool = None
        if not ELSEWHERE.intersection(base.__name__ for base in type(executor).__mro__):
            pool = self._pools.get(executor)
            if pool is None:
                pool = self._pools[executor] = _Pool(executor)
        return Call(self, pool, function)

    def add(self, call: Call) -> None:
        """Take a call that was submitted."""
        with self._lock:
            self._calls.append(call)
            if call.pool is not None:
                call.pool.queue.append(call)

    def of_this_thread(self) -> Call | None:
        """Return the call that runs in this thread, None in all other threads."""
        return self._by_thread.get(waiting_thread())

    def pending(self) -> Iterator[Call]:
        """Return those that virtual time waits for."""
        if any(call.is_over for call in self._calls):
            with self._lock:
                self._calls = [call for call in self._calls if not call.is_over]
        return (call for call in self._calls if call.counts)

    def next_waking(self) -> int | None:
        """Return the virtual time at which the next one wakes from ``time.sleep``."""
        times = [t for call in self._calls if (t := call.asleep_until) is not None]
        return min(times, default=None)

    def let_next(self) -> bool:
        """Let one go that may go now; return whether there was one.

        While another one has only just been let go there is none.
        """
        now = SYSTEM.monotonic()
        if any(call.counts and now - call.began < TURN for call in self._calls if call.opened):
            return False
        due = [c for c in self._calls if (t := c.asleep_until) is not None and t <= self._clock.ns]
        if due:
            min(due, key=lambda call: call.asleep_until or 0).wake()
            return True
        with self._lock:
            for call in self._calls:
                if call.opened or call.pool is None or call.pool.next() is not call:
                    continue
                self._take(call)
                call.open()
                return True
        return False

    def waits_for_its_turn(self) -> bool:
        """Return whether one could go, were it not for another one."""
        return any(
            (c.asleep_until is not None and c.asleep_until <= self._clock.ns)
            or not (c.opened or c.is_over)
            for c in self._calls
        )

    def close(self) -> None:
        """Wake all that sleep, and let all begin that wait: nobody moves the clock any more."""
        self._closed = True
        for call in self._calls:
            if not call.opened:
                call.open()
            call.wake()

    def entered(self, call: Call) -> _Entered:
        """Return the context in which a call runs in its thread."""
        return _Entered(self._by_thread, call, self._release)

    def begin_unasked(self, call: Call) -> None:
        """Take a call that nobody let go in time; in its thread."""
        with self._lock:
            if not call.opened:
                self._take(call)
                call.open()

    def fall_asleep(self, call: Call, seconds: float) -> None:
        """Note until when a call sleeps; in its thread."""
        call.asleep_until = self._clock.ns + round(seconds * 1e9)
        self._poke()
        if self._closed:
            call.wake()

    @staticmethod
    def _take(call: Call) -> None:
        if call.pool is not None:
            call.pool.taken += 1
            if call in call.pool.queue:
                call.pool.queue.remove(call)

    def _release(self, call: Call) -> None:
        with self._lock:
            call.ended = True
            if call.pool is not None:
                call.pool.taken -= 1


class _Entered:
    """A call in its thread."""

    __slots__ = ("_by_thread", "_call", "_release")

    def __init__(
        self, by_thread: dict[int, Call], call: Call, release: Callable[[Call], None]
    ) -> None:
        self._by_thread = by_thread
        self._call = call
        self._release = release

    def __enter__(self) -> None:
        self._by_thread[threading.get_ident()] = self._call

    def __exit__(self, *_: object) -> None:
        del self._by_thread[threading.get_ident()]
        self._release(self._call)


def _name_of(function: Any) -> str:
    """Return what a function in a thread is called in a report: its name and where it is defined."""
    while True:
        inner = _wrapped_by(function)
        if inner is None:
            break
        function = inner
    name = getattr(function, "__qualname__", None) or type(function).__name__
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code else str(name)


def _wrapped_by(function: Any) -> Any:
    if isinstance(function, functools.partial):
        # ``asyncio.to_thread`` runs ``context.run(function)``.
        runs = isinstance(getattr(function.func, "__self__", None), contextvars.Context)
        return function.args[0] if runs and function.args else function.func
    code = getattr(function, "__code__", None)
    if (
        code is not None
        and code.co_filename.startswith(_PACKAGE)
        and "function" in code.co_freevars
    ):
        return function.__closure__[code.co_freevars.index("function")].cell_contents
    return None
