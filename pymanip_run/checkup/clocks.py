"""The clocks of the computer: are they right, and do they run evenly."""

from __future__ import annotations

import ctypes
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from pymanip_run.checkup.finding import Finding
from pymanip_run.clock import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["look_at_clocks"]

UNSYNCHRONISED = 0x0040  # STA_UNSYNC of adjtimex(2)
SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
#: Each reading of these is a slow one of the hardware.
SLOW = {"hpet", "acpi_pm", "jiffies", "pit"}
READINGS = 2000


class _Timex(ctypes.Structure):
    """The beginning of struct timex, see adjtimex(2); what follows is not looked at."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_char * 512),
    )


def look_at_clocks() -> Sequence[Finding]:
    """Return findings on the wall clock and on the monotonic one."""
    return [_wall(), _monotonic()]


def _wall() -> Finding:
    timex = _Timex()
    try:
        failed = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex)) < 0
    except (OSError, AttributeError):
        failed = True
    if failed:
        return Finding(
            "clock", "absent", "this system does not tell whether its clock is set by NTP"
        )
    if timex.status & UNSYNCHRONISED:
        text = "not synchronised by NTP: times may be wrong, and the clock may be set during a run"
        return Finding("clock", "warning", text, "sudo timedatectl set-ntp true")
    return Finding("clock", "ok", f"synchronised by NTP, within {timex.maxerror / 1000:.0f} ms")


def _monotonic() -> Finding:
    times = [SYSTEM.monotonic_ns() for _ in range(READINGS)]
    steps = [b - a for a, b in pairwise(times)]
    if min(steps) < 0:
        return Finding(
            "monotonic clock", "broken", "goes back", "choose another clock source of the kernel"
        )
    try:
        source = SOURCE.read_text(encoding="ascii").strip()
    except OSError:
        source = ""
    reading = f"{(times[-1] - times[0]) / (READINGS - 1):.0f} ns a reading"
    text = f"{source}, {reading}" if source else reading
    if source in SLOW:
        return Finding(
            "monotonic clock", "warning", f"{text}: slow", "boot the kernel with clocksource=tsc"
        )
    return Finding("monotonic clock", "ok", text)
