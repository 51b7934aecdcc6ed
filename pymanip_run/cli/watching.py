"""``pymanip-run observe --watch``: waits until something is wrong elsewhere, and says it by the exit code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymanip_run.cli.outcome import say
from pymanip_run.clock import SYSTEM
from pymanip_run.errors import RemoteError
from pymanip_run.observe import UnreachableError
from pymanip_run.units import format_duration

if TYPE_CHECKING:
    from pymanip_run.observe import RemoteObserver

__all__ = ["watch"]

FINISHED, UNKNOWN, ALARM, DEAD, SILENT = 0, 3, 5, 6, 7
#: Seconds that the server is asked to wait for the end of the run before it answers.
WAIT = 2.0
AGAIN = 1.0


def watch(observer: RemoteObserver, max_age: float, *, once: bool = False) -> int:
    """Return the exit code as soon as there is something to tell.

    Parameters
    ----------
    observer
        The session.
    max_age
        Seconds without new data that are too long.
    once
        Look only once; 0 when nothing is wrong.
    """
    while True:
        try:
            verdict = _verdict(observer, max_age, wait=0.0 if once else WAIT)
        except RemoteError as error:
            return _gone(observer, error)
        if verdict is not None:
            say(verdict[1])
            return verdict[0]
        if once:
            return FINISHED


def _verdict(observer: RemoteObserver, max_age: float, wait: float) -> tuple[int, str] | None:
    shown = observer.snapshot()
    if shown["state"] == "saved":
        return UNKNOWN, "a saved session is shown there, and no run that could be watched"
    alarms = [one for one in shown["alarms"] if one["state"] == "active"]
    if alarms:
        return ALARM, "; ".join(f"alarm {one['name']}: {one['text']}" for one in alarms)
    last = max((one["t"] for one in shown["values"].values()), default=shown["started"])
    age = shown["now"] - max(last or 0.0, shown["started"] or 0.0)
    if shown["state"] in ("running", "stopping") and age > max_age:
        asked = "; it was asked to stop, and has not" if shown["state"] == "stopping" else ""
        return SILENT, f"no new data for {format_duration(age)}{asked}"
    how = observer.state(wait)
    return _ended(how) if how["state"] == "finished" else None


def _ended(how: dict[str, Any]) -> tuple[int, str]:
    if how["exit_code"] in (0, None):
        return FINISHED, f"finished: {how['reason']}"
    if how["exit_code"] == ALARM:
        return ALARM, f"stopped by an alarm: {how['reason']}"
    return DEAD, f"ended with exit code {how['exit_code']}: {how['reason']}"


def _gone(observer: RemoteObserver, error: RemoteError) -> int:
    """Return what a server that does not answer means; one hiccup means nothing."""
    say(str(error))
    if not isinstance(error, UnreachableError):
        return UNKNOWN
    if error.kind in ("refused", "lost"):
        SYSTEM.pause(AGAIN)
        try:
            observer.snapshot()
        except UnreachableError as again:
            error = again
        except RemoteError:
            return UNKNOWN
        else:
            return watch_again(observer)
    return {"refused": DEAD, "lost": DEAD, "timeout": SILENT}.get(error.kind, UNKNOWN)


def watch_again(observer: RemoteObserver) -> int:
    """Return that it was lost and is there again: another process answers."""
    say(f"{observer.url} was lost and is there again")
    return DEAD
