"""``PYMANIP_RUN_SERVER__PORT=7000``: environment variables that set values of the experiment file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.errors import nearest
from pymanip_run.experiment.load.words import keys_at
from pymanip_run.experiment.model.experiment import Experiment, task_settings
from pymanip_run.experiment.text.nodes import MappingNode, locate, plain
from pymanip_run.experiment.text.overrides import Assignment
from pymanip_run.experiment.text.problems import Mark, Problem, Source

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["PREFIX", "assignments", "path_of"]

PREFIX = "PYMANIP_RUN_"
_BETWEEN = "__"
#: Variables of this project that are not for the experiment file.
_OTHERS = ("TOKEN", "TEST_", "BENCHMARKS")


def path_of(override: str) -> list[str]:
    """Return the path that a ``path=value`` sets; where it is of the environment, in lower case."""
    name = override.partition("=")[0]
    if name.startswith(PREFIX):
        return name.removeprefix(PREFIX).lower().split(_BETWEEN)
    return [part.strip() for part in name.split(".")]


def assignments(
    environ: Mapping[str, str], root: MappingNode, *, mails: bool = False
) -> tuple[list[Assignment], list[Problem]]:
    """Return what the environment sets, and a warning for each variable that sets nothing.

    Upper and lower case are the same where the file has or knows the key. An empty variable counts as not set.
    A password for mails, which somebody may have set for all experiments, makes none of one that sends none.

    Parameters
    ----------
    environ
        The environment.
    root
        The experiment file.
    mails
        Whether mails are sent although the file has no `email`.
    """
    found: list[Assignment] = []
    warnings: list[Problem] = []
    names = [name for name in environ if name.startswith(PREFIX) and environ[name]]
    for name in sorted(names, key=lambda n: (n.count(_BETWEEN), n)):
        rest = name.removeprefix(PREFIX)
        if rest.startswith(_OTHERS):
            continue
        path = _path(root, rest.split(_BETWEEN))
        if path is None:
            mark = Mark(Source(name), 0, 0)
            warnings.append(Problem(mark, "", f"sets nothing{_hint(rest.split(_BETWEEN))}"))
        else:
            found.append(Assignment(name, path, environ[name]))
    if mails or _sends_mails(root, found):
        return found, warnings
    text = "sets nothing: the experiment sends no mails"
    idle = [one for one in found if one.path[0] == "email"]
    warnings += [Problem(Mark(Source(one.label), 0, 0), "", text) for one in idle]
    return [one for one in found if one not in idle], warnings


def _sends_mails(root: MappingNode, found: Sequence[Assignment]) -> bool:
    own = root.items.get("email")
    if own is not None and plain(own.node) is not None:
        return True
    return any(one.path in (["email"], ["email", "to"]) for one in found)


def _path(root: MappingNode, parts: Sequence[str]) -> list[str] | None:
    """Return the path that a variable names, None if its first part is no key."""
    path: list[str] = []
    for part in parts:
        known = _known(root, path)
        if not path and part.casefold() not in map(str.casefold, known):
            return None
        path.append(_spelled(part, known))
    return path if all(path) else None


def _known(root: MappingNode, path: list[str]) -> list[str]:
    """Return the keys that the file has, or may have, below `path`."""
    found = locate(root, path)
    names: list[str] = []
    if len(found.path) == len(path):
        value = plain(found.node)
        names = list(
            task_settings(value) if path == ["tasks"] else value if isinstance(value, dict) else ()
        )
    return [*names, *keys_at(Experiment, path)]


def _spelled(part: str, known: Sequence[str]) -> str:
    """Return a part as the file writes it."""
    if part in known:
        return part
    same = dict.fromkeys(name for name in known if name.casefold() == part.casefold())
    return (
        next(iter(same)) if len(same) == 1 else part.lower() if part.isupper() and known else part
    )


def _hint(parts: Sequence[str]) -> str:
    word = parts[0].lower()
    keys = keys_at(Experiment, ())
    key = next((key for key in keys if word.startswith(f"{key}_")), "")
    if key:
        parts = [key, word.removeprefix(f"{key}_"), *parts[1:]]
    elif near := nearest(word, keys, n=1):
        parts = [near[0], *parts[1:]]
    else:
        return (
            "; a variable for the experiment file is written for example PYMANIP_RUN_SERVER__PORT"
        )
    return f"; did you mean {PREFIX}{_BETWEEN.join(filter(None, parts)).upper()}?"
