"""``--resume``: what goes on, what does not, and what to type then."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pymanip_run.cli.files import as_typed
from pymanip_run.cli.outcome import TALK, leave_now, say
from pymanip_run.errors import PymanipError, UsageError
from pymanip_run.masking import MASK, masked_assignment, starred

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pymanip_run.core.course import Course
    from pymanip_run.experiment.build.plan import Plan
    from pymanip_run.experiment.run.resume import Comparison, Past
    from pymanip_run.livetable import SweepProgress
    from pymanip_run.session.sweeping import Resumption

__all__ = [
    "Resume",
    "ResumeAnyway",
    "ResumeRun",
    "Wish",
    "gone_on",
    "how_to_go_on",
]

#: Begins what an environment variable has set, among the overrides of a run.
ENVIRONMENT = "PYMANIP_RUN_"

Resume = Annotated[bool, typer.Option("--resume", help="Go on where the last run left its sweeps.")]
ResumeAnyway = Annotated[
    bool, typer.Option("--resume-anyway", help="Also where they are not what they were.")
]
ResumeRun = Annotated[
    int | None,
    typer.Option("--resume-run", metavar="N", min=0, help="Where run N left them instead."),
]


@dataclass(frozen=True)
class Wish:
    """What was typed.

    Attributes
    ----------
    file, overrides, session
        The experiment file, and with what it was to be run.
    resume, anyway
        Whether sweeps shall go on, and also where they are not what they were.
    number
        Of the run after which they shall; None: the last one.
    simulate
        Whether with simulated devices.
    environment
        What variables of the environment set besides, as ``PYMANIP_RUN_…=value``.
    """

    file: str
    overrides: Sequence[str] = ()
    session: str | None = None
    resume: bool = False
    anyway: bool = False
    number: int | None = None
    simulate: bool = False
    environment: Sequence[str] = ()

    @property
    def path(self) -> str | None:
        """The session that was named, absolute; None if none was."""
        return str(Path(self.session).absolute()) if self.session else None

    @property
    def is_there(self) -> bool:
        """Whether sweeps shall go on at all."""
        return self.resume or self.anyway or self.number is not None

    def within(self, plan: Plan) -> Wish:
        """Return it with what the environment sets of the experiment."""
        found = tuple(text for text in plan.loaded.overrides if text.startswith(ENVIRONMENT))
        return replace(self, environment=found)

    def check(self, *, new: bool | None, dry_run: bool, replay: str | None) -> None:
        """Refuse what does not go together.

        Raises
        ------
        UsageError
            With the command that would work.
        """
        if not self.is_there:
            return
        if new:
            raise UsageError(
                "--resume goes on in the session that is there, and --new begins another one; choose:\n"
                f"  {self.command('--resume')}\n  {self.command('--new')}"
            )
        if dry_run:
            raise UsageError(
                "a rehearsal has no earlier run; rehearse all of it:\n"
                f"  {self.command('--dry-run')}"
            )
        if replay is not None:
            raise UsageError("--replay runs no sweeps; leave --resume out")

    def command(
        self, *options: str, overrides: Sequence[str] | None = None, session: str | None = None
    ) -> str:
        """Return the command that does it with other options; below it what must be given again by hand."""
        from pymanip_run.wording import quoted

        given = (*self.environment, *self.overrides) if overrides is None else overrides
        shown = [text for text in given if not _is_hidden(text)]
        pairs = [text.partition("=") for text in shown if text.startswith(ENVIRONMENT)]
        environment = [f"{name}={quoted(value)}" for name, _, value in pairs]
        names = {text.partition("=")[0] for text in given}
        unset = [n for n in (t.partition("=")[0] for t in self.environment) if n not in names]
        if unset:  # else it would not be as it was
            environment = ["env", *(f"-u {name}" for name in unset), *environment]
        words = [*environment, "pymanip-run", quoted(self.file)]
        if self.simulate:
            words.append("--simulate")
        for text in shown:
            if not text.startswith(ENVIRONMENT):
                words += ["--set", quoted(text)]
        if (session := session or self.session) is not None:
            words += ["--session", quoted(session)]
        hidden = ", ".join(text.partition("=")[0] for text in given if _is_hidden(text))
        below = f"\n    with {hidden} given as before: it is not shown" if hidden else ""
        return " ".join([*words, *options]) + below


def _is_hidden(override: str) -> bool:
    """Tell whether an override has a secret: its value is not known, or must not be shown."""
    return MASK in masked_assignment(starred(override))


def gone_on(
    plan: Plan, wish: Wish, exists: str | None
) -> tuple[str | None, str | None, Resumption | None]:
    """Return the session that was chosen, if one was, what happens if it is there, and what goes on in it.

    Where nothing is unfinished, say so and leave; where nothing shall go on though it could, say how.

    Parameters
    ----------
    plan
        The experiment.
    wish
        What was typed.
    exists
        What happens with a session that is there, where that was typed.

    Raises
    ------
    UsageError
        If there is no session, or its sweeps were others.
    """
    if wish.is_there:
        session, resumption = _resumed(plan, wish)
        return session, "append", resumption
    _note_unfinished(plan, wish, exists)
    return wish.path, exists, None


def _resumed(plan: Plan, wish: Wish) -> tuple[str, Resumption]:
    from pymanip_run.experiment.run.resume import compare, find_past

    path = _session(plan, wish)
    if not path.is_file():
        raise UsageError(
            f"there is no session {as_typed(path)} to go on with. To begin one, or to name another:\n"
            f"  {wish.command()}\n  {wish.command('--resume', session='PATH')}"
        )
    past = find_past(path, wish.number)
    comparison = compare(plan, past.course) if past.course is not None else None
    extended = wish.anyway and comparison is not None and comparison.changes
    if past.course is None or comparison is None or not (past.course.unfinished or extended):
        _say_nothing_left(past, comparison, wish)
        leave_now(0)
    if comparison.changes and not wish.anyway:
        raise UsageError(_refusal(past, past.course, comparison, wish))
    _say_what_goes_on(past, comparison, wish)
    return str(path), comparison.resumption(past.course, anyway=wish.anyway)


def _note_unfinished(plan: Plan, wish: Wish, exists: str | None) -> None:
    """Say in a line that the last run left a sweep unfinished, if it did, and how it could go on."""
    from pymanip_run.experiment.run.resume import find_past, last_run

    if TALK.level < 0 or not any(task.settings.sweep is not None for task in plan.tasks):
        return
    try:
        target = plan.session_path(wish.path, exists).resolve()
    except UsageError:
        return  # which is said by who opens it
    run = None if _is_named(plan, wish) else last_run(plan)
    if run is not None and run.is_running:
        return  # that, too
    last = target if run is None else Path(run.session)
    try:
        past = find_past(last) if last.is_file() else None
    except (PymanipError, OSError):
        return  # which is said by who opens it
    if past is None or (left := past.left) is None:
        return
    session = None if last == target else as_typed(past.path)
    command = wish.command(f"--resume-run {left.run.index}", session=session)
    say(
        f"note: {_unfinished(left)} unfinished; this run begins anew. "
        f"To go on there, end this one and type:  {command}"
    )


def how_to_go_on(wish: Wish, sweeps: Iterable[SweepProgress]) -> str:
    """Return a line with the command that goes on where a run has left its sweeps, "" where it left none."""
    left = [s for s in sweeps if s.total is None or s.done < s.total]
    if not left:
        return ""
    names = ", ".join(
        f"{s.name} at {s.done}" + (f" of {s.total} points" if s.total is not None else " points")
        for s in left
    )
    return f"left {names}; to go on:  {wish.command('--resume')}"


def _session(plan: Plan, wish: Wish) -> Path:
    """Return the session whose sweeps go on: the one that was named, else that of the last run."""
    from pymanip_run.experiment.run.resume import last_run

    where = plan.session_path(wish.path, "append")
    if not _is_named(plan, wish) and (run := last_run(plan)) is not None:
        return Path(run.session)
    return where.resolve()


def _is_named(plan: Plan, wish: Wish) -> bool:
    """Tell whether somebody says which session it is, besides the experiment file."""
    from pymanip_run.experiment.load.environment import path_of

    paths = map(path_of, plan.loaded.overrides)
    return wish.session is not None or any(p in (["session"], ["session", "file"]) for p in paths)


def _unfinished(course: Course) -> str:
    from pymanip_run.session.sweeping import called

    names = ", ".join(f"{name} at {one.progress}" for name, one in course.unfinished.items())
    return f"{called(course)} left {names}"


def _say_nothing_left(past: Past, comparison: Comparison | None, wish: Wish) -> None:
    what = "no run" if past.run is None else f"run {past.run.index} had no sweep"
    if past.course is not None:
        whole = [f"{name} is complete ({one.progress})" for name, one in past.course.sweeps.items()]
        what = ", ".join(whole) or what
    lines = [
        f"{as_typed(past.path)}: nothing to resume: {what}. To begin anew:",
        f"  {wish.command()}",
    ]
    if comparison is not None and comparison.changes:
        lines += ["what is measured has changed since; to go on with the points behind those:"]
        lines += [f"  {wish.command('--resume-anyway')}"]
    if past.earlier is not None:
        lines += [f"{_unfinished(past.earlier)}; to go on there:"]
        lines += [f"  {wish.command(f'--resume-run {past.earlier.run.index}')}"]
    say("\n".join(lines))


def _refusal(past: Past, course: Course, comparison: Comparison, wish: Wish) -> str:
    from pymanip_run.session.sweeping import called

    lines = [f"what is measured is not what it was when {called(course)} began:"]
    lines += [f"  {line}" for line in comparison.lines()]
    chosen = [] if wish.number is None else [f"--resume-run {wish.number}"]
    if comparison.overrides is not None:
        as_it_was = wish.command(*(chosen or ["--resume"]), overrides=comparison.overrides)
        lines += ["it was started with other settings; to go on as it began:", f"  {as_it_was}"]
    lines += ["to go on nevertheless, or to begin anew:"]
    lines += [f"  {wish.command(*chosen, '--resume-anyway')}", f"  {wish.command()}"]
    if past.earlier is not None and wish.number is None:
        lines += [f"{_unfinished(past.earlier)} too; to go on there instead:"]
        lines += [f"  {wish.command(f'--resume-run {past.earlier.run.index}')}"]
    return "\n".join(lines)


def _say_what_goes_on(past: Past, comparison: Comparison, wish: Wish) -> None:
    course = past.course
    if TALK.level < 0 or course is None:
        return
    say(f"{as_typed(past.path)}: {_unfinished(course)} unfinished; going on there")
    for line in comparison.lines():
        say(f"  different, and accepted: {line}")
    for line in comparison.asides:
        say(f"  changed since, but not what is measured at the points: {line}")
    if past.earlier is not None and wish.number is None:
        command = wish.command(f"--resume-run {past.earlier.run.index}")
        say(f"note: {_unfinished(past.earlier)} too; to go on there instead:  {command}")
