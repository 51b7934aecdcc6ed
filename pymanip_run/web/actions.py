"""What clients may do: notes, and with the control token parameters and the end of the run."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from aiohttp import web

from pymanip_run.errors import PymanipError
from pymanip_run.runtime.threads import Worker, call_in
from pymanip_run.web import summary
from pymanip_run.web.answers import json_answer
from pymanip_run.web.encode import dumps
from pymanip_run.web.failures import Refusal
from pymanip_run.web.guard import ROLE, client_of
from pymanip_run.web.queries import is_number, json_body, text_item

if TYPE_CHECKING:
    from collections.abc import Callable

    from pymanip_run.records import Event
    from pymanip_run.web.api import Api
    from pymanip_run.web.settings import Watched

__all__ = ["Actions"]

MAX_NOTE = 10_000
MAX_REASON = 200


class Actions:
    """Does what clients ask for, and answers with the event that it made.

    Parameters
    ----------
    api
        Answers about the session.
    """

    def __init__(self, api: Api) -> None:
        self._api = api
        self._watched = api.watched
        # Recording waits for the disk; the server does not.
        self._worker = Worker("dashboard: actions")

    def close(self) -> None:
        """Do no more."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.post("/api/v1/notes", self.note),
            web.post("/api/v1/stop", self.stop),
            web.post("/api/v1/parameters/{name}", self.parameter),
        ]

    async def note(self, request: web.Request) -> web.Response:
        """Record a remark."""
        content = await json_body(request)
        text = text_item(content, "text", MAX_NOTE)
        source = text_item(content, "source", MAX_REASON, needed=False)
        if self._watched.note is None:
            raise _saved()
        return await self._done(self._watched.note, text, source or client_of(request))

    async def stop(self, request: web.Request) -> web.Response:
        """Ask the run to end."""
        content = await json_body(request) if request.can_read_body else {}
        reason = text_item(content, "reason", MAX_REASON, needed=False)
        check_control(request, self._watched.stop)
        return await self._done(self._watched.stop, reason or "", client_of(request))

    async def parameter(self, request: web.Request) -> web.Response:
        """Change a tunable parameter."""
        content = await json_body(request)
        check_control(request, self._watched.set_parameter)
        name = request.match_info["name"]
        known = (await self._api.known(fresh=True)).parameters
        if name not in known:
            raise Refusal(
                404, "no_such_parameter", f"there is no parameter {name[:100]!r}",
                "GET /api/v1/parameters lists them",
            )  # fmt: skip
        if name not in self._watched.tunable:
            raise Refusal(
                403, "not_tunable", f"{name} cannot be changed while the run goes on",
                f"in the experiment file:  parameters: {{{name}: {{tunable: true}}}}",
            )  # fmt: skip
        value = check_value(name, content.get("value"), self._watched, known[name].value)
        return await self._done(self._watched.set_parameter, name, value, client_of(request))

    async def _done(self, action: Callable[..., Event | None] | None, *args: Any) -> web.Response:
        """Do it in a thread, for it writes to the session; answer with the event that it made."""
        if action is None:
            raise _saved()
        try:
            made = await call_in(self._worker, action, *args)
        except PymanipError as error:
            raise Refusal(409, "refused", str(error), "") from error
        except (ValueError, TypeError, OverflowError) as error:
            raise Refusal(400, "bad_value", str(error), "") from error
        return json_answer(dumps({"event": None if made is None else summary.event(made)}), 201)


def check_control(request: web.Request, action: object) -> None:
    """Refuse what only the control token may do."""
    if action is None:
        raise Refusal(
            403, "no_control", "this run cannot be controlled from outside",
            "in the experiment file:  server: {control: true}",
        )  # fmt: skip
    if ROLE.get() != "control":
        raise Refusal(
            403,
            "needs_control",
            "this token only reads",
            "the other one:  pymanip-run token --control",
        )


def check_value(name: str, value: Any, watched: Watched, old: Any) -> Any:
    """Return the new value of a parameter.

    Raises
    ------
    Refusal
        If it is of another kind than the present one, or beyond the limits.
    """
    limits = watched.tunable[name]
    if isinstance(old, (bool, str)):
        if type(value) is not type(old):
            raise _bad_kind(name, old)
        return value
    if not is_number(value) or not math.isfinite(value):
        raise _bad_kind(name, old)
    low, high = limits.min, limits.max
    if (low is not None and value < low) or (high is not None and value > high):
        shown = f"{'−∞' if low is None else f'{low:g}'} … {'∞' if high is None else f'{high:g}'}"
        raise Refusal(
            422, "out_of_limits", f"{name} must be within {shown}, not {value:g}",
            "the limits stand in the experiment file",
        )  # fmt: skip
    return float(value) if isinstance(old, float) else value


def _bad_kind(name: str, old: Any) -> Refusal:
    kind = (
        "true or false"
        if isinstance(old, bool)
        else "a text"
        if isinstance(old, str)
        else "a number"
    )
    return Refusal(400, "bad_value", f"the value of {name} is {kind}", 'send {"value": …}')


def _saved() -> Refusal:
    return Refusal(409, "not_running", "this session is not being recorded", "it can only be read")
