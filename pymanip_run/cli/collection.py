"""Many sessions as one table: what ``pymanip-inspect`` prints of a folder."""

# ruff: noqa: PLC0415 - heavy modules are imported where they are used, --help must not wait for them
from __future__ import annotations

import glob
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pymanip_run.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymanip_run.session import Sessions
    from pymanip_run.session.collection.card import SessionCard

__all__ = ["collection_json", "collection_text", "is_collection", "selected"]

SUFFIXES = (".h5", ".hdf5", ".db")
#: How much of a name, and of the reason of an end, is shown.
NAME, REASON = 40, 28
#: Of the columns, which are left out first on a narrow terminal: results, duration, start.
BEFORE_OWN = 4


def is_collection(word: str, others: Sequence[str]) -> bool:
    """Tell whether words name several sessions: a folder, a pattern, or a file with others after it."""
    path = Path(word)
    if path.is_dir():
        return True
    if path.is_file():
        return bool(others) and all(map(_is_session, (word, *others)))
    return glob.has_magic(word) and not path.with_name(f"{path.name}.h5").is_file()


def _is_session(word: str) -> bool:
    return word.endswith(SUFFIXES) and Path(word).is_file()


def selected(
    words: Sequence[str], conditions: Sequence[str], by: str | None, *, reverse: bool
) -> tuple[Sessions, list[str]]:
    """Return the sessions that are meant, and the columns that are wanted of them.

    Raises
    ------
    UsageError
        If there is none; the message says where one was looked for.
    NotFoundError
        If no session has a name.
    """
    from pymanip_run.cli.progress import progress
    from pymanip_run.session import Sessions

    places = [
        word for i, word in enumerate(words) if not i or Path(word).is_dir() or _is_session(word)
    ]
    columns = [word for word in words if word not in places]
    with progress() as tell:
        sessions = Sessions(places, progress=tell)
    if not sessions and not sessions.unreadable:
        raise UsageError(
            f"there is no session in {', '.join(places)}; sessions end in {', '.join(SUFFIXES)}, and those in folders "
            f"below are meant by\n  pymanip-inspect '{places[0].rstrip('/')}/**/*.h5'"
        )
    sessions = sessions.where(*conditions)
    for name in columns:
        sessions.column(name)  # not there: says so, with the nearest names
    return (sessions if by is None else sessions.sorted(by, reverse=reverse)), columns


def collection_json(sessions: Sessions, columns: Sequence[str]) -> str:
    """Return the table as JSON."""
    from json import dumps

    from pymanip_run.records.plain import plain

    content = {
        "sessions": [_described(card, columns) for card in sessions.cards],
        "unreadable": {str(path): why for path, why in sessions.unreadable.items()},
    }
    return dumps(plain(content), indent=2, allow_nan=False)


def _described(card: SessionCard, columns: Sequence[str]) -> dict[str, Any]:
    facts = {"file": str(card.path), "name": card.name, "duration": card.duration}
    if columns:
        return facts | {name: card.get(name) for name in columns}
    known = (
        "title",
        "created",
        "start",
        "stop",
        "runs",
        "exit_code",
        "exit_reason",
        "host",
        "user",
    )
    return (
        facts
        | {key: card.facts[key] for key in known}
        | {
            "parameters": {name: p.value for name, p in card.parameters.items()},
            "metadata": dict(card.metadata),
            "results": {name: r._asdict() for name, r in card.results.items()},
            "datasets": dict(card.datasets),
        }
    )


def collection_text(sessions: Sessions, columns: Sequence[str], width: int) -> str:
    """Return the table in lines of at most `width` characters, as far as possible."""
    from pymanip_run.cli.tables import fitting, listed, table
    from pymanip_run.session.collection.table import common, results, varying
    from pymanip_run.wording import inert

    cards = sessions.cards
    lines = [f"{len(cards)} session{'s' * (len(cards) != 1)}" if cards else "no session is so"]
    if cards:
        parameters = varying(cards) if not columns else list(columns)
        variables = results(cards) if not columns else []
        rows = _rows(cards, parameters, variables)
        least = [*reversed(range(BEFORE_OWN, len(rows[0]))), 2, 1]
        shown = fitting(rows, width, least)
        hidden = [rows[0][i] for i in range(BEFORE_OWN, len(rows[0])) if i not in shown]
        left = {place for place, i in enumerate(shown) if i in (0, 1, 3)}
        lines += ["", *table([tuple(row[i] for i in shown) for row in rows], left), ""]
        if not columns:
            same = [
                f"{inert(n)} {_cell(v)}{f' {inert(u)}' if u else ''}"
                for n, (v, u) in common(cards).items()
            ]
            lines += listed("In all", same, width)
        lines += listed("Not shown", hidden, width)
    bad = [f"{inert(_short(path))}: {inert(why)}" for path, why in sessions.unreadable.items()]
    lines += [f"{'Unreadable' if not i else '':12} {line}" for i, line in enumerate(bad)]
    return "\n".join(lines)


def _rows(
    cards: Sequence[SessionCard], parameters: Sequence[str], variables: Sequence[str]
) -> list[tuple[str, ...]]:
    from pymanip_run.cli.tables import cut
    from pymanip_run.registry import registered_runs
    from pymanip_run.session.collection.table import local, units
    from pymanip_run.units import format_duration
    from pymanip_run.wording import inert

    running = {run.session for run in registered_runs() if run.is_running}
    known = units(cards)
    titles = [
        f"{cut(inert(name), NAME)}{f' ({inert(known[name])})' if name in known else ''}"
        for name in (*parameters, *variables)
    ]
    rows = [("session", "start", "duration", "ended by", *titles)]
    for card in cards:
        duration = card.duration
        values = [card.get(name) for name in parameters]
        values += [
            card.facts["results"][n][5] if n in card.facts["results"] else None for n in variables
        ]
        rows.append((
            cut(inert(_short(card.path).removesuffix(".h5")), NAME),
            local(card.facts["start"]),
            "–" if duration is None else format_duration(duration),
            "running now" if str(card.path) in running else cut(inert(_ended(card)), REASON),
            *map(_cell, values),
        ))  # fmt: skip
    return rows


def _ended(card: SessionCard) -> str:
    from pymanip_run.wording import end_in_words

    if not card.facts["runs"]:
        return "no run"
    if card.facts["stop"] is None:
        return "ended without a word"
    return end_in_words(card.facts["exit_code"], card.facts["exit_reason"])


def _short(path: Path) -> str:
    from pymanip_run.cli.files import as_typed

    return path.name if Path.cwd() not in path.parents else as_typed(path)


def _cell(value: object) -> str:
    from pymanip_run.cli.tables import cut
    from pymanip_run.records.plain import written
    from pymanip_run.wording import inert

    if value is None:
        return "–"
    return f"{value:.5g}" if isinstance(value, float) else cut(inert(written(value)), NAME)
