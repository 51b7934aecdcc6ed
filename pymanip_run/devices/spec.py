"""What is known of a device before it is opened."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DeviceSpec", "Reconnect", "SafeCall"]


class Reconnect(NamedTuple):
    """How a device is opened again after a failed call."""

    #: Seconds before the first attempt, then doubled.
    wait: float = 1.0
    #: The longest time between two attempts.
    max_wait: float = 60.0


@dataclass(frozen=True)
class SafeCall:
    """A call that leaves a device in its safe state.

    Attributes
    ----------
    call : str
        Name of a method, or of a property that is set; with dots for that of a part.
    args, kwargs
        Its arguments.
    timeout : float
        Seconds after which it counts as failed.
    """

    call: str
    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 5.0

    @property
    def label(self) -> str:
        """In words: ``output off`` for ``set_output(False)``."""
        name = self.call.rpartition(".")[2].removeprefix("set_").replace("_", " ")
        given = [_word(value) for value in self.args]
        given += [f"{key} {_word(value)}" for key, value in self.kwargs.items()]
        return " ".join([name, ", ".join(given)]).strip()


@dataclass(frozen=True)
class DeviceSpec:
    """A device that is opened for a run.

    Attributes
    ----------
    name : str
        The session's attribute.
    make : callable
        Returns the driver: a class or factory with its arguments bound.
    blocking : bool
        Whether its methods are called in a thread of its own.
    simulated : bool
        Whether it stands for an instrument that is not there.
    open_timeout, close_timeout : float
        Seconds that opening and closing may take.
    reconnect : Reconnect or None
        How it is opened again after a failed call.
    required : bool
        Whether nothing goes on without it.
    safe : tuple of SafeCall
        What leaves it in its safe state.
    use : str
        What it is made of, as the experiment file has it.
    place : str
        Where it is declared.
    """

    name: str
    make: Callable[[], Any]
    blocking: bool = False
    simulated: bool = False
    open_timeout: float = 20.0
    close_timeout: float = 10.0
    reconnect: Reconnect | None = None
    required: bool = True
    safe: tuple[SafeCall, ...] = ()
    use: str = ""
    place: str = ""

    @property
    def target(self) -> Any:
        """The class or factory itself."""
        made = self.make
        while (inner := getattr(made, "func", None)) is not None:
            made = inner
        return made

    def described(self) -> dict[str, Any]:
        """Return what is kept with the run. Nothing is asked of the instrument."""
        target = self.target
        name = getattr(target, "__qualname__", type(target).__qualname__)
        kind = "class" if isinstance(target, type) else "factory"
        return {
            "name": self.name,
            "use": self.use,
            kind: f"{getattr(target, '__module__', '')}.{name}",
            "simulated": self.simulated,
            "blocking": self.blocking,
            "required": self.required,
        }


def _word(value: object) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)
