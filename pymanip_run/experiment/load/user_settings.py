"""The user's own configuration: defaults of ``email`` and ``server`` for each experiment of this user."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pymanip_run.experiment.load.words import translate
from pymanip_run.experiment.model.experiment import UserSettings
from pymanip_run.experiment.text.interpolate import interpolate
from pymanip_run.experiment.text.nodes import Item, MappingNode, Scalar, locate, plain
from pymanip_run.experiment.text.problems import Problem, Source
from pymanip_run.experiment.text.reading import read_text
from pymanip_run.experiment.text.redact import hide_secrets, secret_scalars
from pymanip_run.experiment.text.yaml12 import compose

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Settings", "read_settings", "sends_mails", "settings_path", "with_settings"]

_SECTIONS = ("email", "server")


@dataclass(frozen=True)
class Settings:
    """What the user's configuration says."""

    root: MappingNode
    warnings: tuple[Problem, ...] = ()


def settings_path(environ: Mapping[str, str]) -> Path | None:
    """Return where the user's configuration is (XDG Base Directory Specification 0.8)."""
    base = environ.get("XDG_CONFIG_HOME", "")
    try:
        root = Path(base) if Path(base).is_absolute() else Path.home() / ".config"
    except RuntimeError:  # nobody's home
        return None
    return root / "pymanip-run" / "config.yaml"


def read_settings(
    environ: Mapping[str, str], problems: list[Problem], secrets: set[str]
) -> Settings | None:
    """Return the user's configuration with its references filled in; None where there is none.

    Raises
    ------
    ConfigError
        If the file cannot be read.
    """
    path = settings_path(environ)
    if path is None or not _is_there(path):
        return None
    source = Source(str(path), read_text(path, "configuration"))
    found: list[Problem] = []
    root = compose(source, found)
    hide_secrets(source, root)
    problems += found
    if root is None or (isinstance(root, Scalar) and root.value is None):
        return None
    if not isinstance(root, MappingNode):
        problems.append(Problem(root.mark, "", "keys with values are needed: email and server"))
        return None
    problems += interpolate(root, environ, secrets)
    known = {problem.mark for problem in problems}
    problems += [problem for problem in _wrong(root) if problem.mark not in known]
    _make_absolute(root, path.parent)
    return Settings(root, tuple(_warnings(root, path)))


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a folder above it is closed to us
        return False


def _wrong(root: MappingNode) -> list[Problem]:
    try:
        UserSettings.model_validate(plain(root))
    except ValidationError as error:
        found = error.errors(include_url=False)
        return [translate(one, UserSettings, root) for one in found]
    return []


def _make_absolute(root: MappingNode, folder: Path) -> None:
    """Let the files that it names be relative to itself."""
    for key in ("cert", "key"):
        found = locate(root, ("server", "tls", key))
        if len(found.path) == 3 and isinstance(found.node, Scalar) and found.node.text:
            found.node.text = str(folder / found.node.text)
            found.node.value = found.node.text


def _warnings(root: MappingNode, path: Path) -> list[Problem]:
    """Return a warning if others can read a password."""
    secret = next((node for _, node in secret_scalars(root) if node.text and not node.secret), None)
    if secret is None or not path.stat().st_mode & 0o077:
        return []
    text = f"others on this computer can read this password:  chmod 600 {path}"
    return [Problem(secret.mark, "", text)]


def sends_mails(settings: Settings | None) -> bool:
    """Tell whether the configuration says to whom mails are sent."""
    item = settings.root.items.get("email") if settings is not None else None
    return item is not None and isinstance(item.node, MappingNode) and "to" in item.node.items


def with_settings(root: MappingNode, settings: Settings | None) -> MappingNode:
    """Return the tree of an experiment file with what the user's configuration adds; `root` itself stays.

    Mails are only sent where the file has `email`, or the configuration says to whom.
    """
    for key in _SECTIONS if settings is not None else ():
        own, item = root.items.get(key), settings.root.items.get(key) if settings else None
        if item is None or not isinstance(item.node, MappingNode):
            continue
        if own is None and (key != "email" or sends_mails(settings)):
            root = replace(root, items={**root.items, key: item})
        elif own is not None and isinstance(own.node, MappingNode):
            merged = replace(own.node, items={**item.node.items, **own.node.items})
            root = replace(root, items={**root.items, key: Item(own.key, merged)})
    return root
