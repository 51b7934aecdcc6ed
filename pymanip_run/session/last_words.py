"""What a process can still record that a third Ctrl-C ends at once."""

from __future__ import annotations

import _thread
from contextlib import suppress
from typing import TYPE_CHECKING

from pymanip_run.runtime.endings import signal_name

if TYPE_CHECKING:
    from pymanip_run.core.recorder import Recorder
    from pymanip_run.registry import Registration

__all__ = ["record_last_words"]

PATIENCE = 0.3  # seconds


def record_last_words(recorder: Recorder, registration: Registration | None, signum: int) -> None:
    """Record the end of a run, if that is possible at once; in a signal handler.

    In another thread: this one may have been interrupted in the midst of recording. That thread
    needs the lock of the store, as any other, and if it does not get it, the process ends without.
    """
    code, reason = 128 + signum, f"{signal_name(signum)}, left at once by a third one"
    done = _thread.allocate_lock()
    done.acquire()

    def record() -> None:
        with suppress(Exception):
            if registration is not None:
                registration.finish(code, reason)
        with suppress(Exception):
            recorder.end_run(code, reason)
        done.release()

    with suppress(RuntimeError):  # no more threads
        # Not one of `threading`, whose own lock we may hold.
        _thread.start_new_thread(record, ())
        done.acquire(timeout=PATIENCE)
