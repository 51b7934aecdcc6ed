"""What concerns several keys of an experiment file at once.

These look at the plain data, not at the models, so that they find their part also where
something else is wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymanip_run.experiment.checks.alarms import check_alarms, check_plots
from pymanip_run.experiment.checks.finding import Finding, mapping, number
from pymanip_run.experiment.checks.outputs import check_email, check_server
from pymanip_run.experiment.checks.tasks import check_devices, check_tasks
from pymanip_run.experiment.model.session_path import check_template
from pymanip_run.masking import is_secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from pymanip_run.experiment.text.nodes import Part

__all__ = ["check"]


def check(data: Mapping[str, Any], tasks: Mapping[str, Any], folder: Path) -> Iterator[Finding]:
    """Yield what is wrong across keys.

    Parameters
    ----------
    data
        The whole file.
    tasks
        Its tasks as a mapping from names to settings.
    folder
        What its paths are relative to.
    """
    yield from _session(data)
    for name, parameter in mapping(data, "parameters").items():
        yield from _tunable(("parameters", name), mapping(parameter))
        if is_secret([name]):
            text = "a secret is stored as '***'; give it to a task or a device, under its 'kwargs'"
            yield Finding(("parameters", name), text, warning=True)
    yield from check_devices(data)
    yield from check_tasks(tasks, data)
    yield from check_plots(data)
    yield from check_alarms(data)
    yield from check_email(data)
    yield from check_server(data, folder)


def _session(data: Mapping[str, Any]) -> Iterator[Finding]:
    session = data.get("session")
    path: tuple[Part, ...] = ("session",)
    if isinstance(session, dict):
        path, session = ("session", "file"), session.get("file")
    if isinstance(session, str) and session:
        message = check_template(session)
        if message:
            yield Finding(path, message, value=True)


def _tunable(path: tuple[Part, ...], parameter: Mapping[str, Any]) -> Iterator[Finding]:
    tunable, value = mapping(parameter, "tunable"), parameter.get("value")
    low, high = (number(tunable.get(key)) for key in ("min", "max"))
    if low is not None and high is not None and low > high:
        yield Finding(
            (*path, "tunable", "max"), f"max is less than min, which is {low:g}", value=True
        )
    if not tunable:
        return
    start = number(value)
    if start is None:
        if value is not None:
            yield Finding((*path, "tunable"), "only a number is tunable")
    elif (low is not None and start < low) or (high is not None and start > high):
        yield Finding(
            (*path, "value"), f"{start:g} is outside of the limits under 'tunable'", value=True
        )
