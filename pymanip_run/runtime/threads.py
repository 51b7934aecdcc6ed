"""Threads that do one call after the other, and that a run may leave behind."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from concurrent.futures import Executor, Future
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from pymanip_run.clock import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Busy", "Worker", "call_apart", "call_in", "standing_in_for", "waiting_thread"]


class Busy(NamedTuple):
    """What a worker is doing."""

    function: Callable[..., Any]
    #: Monotonic seconds at which it began.
    since: float


class Worker(Executor):
    """One thread, made with the first call, that does one call after the other.

    For ``loop.run_in_executor``. Unlike those of a `ThreadPoolExecutor`, whose threads are waited
    for at the end of the process, a call that never returns does not keep it from ending.

    Parameters
    ----------
    name
        Of the thread, for warnings and tracebacks.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._calls: SimpleQueue[tuple[Future[Any], Callable[..., Any], Any, Any] | None] = (
            SimpleQueue()
        )
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        #: None while it waits for a call.
        self.busy: Busy | None = None

    @property
    def ident(self) -> int | None:
        """Of its thread; None before the first call."""
        return self._thread.ident if self._thread else None

    def submit(self, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call a function after those that were submitted before.

        Raises
        ------
        RuntimeError
            After `shutdown`.
        """
        future: Future[Any] = Future()
        with self._lock:
            if self._closed:
                raise RuntimeError(f"the thread {self.name!r} takes no more calls")
            self._calls.put((future, function, args, kwargs))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self.name, daemon=True)
                self._thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls; the thread ends after those that it has."""
        with self._lock:
            first, self._closed = not self._closed, True
        if cancel_futures:
            self._cancel_waiting()
        if first:
            self._calls.put(None)
        if wait and self._thread is not None:
            self._thread.join()

    def _cancel_waiting(self) -> None:
        while not self._calls.empty():
            call = self._calls.get()
            if call is None:
                self._calls.put(None)
                return
            call[0].cancel()

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            future, function, args, kwargs = call
            if not future.set_running_or_notify_cancel():
                continue
            self.busy = Busy(function, SYSTEM.monotonic())
            try:
                result = function(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - whoever waits for it shall have it
                self.busy = None
                future.set_exception(error)
            else:
                self.busy = None
                future.set_result(result)
            del call, future, function, args, kwargs  # a worker that waits holds nothing


#: Threads that do something for another one, which waits for it.
_stand_ins: dict[int, int] = {}


@contextmanager
def standing_in_for(ident: int) -> Iterator[None]:
    """Do something for the thread of this identity, which waits for it: a rehearsal takes both for one."""
    here = threading.get_ident()
    _stand_ins[here] = ident
    try:
        yield
    finally:
        del _stand_ins[here]


def waiting_thread() -> int:
    """Return the identity of the thread for which this one stands in, else its own."""
    here = threading.get_ident()
    return _stand_ins.get(here, here)


async def call_in(worker: Worker, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a plain function in a worker's thread, with the caller's context; await what it returns.

    Cancelled, the awaiting ends at once; the call itself goes on in its thread until it returns.
    """
    context = contextvars.copy_context()
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(worker, lambda: context.run(_call, function, args, kwargs))


async def call_apart(name: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call a plain function as :func:`call_in`, in a thread made for this call."""
    worker = Worker(name)
    try:
        return await call_in(worker, function, *args)
    finally:
        worker.shutdown(wait=False)


def _call(function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    try:
        return function(*args, **kwargs)
    except StopIteration as error:  # no future can hold it: its waiter would wait for ever
        raise RuntimeError("StopIteration was raised outside of a generator") from error
