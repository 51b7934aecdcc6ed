"""The child process that draws: windows, PNG files beside the session, or pictures for a mail.

Started as ``python -P -m pymanip_run.plotting.painter windows|files|pictures``. On its standard
input come frames of `wire`; on its standard output it says, one JSON object a line, what its user did,
or gives pictures. It ends when its input does.
"""

import signal

if __name__ == "__main__":
    # The first instructions: a Ctrl-C or a terminal that closes is for the run, which will tell us.
    for _name in ("SIGINT", "SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, _name), signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})

import json
import os
import sys
import threading
import traceback
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from pymanip_run.errors import PymanipError
from pymanip_run.plotting.album import Album
from pymanip_run.plotting.files import write_files
from pymanip_run.plotting.plot import Plot
from pymanip_run.plotting.windows import show_windows
from pymanip_run.plotting.wire import PICTURE, START, packed, read_frame
from pymanip_run.spawn import lower_priority

__all__ = ["main"]


def say(**words: Any) -> None:
    """Tell the run, if it still listens."""
    with suppress(OSError):
        os.write(1, json.dumps(words).encode() + b"\n")


def main() -> None:
    """Draw what comes; see the module."""
    mode = sys.argv[1]
    lower_priority()
    warnings.simplefilter("ignore")  # those of matplotlib, about fonts: nobody would see them
    pipe = sys.stdin.buffer
    frame = read_frame(pipe)
    if frame is None or frame.kind != START:
        return
    start = json.loads(frame.content)
    plots = [Plot.from_json(one) for one in start["plots"]]
    album = Album(plots, start["names"], Path(start["path"]) if start["path"] else None)
    if mode == "pictures":
        _give_pictures(album)
        return
    over = threading.Event()

    def read() -> None:
        album.read(pipe)
        over.set()
        if mode == "windows":
            os._exit(0)  # the main thread may be held by the screen

    threading.Thread(target=read, name="pipe", daemon=True).start()
    if mode == "windows":
        show_windows(album, start["title"], start["backend"], say)
    else:
        write_files(album, Path(start["folder"]), over, say)


def _give_pictures(album: Album) -> None:
    from pymanip_run.plotting.canvas import picture  # noqa: PLC0415 - matplotlib takes a moment

    album.read(sys.stdin.buffer)
    album.fill()
    about = album.about()
    for sheet in album.sheets:
        sys.stdout.buffer.write(packed(PICTURE, picture(sheet.plot, sheet.curves(), about)))
    sys.stdout.buffer.flush()


def _status() -> int:
    """Draw, say on standard error what keeps it from that, and return the exit status."""
    try:
        main()
        sys.stdout.flush()
    except (OSError, PymanipError, ImportError) as error:
        sys.stderr.write(f"{str(error) or type(error).__name__}\n")
        return 1
    except BaseException:  # noqa: BLE001 - whatever it is, the run is told
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    # At once: Python would wait for the thread that waits for the pipe, and abort.
    os._exit(_status())
