"""Where the data come from: experiment file, code with its commit and changes, versions, command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.core.origin import SECTIONS, Origin
from pymanip_run.export.report.markup import element, pairs, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymanip_run.records import Run

__all__ = ["origin"]

#: Of one text, and lines up to which it is open.
LONGEST, OPEN_LINES = 200_000, 80


def origin(runs: Sequence[Run]) -> Iterator[str]:
    """Yield where the data of the last run come from, and what differed in earlier ones."""
    if not runs:
        return
    last = Origin(runs[-1])
    if len(runs) > 1:
        yield element("p", f"of the last run, run {last.run.index}", class_="quiet")
    versions = ", ".join(f"{name} {version}" for name, version in last.packages.items())
    yield pairs(
        [
            ("Command", element("code", text(last.command)) if last.command else ""),
            (
                "Commit",
                element("code", text(last.commit)) + text(last.state) if last.commit else "",
            ),
            ("Experiment file", _hash(last.run)),
            ("Process", text(last.run.pid) if last.run.pid is not None else ""),
            ("Versions", text(versions)),
        ]
    )
    for key, title in SECTIONS.items():
        words = last.text(key)
        if words.strip():
            yield _folded(title, words, is_diff=key == "git_diff")


def _hash(run: Run) -> str:
    return "SHA-256 " + element("code", text(run.config_sha256)) if run.config_sha256 else ""


def _folded(title: str, words: str, *, is_diff: bool) -> str:
    """Return a long text that is open where it is short."""
    shown = words[:LONGEST].rstrip("\n")
    lines = shown.split("\n")
    summary = element("summary", element("h3", text(title)), f" {len(lines)} lines")
    content = "\n".join(map(_diff_line, lines)) if is_diff else text(shown)
    rest = ""
    if len(words) > LONGEST:
        rest = element("p", "cut here; all of it: pymanip-inspect --config", class_="quiet")
    is_open = "open" if len(lines) <= OPEN_LINES else None
    return element("details", summary, element("pre", content), rest, open=is_open) + "\n"


def _diff_line(line: str) -> str:
    if line.startswith(("+++", "---", "diff ", "index ")):
        return element("b", text(line))
    if line.startswith("+"):
        return element("ins", text(line))
    return element("del", text(line)) if line.startswith("-") else text(line)
