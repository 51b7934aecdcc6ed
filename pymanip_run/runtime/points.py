"""The values of a sweep, whatever they come from: one at a time, and closed at the end."""

from __future__ import annotations

import asyncio
import logging
import operator
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Generator,
    Iterable,
    Iterator,
)
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from types import TracebackType

    from pymanip_run.runtime.stop import StopSignal

__all__ = ["END", "Points", "count", "is_iterable", "open_points", "unless_stopped"]

logger = logging.getLogger(__name__)

END: Final = object()


class Points:
    """Gives the values of an iterator; a generator is sent the result of each."""

    def __init__(self, values: Iterator[Any]) -> None:
        self._values = values

    async def next(self, result: object) -> Any:
        """Return the next value, or `END`. `result` is what the step before returned."""
        try:
            if isinstance(self._values, Generator) and _can_be_sent(self._values):
                return self._values.send(result)
            return next(self._values)
        except StopIteration:
            return END

    async def close(self) -> None:
        """Let a generator do what it has to do at its end."""
        if isinstance(self._values, Generator):
            self._values.close()

    async def __aenter__(self) -> Points:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        try:
            await self.close()
        except Exception:
            if error is None:
                raise
            # What ended the sweep is what its user must see.
            logger.exception("the values of the sweep could not be closed")


class AsyncPoints(Points):
    """The same for asynchronous iterators; waiting for a value ends when the stop is asked."""

    def __init__(self, values: AsyncIterator[Any], stop: StopSignal) -> None:
        self._async_values = values
        self._stop = stop

    async def next(self, result: object) -> Any:
        """Return the next value, or `END`."""
        values = self._async_values
        pending: Awaitable[Any]
        pending = values.asend(result) if isinstance(values, AsyncGenerator) else anext(values)
        try:
            return await unless_stopped(self._stop, pending)
        except StopAsyncIteration:
            return END

    async def close(self) -> None:
        """Let a generator do what it has to do at its end."""
        if isinstance(self._async_values, AsyncGenerator):
            await self._async_values.aclose()


def is_iterable(values: object) -> bool:
    """Return whether :func:`open_points` can go through them."""
    return isinstance(values, (Iterable, AsyncIterable)) or hasattr(values, "__getitem__")


def open_points(values: Any, stop: StopSignal) -> Points:
    """Begin to go through the values."""
    if isinstance(values, AsyncIterable):
        return AsyncPoints(aiter(values), stop)
    return Points(iter(values))


def count(values: object) -> int | None:
    """Return how many values there are, as far as that can be told without taking them."""
    try:
        hint = operator.length_hint(values, -1)
    except TypeError:
        return None
    return hint if hint >= 0 else None


def _can_be_sent(generator: Any) -> bool:
    """Return False while a generator gives the values of a plain iterator by ``yield from``."""
    inner = generator
    while (delegate := getattr(inner, "gi_yieldfrom", None)) is not None:
        inner = delegate
    return hasattr(inner, "send")


async def unless_stopped(stop: StopSignal, pending: Awaitable[Any]) -> Any:
    """Await `pending` in this task, but cancel it and return `END` when the stop is asked."""
    loop = asyncio.get_running_loop()
    over = False

    def cut() -> None:
        if not over:
            scope.reschedule(loop.time())

    scope = asyncio.timeout(None)
    try:
        async with scope:
            forget = stop.on_request(lambda: loop.call_soon_threadsafe(cut))
            try:
                return await pending
            finally:
                over = True
                forget()
    except TimeoutError:
        if not scope.expired():
            raise
        return END
