"""Where the data of a run come from, taken apart: the texts that are kept with it hold JSON, lines and diffs."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pymanip_run.records import Run

__all__ = ["JSON_TEXTS", "LINES", "SECTIONS", "Origin"]

SHORT_COMMIT = 7
SHOWN_FILES = 3
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


@dataclass(frozen=True, slots=True)
class Origin:
    """What a run tells of where its data come from. Nothing of it is trusted to be well-formed."""

    run: Run

    def text(self, key: str) -> str:
        """Return a text, empty where there is none."""
        return self.run.texts.get(key, "")

    def lines(self, key: str) -> list[str]:
        """Return the lines of a text that hold something."""
        return [line for line in self.text(key).splitlines() if line]

    def json(self, key: str) -> Any:
        """Return a text that is JSON; the text itself where it is none, None where there is none."""
        text = self.run.texts.get(key)
        if text is None:
            return None
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text

    @property
    def command(self) -> str:
        """What was typed."""
        found = self.json("argv")
        return " ".join(map(str, found)) if isinstance(found, list) else str(found or "")

    @property
    def packages(self) -> dict[str, str]:
        """The version of Python and of each package."""
        found = self.json("packages")
        return {str(k): str(v) for k, v in found.items()} if isinstance(found, dict) else {}

    @property
    def commit(self) -> str:
        """The commit of the code, empty outside of a repository."""
        return self.text("git_commit").strip()

    @property
    def git(self) -> str:
        """The commit in short, and what was not in it: ``git 4f1c2e9 (dirty: tasks.py)``; may be empty."""
        return f"git {self.commit[:SHORT_COMMIT]}{self.state}" if self.commit else ""

    @property
    def state(self) -> str:
        """What differed from the commit: `` (dirty: tasks.py; not in git: supply.py)``; may be empty."""
        diff = self.text("git_diff")
        changed, untracked = _CHANGED.findall(diff), self.lines("git_untracked")
        states = [f"dirty: {_listed(changed)}"] if changed else ["dirty"] if diff else []
        states += [f"not in git: {_listed(untracked)}"] if untracked else []
        return f" ({'; '.join(states)})" if states else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN_FILES} more" if len(names) > SHOWN_FILES else ""
    return ", ".join(names[:SHOWN_FILES]) + more
