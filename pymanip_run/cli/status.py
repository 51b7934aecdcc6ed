"""``pymanip-run status``: how the runs of this user on this computer are doing."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pymanip_run.cli.complete import known_sessions

if TYPE_CHECKING:
    from collections.abc import Collection

    from pymanip_run.registry import RegisteredRun

__all__ = ["status"]

#: Without --all, so many runs that are over.
SHOWN_PAST = 5
SHOWN_VARIABLES = 6
HIDDEN_FIELDS = ("control", "process_start", "boot_id")
INDENT = " " * 10


def status(
    session: Annotated[
        str | None,
        typer.Argument(
            metavar="SESSION",
            help="Only this session, experiment or process, with all its variables.",
            autocompletion=known_sessions,
        ),
    ] = None,
    *,
    every: Annotated[
        bool, typer.Option("--all", help="All known runs, not only the last that are over.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Show which runs are going on, how they are doing, and how the last ones ended."""
    from pymanip_run.cli.known import runs_here

    runs = _chosen(session)
    if session or not (every or json):
        over = [run for run in runs if not run.is_running]
        runs = [run for run in runs if run.is_running] + over[: 1 if session else SHOWN_PAST]
        if session and len(runs) > 1 and runs[0].is_running:
            runs = [run for run in runs if run.is_running]
    told = [(run, _asked(run)) for run in runs]
    if json:
        from json import dumps

        text = dumps({"runs": [_described(*one) for one in told]}, indent=2, allow_nan=False)
    else:
        written = {run.session for run in runs_here() if run.is_alive}
        text = "\n".join(
            line for run, said in told for line in _lines(run, said, written, whole=bool(session))
        )
    _print(
        text or "no run is known on this computer yet; begin with:  pymanip-run new my_experiment"
    )


def _chosen(session: str | None) -> list[RegisteredRun]:
    from pymanip_run.cli.known import matching, runs_here
    from pymanip_run.errors import UsageError, did_you_mean

    runs = runs_here()
    if session is None:
        return runs
    found = matching(runs, session)
    if not found:
        names = {Path(run.session).stem for run in runs if run.session}
        raise UsageError(
            f"no run is called {session!r} here{did_you_mean(session, names)}; all that are known:\n"
            "  pymanip-run status --all"
        )
    return found


def _asked(run: RegisteredRun) -> dict[str, Any] | None:
    """Return what a run says of itself; None where it is over, or does not answer."""
    from pymanip_run.cli.known import talking_to
    from pymanip_run.errors import RemoteError

    if not run.is_running:
        return None
    try:
        with talking_to(run) as conversation:
            return conversation.ask("status")
    except RemoteError:
        return None


def _described(run: RegisteredRun, said: dict[str, Any] | None) -> dict[str, Any]:
    known = {key: value for key, value in asdict(run).items() if key not in HIDDEN_FIELDS}
    answers = {"answers": said is not None} if run.is_running else {}
    return {"state": run.state, **known, "session": run.session or None, **answers, **(said or {})}


# -- text ---------------------------------------------------------------------------------------


def _lines(
    run: RegisteredRun, said: dict[str, Any] | None, written: Collection[str], *, whole: bool
) -> list[str]:
    from pymanip_run.cli.known import called, past, title_of
    from pymanip_run.livetable.text import inert
    from pymanip_run.wording import quoted

    name, title = inert(called(run)), inert(title_of(run))
    if not run.is_running:
        lines = [f"{run.state:<9} {name} · {inert(past(run))}"]
        left = run.session not in written and _left(run)
        return lines + ([f"{INDENT}pymanip-run recover {quoted(name)}"] if left else [])
    if said is None:
        return [
            f"running   {name} · {title} · process {run.pid} does not answer",
            f"{INDENT}its data all the same: pymanip-inspect {quoted(name)}",
        ]
    lines = [f"running   {name} · {title} · {_elapsed(said)} · process {run.pid}"]
    if said["stopping"]:
        lines.append(f"{INDENT}ending: {inert(said['stopping'])}")
    address = f" · http://localhost:{run.port}" if run.port else ""
    active = [alarm for alarm in said.get("alarms", ()) if alarm["state"] == "active"]
    lines += [f"{INDENT}alarm {inert(one['name'])}: {inert(one['text'])}" for one in active]
    lines += [INDENT + _counted(said["entries"], "entry", "entries") + address]
    tasks = [_task(task) for task in said["tasks"] if task["kind"] != "sweep"]
    tasks += [_sweep(sweep) for sweep in said["sweeps"]]
    values = _values(run, said["variables"], whole=whole)
    if whole:
        return [*lines, *(INDENT + part for part in tasks + values)]
    lines[-1] += "".join(f" · {part}" for part in tasks)
    return [*lines, INDENT + " · ".join(values)] if values else lines


