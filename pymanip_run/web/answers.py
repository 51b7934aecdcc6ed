"""Making answers: few at a time, once for all who ask the same, and what is long in a thread."""

from __future__ import annotations

import asyncio
import gzip
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import web

from pymanip_run.runtime.threads import Worker, call_in
from pymanip_run.web.encode import dumps, dumps_slowly, is_long
from pymanip_run.web.failures import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Hashable

__all__ = ["Made", "Shared", "Turns", "Writing", "json_answer", "takes_gzip"]

#: Smaller answers are not worth compressing.
PACKED_BYTES = 4096
#: Long answers that are being made: read, written, compressed. Each takes some MB until it is sent.
AT_ONCE = 4
#: Those that wait for their turn; more are told to come again.
WAITING = 64
#: Answers that are kept for the next who asks, and the longest of them.
KEPT = 32
KEPT_BYTES = 1 << 18


def json_answer(body: bytes, status: int = 200) -> web.Response:
    """Return an answer of serialised JSON."""
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8")


class Made(NamedTuple):
    """The JSON of an answer."""

    body: bytes
    packed: bool = False
    #: Where the next page begins (µs), if there is one.
    end: int | None = None

    def answer(self) -> web.Response:
        """Return it as an answer."""
        answer = json_answer(self.body)
        if self.packed:
            answer.headers.update({"Content-Encoding": "gzip", "Vary": "Accept-Encoding"})
        return answer


class Turns:
    """Lets a few answers at a time take memory."""

    def __init__(self) -> None:
        self._room = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0

    @asynccontextmanager
    async def turn(self, *, patient: bool = False) -> AsyncIterator[None]:
        """Wait for one's turn, and have it within the context.

        Parameters
        ----------
        patient
            Wait however many do: what has begun to be sent cannot be refused any more.

        Raises
        ------
        Refusal
            If too many wait already.
        """
        if self._waiting >= WAITING and not patient:
            raise Refusal(
                503, "busy", "too many histories are being read", "try again", {"Retry-After": "2"}
            )
        self._waiting += 1
        try:
            async with self._room:
                yield
        finally:
            self._waiting -= 1


class Shared:
    """Answers to questions that several ask, each made once for each change of the data."""

    def __init__(self) -> None:
        self._found: dict[Hashable, tuple[Hashable, asyncio.Task[Made]]] = {}

    async def get(
        self, question: Hashable, version: Hashable, make: Callable[[], Awaitable[Made]]
    ) -> Made:
        """Return the answer to a question about a version of the data; who asks meanwhile waits for the same.

        Raises
        ------
        Refusal
            If it cannot be made.
        """
        kept = self._found.get(question)
        if kept is not None and kept[0] == version:
            return await asyncio.shield(kept[1])
        self._make_room(version)
        task = asyncio.ensure_future(_made(make))
        self._found[question] = (version, task)
        task.add_done_callback(lambda done: self._done(question, done))
        return await asyncio.shield(task)

    def _make_room(self, version: Hashable) -> None:
        for question, (of, task) in list(self._found.items()):
            if of != version and task.done():
                del self._found[question]
        while len(self._found) >= KEPT:
            del self._found[next(iter(self._found))]

    def _done(self, question: Hashable, task: asyncio.Task[Made]) -> None:
        """Forget what is no answer, or a long one."""
        is_answer = not task.cancelled() and task.exception() is None
        if is_answer and len(task.result().body) <= KEPT_BYTES:
            return
        if self._found.get(question, (None, None))[1] is task:
            del self._found[question]


async def _made(make: Callable[[], Awaitable[Made]]) -> Made:
    return await make()


class Writing:
    """Writes JSON: what is long in a thread, which does not wait for histories that others read."""

    def __init__(self) -> None:
        self._worker = Worker("dashboard: answers")

    def close(self) -> None:
        """Write no more."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    async def answer(self, request: web.Request, content: Any) -> web.Response:
        """Return an answer, compressed where it is long and that is understood."""
        return (await self.made(request, content)).answer()

    async def made(self, request: web.Request, content: Any) -> Made:
        """Return the body of an answer, compressed where it is long and that is understood."""
        body = await self.text(content)
        if len(body) < PACKED_BYTES or not takes_gzip(request):
            return Made(body)
        return Made(await self.by(gzip.compress, body, 5), packed=True)

    async def text(self, content: Any) -> bytes:
        """Return JSON."""
        return await self.by(dumps_slowly, content) if is_long(content) else dumps(content)

    async def by(self, function: Callable[..., Any], *args: Any) -> Any:
        """Do what makes a part of an answer in the thread."""
        return await call_in(self._worker, function, *args)


def takes_gzip(request: web.Request) -> bool:
    """Tell whether a client understands what is compressed."""
    return "gzip" in request.headers.get("Accept-Encoding", "")
