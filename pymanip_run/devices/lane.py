"""The thread of one device, in which its calls are made one after the other."""

from __future__ import annotations

import asyncio
import contextvars
import math
import threading
from typing import TYPE_CHECKING, Any

from pymanip_run.clock import SYSTEM, iso_local
from pymanip_run.errors import DeviceError, DeviceTimeoutError
from pymanip_run.runtime.places import place_of_thread
from pymanip_run.runtime.threads import Worker, standing_in_for
from pymanip_run.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HungError", "Lane", "NoTurnError"]

#: Seconds that a call gets to return after nobody waits for it any more; then its thread counts as hung.
GRACE = 1.0
#: Hung threads of one device that are left to themselves, at most.
MAX_LEFT = 8


class NoTurnError(DeviceTimeoutError):
    """Other calls took so long that this one was not made."""


class HungError(DeviceTimeoutError):
    """An earlier call does not return, therefore this one was not made."""


class _Job:
    """A call in the thread."""

    def __init__(self, what: str, function: Callable[[], Any]) -> None:
        self.what = what
        self.function = function
        self._lock = threading.Lock()
        self._dropped = False
        #: When it began, Unix seconds.
        self.begun: float | None = None
        #: When its caller stopped to wait for it, by the loop's clock.
        self.given_up: float | None = None

    def begin(self) -> bool:
        """Return whether it may begin."""
        with self._lock:
            if not self._dropped:
                self.begun = SYSTEM.time()
            return not self._dropped

    def drop(self) -> bool:
        """Return whether it will never begin."""
        with self._lock:
            self._dropped = self.begun is None
            return self._dropped


class Lane:
    """One thread for the calls of one device.

    A call that does not return cannot be ended. Its caller may stop to wait for it; the thread
    then counts as hung, and further calls fail at once instead of queueing up behind it.

    Parameters
    ----------
    name
        What the device is called in messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._worker = Worker(f"device {name}")
        self._present: _Job | None = None
        self._left: list[Worker] = []
        #: An object that shall live as long as this.
        self.keep: object = None

    @property
    def is_here(self) -> bool:
        """Whether the caller is in this thread."""
        return threading.get_ident() == self._worker.ident

    @property
    def is_hung(self) -> bool:
        """Whether it is still in a call that nobody waits for."""
        return self._given_up() is not None

    def _given_up(self) -> _Job | None:
        job = self._present
        return job if job is not None and job.given_up is not None else None

    async def call(
        self,
        function: Callable[[], Any],
        what: str,
        *,
        timeout: float | None = None,
        grace: float = GRACE,
    ) -> Any:
        """Call a function in the thread, with the caller's context, and return what it returns.

        Parameters
        ----------
        function
            Without arguments.
        what
            What it does, for messages.
        timeout
            Seconds, the time until its turn comes included; None waits for ever.
        grace
            Seconds that a call which nobody waits for any more gets to return, since it was given up.

        Raises
        ------
        HungError
            If the thread is in a call that does not return.
        NoTurnError
            If it did not get its turn in time.
        DeviceTimeoutError
            If it took longer.
        """
        loop = asyncio.get_running_loop()
        until = math.inf if timeout is None else loop.time() + timeout
        until_begun = until
        hung = self._given_up()
        if hung is not None:
            until_begun = min(until, (hung.given_up or 0.0) + grace)
            if loop.time() >= until_begun:
                raise self._busy(hung, what)
        job = _Job(what, function)
        context = contextvars.copy_context()
        future = loop.run_in_executor(self._worker, context.run, self._do, job)
        try:
            if until_begun < until:
                await _wait(future, until_begun)
                if not future.done() and hung is not None and job.drop():
                    future.cancel()
                    raise self._busy(hung, what)
            await _wait(future, until)
        except asyncio.CancelledError:
            self._give_up(job, future)
            raise
        if not future.done():
            raise self._too_late(job, future, timeout or 0.0)
        if future.cancelled():
            raise DeviceError(f"{what} was not called: {self.name} was opened again meanwhile")
        return future.result()

    def call_and_wait(self, function: Callable[[], Any], what: str) -> Any:
        """Call a function in the thread, from another thread, which waits for it.

        Raises
        ------
        HungError
            If the thread is in a call that does not return.
        """
        if self.is_here:
            return function()
        if (hung := self._given_up()) is not None:
            raise self._busy(hung, what)
        context, ident = contextvars.copy_context(), threading.get_ident()

        def stand_in() -> Any:
            with standing_in_for(ident):
                return function()

        return self._worker.submit(context.run, self._do, _Job(what, stand_in)).result()

    def leave(self, function: Callable[[], Any], what: str) -> None:
        """Call a function in the thread without waiting for it."""
        self._worker.submit(self._do, _Job(what, function))

    def renew(self) -> bool:
        """Leave a hung thread to itself and go on with another one; the calls that wait for it fail.

        Returns
        -------
        bool
            False if too many threads of this device hang already.
        """
        self._left = [worker for worker in self._left if worker.busy is not None]
        if len(self._left) >= MAX_LEFT:
            return False
        self._worker.shutdown(wait=False, cancel_futures=True)
        self._left.append(self._worker)
        self._worker = Worker(f"device {self.name}")
        self._present = None
        return True

    def close(self) -> None:
        """Let the thread end after the calls that it has."""
        self._worker.shutdown(wait=False)

    def hung_words(self) -> str:
        """Return what the thread is busy with, "" if it is not hung."""
        job = self._given_up()
        return "" if job is None else self._words(job)

    def _do(self, job: _Job) -> Any:
        if not job.begin():
            return None
        self._present = job
        try:
            return job.function()
        except StopIteration as error:  # no future can hold it: its waiter would wait for ever
            raise RuntimeError("StopIteration was raised outside of a generator") from error
        finally:
            if self._present is job:
                self._present = None

    def _give_up(self, job: _Job, future: asyncio.Future[Any]) -> None:
        if not job.drop():
            job.given_up = asyncio.get_running_loop().time()
        future.cancel()

    def _too_late(
        self, job: _Job, future: asyncio.Future[Any], timeout: float
    ) -> DeviceTimeoutError:
        present = self._present
        self._give_up(job, future)
        limit = format_duration(timeout)
        if job.begun is not None:
            place = place_of_thread(self._worker.ident)
            return DeviceTimeoutError(f"{job.what} did not return within {limit}, at {place}")
        if present is not None and present.given_up is not None:
            return self._busy(present, job.what)
        busy = f": its thread is busy with {self._words(present)}" if present is not None else ""
        return NoTurnError(f"{job.what} did not get its turn within {limit}{busy}")

    def _busy(self, hung: _Job, what: str) -> HungError:
        return HungError(
            f"{what} was not called: the thread of {self.name} still hangs in {self._words(hung)}"
        )

    def _words(self, job: _Job) -> str:
        begun = job.begun or SYSTEM.time()
        since, seconds = iso_local(begun)[11:19], max(0.0, SYSTEM.time() - begun)
        place = place_of_thread(self._worker.ident)
        return f"{job.what} since {since} ({format_duration(round(seconds, 1))}), at {place}"


async def _wait(future: asyncio.Future[Any], until: float) -> None:
    seconds = None if until == math.inf else max(0.0, until - asyncio.get_running_loop().time())
    await asyncio.wait({future}, timeout=seconds)
