"""``pymanip-run safe``: the safe actions of an experiment's devices, and nothing else."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from pymanip_run.cli.arguments import ExperimentFile, experiment_file

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pymanip_run.experiment.build.plan import Plan
    from pymanip_run.experiment.run.safe import SafeOutcome

__all__ = ["safe"]


def safe(
    file: ExperimentFile,
    *,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Change a value of the file, e.g. devices.supply.args=[GPIB0::8].",
        ),
    ] = None,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="Try it on what stands for the devices.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Also while the experiment is being run.")
    ] = False,
) -> None:
    """Leave the instruments of an experiment in their safe state; 3 where that failed.

    Only devices with safe actions are opened, and closed again.
    """
    from pymanip_run.cli.logs import logging_to
    from pymanip_run.cli.outcome import TALK, leave_now, say
    from pymanip_run.experiment.build.plan import prepare
    from pymanip_run.experiment.run.safe import make_safe
    from pymanip_run.livetable.text import inert

    with prepare(experiment_file(file), tuple(overrides or ()), simulated=simulate) as plan:
        for warning in plan.loaded.warnings:
            say(f"warning: {warning}")
        if not (force or simulate):
            _refuse_beside_a_run(plan, file)
        with logging_to(None, TALK.level, events_shown=True):
            outcomes = make_safe(plan)
        if not outcomes:
            say(f"{inert(file)}: no device has safe actions, there is nothing to do")
        for line in _lines(outcomes):
            print(line)
    if any(outcome.failed for outcome in outcomes):
        leave_now(3)


def _refuse_beside_a_run(plan: Plan, file: str) -> None:
    from pymanip_run.clock import iso_local
    from pymanip_run.errors import UsageError
    from pymanip_run.experiment.run.safe import running_now
    from pymanip_run.wording import quoted

    run = running_now(plan)
    if run is not None:
        since = iso_local(run.start).replace("T", " ")[:16]
        raise UsageError(
            f"{file} is being run by process {run.pid} since {since}, and has its instruments open\n"
            "End it, then it makes them safe itself:\n"
            f"  pymanip-run stop {quoted(run.session or str(run.pid))}\n"
            f"Or do it beside the run:\n  pymanip-run safe {quoted(file)} --force"
        )


def _lines(outcomes: list[SafeOutcome]) -> Iterator[str]:
    from pymanip_run.livetable.text import inert
    from pymanip_run.masking import starred

    width = max((len(outcome.device) for outcome in outcomes), default=0)
    for device, text, failed in outcomes:
        first, *more = starred(text).split("\n")
        yield f"{device:<{width}}  {'FAILED' if failed else 'safe'}: {inert(first)}"
        yield from (f"{'':<{width}}  {inert(line)}" for line in more)
