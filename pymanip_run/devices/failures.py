"""Failures of drivers: which mean that the connection is gone, and how they are told."""

from __future__ import annotations

import asyncio
import traceback
from typing import TYPE_CHECKING

from pymanip_run.devices.waiting import NoAnswerError
from pymanip_run.errors import DeviceError, causes
from pymanip_run.runtime.troubles import one_line
from pymanip_run.units import format_duration

if TYPE_CHECKING:
    from pymanip_run.devices.spec import DeviceSpec

__all__ = ["FAILURES", "breaks_connection", "reason_of", "refusal"]

#: What may come out of a driver, and must not keep the others from being closed.
FAILURES = (Exception, asyncio.CancelledError, KeyboardInterrupt, SystemExit)

#: Mistakes in a program: opening the instrument again would not mend them.
MISTAKES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    NotImplementedError,
    RecursionError,
    StopAsyncIteration,
    StopIteration,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,
)
#: Failures of a connection, whatever else they are.
CONNECTION = (OSError, EOFError)


def breaks_connection(error: BaseException) -> bool:
    """Return whether a device is to be opened again after this failure of a call.

    `OSError` (with `ConnectionError`, `TimeoutError`, serial and USB errors) and `EOFError` (with
    ``asyncio.IncompleteReadError``) always. Of others all but mistakes in a program (`TypeError`,
    `ValueError`, `KeyError` and their like): libraries have classes of their own, such as
    ``pyvisa.VisaIOError``, and what they call them cannot be known.
    """
    if isinstance(error, CONNECTION):
        return True
    if isinstance(error, BaseExceptionGroup):  # of a task group within the driver
        return any(map(breaks_connection, causes(error)))
    if isinstance(error, asyncio.CancelledError) or not isinstance(error, Exception):
        return False
    return not isinstance(error, MISTAKES)


def reason_of(error: BaseException, timeout: float) -> str:
    """Return in one line why something could not be done, with the driver's line for a mistake in it."""
    if isinstance(error, NoAnswerError):
        return f"no answer within {format_duration(timeout)}"
    if isinstance(error, DeviceError):
        return str(error)
    if isinstance(error, (KeyboardInterrupt, asyncio.CancelledError)):
        return "it was interrupted"
    frames = traceback.extract_tb(error.__traceback__)
    if breaks_connection(error) or not frames:
        return one_line(error)
    return f"{one_line(error)} ({frames[-1].filename}:{frames[-1].lineno} in {frames[-1].name})"


def refusal(spec: DeviceSpec, error: BaseException) -> str:
    """Return what is said of a device that cannot be opened: why, where it is declared, what to do."""
    why = reason_of(error, spec.open_timeout)
    lines = [f"device {spec.name!r} cannot be opened: {why}"]
    declared = [spec.use] if spec.use else []
    declared += [f"declared at {spec.place}"] if spec.place else []
    lines += [f"  {', '.join(declared)}"] if declared else []
    if breaks_connection(error) and type(error) is not DeviceError:
        lines.append(
            "  Is it switched on and connected, is its address right, does no other program use it?"
        )
        if spec.required:
            lines.append("  To go on without it:  required: false")
    return "\n".join(lines)
