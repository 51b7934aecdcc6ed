"""``inspect --plot``: the variables of a session drawn in the terminal, or into a file."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pymanip_run.cli.outcome import say
from pymanip_run.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymanip_run.core.view import SessionView
    from pymanip_run.plotting.plot import Plot
    from pymanip_run.plotting.sheets import Sheet
    from pymanip_run.records import VariableInfo

__all__ = ["check_plot_options", "plot_session"]

#: Variables that are drawn where none is named.
UNNAMED = 8
#: Off a terminal nothing has to fit.
WIDTH, HEIGHT = 100, 12
LEAST_WIDTH, LEAST_HEIGHT, MOST_HEIGHT = 40, 5, 16
#: Lines of a panel besides its values: heading, three of the time axis, a blank one.
BESIDES = 5


def check_plot_options(*, plot: bool, output: str | None, log: bool, json: bool) -> None:
    """Refuse options that are for ``--plot`` without it, and what a plot cannot be."""
    if plot and json:
        raise UsageError("--plot draws and --json describes; leave one of them out")
    for option, given in (("-o", output is not None), ("--log", log)):
        if given and not plot:
            raise UsageError(f"{option} is for a plot; add --plot")


def plot_session(
    view: SessionView, path: Path, names: Sequence[str], output: str | None, *, log: bool
) -> str:
    """Return variables of a session as text, or write them into a file and return nothing.

    Parameters
    ----------
    view
        The session.
    path
        Its file.
    names
        Logged variables; without any the first ones.
    output
        A file to be written; what kind its suffix says. None: text is returned.
    log
        Whether values have a logarithmic axis.

    Raises
    ------
    UsageError
        If there is nothing to draw, or the file cannot be of this kind.
    """
    infos = view.variables()
    chosen = _chosen(infos, path, names)
    if output is not None:
        _write(view, infos, chosen, Path(output), log=log)
        return ""
    lines = [line for name in chosen for line in _panel(view, infos[name], len(chosen), log=log)]
    left = len(infos) - len(chosen)
    if not names and left > 0:
        lines.append(f"{left} more variables; name those to be drawn:")
        lines.append(f"  pymanip-inspect {path} --plot {list(infos)[len(chosen)]}")
    return "\n".join(lines).rstrip()


def _chosen(infos: dict[str, VariableInfo], path: Path, names: Sequence[str]) -> list[str]:
    if not infos:
        raise UsageError(f"{path} has no logged variables yet: there is nothing to plot")
    for name in names:
        if name not in infos:
            raise UsageError(
                f"--plot draws logged variables, and {name} is none{did_you_mean(name, infos)}"
            )
    return list(names) or list(infos)[:UNNAMED]


def _sheet(view: SessionView, plot: Plot) -> Sheet:
    from pymanip_run.plotting.past import missing
    from pymanip_run.plotting.sheets import Sheet

    sheet = Sheet(plot)
    for part in missing(sheet, view):
        sheet.take(part)
    return sheet


def _panel(view: SessionView, info: VariableInfo, count: int, *, log: bool) -> list[str]:
    """Return the lines of one variable; several fit on a terminal together, if that is high enough."""
    from pymanip_run.livetable.text import UNICODE, glyphs_for
    from pymanip_run.plotting.plot import Plot
    from pymanip_run.plotting.terminal import ASCII, BRAILLE, panel
    from pymanip_run.wording import grouped, inert

    width, height = WIDTH, HEIGHT
    if sys.stdout.isatty():
        width, rows = shutil.get_terminal_size()
        height = min(MOST_HEIGHT, max(LEAST_HEIGHT, (rows - 2) // count - BESIDES))
    shown, known = info.description, info.statistics
    label = f" · {inert(shown.label)}" if shown.label else ""
    unit = f" ({inert(shown.unit)})" if shown.unit else ""
    scale = ", logarithmic" if log else ""
    heading = (
        f"{inert(info.name)}{label}{unit}  {grouped(known.n)} value{'s' * (known.n != 1)}{scale}"
    )
    curve = _sheet(view, Plot((info.name,))).curves()[info.name]
    pen = BRAILLE if glyphs_for(sys.stdout.encoding) is UNICODE else ASCII
    lines = panel(curve, width=max(LEAST_WIDTH, width), height=height, pen=pen, log=log)
    return [heading, *lines, ""]


def _write(
    view: SessionView,
    infos: dict[str, VariableInfo],
    names: Sequence[str],
    target: Path,
    *,
    log: bool,
) -> None:
    """Write a figure with a panel for each unit."""
    from pymanip_run.export.targets import appearing_path
    from pymanip_run.lazily import need
    from pymanip_run.plotting.plot import About, Plot

    need("matplotlib", "plot")
    from pymanip_run.plotting.canvas import kinds, panels

    kind = target.suffix[1:].lower()
    if kind not in kinds():
        raise UsageError(
            f"{target}: the suffix says what is written, one of {', '.join(kinds())}; for example -o {target.stem}.png"
        )
    if not target.parent.is_dir():
        raise UsageError(f"{target}: there is no folder {target.parent}")
    units: dict[str | None, list[str]] = {}
    for name in names:
        unit = infos[name].description.unit
        units.setdefault(unit or name, []).append(name)
    scale = "log" if log else "linear"
    sheets = [_sheet(view, Plot(tuple(group), scale=scale)) for group in units.values()]
    about = {
        name: About(infos[name].description.label, infos[name].description.unit) for name in names
    }
    with appearing_path(target) as part:
        part.write_bytes(panels(sheets, about, kind))
    count = len(names)
    say(f"{target}: {count} {'variable' if count == 1 else 'variables'}")
