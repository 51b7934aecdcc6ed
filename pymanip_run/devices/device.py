"""One device over a run: opened, called, lost and opened again, made safe, closed."""

from __future__ import annotations

import asyncio
import inspect
import logging
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from pymanip_run.clock import SYSTEM, iso_local
from pymanip_run.devices.driver import open_driver
from pymanip_run.devices.failures import FAILURES, breaks_connection, reason_of, refusal
from pymanip_run.devices.lane import Lane, NoTurnError
from pymanip_run.devices.parts import missing_action
from pymanip_run.devices.proxy import Proxy
from pymanip_run.devices.waiting import undisturbed
from pymanip_run.errors import DeviceError, DeviceOpenError, DeviceTimeoutError
from pymanip_run.runtime.troubles import AS_EVENT, one_line
from pymanip_run.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymanip_run.devices.driver import OpenDriver
    from pymanip_run.devices.spec import DeviceSpec

__all__ = ["Device"]

logger = logging.getLogger(__name__)

LEAST_WAIT = 0.1  # seconds between two attempts


class _Absence(NamedTuple):
    """Since when a device is away, in Unix seconds, and why."""

    since: float
    why: str

    def __str__(self) -> str:
        seconds = max(0.0, SYSTEM.time() - self.since)
        return (
            f"since {iso_local(self.since)[11:19]} ({format_duration(round(seconds))}): {self.why}"
        )


