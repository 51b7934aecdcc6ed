"""``pymanip-run run``: an experiment file, from start to end."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import contextlib
import math
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pymanip_run.cli.outcome import TALK, failure_text, leave_now, say
from pymanip_run.errors import UsageError, did_you_mean, run_exit_code

if TYPE_CHECKING:
    from pymanip_run.experiment.build import Plan
    from pymanip_run.livetable import Display, Ending, Options
    from pymanip_run.session import AsyncSession

__all__ = ["run"]

DISPLAYS = ("auto", "live", "lines", "json", "none")
COLORS = {"auto": None, "always": True, "never": False}


def run(
    file: Annotated[str, typer.Argument(metavar="EXPERIMENT.yaml", help="The experiment file.")],
    *,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Change a value of the file, e.g. parameters.voltage=4.",
        ),
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option("--for", metavar="DURATION", help="End after this time: 30s, 2h30m, 14d."),
    ] = None,
    session: Annotated[
        str | None,
        typer.Option("--session", metavar="PATH", help="The session file, instead of the file's."),
    ] = None,
    new: Annotated[
        bool | None,
        typer.Option(
            "--new/--append", help="Begin a new session file, or continue an existing one."
        ),
    ] = None,
    display: Annotated[
        str, typer.Option("--display", metavar="|".join(DISPLAYS), help="How the run is shown.")
    ] = "auto",
    print_every: Annotated[
        str,
        typer.Option(
            "--print-every", metavar="DURATION", help="Off a terminal: time between two lines."
        ),
    ] = "1min",
    json: Annotated[bool, typer.Option("--json", help="The same as --display json.")] = False,
    port: Annotated[
        int | None, typer.Option("--port", metavar="N", help="Port of the server (later).")
    ] = None,
    no_server: Annotated[
        bool, typer.Option("--no-server", help="Open no port (this version never does).")
    ] = False,
    verbose: Annotated[
        int, typer.Option("-v", "--verbose", count=True, help="Say more; -vv even more.")
    ] = 0,
    quiet: Annotated[
        int, typer.Option("-q", "--quiet", count=True, help="Say less; -qq nothing.")
    ] = 0,
    color: Annotated[
        str, typer.Option("--color", metavar="auto|always|never", help="Colours.")
    ] = "auto",
) -> None:
    """Run an experiment: open a session, run its tasks, show the values, stop safely.

    The first Ctrl-C finishes the present steps, the second cancels them, the third ends at once.
    """
    del port, no_server
    TALK.level = verbose - quiet
    options = _options("json" if json else display, print_every, color)
    seconds = _duration(duration, "--for")
    exists = None if new is None else "new" if new else "append"
    chosen = str(Path(session).absolute()) if session else None
    from pymanip_run.experiment.build import prepare

    with prepare(_file(file), tuple(overrides or ())) as plan:
        for warning in plan.loaded.warnings if TALK.level >= 0 else ():
            say(f"warning: {warning}")
        code = _measure(plan, chosen, exists, seconds, options)
    if code:
        leave_now(code)


def _measure(
    plan: Plan, session: str | None, exists: str | None, duration: float | None, options: Options
) -> int:
    from pymanip_run.cli.logs import logging_to
    from pymanip_run.experiment.run import open_session

    with open_session(plan, session, exists) as sesn:
        path = sesn.session_path
        with logging_to(path.with_suffix(".log") if path else None, TALK.level):
            code, ending = _watched(plan, sesn, duration, options)
            sesn.close()
    _say_goodbye(replace(ending, file_size=path.stat().st_size) if path else ending)
    return code


def _watched(
    plan: Plan, sesn: AsyncSession, duration: float | None, options: Options
) -> tuple[int, Ending]:
    """Run the plan with a display beside it; return the exit code and what is to be said."""
    import asyncio

    from pymanip_run.cli.logs import log_event
    from pymanip_run.cli.watched import WatchedRun, ending_of
    from pymanip_run.experiment.run import execute
    from pymanip_run.livetable import Display
    from pymanip_run.session import RunOptions, internals

    limit = plan.loaded.model.limits.duration if duration is None else duration
    state = WatchedRun(sesn, plan.title, limit)
    stop = internals(sesn).stop
    display = Display(
        sesn,
        internals(sesn).feed,
        state,
        options,
        on_stop=lambda: stop.request("key q"),
        on_note=sesn.note,
    )
    forget = stop.on_request(display.wake)
    internals(sesn).feed.call(log_event)
    run_options = RunOptions(
        duration=math.inf if duration is None else duration,
        observers=(("display", state.observed_by(display)),),
        on_third=lambda _: _leave_at_once(display, state.path),
        on_hangup=lambda _: display.abandon(),
    )
    failure: BaseException | None = None
    try:
        asyncio.run(execute(plan, sesn, run_options))
    except (KeyboardInterrupt, Exception) as error:  # noqa: BLE001 - shown below, with its exit code
        failure = error
    finally:
        forget()
        internals(sesn).feed.uncall(log_event)
        code = _exit_code(stop.exit_code, failure)
        ending = ending_of(sesn, state, code, failure)
        display.close(
            ending.reason, _summary(sesn, code, ending) if options.mode == "json" else None
        )
    if failure is not None and not isinstance(failure, KeyboardInterrupt):
        say(failure_text(failure, in_run=True))
    return code, ending


def _leave_at_once(display: Display, path: str | None) -> None:
    """Say the last words; in a signal handler, thus without waiting for a terminal that is stuck."""
    import select

    from pymanip_run.livetable.farewell import quoted

    display.restore_terminal()
    look = f": pymanip-inspect {quoted(path)}" if path else ""
    with contextlib.suppress(OSError, ValueError):
        if TALK.level > -2 and select.select([], [2], [], 0)[1]:
            os.write(2, f"\nleft at once; what was stored is safe{look}\n".encode(errors="replace"))


def _exit_code(asked: int, failure: BaseException | None) -> int:
    if failure is None or asked > 128:
        return asked
    return 130 if isinstance(failure, KeyboardInterrupt) else run_exit_code(failure)


def _summary(sesn: AsyncSession, code: int, ending: Ending) -> dict[str, object]:
    from pymanip_run.describe import describe

    path = sesn.session_path
    outcome = {
        "exit_code": code,
        "exit_reason": ending.reason,
        "seconds": ending.elapsed,
        "entries": ending.entries,
    }
    return {**outcome, **describe(sesn, str(path) if path else None)}


def _say_goodbye(ending: Ending) -> None:
    if TALK.level > -2:
        from pymanip_run.livetable import end_of_run
        from pymanip_run.livetable.text import glyphs_for

        say(glyphs_for(sys.stderr.encoding).encodable(end_of_run(ending)))


# -- options ------------------------------------------------------------------------------------


def _file(name: str) -> str:
    if name.lower().endswith((".h5", ".hdf5")) and Path(name).exists():
        raise UsageError(
            f"{name} is a session, not an experiment; look into it:\n  pymanip-inspect {name}"
        )
    if name.lower().endswith(".py") and Path(name).is_file():
        raise UsageError(
            f"{name} is a Python file, not an experiment file; a script runs by itself:  python {name}\n"
            f"As the module of an experiment it needs a YAML file:  module: {Path(name).name}  and  tasks: [...]"
        )
    return name


def _options(display: str, print_every: str, color: str) -> Options:
    from pymanip_run.livetable import Options, choose_mode

    if display not in DISPLAYS:
        raise UsageError(
            f"--display {display!r} is unknown; choose one of {', '.join(DISPLAYS)}{did_you_mean(display, DISPLAYS)}"
        )
    if color not in COLORS:
        raise UsageError(f"--color {color!r} is unknown; choose auto, always or never")
    return Options(
        choose_mode(display), _duration(print_every, "--print-every") or 60.0, COLORS[color]
    )


def _duration(text: str | None, option: str) -> float | None:
    if text is None:
        return None
    from pymanip_run.units import parse_duration

    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if not seconds:
        raise UsageError(f"{option} needs a time above 0, for example {option} 30s")
    return seconds
