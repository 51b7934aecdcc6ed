"""The only place where time is read.

`Clock` is the seam: the system's clocks, or the `VirtualClock` of a dry run. `SessionClock` makes
from it the time of a session: close to the clock's, but never standing still or going back.

`SYSTEM` is for housekeeping (deadlines, displays, files, locks) and always real: it keeps the
functions that it found when it was imported. What a session measures goes by the session's clock.
"""

from __future__ import annotations

import functools
import math
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "SYSTEM",
    "Clock",
    "ClockStep",
    "SessionClock",
    "SystemClock",
    "VirtualClock",
    "as_ns",
    "as_seconds",
    "iso_local",
    "iso_utc",
    "replaced_time",
]

MIN_STEP_NS = 1_000  # two stamps of a session differ by at least 1 µs
JUMP_NS = 5_000_000  # smaller differences are reading noise …
SLEW_DIVISOR = 1_000  # … and slower drifts than 1 ms/s are NTP slewing (500 ppm at most)
# Unix seconds of the years 1 to 9999, a day from their ends for all zones.
CALENDAR = (-62_135_510_400.0, 253_402_214_400.0)
FARTHEST = 1e290  # seconds; of more, microseconds may be too many for float64


class Clock(Protocol):
    """Reads the time."""

    def wall_ns(self) -> int:
        """Nanoseconds since the Unix epoch, as the system believes."""
        ...

    def monotonic_ns(self) -> int:
        """Nanoseconds of a clock that never steps."""
        ...


class SystemClock:
    """The clocks of this computer, also while :func:`replaced_time` is in force.

    Attributes
    ----------
    time : callable
        Unix seconds.
    monotonic : callable
        Seconds of a clock that never steps; for intervals and deadlines.
    computed : callable
        Seconds that this process has used the processor.
    pause : callable
        Blocks this thread for some seconds; for waits on other processes, never for measuring.
    """

    wall_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.monotonic_ns)
    monotonic = staticmethod(time.monotonic)
    computed = staticmethod(time.process_time)
    pause = staticmethod(time.sleep)
    time = staticmethod(time.time)  # the last: from here on the name is taken


SYSTEM = SystemClock()


class VirtualClock:
    """A clock that is moved instead of running: the time of a dry run. Moved in one thread, read in any.

    Parameters
    ----------
    epoch_ns
        What it shows at the beginning, nanoseconds since the Unix epoch.
    """

    __slots__ = ("_epoch", "_seconds", "ns")

    #: The monotonic time at the beginning: as on a computer that is up for a day, since programs
    #: may take a small number for "never".
    START_NS = 100_000 * 10**9

    def __init__(self, epoch_ns: int) -> None:
        self._epoch = epoch_ns - self.START_NS
        self._seconds = self.START_NS / 1e9
        #: Monotonic nanoseconds.
        self.ns = self.START_NS

    def wall_ns(self) -> int:
        """Return nanoseconds since the Unix epoch."""
        return self._epoch + self.ns

    def monotonic_ns(self) -> int:
        """Return nanoseconds of a clock that never steps."""
        return self.ns

    def time(self) -> float:
        """Return Unix seconds."""
        return (self._epoch + self.ns) / 1e9

    def monotonic(self) -> float:
        """Return seconds of a clock that never steps."""
        return self._seconds

    def move_to(self, ns: int) -> None:
        """Move forward to a monotonic time; never back."""
        if ns > self.ns:
            self._seconds = ns / 1e9
            self.ns = ns

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return (self.ns - self.START_NS) / 1e9


@contextmanager
def replaced_time(
    clock: VirtualClock,
    sleep: Callable[[float], None],
    on_read: Callable[[], None],
    is_elsewhere: Callable[[], bool],
) -> Iterator[None]:
    """Let the functions of the module `time` tell the time of `clock` within the context.

    `time`, `monotonic`, `perf_counter`, their ``_ns`` forms and `sleep` are replaced where they
    are looked up; who imported them by name before keeps the real ones.

    Parameters
    ----------
    clock
        What is told.
    sleep
        Takes the place of ``time.sleep``.
    on_read
        Is called each time before the clock is read.
    is_elsewhere
        Whether the code that asks lives in real time all the same.
    """
    readers: dict[str, Callable[[], Any]] = {
        "time": clock.time,
        "time_ns": clock.wall_ns,
        "monotonic": clock.monotonic,
        "monotonic_ns": clock.monotonic_ns,
        "perf_counter": clock.monotonic,
        "perf_counter_ns": clock.monotonic_ns,
    }
    before = {name: getattr(time, name) for name in (*readers, "sleep")}
    ours: dict[str, Callable[..., Any]] = {
        name: _unless(is_elsewhere, on_read, read, before[name]) for name, read in readers.items()
    }
    ours["sleep"] = _sleeping(sleep, before["sleep"])
    for name, function in ours.items():
        setattr(time, name, function)
    try:
        yield
    finally:
        for name, function in ours.items():
            if getattr(time, name) is function:
                setattr(time, name, before[name])


def _unless(
    is_elsewhere: Callable[[], bool],
    on_read: Callable[[], None],
    read: Callable[[], Any],
    real: Callable[[], Any],
) -> Callable[[], Any]:
    @functools.wraps(real)
    def now() -> Any:
        if is_elsewhere():
            return real()
        on_read()
        return read()

    return now


