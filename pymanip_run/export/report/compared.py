"""In what a run differs from the one before it, and a session from another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pymanip_run.core.compared import compared_runs
from pymanip_run.core.origin import SECTIONS
from pymanip_run.export.report.markup import element, folded, table, text
from pymanip_run.export.report.timeline import moment
from pymanip_run.records.plain import written
from pymanip_run.wording import WITHOUT_A_WORD, end_in_words, grouped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pymanip_run.records import Run

__all__ = ["compared", "since_the_run_before"]

#: Values of settings that are shown, and characters of one.
MOST_ROWS, LONGEST = 500, 200
#: Pairs by what they are called on the page.
SETTINGS = {"overrides": "--set", "command": "command"}
CODE = {"commit": "commit", "untracked": "not in git"}
SAME = "No difference in configuration, code, versions and computer."


def since_the_run_before(runs: Sequence[Run]) -> Iterator[str]:
    """Yield in what the last run differs from the one before it; nothing where there is none."""
    if len(runs) < 2:
        return
    before, last = runs[-2:]
    yield element("h3", text(f"Changed since run {before.index}"))
    yield from _of_runs(
        compared_runs(before, last), (f"run {before.index}", f"run {last.index}"), {}
    )


def compared(found: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield in what another session (``a``) differs from this one (``b``).

    Parameters
    ----------
    found
        What ``pymanip-inspect --diff OTHER THIS --json`` prints; None where no other session was named.
    """
    if found is None:
        return
    yield element("p", text(f"{found['a']['file']}: {_run(found['a'])}"))
    yield element("p", text(f"this session: {_run(found['b'])}"), class_="quiet")
    names = ("there", "here")
    others = {
        f"{kind} {name}": pair
        for kind in ("parameter", "metadata")
        for name, pair in found["parameters" if kind == "parameter" else kind].items()
    }
    yield from _of_runs(found, names, others)
    yield _statistics(found["statistics"])


def _run(side: Mapping[str, Any]) -> str:
    if side["run"] is None:
        return "no run"
    begun = f"run {side['run']}, begun {moment(side['start'])}"
    if side["stop"] is None:
        return f"{begun}, {WITHOUT_A_WORD}"
    return f"{begun}, {end_in_words(side['exit_code'], side['exit_reason'])}"


def _of_runs(
    found: Mapping[str, Any], names: tuple[str, str], others: Mapping[str, Sequence[Any]]
) -> Iterator[str]:
    """Yield pairs of settings as a table, then texts as diffs."""
    pairs = {title: found["configuration"][key] for key, title in SETTINGS.items()}
    pairs |= {title: found["code"][key] for key, title in CODE.items()}
    pairs |= {**found["versions"], **found["computer"], **others}
    rows = [
        [text(name), *(element("code", text(_short(value))) for value in pair)]
        for name, pair in pairs.items()
        if pair
    ]
    yield table(["", *names], rows[:MOST_ROWS], name="what is not the same", stacks=True)
    texts = {**found["configuration"], **found["code"]}
    diffs = {title: texts[key] for key, title in SECTIONS.items() if texts.get(key)}
    for title, lines in diffs.items():
        yield folded(title, "\n".join(lines), is_diff=True)
    if not rows and not diffs:
        yield element("p", text(SAME))


def _short(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, dict) and value.keys() == {"value", "unit"}:
        return f"{_short(value['value'])} {value['unit'] or ''}".rstrip()
    words = ", ".join(map(str, value)) if isinstance(value, list) else written(value)
    return words if len(words) <= LONGEST else f"{words[: LONGEST - 1]}…"


def _statistics(found: Mapping[str, Any]) -> str:
    rows = [_row(name, pair["a"] or {}, pair["b"] or {}) for name, pair in found.items()]
    head = ["variable", "n there", "n here", "mean there", "mean here", "change", "std there", "std here"]  # fmt: skip
    return table(head, rows[:MOST_ROWS], name="statistics of both sessions", numbers=range(1, 8))


def _row(name: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    means: list[float | None] = [side.get("mean") for side in (a, b)]
    there, here = means
    change = "–" if there is None or here is None else f"{here - there:+.4g}"
    counts = [grouped(side["n"]) if side else "–" for side in (a, b)]
    stds = [side.get("std") for side in (a, b)]
    return [text(name), *counts, *map(_number, means), text(change), *map(_number, stds)]


def _number(value: float | None) -> str:
    return "–" if value is None else text(f"{value:.6g}")
