"""``pymanip-run run``: an experiment file, from start to end."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pymanip_run.cli.arguments import (
    ExperimentFile,
    Overrides,
    experiment_file,
    refuse_together,
    seconds_of,
)
from pymanip_run.cli.complete import choices, session_files
from pymanip_run.cli.outcome import TALK, failure_text, leave_now, say
from pymanip_run.cli.resume import Resume, ResumeAnyway, ResumeRun, Wish, gone_on, how_to_go_on
from pymanip_run.cli.streams import data_only, for_data
from pymanip_run.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from pymanip_run.cli.watched import WatchedRun
    from pymanip_run.experiment.build.plan import Plan
    from pymanip_run.livetable import Display, Ending, Options
    from pymanip_run.session import AsyncSession
    from pymanip_run.session.serving import Serving
    from pymanip_run.session.sweeping import Resumption

__all__ = ["run"]

DISPLAYS = ("auto", "live", "lines", "json", "none")
COLORS = {"auto": None, "always": True, "never": False}


def run(
    file: ExperimentFile,
    *,
    overrides: Overrides = None,
    duration: Annotated[
        str | None,
        typer.Option("--for", metavar="DURATION", help="End after this time: 30s, 2h30m, 14d."),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Rehearse: simulated devices, virtual time, a report; writes nothing."
        ),
    ] = False,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", metavar="N", min=0, help="With --dry-run: the same data every time."
        ),
    ] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="A real run with simulated devices.")
    ] = False,
    replay: Annotated[
        str | None,
        typer.Option(
            "--replay",
            metavar="OLD.h5",
            help="Feed a recorded session through the alarms, and list what they would have done.",
            autocompletion=session_files,
        ),
    ] = None,
    session: Annotated[
        str | None,
        typer.Option(
            "--session",
            metavar="PATH",
            help="The session file, instead of the file's.",
            autocompletion=session_files,
        ),
    ] = None,
    new: Annotated[
        bool | None,
        typer.Option(
            "--new/--append", help="Begin a new session file, or continue an existing one."
        ),
    ] = None,
    resume: Resume = False,
    resume_anyway: ResumeAnyway = False,
    resume_run: ResumeRun = None,
    display: Annotated[
        str,
        typer.Option(
            "--display",
            metavar="|".join(DISPLAYS),
            help="How the run is shown.",
            autocompletion=choices(*DISPLAYS),
        ),
    ] = "auto",
    print_every: Annotated[
        str,
        typer.Option(
            "--print-every", metavar="DURATION", help="Off a terminal: time between two lines."
        ),
    ] = "1min",
    json: Annotated[bool, typer.Option("--json", help="The same as --display json.")] = False,
    port: Annotated[
        int | None,
        typer.Option("--port", metavar="N", min=0, max=65535, help="Port of the dashboard."),
    ] = None,
    no_server: Annotated[
        bool, typer.Option("--no-server", help="No dashboard: open no port.")
    ] = False,
    share: Annotated[
        bool,
        typer.Option("--share", help="Let others in the network see the dashboard, by its link."),
    ] = False,
    offscreen: Annotated[
        bool,
        typer.Option("--offscreen", help="Draw plots into files beside the session, not windows."),
    ] = False,
    show_config: Annotated[
        bool,
        typer.Option("--show-config", help="Print all values and where each comes from; no run."),
    ] = False,
    verbose: Annotated[
        int, typer.Option("-v", "--verbose", count=True, help="Say more; -vv even more.")
    ] = 0,
    quiet: Annotated[
        int, typer.Option("-q", "--quiet", count=True, help="Say less; -qq nothing.")
    ] = 0,
    color: Annotated[
        str,
        typer.Option(
            "--color",
            metavar="auto|always|never",
            help="Colours.",
            autocompletion=choices(*COLORS),
        ),
    ] = "auto",
) -> None:
    """Run an experiment: open a session, run its tasks, show the values, stop safely.

    The first Ctrl-C finishes the present steps, the second cancels them, the third ends at once.
    """
    TALK.level = verbose - quiet
    if show_config:
        from pymanip_run.cli.show_config import print_config

        print_config(
            experiment_file(file), tuple(overrides or ()),
            duration=duration, session=session, new=new,
            port=port, no_server=no_server, share=share,
        )  # fmt: skip
        return
    options = _options("json" if json else display, print_every, color)
    seconds = seconds_of(duration, "--for")
    refuse_together(("--dry-run", dry_run), ("--replay", replay is not None))
    refuse_together(("--no-server", no_server), ("--port", port is not None))
    refuse_together(("--no-server", no_server), ("--share", share))
    if session == "":  # a variable of a script that is empty
        raise UsageError("--session needs the name of a file, for example --session run.h5")
    exists = None if new is None else "new" if new else "append"
    chosen = str(Path(session).absolute()) if session else None
    wish = Wish(file, tuple(overrides or ()), session, resume, resume_anyway, resume_run, simulate)
    wish.check(new=new, dry_run=dry_run, replay=replay)
    if dry_run:
        from pymanip_run.cli.rehearsal import rehearse

        code = rehearse(
            experiment_file(file), tuple(overrides or ()),
            duration=seconds, seed=seed, session=chosen, as_json=options.mode == "json",
        )  # fmt: skip
        leave_now(code)
    if seed is not None:
        from pymanip_run.wording import quoted

        raise UsageError(
            "--seed is for rehearsals, in which nothing else is left to chance:\n"
            f"  pymanip-run {quoted(file)} --dry-run --seed {seed}"
        )
    if replay is not None:
        from pymanip_run.cli.replay import replay_session

        leave_now(
            replay_session(
                experiment_file(file),
                tuple(overrides or ()),
                replay,
                as_json=options.mode == "json",
            )
        )
    from pymanip_run.experiment.build.plan import prepare

    with (
        data_only(options.mode == "json"),
        prepare(experiment_file(file), tuple(overrides or ()), simulated=simulate) as plan,
    ):
        warnings = (*plan.loaded.warnings, *plan.loaded.inactive)
        for warning in warnings if TALK.level >= 0 else ():
            say(f"warning: {warning}")
        wish = wish.within(plan)
        chosen, exists, resumption = gone_on(plan, wish, exists)
        serving = None if no_server else _port_of(plan, port, share)
        try:
            code = _measure(
                plan, chosen, exists, seconds, options,
                serving=serving, resumption=resumption, wish=wish, offscreen=offscreen,
            )  # fmt: skip
        finally:
            if serving is not None:
                serving.close()
    if code:
        leave_now(code)


def _port_of(plan: Plan, port: int | None, share: bool) -> Serving:
    """Open the port of the dashboard, before there is anything else of the run."""
    from pymanip_run.cli.dashboard import tell
    from pymanip_run.experiment.run.serving import server_options
    from pymanip_run.session.serving import open_server

    return open_server(server_options(plan, port=port, share=share, tell=tell))


def _measure(
    plan: Plan,
    session: str | None,
    exists: str | None,
    duration: float | None,
    options: Options,
    *,
    serving: Serving | None,
    resumption: Resumption | None,
    wish: Wish,
    offscreen: bool,
) -> int:
    from pymanip_run.cli.logs import logging_to
    from pymanip_run.cli.signals import outside_the_run
    from pymanip_run.experiment.run.running import open_session
    from pymanip_run.session import internals

    opened: list[AsyncSession] = []
    signals = outside_the_run(lambda: any(internals(sesn).stop.is_set for sesn in opened))
    with signals, open_session(plan, session, exists) as sesn:
        opened.append(sesn)
        path = sesn.session_path
        log = path.with_suffix(".log") if path else None
        with logging_to(log, TALK.level, events_shown=options.mode in ("live", "lines")):
            code, ending = _watched(
                plan, sesn, duration, options,
                serving=serving, resumption=resumption, wish=wish, offscreen=offscreen,
            )  # fmt: skip
            sesn.close()
            _say_goodbye(replace(ending, file_size=path.stat().st_size) if path else ending)
    return code


def _watched(
    plan: Plan,
    sesn: AsyncSession,
    duration: float | None,
    options: Options,
    *,
    serving: Serving | None,
    resumption: Resumption | None,
    wish: Wish,
    offscreen: bool,
) -> tuple[int, Ending]:
    """Run the plan with a display beside it; return the exit code and what is to be said."""
    import asyncio

    from pymanip_run.cli.logs import log_event, log_failure
    from pymanip_run.cli.signals import InterruptedBeforeRunError
    from pymanip_run.cli.watched import WatchedRun, ending_of
    from pymanip_run.experiment.run.running import execute
    from pymanip_run.livetable import Display
    from pymanip_run.runtime.cancelling import alone
    from pymanip_run.session import RunOptions, internals

    limit = plan.loaded.model.limits.duration if duration is None else duration
    state = WatchedRun(sesn, plan.title, limit)
    stop = internals(sesn).stop
    with for_data():
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
        server=serving,
        resumption=resumption,
        offscreen=offscreen,
        on_third=lambda _: _leave_at_once(display, state.path),
        on_hangup=lambda _: display.hung_up(),
    )
    failure: BaseException | None = None
    try:
        asyncio.run(alone(execute(plan, sesn, run_options)))
    except InterruptedBeforeRunError:
        raise
    except (KeyboardInterrupt, SystemExit, Exception) as error:  # noqa: BLE001 - shown below, with its exit code
        failure = error
    finally:
        forget()
        internals(sesn).feed.uncall(log_event)
        code = _exit_code(stop.exit_code, failure)
        ending = ending_of(sesn, state, code, failure)
        if text := how_to_go_on(wish, state.sweeps()):
            ending = replace(ending, troubles=(*ending.troubles, *text.split("\n")))
        display.close(
            ending.reason, _summary(sesn, state, code, ending) if options.mode == "json" else None
        )
    if isinstance(failure, SystemExit):
        if isinstance(failure.code, str):  # as Python itself does
            say(failure.code)
    elif failure is not None and not isinstance(failure, KeyboardInterrupt):
        log_failure(failure)
        say(failure_text(failure, in_run=True))
    return code, ending


def _leave_at_once(display: Display, path: str | None) -> None:
    """Say the last words; in a signal handler, thus without waiting for a terminal that is stuck."""
    from pymanip_run.cli.signals import say_at_once
    from pymanip_run.wording import quoted

    display.restore_terminal()
    look = f": pymanip-inspect {quoted(path)}" if path else ""
    say_at_once(f"left at once; what was stored is safe{look}")


def _exit_code(asked: int, failure: BaseException | None) -> int:
    from pymanip_run.runtime.endings import exit_code_of_failure

    if failure is None or asked > 128:
        return asked
    if isinstance(failure, KeyboardInterrupt):
        return 130
    # What asked for the stop, an alarm for example, is the cause, and the rest follows from it.
    return asked if asked > 1 else exit_code_of_failure(failure)


def _summary(sesn: AsyncSession, state: WatchedRun, code: int, ending: Ending) -> dict[str, object]:
    from pymanip_run.describe import describe

    path = sesn.session_path
    outcome = {
        "exit_code": code,
        "exit_reason": ending.reason,
        "seconds": ending.elapsed,
        "entries": ending.entries,
        "tasks": {
            s.name: {"runs": s.runs, "errors": s.errors, "missed": s.missed} for s in state.statuses
        },
        "sweeps": {
            s.name: {"points": s.done, "total": s.total, "failed": s.failed} for s in state.sweeps()
        },
    }
    return {**outcome, **describe(sesn, str(path) if path else None)}


def _say_goodbye(ending: Ending) -> None:
    if TALK.level > -2:
        from pymanip_run.livetable import end_of_run
        from pymanip_run.livetable.text import glyphs_for

        say(glyphs_for(sys.stderr.encoding).encodable(end_of_run(ending)))


# -- options ------------------------------------------------------------------------------------


def _options(display: str, print_every: str, color: str) -> Options:
    from pymanip_run.livetable import Options, choose_mode

    if display not in DISPLAYS:
        raise UsageError(
            f"--display {display!r} is unknown; choose one of {', '.join(DISPLAYS)}{did_you_mean(display, DISPLAYS)}"
        )
    if color not in COLORS:
        raise UsageError(f"--color {color!r} is unknown; choose auto, always or never")
    return Options(
        choose_mode(display), seconds_of(print_every, "--print-every") or 60.0, COLORS[color]
    )
