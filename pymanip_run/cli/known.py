"""The runs of this user on this computer, as a user names them."""

from __future__ import annotations

import getpass
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pymanip_run.cli.files import as_typed
from pymanip_run.clock import iso_local
from pymanip_run.control import Conversation
from pymanip_run.errors import RemoteError, UsageError, did_you_mean
from pymanip_run.registry import RegisteredRun, registered_runs
from pymanip_run.wording import WITHOUT_A_WORD, end_in_words, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["called", "matching", "running_run", "runs_here", "talking_to", "title_of", "when"]


def runs_here() -> list[RegisteredRun]:
    """Return the known runs of this computer, the latest first."""
    return [run for run in registered_runs() if run.is_here]


def called(run: RegisteredRun) -> str:
    """Return how a run is named on the command line: by its session, in memory by its process."""
    return as_typed(run.session) if run.session else str(run.pid)


def title_of(run: RegisteredRun) -> str:
    """Return what a run is called on displays."""
    return run.title or (Path(run.session).stem if run.session else "session in memory")


def when(time: float) -> str:
    """Return a time as people write it."""
    return iso_local(time)[:19].replace("T", " ")


def matching(runs: Iterable[RegisteredRun], word: str) -> list[RegisteredRun]:
    """Return the runs that a word means: a session file or its name, an experiment file, a pid."""
    return [run for run in runs if word in _names(run) or str(Path(word).absolute()) in _paths(run)]


def running_run(word: str | None, command: str, rest: str = "") -> RegisteredRun:
    """Return the run that is going on and is meant.

    Parameters
    ----------
    word
        How it was named; None: there can be only one.
    command, rest
        The command that asks, and what follows the session in it, for the messages.

    Raises
    ------
    UsageError
        If there is none, or several; the message has the commands that would work.
    """
    runs = runs_here()
    running = [run for run in runs if run.is_running]
    found = running if word is None else matching(running, word)
    if len(found) == 1:
        return found[0]
    if len(found) > 1:
        lines = [f"  pymanip-run {command} {_unmistakable(r, found)}{rest}" for r in found]
        raise UsageError("several runs are going on; say which:\n" + "\n".join(lines))
    if not running:
        raise UsageError(_nothing_runs(runs, word))
    raise UsageError(_no_such(runs, running, word or "", command, rest))


def _unmistakable(run: RegisteredRun, among: list[RegisteredRun]) -> str:
    same = [other for other in among if other.session == run.session]
    return quoted(called(run)) if len(same) == 1 else str(run.pid)


def _nothing_runs(runs: list[RegisteredRun], word: str | None) -> str:
    known = matching(runs, word) if word else runs
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = "this user"
    text = f"no run of {user} is going on on this computer"
    if known:
        text += f"; the last one was {called(known[0])}: {past(known[0])}\n  pymanip-run status"
    return text


def _no_such(
    runs: list[RegisteredRun], running: list[RegisteredRun], word: str, command: str, rest: str
) -> str:
    over = matching(runs, word)
    near = did_you_mean(word, [name for run in running for name in _names(run)])
    text = (
        f"{word} is not running: {past(over[0])}"
        if over
        else f"no run is called {word!r} here{near}"
    )
    lines = [f"  pymanip-run {command} {quoted(called(run))}{rest}" for run in running[:5]]
    return "\n".join([f"{text}; running now:", *lines])


def past(run: RegisteredRun) -> str:
    """Return when and how a run that is over has ended."""
    if run.stop is None:
        return f"began {when(run.start)}, {WITHOUT_A_WORD}"
    return f"{end_in_words(run.exit_code, run.exit_reason)}, {when(run.stop)}"


def _names(run: RegisteredRun) -> set[str]:
    paths = [Path(path) for path in (run.session, run.experiment) if path]
    return {str(run.pid), *(p.stem for p in paths), *(p.name for p in paths)}


def _paths(run: RegisteredRun) -> set[str]:
    paths = {run.session, str(Path(run.session).with_suffix(""))} if run.session else set()
    return paths | ({run.experiment} if run.experiment else set())


@contextmanager
def talking_to(run: RegisteredRun, cure: str = "") -> Iterator[Conversation]:
    """Open a conversation with a run.

    Raises
    ------
    RemoteError
        If it does not listen, answer or obey; the message ends with `cure`.
    """
    try:
        if run.control is None:
            raise RemoteError("it could not have a socket to listen on")
        with Conversation(Path(run.control)) as conversation:
            yield conversation
    except RemoteError as error:
        raise RemoteError(f"{called(run)} runs in process {run.pid}, but {error}{cure}") from None
