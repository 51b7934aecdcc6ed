"""Where the data come from: experiment file, code with its commit and changes, versions, command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.core.origin import SECTIONS, Origin
from pymanip_run.export.report.compared import since_the_run_before
from pymanip_run.export.report.markup import element, folded, pairs, text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pymanip_run.records import Run

__all__ = ["origin"]


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
            yield folded(title, words, is_diff=key == "git_diff")
    yield from since_the_run_before(runs)


def _hash(run: Run) -> str:
    return "SHA-256 " + element("code", text(run.config_sha256)) if run.config_sha256 else ""
