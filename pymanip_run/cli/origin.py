"""Where the data of a run come from, for people and as JSON: what ``inspect --config`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymanip_run.clock import iso_local
from pymanip_run.core.origin import JSON_TEXTS, LINES, SECTIONS, Origin
from pymanip_run.records.plain import finite, plain_run
from pymanip_run.wording import WITHOUT_A_WORD, end_in_words, inert

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymanip_run.records import Run

__all__ = ["code_of", "config_described", "config_text", "run_line"]


def code_of(run: Run) -> list[str]:
    """Return the parts of the line on code and overrides: ``git 4f1c2e9 (dirty: tasks.py)``."""
    origin = Origin(run)
    overrides = [f"--set {line}" for line in origin.lines("overrides")]
    return [inert(part) for part in (origin.git, *overrides) if part]


# -- text ---------------------------------------------------------------------------------------


def config_text(runs: Sequence[Run]) -> str:
    """Return where the data of each run come from, the last run last."""
    if not runs:
        return "no run is in this session"
    return "\n\n".join("\n".join(_run(run)) for run in runs)


def run_line(run: Run) -> str:
    """Return when and where a run was, and how it ended, in one line."""
    where = ", ".join(inert(x) for x in (run.host, run.user) if x)
    return " · ".join(part for part in (f"run {run.index}", _span(run), _end(run), where) if part)


def _run(run: Run) -> Iterator[str]:
    yield run_line(run)
    origin = Origin(run)
    rows = {
        "command": origin.command,
        "overrides": " ".join(origin.lines("overrides")),
        "process": f"{run.pid}" if run.pid is not None else "",
        "boot": run.boot_id or "",
        "git": (origin.commit + origin.state).strip(),
        "sha256": f"{run.config_sha256} (of the experiment file)" if run.config_sha256 else "",
        "packages": ", ".join(f"{n} {v}" for n, v in origin.packages.items()),
    }
    for name, value in rows.items():
        if value:
            yield f"{name:<10} {inert(value)}"
    for key, title in SECTIONS.items():
        text = origin.text(key)
        if text.strip():
            yield f"\n--- {title} ---"
            yield from map(inert, text.rstrip("\n").split("\n"))


def _span(run: Run) -> str:
    begin = _when(run.start)
    return begin if run.stop is None else f"{begin} → {_when(run.stop)}"


def _when(time: float) -> str:
    return iso_local(time)[:19].replace("T", " ") if finite(time) is not None else "–"


def _end(run: Run) -> str:
    if run.stop is None:
        return f"running, or {WITHOUT_A_WORD}"
    return inert(end_in_words(run.exit_code, run.exit_reason))


# -- JSON ---------------------------------------------------------------------------------------


def config_described(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Return all that is kept of each run, as JSON can hold it."""
    return [_described(run) for run in runs]


def _described(run: Run) -> dict[str, Any]:
    origin = Origin(run)
    texts: dict[str, Any] = dict(run.texts)
    texts |= {key: origin.json(key) for key in JSON_TEXTS if key in texts}
    texts |= {key: origin.lines(key) for key in LINES if key in texts}
    return plain_run(run) | texts
