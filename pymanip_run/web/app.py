"""All routes of a server together."""

from __future__ import annotations

import gzip
import logging
from importlib import resources
from typing import TYPE_CHECKING, Any

from aiohttp import web

from pymanip_run.web.actions import Actions
from pymanip_run.web.answers import json_answer
from pymanip_run.web.api import Api
from pymanip_run.web.downloads import Downloads
from pymanip_run.web.encode import dumps
from pymanip_run.web.failures import Refusal, refusal
from pymanip_run.web.guard import BEGUN, CUSTOM, harden
from pymanip_run.web.live import Live
from pymanip_run.web.metrics import MEDIA, metrics
from pymanip_run.web.openapi import description
from pymanip_run.web.published import Published
from pymanip_run.web.queries import BODY, json_body, text_item, whole_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pymanip_run.web.guard import Guard
    from pymanip_run.web.settings import Watched

__all__ = ["Site"]

logger = logging.getLogger(__name__)

KINDS = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}


class Site:
    """The application that serves one session.

    Parameters
    ----------
    watched
        What is shown.
    guard
        Who gets in.
    served
        Is told of every request's transport.
    """

    def __init__(self, watched: Watched, guard: Guard, served: Callable[[object], object]) -> None:
        self.api = Api(watched)
        self._actions = Actions(self.api)
        self._guard = guard
        self._served = served
        self._watched = watched
        self.app = web.Application(
            middlewares=[self._outermost, guard.middleware], client_max_size=BODY
        )
        self.app.add_routes(
            [
                *self.api.routes(),
                *self._actions.routes(),
                *Downloads(self.api).routes(),
                *Published(self.api).routes(),
                *Live(self.api, guard.tokens).routes(),
                web.get("/metrics", self.metrics),
                web.get("/api/v1/openapi.json", self.openapi),
                web.get("/healthz", self.health),
                web.post("/login", self.log_in),
                web.get("/", page("index.html")),
                web.get("/plot/{name}", page("index.html")),
                web.get("/favicon.ico", page("icon.svg")),
                web.get("/static/{name}", self.static),
            ]
        )
        self.app.on_response_prepare.append(_harden_stream)
        self._add_custom(watched)

    def close(self) -> None:
        """End what it does in threads."""
        self._actions.close()
        self.api.close()

    @web.middleware
    async def _outermost(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Answer a fault of ours in the same form as a refusal, and log it."""
        self._served(request.transport)
        try:
            return await handler(request)
        except Exception as error:
            is_gone = isinstance(error, ConnectionError)
            if not is_gone:
                logger.exception("the server failed at %s %s", request.method, request.path)
            if BEGUN in request and request.transport is not None:
                request.transport.abort()  # so that half an answer is seen to be one
            if is_gone or BEGUN in request:
                raise ConnectionResetError("an answer was cut off") from error
            fault = Refusal(500, "fault", "the server failed", "the log of the run says at what")
            answer = refusal(fault)
            harden(request, answer)
            return answer

    async def health(self, _: web.Request) -> web.Response:
        """Answer whether data come as they should; without names."""
        known = await self.api.known()
        watched = self._watched
        if watched.now is None:
            return json_answer(dumps({"status": "ok"}))
        now, last = watched.now(), watched.view.logged_last_values()
        started = watched.progress().get("started") if watched.progress is not None else None
        for name, info in known.variables.items():
            limit = info.description.stale_after
            time = max(last[name][0] if name in last else 0.0, started or 0.0)
            if limit is not None and now - time > limit:
                return json_answer(dumps({"status": "stale"}), 503)
        return json_answer(dumps({"status": "ok"}))

    async def metrics(self, _: web.Request) -> web.Response:
        """Answer with the session for Prometheus."""
        known = await self.api.known()
        return web.Response(
            body=metrics(self._watched, known).encode(), headers={"Content-Type": MEDIA}
        )

    async def openapi(self, _: web.Request) -> web.Response:
        """Answer with the description of the API."""
        return json_answer(dumps(description(self._watched.version)))

    async def log_in(self, request: web.Request) -> web.Response:
        """Answer a token with a cookie."""
        token = text_item(await json_body(request), "token", 200)
        return self._guard.log_in(request, token or "")

    async def static(self, request: web.Request) -> web.Response:
        """Answer with a file of the dashboard."""
        return file_answer(request, request.match_info["name"])

    def _add_custom(self, watched: Watched) -> None:
        """Mount the routes of the user; their handlers run where the tasks do."""
        own = set(self.app.router.routes())
        for route in watched.custom_routes:
            if isinstance(route, web.RouteDef) and watched.in_run is not None:
                handler = self._in_run(route.handler)
                web.RouteDef(route.method, route.path, handler, route.kwargs).register(
                    self.app.router
                )
            else:
                self.app.add_routes([route])
        self.app[CUSTOM] = set(self.app.router.routes()) - own

    def _in_run(self, handler: Any) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def custom(request: web.Request) -> web.StreamResponse:
            await whole_body(request)  # the handler, in another event loop, finds it there
            assert self._watched.in_run is not None  # noqa: S101 - looked at before
            answer: web.StreamResponse = await self._watched.in_run(handler(request))
            return answer

        return custom


async def _harden_stream(request: web.Request, answer: web.StreamResponse) -> None:
    """Harden what begins to be sent before its handler, and so the guard, is done with it."""
    request[BEGUN] = True
    harden(request, answer)


def page(name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Return a handler that answers with a file of the dashboard."""

    async def answer(request: web.Request) -> web.Response:
        return file_answer(request, name)

    return answer


def file_answer(request: web.Request, name: str) -> web.Response:
    """Return a file of the dashboard.

    Raises
    ------
    Refusal
        If there is none of this name.
    """
    found = _FILES.get(name)
    if found is None:
        raise Refusal(404, "not_found", "there is no such file", "")
    body, packed, media = found
    headers = {"Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        body = packed
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=body, content_type=media, charset="utf-8", headers=headers)


def _files() -> dict[str, tuple[bytes, bytes, str]]:
    """Return the files of the dashboard, read once: no request chooses a path."""
    found = {}
    for entry in resources.files("pymanip_run.web").joinpath("static").iterdir():
        suffix = entry.name[entry.name.rfind(".") :]
        if suffix in KINDS:
            body = entry.read_bytes()
            found[entry.name] = (body, gzip.compress(body), KINDS[suffix])
    return found


_FILES = _files()