def _sleeping(sleep: Callable[[float], None], real: Callable[[float], None]) -> Callable[..., None]:
    @functools.wraps(real)
    def asleep(seconds: float, /) -> None:
        if seconds != seconds or seconds < 0:  # noqa: PLR0124 - NaN
            raise ValueError("sleep length must be non-negative")
        sleep(seconds)

    return asleep


class ClockStep(NamedTuple):
    """The system clock was set: by `step` nanoseconds; the session is now `ahead` of it."""

    ns: int
    step: int
    ahead: int

    @property
    def text(self) -> str:
        """The step in words, for an event."""
        direction = "forward" if self.step > 0 else "back"
        text = f"the system clock went {direction} by {abs(self.step) / 1e9:.3f} s"
        if self.ahead:
            text += f"; the session's time runs on, {self.ahead / 1e9:.3f} s ahead of it"
        return text


class SessionClock:
    """Strictly increasing stamps that follow the system clock.

    Slewing is absorbed, a forward step (or a resume from suspend) is followed at once. On a
    backward step the stamps go on at the monotonic rate, ahead of the system clock by a constant;
    a later forward step first uses that constant up.

    Parameters
    ----------
    clock
        What is read.
    after_ns
        Stamps begin after this one (the last of a continued session).
    on_step
        Is called with each :class:`ClockStep`, in the thread that stamps, before the stamp returns.
    """

    __slots__ = (
        "_ahead",
        "_difference",
        "_last",
        "_mono",
        "_mono_ns",
        "_on_step",
        "_wall",
        "_wall_ns",
    )

    def __init__(
        self,
        clock: Clock = SYSTEM,
        after_ns: int = 0,
        on_step: Callable[[ClockStep], None] | None = None,
    ) -> None:
        self._wall_ns = clock.wall_ns
        self._mono_ns = clock.monotonic_ns
        self._on_step = on_step
        self._mono = self._mono_ns()
        wall = self._wall_ns()
        self._wall = 0  # of the last stamp
        self._difference = wall - self._mono
        self._last = after_ns - after_ns % MIN_STEP_NS
        # A session written under a clock that was fast is continued after its last stamp.
        self._ahead = max(0, after_ns + MIN_STEP_NS - wall)

    def stamp(self) -> int:
        """Return the next timestamp in nanoseconds; never twice the same. Not for several threads at once."""
        wall = self._wall_ns()
        # So shortly after the last stamp nothing worth an event can have happened.
        if not 0 <= wall - self._wall < JUMP_NS:
            mono = self._mono_ns()
            drift = wall - mono - self._difference
            if -JUMP_NS < drift < JUMP_NS:
                self._difference += drift
                self._mono = mono
            else:
                wall = self._examine()
        self._wall = wall
        ns = wall + self._ahead
        # Whole microseconds: float64 seconds hold them exactly enough to come back the same.
        ns -= ns % MIN_STEP_NS
        if ns <= self._last:
            ns = self._last + MIN_STEP_NS
        self._last = ns
        return ns

    def now_ns(self) -> int:
        """Return the session's present time without using up a stamp."""
        return max(self._last, self._wall_ns() + self._ahead)

    @property
    def last_ns(self) -> int:
        """The last stamp given, 0 before the first."""
        return self._last

    def _examine(self) -> int:
        """Find out whether the system clock was set or we were held up between two readings; return its time."""
        for _ in range(5):
            before = self._mono_ns()
            wall = self._wall_ns()
            mono = self._mono_ns()
            if mono - before < JUMP_NS // 5:
                break
        drift = wall - mono - self._difference
        elapsed = mono - self._mono
        self._difference += drift
        self._mono = mono
        if abs(drift) >= JUMP_NS + elapsed // SLEW_DIVISOR:
            self._ahead = max(0, self._ahead - drift)
            if self._on_step is not None:
                ns = wall + self._ahead
                self._last = max(self._last + MIN_STEP_NS, ns - ns % MIN_STEP_NS)
                self._on_step(ClockStep(self._last, drift, self._ahead))
        return wall


def as_seconds(ns: int) -> float:
    """Return a stamp in seconds: the float64 nearest to its whole microseconds."""
    return ns // MIN_STEP_NS / 1e6


def as_ns(timestamp: float) -> int:
    """Return the stamp, in nanoseconds, that a session shows as `timestamp` in seconds."""
    if abs(timestamp) > FARTHEST and math.isfinite(timestamp):
        timestamp = math.copysign(FARTHEST, timestamp)
    return round(timestamp * 1e6) * MIN_STEP_NS


def iso_utc(timestamp: float) -> str:
    """Return Unix seconds as ISO 8601 in UTC: ``2026-11-22T14:02:17.123456+00:00``."""
    return _in_calendar(timestamp).isoformat()


def iso_local(timestamp: float, timespec: str = "seconds") -> str:
    """Return Unix seconds as ISO 8601 in local time: ``2026-11-22T15:02:17+01:00``."""
    return _in_calendar(timestamp).astimezone().isoformat(timespec=timespec)


def _in_calendar(timestamp: float) -> datetime:
    """Return a time; in place of one that no calendar has, which files of others may hold, the nearest."""
    return datetime.fromtimestamp(min(max(timestamp, CALENDAR[0]), CALENDAR[1]), UTC)
