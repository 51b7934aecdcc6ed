"""The table of many sessions: which columns it has, for notebooks, and as a DataFrame."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from pymanip_run.clock import iso_local
from pymanip_run.errors import UsageError
from pymanip_run.lazily import need
from pymanip_run.records.html import small_table, wide_table
from pymanip_run.session.collection.card import FACTS, Result
from pymanip_run.units import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

    from pymanip_run.session.collection.card import SessionCard

__all__ = ["common", "ended", "local", "results", "to_dataframe", "to_html", "units", "varying"]

#: Of a table in a notebook.
MOST_ROWS, MOST_COLUMNS = 50, 12
STATISTICS = ("last", "first", "min", "max", "mean", "n")
TIMES = {"created", "start", "stop"}


def varying(cards: Iterable[SessionCard]) -> list[str]:
    """Return the parameters that are not the same in all sessions, or not in all."""
    cards = list(cards)
    if len(cards) == 1:
        return list(cards[0].facts["parameters"])
    same = common(cards)
    return [n for n in _in_order(c.facts["parameters"] for c in cards) if n not in same]


def common(cards: Iterable[SessionCard]) -> dict[str, Any]:
    """Return the parameters that all of several sessions have with the same value, each as (value, unit)."""
    cards = list(cards)
    if len(cards) < 2:
        return {}
    found = {n: (p[0], p[2]) for n, p in cards[0].facts["parameters"].items()}
    for card in cards[1:]:
        parameters = card.facts["parameters"]
        found = {
            n: one
            for n, one in found.items()
            if n in parameters and (parameters[n][0], parameters[n][2]) == one
        }
    return found


def results(cards: Iterable[SessionCard]) -> list[str]:
    """Return the names of all logged variables."""
    return _in_order(card.facts["results"] for card in cards)


def _in_order(many: Iterable[Mapping[str, Any]]) -> list[str]:
    names: dict[str, None] = {}
    for one in many:
        names.update(dict.fromkeys(one))
    return list(names)


def local(time: float | None) -> str:
    """Return a time as people write it, to the minute."""
    if time is None or not math.isfinite(time):
        return ""
    return iso_local(time)[:16].replace("T", " ")


def ended(card: SessionCard) -> str:
    """Return how the last run of a session ended."""
    if not card.facts["runs"]:
        return "no run"
    if card.facts["stop"] is None:
        return "not ended, or killed"
    reason, code = card.facts["exit_reason"] or "", card.facts["exit_code"]
    return f"{reason} ({code})" if code else reason


def to_html(cards: Sequence[SessionCard], unreadable: Mapping[Path, str]) -> str:
    """Return the table as HTML; all texts are escaped."""
    parts = []
    if cards:
        parameters, variables = varying(cards), results(cards)
        variables = variables[: max(2, MOST_COLUMNS - len(parameters))]
        parameters = parameters[:MOST_COLUMNS]
        known = units(cards)
        titles = ["", "session", "start", "duration", "ended by"]
        titles += [_titled(n, known) for n in parameters] + [
            f"last {_titled(n, known)}" for n in variables
        ]
        rows = (_row(i, c, parameters, variables) for i, c in enumerate(cards[:MOST_ROWS]))
        parts.append(wide_table(titles, rows))
    if len(cards) > MOST_ROWS:
        parts.append(f"<p>… and {len(cards) - MOST_ROWS} more sessions</p>")
    if same := common(cards):
        shown = {name: f"{value} {unit or ''}".strip() for name, (value, unit) in same.items()}
        parts.append(small_table("the same in all", shown))
    if unreadable:
        some = {str(path): why for path, why in list(unreadable.items())[:MOST_ROWS]}
        parts.append(small_table("not readable", some))
    return "".join(parts) or "<p>no session</p>"


def _row(
    number: int, card: SessionCard, parameters: Sequence[str], variables: Sequence[str]
) -> list[object]:
    known, found = card.facts["parameters"], card.facts["results"]
    duration = card.duration
    return [
        number,
        card.name,
        local(card.facts["start"]),
        None if duration is None else format_duration(duration),
        ended(card),
        *(known[n][0] if n in known else None for n in parameters),
        *(found[n][5] if n in found else None for n in variables),
    ]


def units(cards: Iterable[SessionCard]) -> dict[str, str]:
    """Return the units of parameters and variables that have one."""
    found: dict[str, str] = {}
    for card in cards:
        found.update({n: p[2] for n, p in card.facts["parameters"].items() if p[2]})
        found.update({n: r[0] for n, r in card.facts["results"].items() if r[0]})
    return found


def _titled(name: str, units: Mapping[str, str]) -> str:
    return f"{name} ({units[name]})" if name in units else name


def to_dataframe(
    cards: Sequence[SessionCard], names: Sequence[str], statistic: str
) -> pd.DataFrame:
    """Return the table as a DataFrame over the names of the sessions."""
    pandas = need("pandas", "analysis")
    if statistic not in STATISTICS:
        raise UsageError(f"statistic is one of {', '.join(STATISTICS)}, not {statistic!r}")
    place = Result._fields.index(statistic)
    if names:
        columns = {name: [_cell(card, name, place) for card in cards] for name in names}
    else:
        columns = _all_columns(cards, place)
    for name in TIMES & columns.keys() - _own(cards):
        columns[name] = pandas.to_datetime(columns[name], unit="s", utc=True).floor("us")
    index = pandas.Index([card.name for card in cards], name="session")
    result: pd.DataFrame = pandas.DataFrame(columns, index=index)
    return result


def _own(cards: Sequence[SessionCard]) -> set[str]:
    """Return the names that are not those of facts."""
    parts = ("parameters", "metadata", "results")
    return {name for card in cards for part in parts for name in card.facts[part] if name in FACTS}


def _cell(card: SessionCard, name: str, place: int) -> Any:
    is_result = name in card.facts["results"] and not (
        name in card.facts["parameters"] or name in card.facts["metadata"]
    )
    return card.facts["results"][name][place] if is_result else card.get(name)


def _all_columns(cards: Sequence[SessionCard], place: int) -> dict[str, list[Any]]:
    """Return facts, parameters and variables; a variable that is called as a parameter says that it is one."""
    columns = {name: [card.facts.get(name) for card in cards] for name in ("start", "exit_code")}
    columns["duration"] = [math.nan if (d := c.duration) is None else d for c in cards]
    for name in _in_order(card.facts["parameters"] for card in cards):
        columns[name] = [card.facts["parameters"].get(name, (None,))[0] for card in cards]
    for name in results(cards):
        title = f"{name} ({Result._fields[place]})" if name in columns else name
        found = [card.facts["results"].get(name) for card in cards]
        columns[title] = [None if one is None else one[place] for one in found]
    return columns
