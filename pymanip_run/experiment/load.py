"""Reading an experiment file: everything that is wrong with it is found and told at once.

Nothing is opened or created here but the file itself is read.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from pymanip_run.errors import ConfigError, did_you_mean
from pymanip_run.experiment.checks import check
from pymanip_run.experiment.fields import LATER
from pymanip_run.experiment.interpolate import interpolate
from pymanip_run.experiment.model import Experiment, Task, task_settings
from pymanip_run.experiment.nodes import MappingNode, Node, Part, Scalar, dotted, locate, plain
from pymanip_run.experiment.overrides import apply_override, new_parameters
from pymanip_run.experiment.problems import Mark, Problem, Source, config_error
from pymanip_run.experiment.redact import hide_secrets, redacted
from pymanip_run.experiment.words import needs_text, translate
from pymanip_run.experiment.yaml12 import compose
from pymanip_run.masking import masked_assignment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

__all__ = ["Draft", "LoadedExperiment", "load_experiment", "read_draft"]

MAX_BYTES = 2**20
_SMALLEST = "at least  module: tasks.py  and  tasks: [read_temperatures]"


@dataclass(frozen=True)
class LoadedExperiment:
    """A valid experiment file."""

    #: As it was given.
    path: Path
    model: Experiment
    #: The file's text as it is, and without its secrets.
    text: str
    redacted_text: str
    #: Each ``path=value``, without secrets.
    overrides: tuple[str, ...]
    #: Of `redacted_text`.
    sha256: str
    #: What is odd but can be run, with its place.
    warnings: tuple[str, ...]

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self.path.stem

    @property
    def folder(self) -> Path:
        """The file's folder, absolute: what its paths are relative to."""
        return self.path.absolute().parent


@dataclass
class Draft:
    """An experiment file with what was found wrong so far; more can be added before it is told."""

    path: Path
    source: Source
    root: MappingNode
    overrides: tuple[str, ...]
    data: dict[str, Any] = field(default_factory=dict)
    model: Experiment | None = None
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)

    def tasks(self) -> dict[str, Task]:
        """Return the tasks that are valid by themselves."""
        if self.model is not None:
            return dict(self.model.tasks)
        valid = {}
        for name, settings in task_settings(self.data.get("tasks")).items():
            try:
                valid[name] = Task.model_validate(settings)
            except ValidationError:
                continue
        return valid

    def mark(self, *path: Part, key: bool = False) -> Mark:
        """Return the place of a value, or of its key, as far as the path exists."""
        found = locate(self.root, path)
        return found.key_mark if key else found.mark

    def add(self, path: Sequence[Part], message: str, *, key: bool = False) -> None:
        """Add a problem at a path."""
        found = locate(self.root, path)
        self.problems.append(Problem(found.key_mark if key else found.mark, dotted(path), message))

    def loaded(self) -> LoadedExperiment:
        """Return the valid experiment.

        Raises
        ------
        ConfigError
            With everything that is wrong, each with its place.
        """
        if self.problems or self.model is None:
            raise config_error(self.problems)
        text = redacted(self.source)
        return LoadedExperiment(
            path=self.path,
            model=self.model,
            text=self.source.text,
            redacted_text=text,
            overrides=tuple(map(masked_assignment, self.overrides)),
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            warnings=tuple(problem.line() for problem in self.warnings),
        )


def load_experiment(path: str | Path, overrides: Sequence[str] = ()) -> LoadedExperiment:
    """Read and check an experiment file.

    Parameters
    ----------
    path
        The file.
    overrides
        Texts ``path=value`` that change it, as with ``--set``.

    Raises
    ------
    ConfigError
        With everything that is wrong, each with its place.
    """
    return read_draft(path, overrides).loaded()


def read_draft(
    path: str | Path, overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> Draft:
    """Read an experiment file as far as that is possible.

    Raises
    ------
    ConfigError
        If there is no mapping that could be checked further.
    """
    path = Path(path)
    source = Source(str(path), _read_text(path))
    problems: list[Problem] = []
    root = compose(source, problems)
    hide_secrets(source, root)
    if not isinstance(root, MappingNode):
        raise _no_mapping(source, root, problems)
    declared = root
    for text in overrides:
        root = apply_override(root, text, problems)
    problems += interpolate(root, environ)
    warnings = new_parameters(declared, root)
    draft = Draft(path, source, root, tuple(overrides), problems=problems, warnings=warnings)
    _validate(draft)
    return draft


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file{_near_file(path)}") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: this is a folder; an experiment file is needed") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than 1 MiB; this is no experiment file")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(errors="replace")
        source = Source(str(path), before)
        byte = error.object[error.start]
        message = f"byte 0x{byte:02X} is not UTF-8; save the file as UTF-8 text"
        mark = source.mark(len(before))
        raise ConfigError(f"{mark}: {message}") from None


def _near_file(path: Path) -> str:
    try:
        names = [other.name for other in path.parent.iterdir() if other.suffix in (".yaml", ".yml")]
    except OSError:
        return ""
    return did_you_mean(path.name, names)


def _no_mapping(source: Source, root: Node | None, problems: list[Problem]) -> ConfigError:
    if not problems:
        empty = root is None or (isinstance(root, Scalar) and root.value is None)
        found = "the file is empty; it needs" if empty else "keys with values are needed,"
        mark = source.mark(0) if root is None else root.mark
        problems.append(
            Problem(Mark(Source(source.label), 0, 0) if empty else mark, "", f"{found} {_SMALLEST}")
        )
    return config_error(problems)


def _validate(draft: Draft) -> None:
    """Find everything that the models and the checks across keys object to."""
    known = {problem.mark for problem in draft.problems}
    errors = _try_model(draft)
    if any(map(needs_text, errors)) and _texts_from_outside(draft, errors):
        errors = _try_model(draft)
    later = [error["loc"] for error in errors if error["type"] == LATER]
    found = [translate(error, Experiment, draft.root) for error in errors]
    for path, message, at_value, warning in check(
        draft.data, task_settings(draft.data.get("tasks"))
    ):
        place = locate(draft.root, path)
        mark = place.mark if at_value else place.key_mark
        problem = Problem(mark, dotted(place.path), message)
        (draft.warnings if warning else found).append(problem)
    draft.problems += [problem for problem in found if problem.mark not in known]
    if later:
        below = tuple(f"{dotted(path)}." for path in later)
        draft.problems = [
            problem for problem in draft.problems if not problem.path.startswith(below)
        ]


def _try_model(draft: Draft) -> list[ErrorDetails]:
    draft.data = plain(draft.root)
    try:
        draft.model = Experiment.model_validate(draft.data)
    except ValidationError as error:
        return error.errors(include_url=False)
    return []


def _texts_from_outside(draft: Draft, errors: list[ErrorDetails]) -> bool:
    """Make texts of environment variables that look like numbers, where texts are needed."""
    changed = False
    for error in filter(needs_text, errors):
        node = locate(draft.root, error["loc"]).node
        if isinstance(node, Scalar) and node.interpolated:
            node.value, changed = node.text, True
    return changed
