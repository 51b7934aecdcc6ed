"""``pymanip-run stop`` and ``note``: a run of this user that is going on on this computer."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from pymanip_run.cli.complete import running_sessions
from pymanip_run.cli.outcome import leave_now, say
from pymanip_run.errors import RemoteError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymanip_run.control import Conversation
    from pymanip_run.registry import RegisteredRun

__all__ = ["note", "stop"]

POLL_SECONDS = 0.1
#: A step that takes so long after the stop was asked is named; after the second time how to cancel it.
NAMED_AFTER = 1.0
CURE_AFTER = 5.0
#: For closing the file, after the run has ended.
CLOSING_SECONDS = 15.0
#: Each word for itself, so that a remark needs no quotes.
SESSION_HELP = "The session, its experiment, or a process number; needed when several run."


def note(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="[SESSION] TEXT",
            help="The remark; before it the session, when several run.",
            autocompletion=running_sessions,
        ),
    ],
) -> None:
    """Write a remark into a running session, as an event with its time."""
    from pymanip_run.cli.known import called, talking_to
    from pymanip_run.clock import iso_local

    run, text = _addressed(words)
    if not text.strip():
        raise UsageError(f'the text is missing:\n  pymanip-run note {words[0]} "refilled nitrogen"')
    with talking_to(run) as conversation:
        time = conversation.ask("note", text=text)["time"]
    say(f"noted at {iso_local(time)[11:19]} in {called(run)}")


def _addressed(words: Sequence[str]) -> tuple[RegisteredRun, str]:
    """Return which run is meant, and the text."""
    from pymanip_run.cli.app import looks_like_a_file
    from pymanip_run.cli.known import matching, running_run, runs_here
    from pymanip_run.wording import quoted

    first, *rest = words
    running = [run for run in runs_here() if run.is_running]
    text = " ".join(rest)
    if matching(running, first) or (rest and looks_like_a_file(first)):
        return running_run(first, "note", f" {quoted(text or 'TEXT')}"), text
    whole = " ".join(words)
    return running_run(None, "note", f" {quoted(whole)}"), whole


def stop(
    session: Annotated[
        str | None,
        typer.Argument(metavar="SESSION", help=SESSION_HELP, autocompletion=running_sessions),
    ] = None,
    *,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Do not wait until the run has ended.")
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", help="Cancel the present steps, as a second Ctrl-C does."),
    ] = False,
) -> None:
    """End a run as its first Ctrl-C would, and wait until it has ended."""
    from pymanip_run.cli.known import called, matching, past, running_run, runs_here, talking_to

    runs = runs_here()
    over = matching(runs, session) if session else []
    if over and not any(run.is_running for run in over):
        say(f"{called(over[0])} is not running: {past(over[0])}")
        return
    run = running_run(session, "stop", " --force" if force else "")
    cure = f". The same as Ctrl-C in its terminal:\n  kill -INT {run.pid}"
    with talking_to(run, cure) as conversation:
        before = conversation.ask("stop", force=force)["stopping"]
    verb = "cancelling the present step" if force else "finishing the present step"
    again = f"{before} had asked for it already; " if before else ""
    say(f"{called(run)}: {again}{verb}")
    if not no_wait:
        _wait(run)


def _wait(run: RegisteredRun) -> None:
    """Wait until a run has ended; say what it waits for, and how it ended."""
    from pymanip_run.cli.known import called, past

    try:
        for sentence in _progress(run):
            say(sentence)
    except KeyboardInterrupt:
        say(f"{called(run)} goes on ending; it is not waited for any more")
        leave_now(130)
    found = _now(run)
    say(f"{called(run)}: {past(found)}")
    if run.session:
        from pymanip_run.wording import quoted

        say(f"look: pymanip-inspect {quoted(called(run))}")
    if found.state == "lost":
        leave_now(1)


def _progress(run: RegisteredRun) -> Iterator[str]:
    """Yield what is waited for, until the run has ended and its process has closed the file."""
    from pymanip_run.clock import SYSTEM

    began, told, cured = SYSTEM.monotonic(), "", False
    while _now(run).is_running:
        SYSTEM.pause(POLL_SECONDS)
        waited = SYSTEM.monotonic() - began
        if waited >= NAMED_AFTER and (what := _awaited(run)) and what != told:
            told = what
            yield f"waiting for {what}"
        if waited >= CURE_AFTER and told and not cured:
            cured = True
            yield "to cancel it, as a second Ctrl-C would:  pymanip-run stop --force"
    # An experiment's process ends with it; that of a script or notebook may live on.
    deadline = SYSTEM.monotonic() + CLOSING_SECONDS
    while run.experiment and run.is_alive and SYSTEM.monotonic() < deadline:
        SYSTEM.pause(POLL_SECONDS)


def _now(run: RegisteredRun) -> RegisteredRun:
    from pymanip_run.cli.known import runs_here

    same = [r for r in runs_here() if (r.pid, r.start) == (run.pid, run.start)]
    return same[0] if same else run


def _awaited(run: RegisteredRun) -> str:
    """Return the tasks that are in a step, as far as the run tells."""
    from pymanip_run.cli.known import talking_to
    from pymanip_run.livetable.text import inert

    try:
        with talking_to(run) as conversation:
            tasks: list[dict[str, Any]] = _status(conversation)["tasks"]
    except RemoteError:
        return ""
    busy = [inert(task["name"]) for task in tasks if task["state"] in ("running", "waiting")]
    return ", ".join(busy) or "teardown and the devices"


def _status(conversation: Conversation) -> dict[str, Any]:
    return conversation.ask("status")
