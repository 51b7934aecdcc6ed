"""What differs between two sessions: configuration, code, versions, parameters, statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymanip_run.core.compared import changed_items, compared_runs
from pymanip_run.describe.summary import described_run, described_variable
from pymanip_run.records import Run
from pymanip_run.records.plain import finite

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pymanip_run.core.view import SessionView
    from pymanip_run.describe.summary import Described
    from pymanip_run.records import VariableInfo

__all__ = ["differences"]


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

    def wanted(items: Mapping[str, Any]) -> dict[str, Any]:
        return {name: item for name, item in items.items() if not names or name in names}

    return {
        "a": _side(a, files[0], runs[0]),
        "b": _side(b, files[1], runs[1]),
        **compared_runs(*runs),
        "parameters": changed_items(_parameters(a, wanted), _parameters(b, wanted)),
        "metadata": changed_items(wanted(a.metadatas()), wanted(b.metadatas())),
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


def _parameters(view: SessionView, wanted: Any) -> dict[str, Any]:
    return {
        name: {"value": p.value, "unit": p.unit}
        for name, p in wanted(view.parameter_table()).items()
    }


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
