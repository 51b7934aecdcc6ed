"""``pymanip-run open``: the dashboard of a run of this computer, or of a session that is over."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pymanip_run.cli.complete import known_sessions
from pymanip_run.cli.outcome import say
from pymanip_run.errors import UsageError

if TYPE_CHECKING:
    from pymanip_run.registry import RegisteredRun

__all__ = ["open_dashboard"]


def open_dashboard(
    session: Annotated[
        str | None,
        typer.Argument(
            metavar="[SESSION]",
            help="A running session, or a session file; needed when several run.",
            autocompletion=known_sessions,
        ),
    ] = None,
    *,
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="N", min=0, max=65535, help="For a session that is over."),
    ] = None,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Only print the link.")] = False,
) -> None:
    """Open the dashboard in the browser: of a running session, or of one that is over."""
    from pymanip_run.cli.known import matching, running_run, runs_here

    running = [run for run in runs_here() if run.is_running]
    if session is not None and not matching(running, session) and _is_session(session):
        _serve_saved(session, port, no_browser=no_browser)
        return
    run = running_run(session, "open")
    link = link_of(run)
    print(link, flush=True)
    if not no_browser:
        show(link)


def _is_session(name: str) -> bool:
    path = Path(name)
    return path.is_file() or path.with_name(f"{path.name}.h5").is_file()


def link_of(run: RegisteredRun) -> str:
    """Return the link to the dashboard of a run.

    Raises
    ------
    UsageError
        If it has none.
    """
    from pymanip_run import access
    from pymanip_run.cli.known import called

    if run.port is None:
        raise UsageError(
            f"{called(run)} runs without a dashboard; how it is doing:\n  pymanip-run status {called(run)}"
        )
    url = run.url or f"http://localhost:{run.port}"
    try:
        token = access.read_token(access.token_path())
    except (OSError, RuntimeError):
        token = None
    return access.link(url, token)


def show(link: str) -> None:
    """Open a link in the browser of the desktop; a text browser would take the terminal."""
    import webbrowser

    has_desktop = sys.platform == "darwin" or any(
        os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    )
    if not has_desktop or not webbrowser.open(link):
        say("there is no browser here; open the link in one")


def _serve_saved(name: str, port: int | None, *, no_browser: bool) -> None:
    """Serve a session file until Ctrl-C."""
    import signal
    import threading

    from pymanip_run.cli.files import found, opened
    from pymanip_run.session.serving import saved
    from pymanip_run.web.ports import listen
    from pymanip_run.web.server import Server
    from pymanip_run.web.settings import Policy

    path = found(name, "open")
    over = threading.Event()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    with opened(path) as view:
        server = Server(saved(view, path), listen(port=port), Policy())
        for number in handlers:
            signal.signal(number, lambda *_: over.set())
        try:
            server.start()
            server.wait_until_ready()
            print(server.link, flush=True)
            say(f"{name} is shown there; Ctrl-C ends it")
            if not no_browser:
                show(server.link)
            while not over.wait(0.5):
                pass
        finally:
            server.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)
