"""What a mail is made from: the state of a run at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pymanip_run.core.view import SessionView
    from pymanip_run.mail.letter import Attachment, Figure
    from pymanip_run.records import VariableInfo

__all__ = ["AlarmLine", "Kind", "Occasion", "Sources", "SweepLine"]

Kind: TypeAlias = Literal["alarm", "error", "report", "finish"]


class Occasion(NamedTuple):
    """Why a mail is sent.

    Attributes
    ----------
    key : str
        Mails of the same kind and key keep their distance.
    headline : str
        What happened, for the subject; empty for a report.
    text : str
        The same with everything that is to be said.
    time : float
        When it happened, in Unix seconds of the session.
    """

    kind: Kind
    key: str
    headline: str
    text: str
    time: float


class AlarmLine(Protocol):
    """How an alarm is doing."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def level(self) -> str:
        """``ok``, ``pending``, ``active`` or ``cleared``."""
        ...

    @property
    def text(self) -> str:
        """How it is doing, in words."""
        ...

    @property
    def headline(self) -> str:
        """What is wrong, in short."""
        ...


class SweepLine(NamedTuple):
    """How far a sweep is; `total` and `remaining` (seconds) are None where they are not known."""

    name: str
    done: int
    total: int | None
    remaining: float | None


def _none() -> tuple[()]:
    return ()


def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Sources:
    """Where the content of mails comes from. All are called in the thread that composes them.

    Parameters
    ----------
    name
        What subjects begin with: the session's name.
    title
        What is measured.
    view
        The data.
    now
        Returns the session's time in Unix seconds.
    state
        Returns how the run is doing, in words.
    alarms, sweeps
        Return the states of alarms and sweeps.
    variables
        Returns what is known of the variables; as the view tells by default.
    address
        Returns the link to the dashboard, None without one.
    figures
        Returns the pictures that go with a mail.
    report
        Returns the report of the session that is attached to the mail about its end; None: there is to be none.
    """

    name: str
    title: str
    view: SessionView
    now: Callable[[], float]
    state: Callable[[], str] = str
    alarms: Callable[[], Sequence[AlarmLine]] = _none
    sweeps: Callable[[], Sequence[SweepLine]] = _none
    variables: Callable[[], Mapping[str, VariableInfo]] | None = None
    address: Callable[[], str | None] = _nothing
    figures: Callable[[], Sequence[Figure]] = _none
    report: Callable[[Occasion], Attachment] | None = None
