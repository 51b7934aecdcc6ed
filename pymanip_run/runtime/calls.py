"""How the functions that users pass are called: with what, and what may come back."""

from __future__ import annotations

import asyncio
import functools
import inspect
from typing import TYPE_CHECKING, Any, TypeAlias

from pymanip_run.errors import TaskError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Step: TypeAlias = Callable[[], Awaitable[Any]]
    ValueStep: TypeAlias = Callable[[Any], Awaitable[Any]]

__all__ = ["NotATaskError", "bind", "bind_value", "call_with", "name_of"]

_POSITIONAL = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.VAR_POSITIONAL,
)
_NOBODY = object()


class NotATaskError(TaskError, TypeError):
    """Something was passed as a task that cannot be one; the message says what to write."""


def name_of(task: object) -> str:
    """Return the name under which a task is shown: that of its function, or of its class."""
    inner = _unwrapped(task)
    if isinstance(inner, asyncio.Task):
        inner = inner.get_coro()
    name = getattr(inner, "__name__", None) or type(inner).__name__
    return str(name).strip("<>")


def bind(task: Callable[..., Any], argument: object) -> Step:
    """Return a function that calls `task` once, with `argument` if it takes one.

    A parameter with a default and ``*args`` count as taking; a method of `argument` itself gets
    it a second time only if it cannot be called without.

    Raises
    ------
    NotATaskError
        If it cannot be called so.
    """
    _refuse_generators(task)
    arguments = (argument,) if _takes_argument(task, argument) else ()
    if not _accepts(task, *arguments):
        raise NotATaskError(
            f"task {name_of(task)!r} is called with the session only, but takes "
            f"{inspect.signature(task)}: bind the others with functools.partial"
        )
    step = functools.partial(task, *arguments) if arguments else task
    return step if _is_coroutine_function(task) else functools.partial(_await, task, *arguments)


def bind_value(task: Callable[..., Any], argument: object, *, spread: bool = False) -> ValueStep:
    """Return a function of one value that calls ``task(argument, value)``.

    A task that takes only one argument is called ``task(value)``: a method of the session.

    Parameters
    ----------
    task
        The coroutine function of a sweep.
    argument
        The session.
    spread
        Whether the value is a tuple, whose items are passed as several arguments.
    """
    if not callable(task):
        raise NotATaskError(f"a sweep needs `async def step(sesn, value)`, not {_describe(task)}")
    _refuse_generators(task)

    @functools.cache
    def takes_session(count: int) -> bool:
        values = (None,) * count
        if _owner(task) is argument and _accepts(task, *values):
            return False
        return _accepts(task, argument, *values) or not _accepts(task, *values)

    def call(value: Any) -> Awaitable[Any]:
        values = tuple(value) if spread else (value,)
        return (
            _await(task, argument, *values) if takes_session(len(values)) else _await(task, *values)
        )

    return call


def call_with(function: Callable[..., Any], argument: object) -> Any:
    """Call a plain function, such as a generator function, with `argument` if it takes one."""
    return function(argument) if _takes_argument(function, argument) else function()


async def _await(function: Callable[..., Any], *arguments: object) -> Any:
    result = function(*arguments)
    if not inspect.isawaitable(result):
        name = name_of(function)
        raise NotATaskError(
            f"task {name!r} returned {_describe(result)} instead of something to await: "
            f"write `async def {name}(...)`"
        )
    return await result


def _refuse_generators(task: Callable[..., Any]) -> None:
    if inspect.isasyncgenfunction(task):
        raise NotATaskError(
            f"task {name_of(task)!r} is a generator, because of a `yield` in it: "
            "write `await` or `return` in its place"
        )


def _is_coroutine_function(task: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(task) or inspect.iscoroutinefunction(
        getattr(_unwrapped(task), "__call__", None)  # noqa: B004 - an object with an async __call__
    )


def _takes_argument(function: Callable[..., Any], argument: object) -> bool:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C without a signature
        return True
    positional = [p for p in parameters if p.kind in _POSITIONAL]
    if _owner(function) is argument:
        positional = [p for p in positional if _is_required(p)]
    return bool(positional)


def _is_required(parameter: inspect.Parameter) -> bool:
    return (
        parameter.default is inspect.Parameter.empty
        and parameter.kind is not inspect.Parameter.VAR_POSITIONAL
    )


def _accepts(function: Callable[..., Any], *arguments: object) -> bool:
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


def _unwrapped(task: object) -> object:
    while isinstance(task, functools.partial):
        task = task.func
    return task


def _owner(task: object) -> object:
    """Return the object whose method this is."""
    return getattr(_unwrapped(task), "__self__", _NOBODY)


def _describe(thing: object) -> str:
    return "None" if thing is None else f"{type(thing).__name__} ({thing!r:.60})"
