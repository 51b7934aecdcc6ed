"""The routes that pymanip published, in their shapes: its own `RemoteObserver` asks for them.

`last_ts` is exclusive: what was there at that time is not sent again.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from aiohttp import web

from pymanip_run.clock import SYSTEM
from pymanip_run.records.plain import finite, plain
from pymanip_run.web.answers import Made, json_answer
from pymanip_run.web.bodies import Body
from pymanip_run.web.encode import BREATH, dumps, numbers
from pymanip_run.web.failures import Refusal
from pymanip_run.web.history import raw_page
from pymanip_run.web.queries import is_number, json_body

if TYPE_CHECKING:
    from pymanip_run.core.view import SessionView
    from pymanip_run.web.api import Api

__all__ = ["Published"]

#: As pymanip wrote dates.
DATE = "%A %e %B %Y - %X (UTC%z)"
#: That are written at a time.
PAIRS = 512


class Published:
    """Answers as a server of pymanip.

    Parameters
    ----------
    api
        Answers about the session.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._last = Body(self._last_values)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/api/logged_last_values", self.logged_last_values),
            web.post("/api/data_from_ts", self.data_from_ts),
            web.get("/api/server_current_ts", self.server_current_ts),
            web.get("/api/get_parameters", self.get_parameters),
        ]

    async def logged_last_values(self, _: web.Request) -> web.Response:
        """Answer with the last values."""
        self._api.recent.asked()
        return json_answer(self._last.get(self._api.recent.version))

    def _last_values(self) -> bytes:
        last = self._api.watched.view.logged_last_values()
        return dumps(
            [
                {"name": name, "value": finite(value), "datestr": _date(time)}
                for name, (time, value) in last.items()
            ]
        )

    async def data_from_ts(self, request: web.Request) -> web.StreamResponse:
        """Answer with all values of a variable after a time, page by page as one list."""
        content = await json_body(request)
        name, last = content.get("name"), content.get("last_ts")
        if not isinstance(name, str) or not is_number(last) or math.isnan(last):
            raise Refusal(
                400, "bad_value", "the body needs a name and last_ts, Unix seconds",
                'send {"name": "T", "last_ts": 1795359617.5}',
            )  # fmt: skip
        view = self._api.watched.view
        if name not in view:
            return json_answer(b"[]")
        since = math.nextafter(float(last), math.inf)
        made = await self._api.shared(("pairs", name, since), lambda: self._made(name, since))
        if made.end is None:
            return json_answer(b"[" + made.body + b"]")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        await response.write(b"[" + made.body)
        end: int | None = made.end
        while end is not None:
            body, _, end = await self._made(name, (end + 1) / 1e6, has_begun=True)
            await response.write(b"," + body if body else b"")
        await response.write_eof(b"]")
        return response

    async def _made(self, name: str, since: float, *, has_begun: bool = False) -> Made:
        """Return a page of values, without brackets."""
        view = self._api.watched.histories
        async with self._api.turns.turn(patient=has_begun):
            text, end = await self._api.in_thread(_page, view, name, since)
        return Made(text, end=end)

    async def server_current_ts(self, _: web.Request) -> web.Response:
        """Answer with the time of the session."""
        now = self._api.watched.now
        return json_answer(dumps({"now": now() if now is not None else SYSTEM.time()}))

    async def get_parameters(self, _: web.Request) -> web.Response:
        """Answer with the parameters."""
        known = await self._api.known(fresh=True)
        return json_answer(dumps({n: plain(p.value) for n, p in known.parameters.items()}))


def _page(view: SessionView, name: str, since: float) -> tuple[bytes, int | None]:
    """Return a page of [time, value] as JSON, and where it ends. Lets others in between; call it in a thread."""
    page, end = raw_page(view, [name], since, math.inf)
    series = page["series"].get(name)
    if series is None:
        return b"", end
    pairs = list(zip(series["t"].tolist(), numbers(series["v"])[0], strict=True))
    parts = []
    for start in range(0, len(pairs), PAIRS):
        if start:
            SYSTEM.pause(BREATH)
        parts.append(dumps(pairs[start : start + PAIRS])[1:-1])
    return b",".join(parts), end


def _date(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).astimezone().strftime(DATE)
