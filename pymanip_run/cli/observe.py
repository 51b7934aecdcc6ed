"""``pymanip-run observe``: a running session elsewhere."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pymanip_run.cli.arguments import seconds_of
from pymanip_run.cli.outcome import leave_now, say
from pymanip_run.errors import UsageError

if TYPE_CHECKING:
    from pymanip_run.observe import RemoteObserver

__all__ = ["observe"]


def observe(
    host: Annotated[
        str,
        typer.Argument(
            metavar="HOST[:PORT]|LINK", help="Where it runs, or the link that it printed."
        ),
    ],
    *,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", min=1, max=65535, help="Its port.")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option("--token", metavar="TOKEN", help="What lets in; kept if it only reads."),
    ] = None,
    record: Annotated[
        str | None,
        typer.Option("--record", metavar="FILE.h5|.csv", help="Store what it logs, until Ctrl-C."),
    ] = None,
    once: Annotated[bool, typer.Option("--once", help="Print the last values, and end.")] = False,
    json: Annotated[bool, typer.Option("--json", help="As JSON, one object a line.")] = False,
    note: Annotated[
        str | None, typer.Option("--note", metavar="TEXT", help="Write a remark into it.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change a tunable parameter."),
    ] = None,
    stop: Annotated[bool, typer.Option("--stop", help="Ask the run to end.")] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Wait until something is wrong, or it has finished."),
    ] = False,
    max_age: Annotated[
        str,
        typer.Option("--max-age", metavar="DURATION", help="For --watch: no new data for so long."),
    ] = "5min",
) -> None:
    """Watch a session that runs on another computer: its values, its alarms, its end.

    With --watch the exit code tells: 0 finished cleanly, 3 host unreachable or unknown, 5 an alarm
    is active, 6 the process is dead, 7 alive but no new data.
    """
    if sum(map(bool, (record, watch, once))) > 1 and not (watch and once):
        raise UsageError("--record, --once and --watch exclude each other; choose one")
    seconds = seconds_of(max_age, "--max-age") or 300.0
    if watch:
        from pymanip_run.cli.watching import watch as watch_it

        leave_now(watch_it(_observer(host, port, token, ask=False), seconds, once=once))
    observer = _observer(host, port, token, ask=True)
    if note is not None or changes or stop:
        _control(observer, note, changes or [], stop=stop)
        return
    from pymanip_run.cli.observing import print_once, record_into, show_live

    if once:
        print_once(observer, as_json=json)
    elif record is not None:
        record_into(observer, record)
    else:
        show_live(observer, as_json=json)


def _observer(host: str, port: int | None, token: str | None, *, ask: bool) -> RemoteObserver:
    """Return an observer that is let in; asks for the token once, where there is a person to ask."""
    import sys

    from pymanip_run import access
    from pymanip_run.observe import RefusedError, RemoteObserver

    given = access.parse_address(host, port)
    observer = RemoteObserver(host, port or access.DEFAULT_PORT, token)
    if not ask:
        return observer
    typed = None
    try:
        observer.info()
    except RefusedError as error:
        if error.status != 401 or token or given.token or not sys.stdin.isatty():
            raise
        say(str(error))
        typed = _typed_token()
        observer = RemoteObserver(host, port or access.DEFAULT_PORT, typed)
        observer.info()
    if shown := typed or token or given.token:
        _keep(observer, shown)
    return observer


def _keep(observer: RemoteObserver, token: str) -> None:
    """Keep a token that reads; one that stops the run is shown each time."""
    from pymanip_run import access

    if observer.snapshot()["control"]:
        say(
            "this is the control token: it is not kept, the next `observe` asks for the one that reads"
        )
        return
    try:
        access.keep_token(observer.address, token)
    except (OSError, RuntimeError) as error:
        say(f"warning: the token could not be kept: {error}")


def _typed_token() -> str:
    """Ask for the token on standard error: standard output is for data alone."""
    import sys

    sys.stderr.write("token: ")
    sys.stderr.flush()
    typed = sys.stdin.readline().strip()
    if not typed:
        raise UsageError(
            "no token was typed; on the computer of the run, as its user:\n  pymanip-run token"
        )
    return typed


def _control(observer: RemoteObserver, note: str | None, changes: list[str], *, stop: bool) -> None:
    from pymanip_run.clock import iso_local

    if note is not None:
        say(f"noted at {iso_local(observer.note(note).time)[11:19]}")
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {change!r}: write NAME=VALUE, for example setpoint=25")
        event = observer.set_parameter(name, _value(text))
        say(event.text if event is not None else f"{name} has that value already")
    if stop:
        observer.stop()
        say("asked to stop; its tasks finish their present step")


def _value(text: str) -> float | bool | str:
    words = {"true": True, "false": False}
    if text.lower() in words:
        return words[text.lower()]
    try:
        number = float(text)
    except ValueError:
        return text
    return int(number) if text.lstrip("+-").isdecimal() else number
