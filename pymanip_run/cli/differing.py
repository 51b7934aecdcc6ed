"""What differs between two sessions, for people: what ``inspect --diff`` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymanip_run.cli.format import number, short
from pymanip_run.cli.tables import cut, fitting, listed, table
from pymanip_run.clock import iso_local
from pymanip_run.core.origin import SHORT_COMMIT
from pymanip_run.wording import WITHOUT_A_WORD, end_in_words, grouped, inert

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from pymanip_run.describe import Described

__all__ = ["difference_text"]

#: What the texts of a run are called.
CALLED = {
    "experiment": "experiment file", "module": "module", "modules": "other modules", "devices": "devices",
    "sweeps": "sweeps", "git_diff": "changes since the commit",
}  # fmt: skip
TITLES = ("Statistics", "n A", "n B", "mean A", "mean B", "B − A", "std A", "std B", "unit")
UNIT = 8
LEAST = (6, 7, 1, 2, 8)
SAME = "the same"


def difference_text(found: Described, width: int) -> str:
    """Return what `differences` found as lines of at most `width` characters, as far as possible."""
    lines = [
        *(f"{side.upper()}  {line}" for side in ("a", "b") for line in [_side(found[side])]),
        "",
        *_part("Configuration", _configuration(found["configuration"]), width),
        *_diffs(found["configuration"]),
        *_part("Code", _code(found["code"]), width),
        *_diffs(found["code"]),
        *_part("Versions", _pairs({**found["versions"], **found["computer"]}), width),
        *_part("Parameters", _pairs(found["parameters"]), width),
        *_part("Metadata", _pairs(found["metadata"]), width),
        "",
        *_statistics(found["statistics"], width),
    ]
    return "\n".join(lines)


def _side(side: Described) -> str:
    parts = [inert(side["file"]), inert(side["title"])]
    if side["run"] is None:
        parts.append("no run")
    else:
        begin = (
            ""
            if side["start"] is None
            else f" of {iso_local(side['start'])[:19].replace('T', ' ')}"
        )
        end = WITHOUT_A_WORD
        if side["stop"] is not None:
            end = inert(end_in_words(side["exit_code"], side["exit_reason"]))
        parts += [f"run {side['run']}{begin}", end]
    return " · ".join(part for part in parts if part)


def _part(title: str, texts: Sequence[str], width: int) -> list[str]:
    return listed(f"{title:<13}", [*texts] or [SAME], width - 1)


def _configuration(found: Described) -> list[str]:
    texts = [_changed_text(found, key) for key in ("experiment", "devices", "sweeps")]
    overrides = found["overrides"]
    if overrides:
        texts.append(_pair("--set", *(" ".join(side) if side else None for side in overrides)))
    if found["command"]:
        texts.append(_pair("command", *found["command"]))
    return [text for text in texts if text]


def _code(found: Described) -> list[str]:
    texts = []
    if found["commit"]:
        texts.append(_pair("git", *(side and side[:SHORT_COMMIT] for side in found["commit"])))
    if found["untracked"]:
        texts.append(
            _pair("not in git", *(side and ", ".join(side) for side in found["untracked"]))
        )
    texts += [_changed_text(found, key) for key in ("module", "modules", "git_diff")]
    return [text for text in texts if text]


def _changed_text(found: Described, key: str) -> str:
    changed = [line for line in found[key] if line[:1] in "+-"]
    count = len(changed) or 1
    return f"{CALLED[key]}: {count} line{'s' * (count > 1)}, below" if found[key] else ""


def _diffs(found: Described) -> Iterator[str]:
    for key, title in CALLED.items():
        if found.get(key):
            yield f"\n--- {title} (- only in A, + only in B) ---"
            yield from map(inert, found[key])
            yield ""


def _pairs(pairs: Mapping[str, Sequence[Any]]) -> list[str]:
    return [_pair(inert(name), *pair) for name, pair in pairs.items()]


def _pair(name: str, a: object, b: object) -> str:
    return f"{name} {_value(a)} → {_value(b)}"


def _value(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict) and value.keys() == {"value", "unit"}:
        unit = f" {inert(value['unit'])}" if value["unit"] else ""
        return f"{short(value['value'])}{unit}"
    return short(value)


def _statistics(found: Mapping[str, Described], width: int) -> list[str]:
    if not found:
        return [f"{TITLES[0]}   no variables"]
    rows = [TITLES, *(_row(name, pair["a"], pair["b"]) for name, pair in found.items())]
    shown = fitting(rows, width, LEAST)
    left = {i for i, column in enumerate(shown) if column in (0, UNIT)}
    return table([tuple(row[i] for i in shown) for row in rows], left)


def _row(name: str, a: Described | None, b: Described | None) -> tuple[str, ...]:
    sides = [side or {} for side in (a, b)]
    means = [side.get("mean") for side in sides]
    change = "–"
    if means[0] is not None and means[1] is not None:
        change = f"{means[1] - means[0]:+.4g}"
    units = list(dict.fromkeys(side["unit"] for side in sides if side.get("unit")))
    return (
        f"  {cut(inert(name), 36)}",
        *(grouped(side["n"]) if side else "–" for side in sides),
        *_numbers(means),
        change,
        *_numbers(side.get("std") for side in sides),
        cut(inert(" → ".join(units)), 16),
    )


def _numbers(values: Iterable[float | None]) -> list[str]:
    return ["–" if value is None else number(value) for value in values]
