"""A screen without a monitor: what is on it, and clicks on the crosses of its windows."""

import ctypes
import os
import struct
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np


class Screen:
    """An Xvfb server.

    Attributes
    ----------
    name
        What DISPLAY is to be.
    """

    def __init__(self, name, buffer):
        self.name = name
        self._buffer = buffer

    def pixels(self):
        """Return what is seen, of shape (height, width, 3), from the buffer in XWD format."""
        content = self._buffer.read_bytes()
        head = struct.unpack(">25I", content[:100])
        size, width, height, line, colours = head[0], head[4], head[5], head[12], head[19]
        rows = np.frombuffer(content, np.uint8, line * height, size + 12 * colours)
        return rows.reshape(height, line)[:, : 4 * width].reshape(height, width, 4)[..., 2::-1]

    def has_colour(self, colour):
        """Return whether a colour, ``#rrggbb``, is on the screen."""
        wanted = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
        return bool((self.pixels() == wanted).all(-1).any())

    def wait_for_colour(self, colour):
        """Wait until a colour is on the screen.

        Longer than for other things: a window has a lower priority than whatever runs beside the test,
        and to look at all pixels without a pause would take from it what is left.
        """
        deadline = time.monotonic() + 60
        while not self.has_colour(colour):
            assert time.monotonic() < deadline, f"{colour} is not on the screen within 60 s"
            time.sleep(0.2)

    def click_crosses(self):
        """Ask all windows to close, as a window manager does (ICCCM 4.2.8.1)."""
        x11 = ctypes.CDLL("libX11.so.6")
        x11.XOpenDisplay.restype = ctypes.c_void_p
        x11.XDefaultRootWindow.restype = x11.XInternAtom.restype = ctypes.c_ulong
        display = ctypes.c_void_p(x11.XOpenDisplay(self.name.encode()))
        protocols, delete = (
            x11.XInternAtom(display, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW")
        )
        for window in _windows(x11, display, x11.XDefaultRootWindow(display)):
            if _has_protocols(x11, display, window):
                # XClientMessageEvent: type, serial, send_event, display, window, atom, format, data
                event = struct.pack(
                    "i4xLi4xPLLi4x5l40x", 33, 0, 1, 0, window, protocols, 32, delete, 0, 0, 0, 0
                )
                x11.XSendEvent(display, ctypes.c_ulong(window), 0, ctypes.c_long(0), event)
        x11.XSync(display, 0)
        x11.XCloseDisplay(display)


def _windows(x11, display, window):
    root, parent, count = ctypes.c_ulong(), ctypes.c_ulong(), ctypes.c_uint()
    children = ctypes.POINTER(ctypes.c_ulong)()
    x11.XQueryTree(
        display, ctypes.c_ulong(window), ctypes.byref(root), ctypes.byref(parent),
        ctypes.byref(children), ctypes.byref(count),
    )  # fmt: skip
    for child in [children[i] for i in range(count.value)]:
        yield child
        yield from _windows(x11, display, child)


def _has_protocols(x11, display, window):
    atoms, count = ctypes.POINTER(ctypes.c_ulong)(), ctypes.c_int()
    return x11.XGetWMProtocols(
        display, ctypes.c_ulong(window), ctypes.byref(atoms), ctypes.byref(count)
    )


@contextmanager
def xvfb(folder: Path):
    """Run a screen of 1000 × 700; its buffer is in the folder."""
    ours, theirs = os.pipe()
    process = subprocess.Popen(
        ["Xvfb", "-displayfd", str(theirs), "-screen", "0", "1000x700x24", "-fbdir", folder, "-nolisten", "tcp"],
        pass_fds=(theirs,), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(theirs)
    try:
        with os.fdopen(ours) as told:
            number = told.readline().strip()
        assert number, "Xvfb did not begin"
        yield Screen(f":{number}", folder / "Xvfb_screen0")
    finally:
        process.terminate()
        process.wait()
