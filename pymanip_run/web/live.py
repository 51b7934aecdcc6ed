"""The live stream: what is new, as messages over a WebSocket (RFC 6455).

Each message carries in `next` the cursor with which a client that was cut off comes back: nothing
is missed then; at most an event that it has already is told again.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from pymanip_run.clock import SYSTEM
from pymanip_run.records.plain import plain
from pymanip_run.web import summary
from pymanip_run.web.failures import Refusal
from pymanip_run.web.history import read_cursor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from pymanip_run.web.api import Api
    from pymanip_run.web.tokens import Tokens

__all__ = ["Live"]

logger = logging.getLogger(__name__)

#: Between two messages: at most ten a second.
PACE = 0.1
#: Values in a message: each listener may be slow to take its own.
PAGE = 20_000
#: Between two looks at a session that is not being recorded here.
SAVED_PACE = 2.0
STATE_SECONDS = 5.0
TASK_SECONDS = 2.0
HEARTBEAT = 20.0
MAX_MESSAGE = 4096
#: Messages of a client that are taken in a minute; they mean nothing to us.
MAX_MESSAGES = 60
POLICY_VIOLATION = 1008
GOING_AWAY = 1001
STUCK_SECONDS = 30.0


class Live:
    """Sends what is new.

    Parameters
    ----------
    api
        Answers about the session.
    tokens
        What lets in; who came with a token that was rotated is sent away.
    """

    def __init__(self, api: Api, tokens: Tokens) -> None:
        self._api = api
        self._tokens = tokens

    def routes(self) -> list[web.RouteDef]:
        """Return the route."""
        return [web.get("/api/v1/live", self.live)]

    async def live(self, request: web.Request) -> web.StreamResponse:
        """Serve one listener until one of both has enough."""
        await self._api.known()
        after = request.query.get("after")
        position = self._api.position()
        cursor = position if after is None else read_cursor(after, self._api.uuid)
        socket = web.WebSocketResponse(
            heartbeat=HEARTBEAT,
            max_msg_size=MAX_MESSAGE,
            compress=False,
            timeout=2.0,
            autoping=False,
        )
        if not socket.can_prepare(request):
            raise Refusal(
                426,
                "no_websocket",
                "this is a WebSocket",
                "GET /api/v1/data?after= asks for the same",
            )
        await socket.prepare(request)
        reader = asyncio.create_task(_discard(socket))
        try:
            async for message in self._messages(cursor):
                if reader.done():
                    break
                async with asyncio.timeout(STUCK_SECONDS):
                    await socket.send_str(message.decode())
                await self._api.pause(PACE)
        except (ConnectionError, TimeoutError) as error:
            logger.debug("a listener has gone: %s", error)
        finally:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            await socket.close(code=GOING_AWAY)
        return socket

    async def _messages(self, cursor: int) -> AsyncIterator[bytes]:
        """Yield messages as they become due."""
        api, changes = self._api, self._tokens.changes
        how = summary.progress(api.watched)
        hello = {"title": api.watched.title, **_state(how, api)}
        yield await self._message("hello", cursor, plain(hello))
        seen = _Seen(how)
        while self._tokens.changes == changes:
            is_over, before = api.is_over, cursor
            items, cursor = await self._new(before)
            for number, (kind, content) in enumerate(items, 1):
                reached = cursor if number == len(items) else before
                yield await self._message(kind, reached, content)
            if is_over and cursor == before:  # what was recorded before the end has been told
                if api.ended is not None:
                    yield await self._message("state", cursor, api.ended)
                return
            for kind, content in seen.changes(summary.progress(api.watched), api):
                yield await self._message(kind, cursor, plain(content))
            await self._api.pause(PACE if api.watched.feed is not None else SAVED_PACE)

    async def _new(self, cursor: int) -> tuple[list[tuple[str, dict[str, Any]]], int]:
        """Return what was recorded after a cursor, and how far it goes."""
        api = self._api
        api.recent.asked()
        stretch = api.recent.since(cursor, PAGE)
        if stretch is None:
            async with api.turns.turn(patient=True):
                content, reached = await api.page_after(cursor, PAGE)
            known = await api.known(fresh=True)
            events = api.events_within(known, cursor, reached)
        else:
            content, reached = await api.in_memory(stretch), stretch.until
            events = stretch.events
        items = [("event", summary.event(event)) for event in events]
        if content["series"]:
            items.append(("entry", {**_last(content["series"]), **content}))
        return items, reached

    async def _message(self, kind: str, cursor: int, content: dict[str, Any]) -> bytes:
        return await self._api.writing.text(
            {"type": kind, "next": self._api.cursor(cursor), **content}
        )


class _Seen:
    """What a listener knows of tasks and alarms."""

    def __init__(self, how: dict[str, Any]) -> None:
        self._alarms = {one["name"]: one["state"] for one in how["alarms"]}
        self._tasks: dict[str, tuple[str, int]] = {}
        self._told: dict[str, float] = {}
        self._state = how["state"]
        self._state_told = SYSTEM.monotonic()

    def changes(self, how: dict[str, Any], api: Api) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield what has changed."""
        now = SYSTEM.monotonic()
        if how["state"] != self._state or now - self._state_told > STATE_SECONDS:
            self._state, self._state_told = how["state"], now
            yield "state", _state(how, api)
        for one in how["alarms"]:
            if self._alarms.get(one["name"]) != one["state"]:
                self._alarms[one["name"]] = one["state"]
                yield "alarm", {key: one[key] for key in ("name", "state", "text")}
        for task in how["tasks"]:
            name, doing = task["name"], (task["state"], task["errors"])
            if self._tasks.get(name) != doing and now - self._told.get(name, 0.0) > TASK_SECONDS:
                self._tasks[name], self._told[name] = doing, now
                yield (
                    "task",
                    {key: task[key] for key in ("name", "state", "last", "next", "errors")},
                )


def _state(how: dict[str, Any], api: Api) -> dict[str, Any]:
    watched = api.watched
    started, duration = how.get("started"), how.get("duration")
    now = watched.now() if watched.now is not None else None
    elapsed = None if now is None or started is None else now - started
    remaining = None if elapsed is None or duration is None else max(0.0, duration - elapsed)
    return {
        "state": how["state"], "reason": how.get("reason"), "elapsed": elapsed, "remaining": remaining,
    }  # fmt: skip


def _last(series: dict[str, Any]) -> dict[str, Any]:
    """Return the last values at a glance: `series` beside it has them all."""
    return {
        "t": max(one["t"][-1] for one in series.values()),
        "values": {name: _finite(one["v"][-1]) for name, one in series.items()},
    }


def _finite(value: float | None) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


async def _discard(socket: web.WebSocketResponse) -> None:
    """Take what a client sends; one that sends a lot is sent away."""
    count, since = 0, SYSTEM.monotonic()
    async for message in socket:
        if message.type in (WSMsgType.ERROR, WSMsgType.CLOSE):
            return
        count += 1
        if SYSTEM.monotonic() - since > 60:
            count, since = 0, SYSTEM.monotonic()
        if count > MAX_MESSAGES:
            await socket.close(code=POLICY_VIOLATION, message=b"nothing is expected from you")
            return
        if message.type is WSMsgType.PING:  # answered here, so that pings count as well
            await socket.pong(message.data)
