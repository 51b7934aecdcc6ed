"""Instruments: opened and closed in order, made safe, called in threads, found again when lost.

A driver is any object. Nothing here knows a session: it is told what to open, whom to tell, and
where to hang what was opened.
"""

from pymanip_run.devices.calls import DeviceCalls
from pymanip_run.devices.driver import is_asynchronous
from pymanip_run.devices.parts import is_property
from pymanip_run.devices.rack import Rack
from pymanip_run.devices.spec import DeviceSpec, Reconnect, SafeCall

__all__ = [
    "DeviceCalls",
    "DeviceSpec",
    "Rack",
    "Reconnect",
    "SafeCall",
    "is_asynchronous",
    "is_property",
]
