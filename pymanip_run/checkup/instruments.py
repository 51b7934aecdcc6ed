"""Instruments that the computer sees: VISA resources, serial lines, device files of GPIB and USB."""

from __future__ import annotations

import grp
import json
import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pymanip_run.checkup.finding import Finding, output_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["look_at_serial", "look_at_visa"]

#: In a process of its own, so that a bus that hangs can be left.
LIST = """\
import json, pyvisa
manager = pyvisa.ResourceManager()
print(json.dumps([str(manager.visalib), list(manager.list_resources("?*"))]))
"""
DEVICES = Path("/dev")
PATTERNS = ("serial/by-id/*", "ttyUSB*", "ttyACM*", "gpib*", "usbtmc*")


def look_at_visa(seconds: float) -> Sequence[Finding]:
    """Return findings on what VISA sees."""
    if find_spec("pyvisa") is None:
        return [
            Finding("VISA", "absent", "pyvisa is not installed", "pip install 'pymanip-run[visa]'")
        ]
    answer = output_of([sys.executable, "-c", LIST], seconds)
    try:
        library, resources = json.loads((answer or "").splitlines()[-1])
    except (ValueError, IndexError):
        cure = f"{sys.executable} -m visa info"
        return [Finding("VISA", "warning", "lists no resources, or takes too long", cure)]
    if not resources:
        return [Finding("VISA", "ok", f"no instrument found by {library}")]
    return [Finding("VISA", "ok", resource) for resource in resources]


def look_at_serial() -> Sequence[Finding]:
    """Return findings on serial lines and on the device files of instruments."""
    found = list(_device_files())
    if not found:
        return [Finding("serial, GPIB, USB", "ok", "no instrument found")]
    return [_device(*one) for one in found]


def _device_files() -> Iterator[tuple[str, Path]]:
    """Yield each device once, under the name that stays the same when it is plugged in again."""
    seen = set()
    for pattern in PATTERNS:
        for path in sorted(DEVICES.glob(pattern)):
            target = path.resolve()
            if target not in seen:
                seen.add(target)
                yield pattern.rstrip("*").partition("/")[0], path


def _device(kind: str, path: Path) -> Finding:
    target = path.resolve()
    text = str(path) if target == path else f"{path} → {target.name}"
    subject = "serial" if kind.startswith(("serial", "tty")) else kind.upper()
    if os.access(target, os.R_OK | os.W_OK):
        return Finding(subject, "ok", text)
    return Finding(subject, "warning", f"{text} must not be opened by this user", _cure(target))


def _cure(target: Path) -> str:
    try:
        group = grp.getgrgid(target.stat().st_gid).gr_name
    except (OSError, KeyError):
        group = "dialout"
    return f"sudo usermod -aG {group} $USER, then log in again"
