"""The server of a run: what it shows and what it may do."""

from __future__ import annotations

import asyncio
import importlib
import logging
import math
import ssl
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from pymanip_run import __version__, access
from pymanip_run.errors import ConfigError, UsageError
from pymanip_run.plotting.plot import shown_again
from pymanip_run.records.plain import plain
from pymanip_run.runtime.threads import Worker, call_in
from pymanip_run.session.controlled import described_task
from pymanip_run.session.saved import SavedAsyncSession
from pymanip_run.session.state import internals
from pymanip_run.web.ports import Listening, PortTakenError, listen
from pymanip_run.web.settings import Policy, Tunable, Watched

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from pymanip_run.core.view import SessionView
    from pymanip_run.records import Event
    from pymanip_run.registry import Registration
    from pymanip_run.runtime.status import TaskStatus
    from pymanip_run.session.live import AsyncSession
    from pymanip_run.web.server import Server

__all__ = ["ServerOptions", "Serving", "Told", "open_server"]

logger = logging.getLogger(__name__)

#: What the server needs of modules, which takes a moment.
SERVER = "pymanip_run.web.server"


class Told(NamedTuple):
    """What the user has to know of a server that has begun."""

    url: str
    #: The address with the token that reads.
    link: str
    shared: bool
    #: Whether the default port was taken.
    moved: bool
    #: Whether no token is needed.
    is_open: bool
    #: Whether the token is only of this run, and nowhere else to be found.
    own_token: bool
    encrypted: bool


@dataclass(frozen=True)
class ServerOptions:
    """How the server of a run is to be."""

    host: str = "127.0.0.1"
    #: 0: any free one. None: the default one, or the next that is free.
    port: int | None = None
    #: "user", "run" (a new one), "none", or the token itself.
    token: str = "user"  # noqa: S105 - one of the words
    control: bool = False
    allowed_hosts: tuple[str, ...] = ()
    #: Certificate and key.
    tls: tuple[Path, Path] | None = None
    #: Whether the run must not begin without it.
    strict: bool = False
    tunable: Mapping[str, Tunable] = field(default_factory=dict)
    custom_routes: Sequence[Any] = ()
    #: Is told where it is; by default that is logged.
    tell: Callable[[Told], object] | None = None


class Serving:
    """A server whose port is open, and that begins with the run; without a port there is none."""

    def __init__(
        self,
        options: ServerOptions,
        listening: Listening | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._options = options
        self._listening = listening
        self._tls = tls
        self._is_imported = False
        self._reader: SavedAsyncSession | None = None

    @property
    def is_open(self) -> bool:
        """Whether it has a port."""
        return self._listening is not None

    async def prepare(self) -> None:
        """Import what it needs, before there are tasks that would wait for it."""
        worker = Worker("dashboard: import")
        try:
            await call_in(worker, importlib.import_module, SERVER)
            self._is_imported = True
        except ImportError as error:
            logger.warning("there is no dashboard: %s", error)
        finally:
            worker.shutdown(wait=False)

    def close(self) -> None:
        """Close the port."""
        if self._listening is not None:
            self._listening.close()

    @contextmanager
    def running(
        self,
        session: AsyncSession,
        start: float,
        duration: float,
        registration: Registration | None,
    ) -> Iterator[None]:
        """Serve a run within the context. Nothing that happens to the server ends the run."""
        server = self._started(session, start, duration)
        state = internals(session)
        if server is not None and registration is not None:
            registration.update(port=server.port, url=server.url)
        try:
            yield
        finally:
            state.address = None
            if server is not None:
                server.close()
            if self._reader is not None:
                self._reader.close()
                self._reader = None

    def _started(self, session: AsyncSession, start: float, duration: float) -> Server | None:
        listening = self._listening
        if listening is None or not self._is_imported:
            return None
        from pymanip_run.web.server import Server  # noqa: PLC0415 - imported by `prepare`

        recorder = internals(session).recorder
        options = self._options
        token = access.new_token() if options.token == "run" else options.token  # noqa: S105
        policy = Policy(token, options.control, options.allowed_hosts, self._tls)
        path = session.session_path
        try:
            self._reader = None if path is None else SavedAsyncSession(path, verbose=False)
            server = Server(
                watched(session, start, duration, options, self._reader),
                listening,
                policy,
                on_fault=lambda error: recorder.event("error", "server", f"{error}"),
            )
            server.start()
        except Exception as error:
            logger.exception("there is no dashboard; the run goes on")
            recorder.event("error", "server", f"{type(error).__name__}: {error}")
            return None
        told = Told(
            server.url, server.link, listening.shared, listening.moved,
            server.tokens.is_open, server.tokens.shown is not None, self._tls is not None,
        )  # fmt: skip
        internals(session).address = server.url
        (options.tell or log_told)(told)
        return server


def open_server(options: ServerOptions | Serving | None) -> Serving:
    """Open the port of a run's server, before there is anything else of the run.

    Raises
    ------
    UsageError
        If it cannot be had, and the run must not begin without.
    """
    if isinstance(options, Serving):
        return options
    if options is None:
        return Serving(ServerOptions())
    if options.token not in ("user", "run", "none"):
        access.check_chosen(options.token)
    tls = _context(options.tls)
    try:
        listening = listen(options.host, options.port)
    except PortTakenError as error:
        if options.strict:
            raise
        logger.warning("there is no dashboard: %s", error)
        return Serving(options)
    return Serving(options, listening, tls)


def _context(files: tuple[Path, Path] | None) -> ssl.SSLContext | None:
    if files is None:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(*files, password=lambda: "")
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(
            f"server.tls: {files[0]} and {files[1]} are no certificate with its key ({error}); both as PEM, "
            "the key without a password"
        ) from error
    return context


def log_told(told: Told) -> None:
    """Log where the server is: aloud only what its user would not expect."""
    if told.is_open:
        logger.warning("the dashboard %s is open to everybody who reaches it: no token", told.url)
    elif told.own_token:
        logger.warning("dashboard: %s", told.link)
    elif told.moved:
        logger.warning("port %d is taken; dashboard: %s", access.DEFAULT_PORT, told.url)
    else:
        logger.info("dashboard: %s", told.url)
    if told.shared and not told.encrypted:
        logger.warning("others on the network can read what the dashboard sends: it has no tls")


# -- what it shows ------------------------------------------------------------------------------


def watched(
    session: AsyncSession,
    start: float,
    duration: float,
    options: ServerOptions,
    reader: SessionView | None,
) -> Watched:
    """Return what a server shows of a session that runs in the present event loop."""
    inside = internals(session)
    recorder, loop = inside.recorder, asyncio.get_running_loop()
    path = session.session_path

    async def in_run(coroutine: Any) -> Any:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))

    return Watched(
        view=session,
        reader=reader,
        title=session.info().title or session.session_name or "session in memory",
        version=__version__,
        feed=inside.feed,
        now=recorder.now,
        position=recorder.position,
        progress=Progress(session, loop, start, duration),
        note=recorder.note,
        stop=Control(session).stop if options.control else None,
        set_parameter=Control(session).set_parameter if options.control else None,
        tunable=options.tunable,
        plots=[plot.as_shown() for plot in inside.plots],
        write_csv=lambda *args: write_series(reader or session, *args),
        copy_session=None if path is None else lambda target: _copy(path, target),
        custom_routes=options.custom_routes,
        in_run=in_run,
    )


