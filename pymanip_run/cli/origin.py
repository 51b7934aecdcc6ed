"""Where the data of a run come from, for people and as JSON: what ``inspect --config`` prints."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pymanip_run.cli.reasons import WITHOUT_A_WORD, end_in_words
from pymanip_run.clock import iso_local
from pymanip_run.livetable.text import inert
from pymanip_run.records.plain import finite

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymanip_run.records import Run

__all__ = ["code_of", "config_described", "config_text"]

SHOWN_FILES = 3
SHORT_COMMIT = 7
#: Longer texts, in their order, with what stands above each.
SECTIONS = {
    "experiment": "experiment file, as it was (secrets are ***)",
    "module": "module",
    "modules": "other modules of its folder",
    "devices": "devices",
    "sweeps": "sweeps",
    "git_diff": "changes since the commit",
}
#: Texts that are JSON, or one item a line.
JSON_TEXTS = ("argv", "packages", "devices", "sweeps")
LINES = ("overrides", "git_untracked")
_CHANGED = re.compile(r"^diff --git a/.* b/(.*)$", re.MULTILINE)


def code_of(run: Run) -> list[str]:
    """Return the parts of the line on code and overrides: ``git 4f1c2e9 (dirty: tasks.py)``."""
    parts = []
    commit = run.texts.get("git_commit", "").strip()
    if commit:
        parts.append(f"git {inert(commit[:SHORT_COMMIT])}{_state(run)}")
    return [*parts, *(f"--set {inert(line)}" for line in _lines(run, "overrides"))]


def _state(run: Run) -> str:
    diff = run.texts.get("git_diff", "")
    changed, untracked = _CHANGED.findall(diff), _lines(run, "git_untracked")
    states = [f"dirty: {_listed(changed)}"] if changed else ["dirty"] if diff else []
    states += [f"not in git: {_listed(untracked)}"] if untracked else []
    return f" ({'; '.join(states)})" if states else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_FILES} more" if len(names) > SHOWN_FILES else ""
    return inert(", ".join(names[:SHOWN_FILES]) + more)


def _lines(run: Run, key: str) -> list[str]:
    return [line for line in run.texts.get(key, "").splitlines() if line]


# -- text ---------------------------------------------------------------------------------------


def config_text(runs: Sequence[Run]) -> str:
    """Return where the data of each run come from, the last run last."""
    if not runs:
        return "no run is in this session"
    return "\n\n".join("\n".join(_run(run)) for run in runs)


def _run(run: Run) -> Iterator[str]:
    where = ", ".join(inert(x) for x in (run.host, run.user) if x)
    yield " · ".join(part for part in (f"run {run.index}", _span(run), _end(run), where) if part)
    rows = {
        "command": " ".join(map(str, _json(run, "argv") or ())),
        "overrides": " ".join(_lines(run, "overrides")),
        "process": f"{run.pid}" if run.pid is not None else "",
        "boot": run.boot_id or "",
        "git": (run.texts.get("git_commit", "").strip() + _state(run)).strip(),
        "sha256": f"{run.config_sha256} (of the experiment file)" if run.config_sha256 else "",
        "packages": ", ".join(f"{n} {v}" for n, v in (_json(run, "packages") or {}).items()),
    }
    for name, value in rows.items():
        if value:
            yield f"{name:<10} {inert(value)}"
    for key, title in SECTIONS.items():
        text = run.texts.get(key, "")
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
    texts: dict[str, Any] = dict(run.texts)
    for key in JSON_TEXTS:
        if key in texts:
            texts[key] = _json(run, key)
    for key in LINES:
        if key in texts:
            texts[key] = _lines(run, key)
    return {
        "index": run.index,
        "start": finite(run.start),
        "stop": finite(run.stop),
        "exit_code": run.exit_code,
        "exit_reason": run.exit_reason,
        "host": run.host,
        "user": run.user,
        "pid": run.pid,
        "boot_id": run.boot_id,
        "config_sha256": run.config_sha256,
        **texts,
    }


def _json(run: Run, key: str) -> Any:
    """Return a text that is JSON; the text itself where it is none, None where there is none."""
    text = run.texts.get(key)
    if text is None:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