def _left(run: RegisteredRun) -> bool:
    """Tell whether a dead run left a journal that nobody has brought into the file yet."""
    from pymanip_run.storage.files import SYSTEM_FILES, SessionPaths

    if run.state != "lost" or not run.session:
        return False
    try:
        return bool(SYSTEM_FILES.segments(SessionPaths(Path(run.session)).main))
    except OSError:
        return False


def _elapsed(said: dict[str, Any]) -> str:
    from pymanip_run.units import format_clock, format_duration

    of = f" of {format_duration(said['duration'])}" if said["duration"] else ""
    return f"{format_clock(said['elapsed'])}{of}"


def _counted(number: int, one: str, many: str) -> str:
    from pymanip_run.livetable.text import grouped

    return f"{grouped(number)} {one if number == 1 else many}"


def _task(task: dict[str, Any]) -> str:
    from pymanip_run.livetable.text import inert
    from pymanip_run.units import format_duration

    parts = [inert(task["name"])]
    if task["period"]:
        parts[0] += f" every {format_duration(task['period'])}"
    if task["due_in"] is not None:
        parts.append(f"next in {_seconds(task['due_in'])}")
    elif task["state"] != "running":
        parts.append(task["state"])
    elif task["busy"] and task["busy"] > (task["period"] or 60.0):
        parts.append(f"in one step for {format_duration(task['busy'])}")
    parts += [f"{task[key]} {key}" for key in ("missed", "errors") if task[key]]
    return ", ".join(parts)


def _sweep(sweep: dict[str, Any]) -> str:
    from pymanip_run.livetable.text import inert

    total = f" of {sweep['total']}" if sweep["total"] is not None else ""
    left = sweep["remaining"]
    ends = f", {_seconds(left)} left" if left else ""
    return f"{inert(sweep['name'])} {sweep['done']}{total} points{ends}"


def _seconds(seconds: float) -> str:
    from pymanip_run.units import format_duration

    return format_duration(max(1, round(seconds)))


def _values(run: RegisteredRun, variables: dict[str, Any], *, whole: bool) -> list[str]:
    from pymanip_run.livetable.text import inert

    names = list(variables) if whole else list(variables)[:SHOWN_VARIABLES]
    units = _units(run) if whole else {}
    lines = []
    for name in names:
        one = variables[name]
        value = "nan" if one["value"] is None else f"{one['value']:.6g}"
        unit = f" {inert(units[name])}" if units.get(name) else ""
        lines.append(f"{inert(name)} {value}{unit} ({_seconds(one['age'])} ago)")
    if len(names) < len(variables):
        lines.append(f"{len(variables) - len(names)} more")
    return lines


def _units(run: RegisteredRun) -> dict[str, str | None]:
    """Return the units, read from the file: a question about them shall not cost the run anything."""
    from pymanip_run.cli.files import opened
    from pymanip_run.errors import StorageError

    if not run.session:
        return {}
    try:
        with opened(Path(run.session)) as view:
            return {name: info.description.unit for name, info in view.variables().items()}
    except StorageError:
        return {}


def _print(text: str) -> None:
    import sys

    from pymanip_run.livetable.text import glyphs_for

    print(glyphs_for(sys.stdout.encoding).encodable(text))
