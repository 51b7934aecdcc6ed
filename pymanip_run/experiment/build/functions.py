"""Finding the functions of an experiment's tasks, and whether they can be called as asked."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pymanip_run.errors import did_you_mean
from pymanip_run.runtime.threads import Worker, call_in

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence
    from types import ModuleType

    #: Is called with the session and the values of a sweep's point.
    Step: TypeAlias = Callable[..., Awaitable[Any]]

__all__ = [
    "NAMED_KINDS",
    "POSITIONAL_KINDS",
    "Call",
    "Complaint",
    "FunctionMissingError",
    "callables",
    "find_function",
    "hook_complaint",
    "is_coroutine",
    "reach",
]

SHOWN = 5
POSITIONAL_KINDS = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
#: A first argument of this name is never one of the values of a sweep.
_SESSION = ("sesn", "session")
NAMED_KINDS = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class FunctionMissingError(Exception):
    """The module has no such function; the message says what it has."""


class Complaint(NamedTuple):
    """Why a function cannot be called so; `kwarg` names the argument that is one too many."""

    message: str
    kwarg: str | None = None


def reach(
    module: ModuleType, name: str, what: str, others: Callable[[ModuleType], Sequence[str]]
) -> Any:
    """Return what a name with dots means in a module; `others` lists what may have been meant.

    Raises
    ------
    FunctionMissingError
        If there is no such name.
    """
    if not name:
        raise FunctionMissingError(f"the name of the {what} is missing after the ':'")
    found: Any = module
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            hint = did_you_mean(name, others(module)) or _elsewhere(module, name)
            hint = hint or _own(module, others(module))
            raise FunctionMissingError(f"defines no {what} {name!r}{hint}") from None
    return found


def _elsewhere(module: ModuleType, name: str) -> str:
    """Return how a name of another module is written, if this seems to be one."""
    head, dot, tail = name.rpartition(".")
    if not dot or hasattr(module, head.partition(".")[0]):
        return ""
    return f"; something of a module is written  {head}:{tail}"


def _own(module: ModuleType, names: Sequence[str]) -> str:
    """Return what a module itself defines of these names."""
    things = vars(module)
    own = [n for n in names if getattr(things[n], "__module__", "") == module.__name__]
    return f"; it defines {', '.join(own[:SHOWN])}{', …' * (len(own) > SHOWN)}" if own else ""


def find_function(module: ModuleType, name: str, what: str = "coroutine") -> Callable[..., Any]:
    """Return a function of a module; `name` may have dots, for something in a class.

    Raises
    ------
    FunctionMissingError
        If there is none, or if it is something else.
    """
    found = reach(module, name, what, callables)
    if inspect.isclass(found):
        raise FunctionMissingError(f"{name!r} is a class, not a {what}")
    if inspect.iscoroutine(found):
        found.close()
        raise FunctionMissingError(
            f"{name!r} is a coroutine that was called already; leave the parentheses out"
        )
    if not callable(found):
        raise FunctionMissingError(f"{name!r} is {type(found).__name__}, not a {what}")
    if what == "coroutine" and (
        inspect.isasyncgenfunction(found) or inspect.isgeneratorfunction(found)
    ):
        raise FunctionMissingError(f"{name!r} has a 'yield' in it; a task must not")
    return found  # type: ignore[no-any-return]


def callables(module: ModuleType) -> list[str]:
    """Return the names of a module's own functions; those of others it imported last."""
    names = [
        name
        for name, thing in vars(module).items()
        if callable(thing) and not inspect.isclass(thing) and not name.startswith("_")
    ]
    return sorted(
        names, key=lambda n: getattr(vars(module)[n], "__module__", "") != module.__name__
    )