def saved(view: SessionView, path: Path) -> Watched:
    """Return what a server shows of a session file."""
    return Watched(
        view=view,
        title=view.info().title or path.stem,
        version=__version__,
        plots=[plot for one in view.figures() if (plot := shown_again(one)) is not None],
        write_csv=lambda *args: write_series(view, *args),
        copy_session=lambda target: _copy(path, target),
    )


def write_series(
    session: SessionView, file: BinaryIO, names: Sequence[str], since: float, until: float
) -> None:
    """Write series as CSV."""
    from pymanip_run.export.job import Job  # noqa: PLC0415 - needed by few runs
    from pymanip_run.export.run import export_to_stream  # noqa: PLC0415

    export_to_stream(Job(session, names, since, until), "csv", file)


def _copy(path: Path, target: Path) -> None:
    from pymanip_run.storage.copying import copy_session  # noqa: PLC0415 - needed by few runs

    copy_session(path, target)


class Progress:
    """Tells how a run is doing. Called in the server's thread."""

    def __init__(
        self, session: AsyncSession, loop: asyncio.AbstractEventLoop, start: float, duration: float
    ) -> None:
        self._session = session
        self._inside = internals(session)
        self._loop = loop
        self._start = start
        self._duration = duration

    def __call__(self) -> dict[str, Any]:
        """Return it; times are Unix seconds."""
        inside = self._inside
        stop, supervisor, alarms = inside.stop, inside.supervisor, inside.alarms
        here, there = self._session.now(), self._loop.time()
        statuses = supervisor.statuses if supervisor is not None else ()
        sweeps = supervisor.sweeps if supervisor is not None else ()
        return plain(  # type: ignore[no-any-return]
            {
                "state": "stopping" if stop.is_set else "running",
                "reason": stop.reason if stop.is_set else None,
                "exit_code": stop.exit_code if stop.is_set else None,
                "started": self._start,
                "duration": self._duration if math.isfinite(self._duration) else None,
                "entries": inside.recorder.entries,
                "tasks": [_task(status, there, here) for status in statuses],
                "sweeps": [
                    {"name": s.name, "done": s.done, "total": s.total, "remaining": s.eta}
                    for s in sweeps
                ],
                "alarms": [line.as_json() for line in alarms.lines()] if alarms else [],
            }
        )


def _task(status: TaskStatus, there: float, here: float) -> dict[str, Any]:
    """Return how a task is doing; `there` and `here` are the same moment in loop and session time."""
    due = status.due_in(there)
    last = status.last_start
    return {
        **described_task(status, there),
        "missed": status.missed_by(there),
        "late": status.late,
        "last": None if last is None else here - (there - last),
        "next": None if due is None or status.is_over else here + due,
    }


class Control:
    """What the holder of the control token may do; each is an event. Called in the server's threads."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session
        self._inside = internals(session)

    def stop(self, reason: str, sender: str) -> Event:
        """Ask the run to end."""
        asked = f"{sender} by the dashboard" + (f": {reason}" if reason else "")
        made = self._inside.recorder.event(
            "control", sender, f"stop: {reason or 'no reason given'}"
        )
        self._inside.stop.request(asked)
        return made

    def set_parameter(self, name: str, value: Any, sender: str) -> Event | None:
        """Change a parameter; None where it had the value already."""
        known = self._session.parameter_table().get(name)
        if known is None:
            raise UsageError(f"there is no parameter {name!r}")
        return self._inside.recorder.put_parameter(name, value, known.unit, sender)