class Device:
    """A device of a run.

    Parameters
    ----------
    spec
        What is to be opened.
    tell
        Is called with the device's name and what happened to it.
    appeared
        Is called when it was opened, also when it was opened again.

    Attributes
    ----------
    spec : DeviceSpec
    lane : Lane
        Its thread.
    """

    def __init__(
        self,
        spec: DeviceSpec,
        tell: Callable[[str, str], object],
        appeared: Callable[[Device], object],
    ) -> None:
        self.spec = spec
        self.name = spec.name
        self.lane = Lane(spec.name)
        self._tell = tell
        self._appeared = appeared
        self._opened: OpenDriver | None = None
        self._absence: _Absence | None = None
        self._epoch = 0
        self._cut: str | None = None
        self._is_dismissed = False
        self._wait = spec.reconnect.wait if spec.reconnect else 0.0
        self._opened_at = 0.0
        self._attempted = asyncio.Event()
        self._return: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._face: Any = None
        self._last: Any = None

    # -- what it is -----------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether there is an open driver."""
        return self._opened is not None

    @property
    def absence(self) -> str | None:
        """Since when it is away, and why; None while it is there."""
        return None if self._absence is None else str(self._absence)

    @property
    def driver(self) -> Any:
        """The driver itself.

        Raises
        ------
        DeviceError
            If it is away, or closed.
        """
        if self._opened is None:
            if self._absence is None:
                raise DeviceError(f"{self.name} is closed: the run is over")
            raise DeviceError(
                f"{self.name} is away {self._absence}; it is opened again as soon as it answers"
            )
        return self._opened.driver

    @property
    def last_driver(self) -> Any:
        """The driver, or while it is away the one that was there before."""
        return self.driver if self._last is None else self._last

    @property
    def face(self) -> Any:
        """What the session has under its name: the driver, or what stands before it."""
        if not (self.spec.blocking or self.spec.reconnect):
            return self.driver
        if self._face is None:
            self._face = Proxy(self, blocking=self.spec.blocking)
        return self._face

    @property
    def is_in_loop(self) -> bool:
        """Whether its methods are called in the event loop."""
        return self._opened is not None and self._opened.in_loop and not self.spec.blocking

    # -- opening and closing --------------------------------------------------------------------

    async def open(self) -> None:
        """Open it.

        Raises
        ------
        DeviceOpenError
            If that is not possible; the message says what, where, and what to do.
        """
        self._loop = asyncio.get_running_loop()
        try:
            await self._open()
        except (Exception, SystemExit) as error:
            raise DeviceOpenError(refusal(self.spec, error)) from error
        words = [self.spec.use or self.name] + ["simulated"] * self.spec.simulated
        self._tell(self.name, f"opened ({', '.join(words)})")

    async def _open(self) -> None:
        opened = await open_driver(self.spec, self.lane)
        try:
            await self._check_safe(opened)
        except BaseException:
            await undisturbed(self._closed(opened))
            raise
        self._opened = opened
        self._last = self._opened.driver
        self._opened_at = asyncio.get_running_loop().time()
        self._epoch += 1
        self._cut = self._absence = None
        opened.when_it_ends(partial(self._ended, self._epoch))
        self._appeared(self)

    async def _check_safe(self, opened: OpenDriver) -> None:
        """Find out whether its safe actions are there, where it lives: to look may ask the instrument."""
        if not self.spec.safe:
            return
        look = partial(missing_action, opened.driver, self.spec.safe)
        if opened.in_loop:
            missing = look()
        else:
            what = f"looking for the safe actions of {self.name}"
            missing = await self.lane.call(look, what, timeout=self.spec.open_timeout)
        if missing is not None:
            raise DeviceError(missing)

    def _ended(self, epoch: int, error: BaseException) -> None:
        """Take note that the driver ended by itself: a task of its own failed, for example."""
        if epoch != self._epoch or self._is_dismissed or self._absence is not None:
            return
        if self.spec.reconnect is not None:
            self._lose(one_line(error), epoch)
        else:
            self._tell(self.name, f"ended by itself: {one_line(error)}")
            logger.warning(
                "device %r ended by itself: %s", self.name, one_line(error), extra=AS_EVENT
            )

    async def close(self) -> str | None:
        """Close it; return what went wrong. Never raises."""
        opened, self._opened = self._opened, None
        return await self._closed(opened)

    async def _closed(self, opened: OpenDriver | None) -> str | None:
        if opened is None:
            return None
        try:
            await opened.close(self.spec.close_timeout)
        except FAILURES as error:
            logger.debug("closing %s failed", self.name, exc_info=error)
            return reason_of(error, self.spec.close_timeout)
        return None

    def retire(self) -> None:
        """Let its thread end, and its driver go."""
        self.lane.close()
        self._last = None

    async def dismiss(self) -> None:
        """Stop to open it again."""
        self._is_dismissed = True
        self._attempted.set()
        if self._return is not None:
            task, self._return = self._return, None
            task.cancel()
            await asyncio.wait({task})

    # -- calls ----------------------------------------------------------------------------------

    async def call(
        self, function: Callable[[Any], Any], what: str, timeout: float | None = None
    ) -> Any:
        """Call a function of the driver in the device's thread.

        Raises
        ------
        DeviceError
            If it is away.
        DeviceTimeoutError
            If it took longer than `timeout`, or its thread is hung.
        Exception
            What the function raised.
        """
        await self._ready_within(timeout, what)
        epoch, driver = self._epoch, self.driver
        try:
            result = await self.lane.call(partial(function, driver), what, timeout=timeout)
            return await result if inspect.isawaitable(result) else result
        except BaseException as error:
            self.failed(error, epoch)
            raise

    def call_and_wait(self, function: Callable[[Any], Any], what: str) -> Any:
        """Do so from a thread that waits for the result."""
        epoch, driver = self._epoch, self.driver
        try:
            return self.lane.call_and_wait(partial(function, driver), what)
        except BaseException as error:
            self.failed(error, epoch)
            raise

    @property
    def epoch(self) -> int:
        """How often it was opened: a failure of an earlier life is none of this one."""
        return self._epoch

    def failed(self, error: BaseException, epoch: int) -> None:
        """Note that a call failed. From any thread."""
        if self.spec.reconnect is None or self._loop is None or isinstance(error, NoTurnError):
            return
        if isinstance(error, asyncio.CancelledError):
            if self.is_in_loop and epoch == self._epoch:
                # Its answer may still come, and would be taken for that of the next call.
                self._cut = "a call was cut short"
        elif breaks_connection(error):
            why = one_line(error)
            try:
                here = asyncio.get_running_loop() is self._loop
            except RuntimeError:
                here = False
            if here:
                self._lose(why, epoch)
            elif not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._lose, why, epoch)

    async def _ready_within(self, timeout: float | None, what: str) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self.ready()
        except TimeoutError:
            raise DeviceTimeoutError(
                f"{what} was not called: {self.name} is away {self._absence}"
            ) from None

    async def ready(self) -> None:
        """Wait for a device that was just lost, until it was tried to open it again for the first time.

        Raises
        ------
        DeviceError
            If that failed.
        """
        if self._cut is not None and self.is_open:
            self._lose(self._cut, self._epoch)
        if self._return is not None and not self._attempted.is_set():
            await self._attempted.wait()

    # -- lost and found -------------------------------------------------------------------------

    def _lose(self, why: str, epoch: int) -> None:
        reconnect = self.spec.reconnect
        if (
            reconnect is None
            or self._is_dismissed
            or epoch != self._epoch
            or self._absence is not None
        ):
            return
        now = asyncio.get_running_loop().time()
        if now - self._opened_at > reconnect.max_wait:
            # Else it comes and goes, and the pauses get longer all the same.
            self._wait = reconnect.wait
        again = (
            f"is opened again in {format_duration(self._wait)}" if self._wait else "is opened again"
        )
        self._tell(self.name, f"lost: {why}; it {again}")
        logger.warning("device %r is lost: %s", self.name, why, extra=AS_EVENT)
        self.seek(why)

    def seek(self, why: str) -> None:
        """Close it, and try to open it until that succeeds."""
        self._absence = _Absence(SYSTEM.time(), why)
        lost, self._opened = self._opened, None
        self._attempted.clear()
        self._return = asyncio.get_running_loop().create_task(
            self._come_back(lost), name=f"device {self.name}, opening again"
        )

    async def _come_back(self, lost: OpenDriver | None) -> None:
        assert self.spec.reconnect is not None  # noqa: S101 - for the type checker
        await undisturbed(self._drop(lost))
        began, attempts = asyncio.get_running_loop().time(), 0
        while True:
            pause = self._wait
            self._wait = min(max(2 * pause, LEAST_WAIT), self.spec.reconnect.max_wait)
            await asyncio.sleep(pause)
            attempts += 1
            try:
                if self.lane.is_hung:
                    self.lane.renew()
                await self._open()
            except (Exception, SystemExit, KeyboardInterrupt) as error:  # noqa: BLE001 - tried again
                why = reason_of(error, self.spec.open_timeout)
                logger.debug("device %r cannot be opened yet: %s", self.name, why)
                if self._absence is not None and not self._attempted.is_set():
                    first = f"{self._absence.why}; and it cannot be opened: {why}"
                    self._absence = self._absence._replace(why=first)
                self._attempted.set()
            else:
                away = format_duration(round(asyncio.get_running_loop().time() - began, 1))
                times = "1 attempt" if attempts == 1 else f"{attempts} attempts"
                self._tell(self.name, f"open again after {away}, {times}")
                logger.warning("device %r is open again after %s", self.name, away, extra=AS_EVENT)
                self._return = None
                self._attempted.set()
                return

    async def _drop(self, lost: OpenDriver | None) -> None:
        """Close what is left of a lost device; that it cannot be closed is no news."""
        if self.lane.is_hung:
            self.lane.renew()
        await self._closed(lost)
        if self.lane.is_hung:
            self.lane.renew()
