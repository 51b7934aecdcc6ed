"""In what two runs differ: configuration, code, versions, computer."""

from __future__ import annotations

import difflib
import itertools
from typing import TYPE_CHECKING, Any

from pymanip_run.core.origin import Origin
from pymanip_run.records.plain import plain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pymanip_run.records import Run

__all__ = ["changed_items", "compared_runs"]

#: Lines around a change that are shown with it.
CONTEXT = 2
#: Longer texts take longer to compare than a person waits; of these it is only said that they differ.
MOST_LINES = 5000
#: Texts of a run by the part they belong to.
CONFIGURATION = ("experiment", "devices", "sweeps")
CODE = ("module", "modules", "git_diff")


def compared_runs(a: Run, b: Run) -> dict[str, Any]:
    """Return in what two runs differ, as JSON can hold it.

    Returns
    -------
    dict
        Under ``configuration`` and ``code`` are unified diffs, lists of lines that are empty where there is no
        difference, and pairs of what was in `a` and in `b`, None where it is the same; ``versions`` and
        ``computer`` hold pairs by name.
    """
    first, second = Origin(a), Origin(b)
    return {
        "configuration": {
            **_texts(first, second, CONFIGURATION),
            "overrides": _pair(first.lines("overrides"), second.lines("overrides")),
            "command": _pair(first.command, second.command),
        },
        "code": {
            **_texts(first, second, CODE),
            "commit": _pair(first.commit, second.commit),
            "untracked": _pair(first.lines("git_untracked"), second.lines("git_untracked")),
        },
        "versions": changed_items(first.packages, second.packages),
        "computer": changed_items(_computer(a), _computer(b)),
    }


def changed_items(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return what is not the same in both: pairs by name, None where there is none."""
    names = dict.fromkeys([*a, *b])
    pairs = {name: [plain(a.get(name)), plain(b.get(name))] for name in names}
    return {name: pair for name, pair in pairs.items() if repr(pair[0]) != repr(pair[1])}


def _texts(first: Origin, second: Origin, keys: Iterable[str]) -> dict[str, list[str]]:
    return {key: _diff(first.text(key), second.text(key)) for key in keys}


def _diff(a: str, b: str) -> list[str]:
    """Return the lines of a unified diff without its head; none where the texts are equal."""
    if a == b:
        return []
    old, new = a.splitlines(), b.splitlines()
    if max(len(old), len(new)) > MOST_LINES:
        return [f"@@ {len(old)} and {len(new)} lines, which differ @@"]
    found = difflib.unified_diff(old, new, n=CONTEXT, lineterm="")
    # Texts may differ in how they end only.
    return [*itertools.islice(found, 2, None)] or ["@@ only the ends of lines differ @@"]


def _pair(a: object, b: object) -> list[object] | None:
    """Return both, None where they are the same."""
    return None if a == b else [a or None, b or None]


def _computer(run: Run) -> dict[str, Any]:
    return {key: value for key in ("host", "user") if (value := getattr(run, key)) is not None}
