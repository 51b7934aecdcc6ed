"""How a server is to be, and what it shows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from pymanip_run.core.feed import Feed
    from pymanip_run.core.view import SessionView
    from pymanip_run.records import Event

__all__ = ["Policy", "Tunable", "Watched"]


@dataclass(frozen=True)
class Policy:
    """Who gets in."""

    #: "user": the user's; "none": none is needed; else the token itself.
    token: str = "user"  # noqa: S105 - one of the words
    #: Whether the run may be stopped and its parameters changed from outside.
    control: bool = False
    #: More names by which browsers may ask for this computer.
    allowed_hosts: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = None


class Tunable(NamedTuple):
    """The limits of a parameter that may be changed while the run goes on."""

    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class Watched:
    """What a server shows: data, and what it may do. Everything is called from the server's threads."""

    view: SessionView
    title: str
    #: Reads the same besides: a task that reads the session need not wait for what clients read.
    reader: SessionView | None = None
    version: str = ""
    #: None: nothing is being recorded.
    feed: Feed | None = None
    #: The session's time, Unix seconds.
    now: Callable[[], float] | None = None
    #: The time (ns) up to which all that was recorded is stored.
    position: Callable[[], int] | None = None
    #: How the run is doing: state, reason, started, duration, tasks, sweeps, alarms.
    progress: Callable[[], dict[str, Any]] | None = None
    #: Called with a text and its source.
    note: Callable[[str, str], Event] | None = None
    #: Called with a reason and who asks.
    stop: Callable[[str, str], Event] | None = None
    #: Called with a name, a value and who asks.
    set_parameter: Callable[[str, Any, str], Event | None] | None = None
    tunable: Mapping[str, Tunable] = field(default_factory=dict)
    plots: Sequence[Mapping[str, Any]] = ()
    #: Writes the named variables (all: none named) within two times as CSV.
    write_csv: Callable[[BinaryIO, Sequence[str], float, float], object] | None = None
    #: Makes a file with all that is in the session now.
    copy_session: Callable[[Path], object] | None = None
    #: aiohttp routes of the user, and what runs their handlers.
    custom_routes: Sequence[Any] = ()
    in_run: Callable[[Any], Any] | None = None

    @property
    def histories(self) -> SessionView:
        """What series, records and descriptions are read from."""
        return self.reader if self.reader is not None else self.view
