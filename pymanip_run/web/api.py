"""The routes of the JSON API that answer with JSON."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from aiohttp import web

from pymanip_run.errors import PymanipError
from pymanip_run.records.plain import plain
from pymanip_run.runtime.threads import Worker, call_in
from pymanip_run.web import summary
from pymanip_run.web.answers import Made, Shared, Turns, Writing, json_answer, takes_gzip
from pymanip_run.web.bodies import Body
from pymanip_run.web.encode import dumps
from pymanip_run.web.failures import Refusal
from pymanip_run.web.guard import ROLE
from pymanip_run.web.history import (
    PAGE,
    Asked,
    cursor_of,
    decimated,
    from_memory,
    last_values,
    make_cursor,
    raw_page,
    read_cursor,
    seconds,
)
from pymanip_run.web.knowledge import Knowledge, Known
from pymanip_run.web.queries import asked, known_names, one_float
from pymanip_run.web.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

    from pymanip_run.records import Event
    from pymanip_run.web.recent import Stretch
    from pymanip_run.web.settings import Watched

__all__ = ["Api"]

#: Entries that are put together at once; more are in a thread.
SHORT = 200
#: Clients that wait for the end of the run, and seconds that they may.
WAITING_STATES = 128
MAX_WAIT = 30.0


class Api:
    """Answers about one session.

    Parameters
    ----------
    watched
        What is shown.
    """

    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.recent = Recent(watched)
        self.knowledge = Knowledge(watched.histories)
        self._reader = Worker("dashboard: histories")
        self._shared = Shared()
        self.writing = Writing()
        self.turns = Turns()
        self._waiting = 0
        self._over = asyncio.Event()
        #: How the run ended, None before.
        self.ended: dict[str, Any] | None = None
        self._known: Known | None = None
        self._snapshots = {
            control: Body(lambda control=control: self._snapshot(control))  # type: ignore[misc]
            for control in (False, True)
        }

    def finish(self) -> None:
        """Tell those who wait that the run is over."""
        how = summary.progress(self.watched)
        if how["state"] != "saved":
            self.ended = {
                "state": "finished",
                "reason": how["reason"],
                "exit_code": how.get("exit_code"),
            }
        self._over.set()

    @property
    def is_over(self) -> bool:
        """Whether the server is about to close."""
        return self._over.is_set()

    async def pause(self, seconds: float) -> None:
        """Wait; at the end of the run no longer."""
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            pass  # it goes on

    def close(self) -> None:
        """Read no more."""
        self.knowledge.close()
        self.writing.close()
        self._reader.shutdown(wait=False, cancel_futures=True)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        parts: dict[str, Callable[[Known], Any]] = {
            "info": lambda known: summary.identity(known.info),
            "variables": lambda known: summary.variables(known.variables),
            "parameters": lambda known: summary.parameters(known.parameters, self.watched.tunable),
            "metadata": lambda known: dict(known.metadata),
            "runs": lambda known: summary.runs(known.runs),
            "figures": lambda known: list(known.figures),
            "datasets": lambda known: summary.datasets(known.datasets),
            "tasks": lambda _: summary.progress(self.watched)["tasks"],
            "alarms": lambda _: summary.progress(self.watched)["alarms"],
        }
        return [
            web.get("/api/v1/snapshot", self.snapshot),
            web.get("/api/v1/state", self.state),
            web.get("/api/v1/data", self.data),
            web.get("/api/v1/events", self.events),
            *(web.get(f"/api/v1/{name}", self._part(name, of)) for name, of in parts.items()),
        ]

    # -- what is known --------------------------------------------------------------------------

    async def known(self, *, fresh: bool = False) -> Known:
        """Return what is known of the session besides its values."""
        self.recent.asked()
        try:
            self._known = await self.knowledge.get(self.recent.changes, fresh=fresh)
        except PymanipError as error:
            raise Refusal(503, "unreadable", str(error), "try again later") from error
        return self._known

    def _part(
        self, name: str, of: Callable[[Known], Any]
    ) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def part(request: web.Request) -> web.Response:
            content = of(await self.known(fresh=True))
            return await self.writing.answer(
                request, plain(content if name == "info" else {name: content})
            )

        return part

    async def snapshot(self, _: web.Request) -> web.Response:
        """Answer with all that the first page shows."""
        await self.known()
        version = (self.recent.version, self.knowledge.version)
        return json_answer(self._snapshots[ROLE.get() == "control"].get(version))

    async def state(self, request: web.Request) -> web.Response:
        """Answer with the state of the run: when it ends, at the latest after `wait` seconds.

        With a cursor it brings along what came after that: the last that a run recorded is told with its end.
        """
        after = request.query.get("after")
        if after is not None:
            await self.known()
            read_cursor(after, self.uuid)
        wait = min(MAX_WAIT, max(0.0, one_float(request, "wait", 0.0, "10")))
        if wait and self.ended is None:
            self._waiting += 1
            try:
                if self._waiting > WAITING_STATES:
                    raise Refusal(
                        503, "busy", "too many wait", "ask without wait", {"Retry-After": "5"}
                    )
                await self.pause(wait)
            finally:
                self._waiting -= 1
        how = summary.progress(self.watched)
        content = self.ended or {key: how.get(key) for key in ("state", "reason", "exit_code")}
        if after is None:
            return json_answer(dumps(content))
        async with self.turns.turn():
            return await self.writing.answer(request, {**content, **await self._all_newer(after)})

    async def _all_newer(self, after: str) -> dict[str, Any]:
        """Return the series and events after a cursor."""
        cursor = read_cursor(after, self.uuid)
        known = await self.known(fresh=not self.recent.reaches(cursor))
        content = await self._newer(after, Asked(()))
        events = self.events_within(known, cursor, read_cursor(content["next"], self.uuid))
        return {**content, "events": summary.events(events)}

    def events_within(self, known: Known, after: int, until: int) -> list[Event]:
        """Return the events later than a cursor, up to another one."""
        merged = summary.merged_events(known.events, self.recent.events)
        return [one for one in merged if after < cursor_of(one.ns) <= until]

    def _snapshot(self, control: bool) -> bytes:
        assert self._known is not None  # noqa: S101 - it is made with it
        cursor = self.cursor(self.position())
        content = summary.snapshot(
            self.watched, self._known, self.recent.events, cursor, control=control
        )
        return dumps(plain(content))

    def position(self) -> int:
        """Return the time (µs) up to which all that was recorded can be read."""
        if self.watched.position is not None:
            return cursor_of(self.watched.position())
        view = self.watched.view
        times = [time for time, _ in view.logged_last_values().values()]
        return round(max(times, default=0.0) * 1e6)

    @property
    def uuid(self) -> str:
        """The session's, as it was read last: it is always asked for what is known before."""
        return self._known.info.uuid if self._known is not None else ""

    def cursor(self, until: int) -> str:
        """Return a cursor of this session."""
        return make_cursor(self.uuid, until)

    async def events(self, request: web.Request) -> web.Response:
        """Answer with the events later than a time."""
        after = one_float(request, "after", -math.inf)
        known = await self.known(fresh=True)
        merged = summary.merged_events(known.events, self.recent.events)
        later = [one for one in merged if one.time > after]
        last = later[-1].time if later else (after if math.isfinite(after) else 0.0)
        return await self.writing.answer(request, {"events": summary.events(later), "next": last})

    # -- series ---------------------------------------------------------------------------------

    async def data(self, request: web.Request) -> web.Response:
        """Answer with series: decimated, or raw in pages."""
        wanted = asked(request)
        await self.known()
        after = request.query.get("after")
        if after is not None and wanted.agg != "none":
            raise Refusal(
                400, "bad_value", "a cursor goes with raw values", "leave agg or after out"
            )

        async def make() -> Made:
            async with self.turns.turn():
                return await self.writing.made(request, await self._series(wanted, after))

        question = ("data", request.query_string, takes_gzip(request))
        return (await self.shared(question, make)).answer()

    async def shared(self, question: Hashable, make: Callable[[], Awaitable[Made]]) -> Made:
        """Return the answer to a question about series, for all who ask it before something is recorded."""
        if self.watched.feed is None:  # nobody tells that there is more in the file
            return await make()
        self.recent.asked()
        return await self._shared.get(question, self.recent.version, make)

    async def _series(self, wanted: Asked, after: str | None) -> dict[str, Any]:
        """Return what answers a question about series."""
        if after is not None:
            return await self._newer(after, wanted)
        there = self.watched.view.logged_last_values()
        names = known_names(wanted.names, await self._all_names(wanted.names, set(there)))
        wanted = wanted._replace(names=names)
        position = self.position()
        if wanted.tail is None and wanted.agg == "none":
            return await self._page(wanted, wanted.since, position)
        wanted = wanted._replace(
            until=min(wanted.until, seconds(position)),  # what is later comes with the cursor
            points=min(wanted.points, max(1, PAGE // max(1, len(names)))),
        )
        read = decimated if wanted.tail is None else last_values
        content: dict[str, Any] = await self.in_thread(read, self.watched.histories, wanted)
        return content | {"next": self.cursor(position), "more": False}

    async def _all_names(self, names: tuple[str, ...], public: set[str]) -> set[str]:
        """Return the names that may be asked for; internal ones too, by name."""
        if all(name in public for name in names):
            return public
        view = self.watched.view
        return public | {name for name in names if name in view}

    async def _newer(self, after: str, wanted: Asked) -> dict[str, Any]:
        """Return what came after a cursor, from memory where it is there."""
        cursor = read_cursor(after, self.uuid)
        stretch = self.recent.since(cursor, PAGE)
        if stretch is None or wanted.until < math.inf:
            return await self._page(wanted, seconds(cursor), max(cursor, self.position()))
        content = await self.in_memory(stretch, wanted.names)
        return content | {"next": self.cursor(stretch.until), "more": stretch.more}

    async def in_memory(self, stretch: Stretch, names: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return the series of what was recorded lately, much of it put together in a thread."""
        if len(stretch.entries) < SHORT:
            return from_memory(stretch, names)
        content: dict[str, Any] = await self.writing.by(from_memory, stretch, names)
        return content

    async def _page(self, wanted: Asked, since: float, position: int) -> dict[str, Any]:
        """Return a page of raw values up to a position (µs), of which nothing is under way."""
        content, end = await self._read_page(wanted, since, position)
        reached = position if end is None else end
        return content | {"next": self.cursor(reached), "more": end is not None}

    async def page_after(self, cursor: int, limit: int) -> tuple[dict[str, Any], int]:
        """Return what came after a cursor, about so many values read from the session, and how far it goes."""
        position = max(cursor, self.position())
        content, end = await self._read_page(Asked(()), seconds(cursor), position, limit)
        return content, position if end is None else end

    async def _read_page(
        self, wanted: Asked, since: float, position: int, limit: int = PAGE
    ) -> tuple[dict[str, Any], int | None]:
        view = self.watched.view
        names = [n for n in (wanted.names or sorted(view.logged_variables())) if n in view]
        until = min(wanted.until, seconds(position))
        found: tuple[dict[str, Any], int | None] = await self.in_thread(
            raw_page, self.watched.histories, names, since, until, limit
        )
        return found

    async def in_thread(self, function: Callable[..., Any], *args: Any) -> Any:
        """Do what takes long in the thread for it, one after the other.

        Raises
        ------
        Refusal
            If the session cannot be read now.
        """
        try:
            return await call_in(self._reader, function, *args)
        except (PymanipError, OSError) as error:
            raise Refusal(503, "unreadable", str(error), "try again later") from error
