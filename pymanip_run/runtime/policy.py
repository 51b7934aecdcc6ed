"""What a task may do when a step takes too long, or fails.

A `Guard` stands around the step of a task and is called in its place. Tasks without rules have
none: their steps are called as they are.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pymanip_run.errors import TaskError, did_you_mean
from pymanip_run.runtime.outcomes import outcome
from pymanip_run.runtime.places import place_of
from pymanip_run.runtime.points import END, unless_stopped
from pymanip_run.runtime.troubles import Troubles, one_line
from pymanip_run.runtime.work import FAILED
from pymanip_run.units import format_duration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from pymanip_run.runtime.status import TaskStatus
    from pymanip_run.runtime.stop import StopSignal
    from pymanip_run.runtime.threads import Worker
    from pymanip_run.runtime.work import Tell

__all__ = ["DEFAULT", "Guard", "Policy", "StepTimeoutError", "policy_of"]

PATIENCE = 1.0  # seconds that a step gets to end after its time is over
PAUSE = 1.0  # seconds; a failing task that is called again and again is not called faster than this

Then: TypeAlias = Literal["continue", "stop", "fail"]


class StepTimeoutError(TaskError, TimeoutError):
    """One call of a task took longer than its `timeout`.

    Attributes
    ----------
    brief : str
        The message without the name of the task.
    """

    def __init__(self, task: str, timeout: float, place: str) -> None:
        self.brief = f"took longer than its timeout of {format_duration(timeout)}, at {place}"
        super().__init__(f"task {task!r} {self.brief}")


@dataclass(frozen=True, slots=True)
class Policy:
    """The rules of a task.

    Attributes
    ----------
    timeout : float or None
        Seconds after which one call is cancelled and counts as failed.
    retry : int
        How often a failed step is tried again; a step that succeeds begins with all of them.
    wait, max_wait : float
        Seconds before the first retry, then doubled, at most `max_wait`.
    then : {'continue', 'stop', 'fail'}
        What happens when no retry is left: the next step, the end of the run, its end as failed.
    """

    timeout: float | None = None
    retry: int = 0
    wait: float = 1.0
    max_wait: float = 60.0
    then: Then = "fail"

    @property
    def is_plain(self) -> bool:
        """Whether steps need no guard."""
        return self.timeout is None and self.retry == 0 and self.then == "fail"

    def pause(self, failures: int) -> float:
        """Return the seconds to wait after so many failures in a row."""
        doubled = self.wait * 2.0 ** min(failures - 1, 60)
        return min(doubled, max(self.wait, self.max_wait))


#: No rules.
DEFAULT = Policy()


def policy_of(timeout: float | str | None, on_error: Mapping[str, Any]) -> Policy:
    """Return a policy from what a script says; `on_error` as in the experiment file.

    Raises
    ------
    ValueError
        If a key or a value is none.
    """
    durations = ("wait", "max_wait")
    for key in on_error:
        if key not in ("retry", *durations, "then"):
            raise ValueError(
                f"on_error has no {key!r}{did_you_mean(key, ('retry', *durations, 'then'))}"
            )
    retry, then = on_error.get("retry", 0), on_error.get("then", "fail")
    if isinstance(retry, bool) or not isinstance(retry, int) or retry < 0:
        raise ValueError(f"retry is a number of times, 0 or more, not {retry!r}")
    if then not in ("continue", "stop", "fail"):
        raise ValueError(f"then is 'continue', 'stop' or 'fail', not {then!r}")
    seconds = {key: parse_duration(on_error[key]) for key in durations if key in on_error}
    limit = None if timeout is None else parse_duration(timeout)
    if limit == 0:
        raise ValueError("a timeout must be longer than zero")
    return Policy(limit, retry, then=then, **seconds)


class Guard:
    """Calls the step of a task under its policy.

    Parameters
    ----------
    step
        Is called with what the guard is called with.
    policy
        The rules.
    status
        Of the task.
    worker
        The thread of a plain function: a call that hangs in it cannot be cancelled.
    again
        Whether the next step would follow at once, so that a failure must be followed by a pause.
    approach
        Is called with the same before each try, outside of the time limit; False: the run is to
        stop, and nothing is called.
    at
        Tells which step it is, such as the point of a sweep.
    """

    def __init__(
        self,
        step: Callable[..., Awaitable[Any]],
        policy: Policy,
        status: TaskStatus,
        *,
        worker: Worker | None = None,
        again: bool = False,
        approach: Callable[..., Awaitable[bool]] | None = None,
        at: Callable[[], str] | None = None,
    ) -> None:
        self._step = step
        self._policy = policy
        self._status = status
        self._worker = worker
        self._again = again
        self._approach = approach
        self._at = at
        self._left: asyncio.Task[Any] | None = None
        self._in_progress: asyncio.Task[Any] | None = None
        self._timed_out_at = 0.0
        #: Whether a call was cut off; a thread of asyncio may still be in it.
        self.has_cut = False

    def begin(self, stop: StopSignal, tell: Tell) -> None:
        """Get ready for a run."""
        self._stop = stop
        self._troubles = Troubles(self._status, tell, self._at)

    @property
    def left(self) -> asyncio.Task[Any] | None:
        """The task of a call that has not ended although it should have."""
        for task in (self._left, self._in_progress):
            if task is not None and not task.done():
                return task
        return None

    async def __call__(self, *values: Any) -> Any:
        """Call the step until it succeeds; return what it returns, or `FAILED`.

        Raises
        ------
        Exception
            What the step raised, if it failed for good and the policy says ``fail``.
        """
        attempts = 0
        while True:
            try:
                if self._approach is not None and not await self._approach(*values):
                    return FAILED
                result = await self._timed(values)
            except Exception as error:
                attempts += 1
                if attempts > self._policy.retry and self._policy.then == "fail":
                    if attempts > 1:
                        error.add_note(f"failed {attempts} times in a row")
                    raise
                if not await self._tries_again(error, attempts):
                    return FAILED
            else:
                if self._status.failures and result is not FAILED:
                    self._troubles.worked(_now())
                return result

    async def _tries_again(self, error: Exception, attempts: int) -> bool:
        policy, now = self._policy, _now()
        if attempts <= policy.retry and self._stop.is_set:
            self._troubles.failed(error, now, "not tried again, because the run ends")
            return False
        if attempts <= policy.retry:
            pause = policy.pause(attempts)
            self._troubles.failed(
                error, now, f"retry {attempts} of {policy.retry} in {format_duration(pause)}"
            )
            return not await self._sleep(pause)
        what_next = "the run ends" if policy.then == "stop" else "going on with the next call"
        self._troubles.failed(error, now, what_next)
        self._troubles.gave_up(now, attempts, what_next)
        if policy.then == "stop":
            times = f" {attempts} times" if attempts > 1 else ""
            self._stop.request(f"task {self._status.name!r} failed{times}: {one_line(error)}")
        elif self._again:
            least = min(PAUSE, policy.max_wait)
            await self._sleep(max(least, policy.pause(self._status.failures)))
        return False

    async def _sleep(self, seconds: float) -> bool:
        """Sleep before the next try; return whether the stop was asked."""
        status = self._status
        status.next_due = _now() + seconds
        status.state = "retrying"
        stopped = await self._stop.sleep_until(status.next_due)
        status.state = "running"
        return stopped

    # Time limits

    async def _timed(self, values: tuple[Any, ...]) -> Any:
        if self._policy.timeout is None:
            return await self._step(*values)
        if self._left is not None and not await self._former_is_over():
            return FAILED
        return await self._cut(values, self._policy.timeout)

    async def _cut(self, values: tuple[Any, ...], timeout: float) -> Any:
        # In a task of its own: one that does not heed its cancellation can be left to itself.
        step_in_progress = asyncio.get_running_loop().create_task(  # see places.STEP
            outcome(self._step(*values)), name=self._status.name
        )
        self._in_progress = step_in_progress
        try:
            await asyncio.wait({step_in_progress}, timeout=timeout)
            if step_in_progress.done():
                return _result(step_in_progress)
            place = place_of(step_in_progress)
            self.has_cut, self._timed_out_at = True, _now()
            step_in_progress.cancel()
            await asyncio.wait({step_in_progress}, timeout=PATIENCE)
        except asyncio.CancelledError:
            await _take_along(step_in_progress)
            raise
        self._left = step_in_progress
        self._status.hung = place if self._goes_on() else None
        error = StepTimeoutError(self._status.name, timeout, place)
        raise error from _failure(step_in_progress)

    async def _former_is_over(self) -> bool:
        """Wait until the call that was cut off has really ended: there are never two at once.

        Returns
        -------
        bool
            Whether it has; False when the stop was asked meanwhile.
        """
        status = self._status
        if self._goes_on():
            status.state, before = "hung", status.state
            self._troubles.remark(
                _now(),
                "error",
                f"the call does not end, at {status.hung}; the next one waits for it",
            )
            if await unless_stopped(self._stop, self._ending()) is END:
                return False
            status.state = before
            late = format_duration(_now() - self._timed_out_at)
            self._troubles.remark(
                _now(), "recovery", f"the call has ended {late} after its timeout"
            )
        status.hung, self._left = None, None
        return True

    def _goes_on(self) -> bool:
        """Return whether the call that was cut off goes on."""
        if self._left is not None and not self._left.done():
            return True
        return self._worker is not None and self._worker.busy is not None

    async def _ending(self) -> None:
        """Return when it has ended."""
        if self._left is not None and not self._left.done():
            await asyncio.wait({self._left})
        if self._worker is not None:
            # It does one call after the other.
            await asyncio.get_running_loop().run_in_executor(self._worker, _nothing)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _nothing() -> None:
    pass


def _result(done: asyncio.Task[Any]) -> Any:
    result, error = done.result()
    if error is not None:
        raise error
    return result


def _failure(step: asyncio.Task[Any]) -> BaseException | None:
    """Return what a cancelled step raised instead of giving in."""
    return step.result()[1] if step.done() and not step.cancelled() else None


async def _take_along(step: asyncio.Task[Any]) -> None:
    """Cancel the step, and again whenever we are; return when it has ended."""
    step.cancel()
    while not step.done():
        try:
            await asyncio.wait({step})
        except asyncio.CancelledError:
            step.cancel()