def is_coroutine(function: Callable[..., Any]) -> bool:
    """Tell whether calling `function` gives something to await."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - an object with an async __call__
    )


def hook_complaint(name: str, function: Callable[..., Any]) -> str | None:
    """Return why ``setup`` or ``teardown`` of a module could not run, None if it can."""
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        return f"{name!r} has a 'yield' in it, with which it would not run"
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C, without a signature
        return None
    needed = [p for p in parameters if _required(p)]
    if needed and needed[0].kind in POSITIONAL_KINDS:
        del needed[0]
    if not needed:
        return None
    names = ", ".join(repr(p.name) for p in needed)
    return f"{name}() is called with the session and nothing else, but needs {names}"


class Call:
    """How a task's function is called: with the session if it takes it, values, and kwargs.

    Parameters
    ----------
    function
        The user's function; a plain one runs in a thread of its own.
    kwargs
        Keyword arguments from the experiment file.
    values
        Names of what a sweep passes, in order: parameters of a grid, or ``("value",)``.
    name
        What the task is called on displays; that of the function if left out.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        kwargs: Mapping[str, Any],
        values: Sequence[str] = (),
        name: str | None = None,
    ) -> None:
        self._function = function
        #: What the task is called on displays.
        self.__name__ = name or _name_of(function)
        self._kwargs = dict(kwargs)
        self._values = tuple(values)
        #: The thread of a plain function, None for a coroutine function.
        self.worker = None if is_coroutine(function) else Worker(self.__name__)
        try:
            self._parameters = dict(inspect.signature(function).parameters)
        except (TypeError, ValueError):  # written in C, without a signature
            self._parameters = {}
            self._known = False
        else:
            self._known = True
        self._by_name = len(values) > 1 and all(map(self._takes_keyword, values))
        self._takes_session = not self._known or self._wants_session()

    def release(self) -> None:
        """Let its thread end, after a call that hangs in it; another run gets another one."""
        if self.worker is not None:
            self.worker.shutdown(wait=False)
            self.worker = Worker(self.__name__)

    def complaints(self) -> list[Complaint]:
        """Return why it cannot be called so, nothing if it can."""
        if not self._known:
            return []
        found = [
            Complaint(
                f"{_name_of(self._function)}() has no argument {name!r}{did_you_mean(name, self._free())}",
                name,
            )
            for name in self._kwargs
            if not self._takes_keyword(name)
        ]
        positional = self._positional()
        given = int(self._takes_session) + (0 if self._by_name else len(self._values))
        varargs = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in self._parameters.values())
        if given > len(positional) and not varargs:
            found.append(Complaint(f"{_name_of(self._function)}() must take {self._wanted()}"))
        taken = {p.name for p in positional[:given]} | set(self._kwargs)
        taken |= set(self._values) if self._by_name else set()
        missing = [
            p.name for p in self._parameters.values() if _required(p) and p.name not in taken
        ]
        if missing:
            names = ", ".join(map(repr, missing))
            found.append(
                Complaint(f"{_name_of(self._function)}() needs {names}: give it under 'kwargs'")
            )
        return found

    async def __call__(self, session: object, *values: Any) -> Any:
        """Call it."""
        kwargs = self._kwargs
        positional: tuple[Any, ...] = (session,) if self._takes_session else ()
        if self._by_name:
            kwargs = {**kwargs, **dict(zip(self._values, values, strict=True))}
        else:
            positional = (*positional, *values)
        if self.worker is None:
            return await self._function(*positional, **kwargs)
        result = await call_in(self.worker, self._function, *positional, **kwargs)
        # A decorator may hide a coroutine function behind a plain one.
        return await result if inspect.isawaitable(result) else result

    def _positional(self) -> list[inspect.Parameter]:
        """Return what positional arguments fill, in order."""
        taken = {*self._kwargs, *(self._values if self._by_name else ())}
        return [
            p
            for p in self._parameters.values()
            if p.kind in POSITIONAL_KINDS and p.name not in taken
        ]

    def _wants_session(self) -> bool:
        if any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in self._parameters.values()):
            return True
        positional = self._positional()
        needed = 0 if self._by_name else len(self._values)
        return len(positional) > needed or any(p.name in _SESSION for p in positional[:1])

    def _takes_keyword(self, name: str) -> bool:
        parameter = self._parameters.get(name) if self._parameters else None
        if parameter is not None and parameter.kind in NAMED_KINDS:
            return True
        return any(p.kind is inspect.Parameter.VAR_KEYWORD for p in self._parameters.values())

    def _free(self) -> list[str]:
        return [p.name for p in self._parameters.values() if p.kind in NAMED_KINDS]

    def _wanted(self) -> str:
        session = ["the session"] if self._takes_session else []
        return ", ".join([*session, *(self._values if not self._by_name else ())])


def _name_of(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _required(parameter: inspect.Parameter) -> bool:
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return parameter.default is inspect.Parameter.empty and parameter.kind not in variable
