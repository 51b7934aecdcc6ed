"""What differs between two sessions: configuration, code, versions, parameters, statistics."""

from __future__ import annotations

import difflib
import itertools
from typing import TYPE_CHECKING, Any

from pymanip_run.core.origin import Origin
from pymanip_run.describe.summary import described_run, described_variable
from pymanip_run.records import Run
from pymanip_run.records.plain import finite, plain

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from pymanip_run.core.view import SessionView
    from pymanip_run.describe.summary import Described
    from pymanip_run.records import VariableInfo

__all__ = ["differences"]

#: Lines around a change that are shown with it.
CONTEXT = 2
#: Longer texts take longer to compare than a person waits; of these it is only said that they differ.
MOST_LINES = 5000
#: Texts of a run by the part they belong to.
CONFIGURATION = ("experiment", "devices", "sweeps")
CODE = ("module", "modules", "git_diff")


def differences(
    a: SessionView, b: SessionView, files: tuple[str, str], names: Collection[str] = ()
) -> Described:
    """Return what differs between two sessions, as JSON can hold it.

    Parameters
    ----------
    a, b
        The sessions. Of each the last run is compared, and the statistics of all its values.
    files
        How they are called.
    names
        Only these variables, parameters and metadata; all public ones when empty.

    Returns
    -------
    dict
        ``a`` and ``b`` say what is compared. Under ``configuration`` and ``code`` are unified diffs, lists
        of lines that are empty where there is no difference; everything else is pairs of what is in
        `a` and what is in `b`, None where there is none.
    """
    runs = [_last_run(view) for view in (a, b)]
    first, second = (Origin(run) for run in runs)

    def wanted(items: Mapping[str, Any]) -> dict[str, Any]:
        return {name: item for name, item in items.items() if not names or name in names}

    return {
        "a": _side(a, files[0], runs[0]),
        "b": _side(b, files[1], runs[1]),
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
        "versions": _changed(first.packages, second.packages),
        "computer": _changed(_computer(runs[0]), _computer(runs[1])),
        "parameters": _changed(_parameters(a, wanted), _parameters(b, wanted)),
        "metadata": _changed(wanted(a.metadatas()), wanted(b.metadatas())),
        "statistics": _statistics(wanted(a.variables()), wanted(b.variables())),
    }


def _last_run(view: SessionView) -> Run:
    runs = view.runs()
    return runs[-1] if runs else Run(-1, float("nan"))


def _side(view: SessionView, file: str, run: Run) -> Described:
    return {
        "file": file,
        "title": view.info().title,
        "run": None if run.index < 0 else run.index,
        **described_run(run),
    }


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


def _changed(a: Mapping[str, Any], b: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return what is not the same in both."""
    names = dict.fromkeys([*a, *b])
    pairs = {name: [plain(a.get(name)), plain(b.get(name))] for name in names}
    return {name: pair for name, pair in pairs.items() if repr(pair[0]) != repr(pair[1])}


def _parameters(view: SessionView, wanted: Any) -> dict[str, Any]:
    return {
        name: {"value": p.value, "unit": p.unit}
        for name, p in wanted(view.parameter_table()).items()
    }


def _computer(run: Run) -> dict[str, Any]:
    return {key: value for key in ("host", "user") if (value := getattr(run, key)) is not None}


def _statistics(
    a: Mapping[str, VariableInfo], b: Mapping[str, VariableInfo]
) -> dict[str, Described]:
    return {
        name: {
            side: _variable(infos[name]) if name in infos else None
            for side, infos in (("a", a), ("b", b))
        }
        for name in dict.fromkeys([*a, *b])
    }


def _variable(info: VariableInfo) -> Described:
    return {**described_variable(info), "std": finite(info.statistics.std)}
