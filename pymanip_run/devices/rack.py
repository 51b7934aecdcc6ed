"""The devices of a run: opened in order, made safe and closed whatever happens."""

from __future__ import annotations

import asyncio
import inspect
import logging
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from pymanip_run.devices.device import Device
from pymanip_run.devices.failures import FAILURES, reason_of
from pymanip_run.devices.lane import HungError, Lane, NoTurnError
from pymanip_run.devices.parts import put
from pymanip_run.devices.waiting import undisturbed, within
from pymanip_run.errors import DeviceOpenError
from pymanip_run.runtime.troubles import AS_EVENT, one_line

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from pymanip_run.devices.spec import DeviceSpec, SafeCall

__all__ = ["Rack"]

logger = logging.getLogger(__name__)

SLOW = 2.0  # seconds after which people are told what they wait for


class Rack:
    """The devices of a run.

    Parameters
    ----------
    specs
        In the order in which they are opened.
    tell
        Makes an event of the device's name and a text.
    attach
        Is called with the name of a device and what the session gets for it, None before it is open.
    detach
        Is called with the name when it is closed.

    Attributes
    ----------
    devices : tuple of Device
    safe_state : {'done', 'failed'} or None
        Outcome of the safe actions at the end; None when there were none to run.
    closed : list of str
        What became of each device, in words, in the order of closing.
    """

    def __init__(
        self,
        specs: Sequence[DeviceSpec],
        *,
        tell: Callable[[str, str], object],
        attach: Callable[[str, Any], object],
        detach: Callable[[str], object],
    ) -> None:
        self._to_tell = tell
        self._attach = attach
        self._detach = detach
        self.devices = tuple(Device(spec, self._tell, self._appeared) for spec in specs)
        self.safe_state: Literal["done", "failed"] | None = None
        self.closed: list[str] = []
        #: What is said of the safe actions of a device at the end, by its name.
        self._safe_words: dict[str, str] = {}
        self._ending = False

    @asynccontextmanager
    async def opened(self, is_stopping: Callable[[], bool] = bool) -> AsyncIterator[Rack]:
        """Open the devices, and make them safe and close them on every way out.

        Parameters
        ----------
        is_stopping
            Tells whether the run is to end: then no more devices are opened.

        Raises
        ------
        DeviceOpenError
            If one that is required cannot be opened; those before it have been closed again.
        """
        try:
            for device in self.devices:
                if not is_stopping():
                    await self._open(device)
            yield self
        finally:
            await self.end()

    async def open_each(self) -> dict[str, str]:
        """Open as many as possible; return what went wrong, by device."""
        failures = {}
        for device in self.devices:
            try:
                await device.open()
            except DeviceOpenError as error:
                failures[device.name] = str(error)
        return failures

    async def _open(self, device: Device) -> None:
        try:
            with _told_if_slow("device %r is still being opened", device.name):
                await device.open()
        except DeviceOpenError as error:
            why = str(error).partition("\n")[0].partition(": ")[2]
            if device.spec.required:
                self._tell(device.name, f"cannot be opened: {why}")
                raise
            goes_on = "it is tried again" if device.spec.reconnect else "the run goes on without it"
            self._tell(device.name, f"cannot be opened: {why}; {goes_on}")
            logger.warning("device %r cannot be opened: %s; %s", device.name, why, goes_on)
            self._attach(device.name, None)
            if device.spec.reconnect:
                device.seek(why)

    def _appeared(self, device: Device) -> None:
        if not self._ending:
            self._attach(device.name, device.face)

    def _tell(self, name: str, text: str) -> None:
        try:
            self._to_tell(name, text)
        except Exception as error:  # noqa: BLE001 - a full disk must not keep a heater on
            logger.warning("%s: %s (this could not be stored: %s)", name, text, one_line(error))

    # -- the end --------------------------------------------------------------------------------

    async def end(self) -> dict[str, str | None]:
        """Make all devices safe and close them, whatever is cancelled meanwhile.

        Returns
        -------
        dict of str to (str or None)
            As :meth:`make_safe` does.
        """
        self._ending = True
        return await undisturbed(self._end(), _tell_what_is_awaited)  # type: ignore[no-any-return]

    async def _end(self) -> dict[str, str | None]:
        for device in self.devices:
            await device.dismiss()
        outcome = await self.make_safe(reopen=True)
        for device in reversed(self.devices):
            await self._close(device)
        return outcome

    async def make_safe(self, *, reopen: bool = False) -> dict[str, str | None]:
        """Run the safe actions of all devices, the one that was opened last first. Never raises.

        Parameters
        ----------
        reopen
            Open a device for it that was lost during the run.

        Returns
        -------
        dict of str to (str or None)
            For each device with safe actions what failed; None if nothing did.
        """
        outcome: dict[str, str | None] = {}
        for device in reversed(self.devices):
            if not device.spec.safe:
                continue
            if not device.is_open and not (reopen and await self._reopened(device)):
                if device.epoch:
                    outcome[device.name] = self._unsafe(device, f"it is away {device.absence}")
                else:
                    self._tell(device.name, "was not open: its safe actions were not run")
                continue
            with _told_if_slow("device %r is still being made safe", device.name):
                outcome[device.name] = await self._make_safe(device)
        if outcome:
            self.safe_state = "failed" if any(outcome.values()) else "done"
        return outcome

    async def _reopened(self, device: Device) -> bool:
        if not device.epoch:
            return False
        try:
            await device.open()
        except FAILURES as error:  # whatever it is, the others are to be made safe too
            logger.debug("device %r cannot be opened to be made safe", device.name, exc_info=error)
            return False
        return True

    def _unsafe(self, device: Device, why: str) -> str:
        self._tell(device.name, f"NOT SAFE: {why}")
        logger.error("device %r is NOT SAFE: %s", device.name, why, extra=AS_EVENT)
        self._safe_words[device.name] = f"NOT SAFE: {why}"
        return why

    async def _make_safe(self, device: Device) -> str | None:
        failures = []
        for action in device.spec.safe:
            try:
                await self._perform(device, action)
            except FAILURES as error:
                failures.append(f"{action.label}: {reason_of(error, action.timeout)}")
                logger.debug("safe action %s of %s", action.call, device.name, exc_info=error)
            else:
                self._tell(device.name, f"safe: {action.label}")
        if failures:
            return self._unsafe(device, "; ".join(failures))
        labels = ", ".join(action.label for action in device.spec.safe)
        self._safe_words[device.name] = f"safe: {labels}"
        return None

    async def _perform(self, device: Device, action: SafeCall) -> None:
        function = partial(put, device.driver, action.call, action.args, dict(action.kwargs))
        if device.is_in_loop:
            result = function()
        else:
            result = await self._in_thread(device, action, function)
        if inspect.isawaitable(result):
            await within(action.timeout, result, f"{device.name}.{action.call}()")

    async def _in_thread(
        self, device: Device, action: SafeCall, function: Callable[[], Any]
    ) -> Any:
        what, timeout = f"{device.name}.{action.call}()", action.timeout
        waits = timeout if device.lane.is_hung else 0.0
        try:
            return await device.lane.call(function, what, timeout=timeout + waits, grace=timeout)
        except (HungError, NoTurnError) as error:
            # Two calls at once may confuse a driver. An output that stays on is worse.
            busy = f"{error}; it is called in another thread now"
            logger.warning("%s", busy, extra=AS_EVENT)
            self._tell(device.name, busy)
        beside = Lane(device.name)
        try:
            return await beside.call(function, what, timeout=timeout)
        finally:
            beside.close()

    async def _close(self, device: Device) -> None:
        words = ["simulated"] if device.spec.simulated else []
        words += [self._safe_words[device.name]] if device.name in self._safe_words else []
        was_open, absence = device.is_open, device.absence
        with _told_if_slow("device %r is still being closed", device.name):
            trouble = await device.close()
        device.retire()
        self._detach(device.name)
        if trouble is not None:
            words.append(f"not closed: {trouble}")
            self._tell(device.name, f"not closed: {trouble}")
            logger.warning(
                "device %r could not be closed: %s", device.name, trouble, extra=AS_EVENT
            )
        elif was_open:
            self._tell(device.name, "closed")
        elif absence is not None:
            words.append("away")
            self._tell(device.name, f"still away {absence}")
        else:
            return  # it never was there
        self.closed.append(f"{device.name} ({'; '.join(words)})" if words else device.name)


@contextmanager
def _told_if_slow(words: str, name: str) -> Iterator[None]:
    """Tell people what they wait for."""
    timer = asyncio.get_running_loop().call_later(SLOW, logger.warning, words, name)
    try:
        yield
    finally:
        timer.cancel()


def _tell_what_is_awaited() -> None:
    logger.warning(
        "the devices are being made safe and closed; press Ctrl-C again to leave them as they are"
    )
