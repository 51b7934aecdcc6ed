"""Reading an experiment file: everything that is wrong with it is found and told at once.

Nothing is opened or created here but the file itself is read.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from pymanip_run.experiment.checks.across_keys import check
from pymanip_run.experiment.checks.finding import mapping
from pymanip_run.experiment.checks.outputs import inactive
from pymanip_run.experiment.checks.slips import decimal_comma_texts, decimal_commas
from pymanip_run.experiment.load.environment import PREFIX, assignments
from pymanip_run.experiment.load.user_settings import read_settings, sends_mails, with_settings
from pymanip_run.experiment.load.words import needs_text, path_of, translate
from pymanip_run.experiment.model.experiment import Alarm, Device, Experiment, Task, task_settings
from pymanip_run.experiment.text.interpolate import interpolate
from pymanip_run.experiment.text.nodes import (
    MappingNode,
    Node,
    Part,
    Scalar,
    dotted,
    locate,
    plain,
    within,
)
from pymanip_run.experiment.text.overrides import apply_override, assign, new_names
from pymanip_run.experiment.text.problems import Mark, Problem, Source, config_error
from pymanip_run.experiment.text.reading import read_text
from pymanip_run.experiment.text.redact import (
    hide_secrets,
    literal_secrets,
    redacted,
    secret_scalars,
)
from pymanip_run.experiment.text.yaml12 import compose
from pymanip_run.masking import known_secrets, masked_assignment

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pydantic_core import ErrorDetails

    from pymanip_run.errors import ConfigError
    from pymanip_run.experiment.checks.finding import Finding
    from pymanip_run.experiment.text.overrides import Assignment

__all__ = ["Draft", "LoadedExperiment", "load_experiment", "read_draft"]

#: Nobody mends more at once; what offers the nearest right word takes its time.
_MAX_FOUND = 500
_MAX_WARNINGS = 50
_MAX_SECRETS = 1000
_MIN_DIGITS = 6
_Model = TypeVar("_Model", bound=BaseModel)
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
    #: What is valid but not done in this version, with its place: nobody must rely on it.
    inactive: tuple[str, ...] = ()

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
    overrides: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)
    model: Experiment | None = None
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    inactive: list[Problem] = field(default_factory=list)
    #: Values that must not be shown anywhere.
    secrets: set[str] = field(default_factory=set)

    def tasks(self) -> dict[str, Task]:
        """Return the tasks that are valid by themselves."""
        if self.model is not None:
            return dict(self.model.tasks)
        return _valid(task_settings(self.data.get("tasks")), Task)

    def alarms(self) -> dict[str, Alarm]:
        """Return the alarms that are valid by themselves."""
        if self.model is not None:
            return dict(self.model.alarms)
        return _valid(mapping(self.data, "alarms"), Alarm)

    def devices(self) -> dict[str, Device]:
        """Return the devices that are valid by themselves."""
        if self.model is not None:
            return dict(self.model.devices)
        return _valid(mapping(self.data, "devices"), Device)

    def mark(self, *path: Part, key: bool = False) -> Mark:
        """Return the place of a value, or of its key, as far as the path exists."""
        found = locate(self.root, path)
        return found.key_mark if key else found.mark

    def add(self, path: Sequence[Part], message: str, *, key: bool = False) -> None:
        """Add a problem at a path."""
        found = locate(self.root, path)
        self.problems.append(Problem(found.key_mark if key else found.mark, dotted(path), message))

    def problem(self, finding: Finding) -> Problem:
        """Return what a check across keys found, with its place."""
        found = locate(self.root, finding.path)
        mark = found.mark if finding.value else found.key_mark
        if finding.column:
            mark = within(found.node, finding.column) or mark
        return Problem(mark, dotted(found.path), finding.message)

    def loaded(self) -> LoadedExperiment:
        """Return the valid experiment.

        Raises
        ------
        ConfigError
            With everything that is wrong, each with its place.
        """
        if self.problems or self.model is None:
            with known_secrets(self.secrets):
                raise config_error(self.problems)
        text = redacted(self.source)
        return LoadedExperiment(
            path=self.path,
            model=self.model,
            text=self.source.text,
            redacted_text=text,
            overrides=tuple(map(masked_assignment, self.overrides)),
            sha256=hashlib.sha256(text.encode()).hexdigest(),
            warnings=_lines(self.warnings),
            inactive=_lines(self.inactive),
        )


def _lines(problems: list[Problem]) -> tuple[str, ...]:
    sources = dict.fromkeys(problem.mark.source for problem in problems)
    order = {source: number for number, source in enumerate(sources)}
    unique = sorted(dict.fromkeys(problems), key=lambda p: (order[p.mark.source], *p.mark[1:]))
    more = len(unique) - _MAX_WARNINGS
    lines = [problem.line() for problem in unique[:_MAX_WARNINGS]]
    return (*lines, f"… and {more} more") if more > 0 else tuple(lines)


def _valid(settings: Mapping[str, Any], model: type[_Model]) -> dict[str, _Model]:
    valid = {}
    for name, one in settings.items():
        try:
            valid[name] = model.model_validate(one)
        except ValidationError:
            continue
    return valid


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
    path: str | Path,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
    options: Sequence[Assignment] = (),
) -> Draft:
    """Read an experiment file, and all that changes it, as far as that is possible.

    Parameters
    ----------
    path
        The file.
    overrides
        Texts ``path=value`` that change it, as with ``--set``.
    environ
        The environment: references, ``PYMANIP_RUN_…``, and where the user's configuration is.
    options
        What the options of the command line set; they come last.

    Raises
    ------
    ConfigError
        If there is no mapping that could be checked further.
    """
    path = Path(path)
    source = Source(str(path), read_text(path))
    problems: list[Problem] = []
    root = compose(source, problems)
    hide_secrets(source, root)
    if not isinstance(root, MappingNode):
        raise _no_mapping(source, root, problems)
    draft = Draft(path, source, root, problems=problems)
    _add_sources(draft, overrides, environ, options)
    _validate(draft)
    return draft


def _add_sources(
    draft: Draft,
    overrides: Sequence[str],
    environ: Mapping[str, str],
    options: Sequence[Assignment],
) -> None:
    """Put everything together: the user's configuration < the file < environment < ``--set`` < options."""
    declared, problems = draft.root, draft.problems
    settings = read_settings(environ, problems, draft.secrets)
    mails = sends_mails(settings) or any(text.startswith("email") for text in overrides)
    from_environ, unknown = assignments(environ, declared, mails=mails)
    for assignment in from_environ:
        draft.root = assign(draft.root, assignment, problems)
    for text in overrides:
        draft.root = apply_override(draft.root, text, problems)
    for assignment in options:
        draft.root = assign(draft.root, assignment, problems)
    draft.overrides = (*(f"{one.label}={one.value}" for one in from_environ), *overrides)
    draft.warnings += [
        *unknown,
        *new_names(declared, draft.root),
        *islice(_told_secrets(draft.root), _MAX_FOUND),
    ]
    problems += interpolate(draft.root, environ, draft.secrets)
    if settings is not None:
        draft.root = with_settings(draft.root, settings)
        draft.warnings += settings.warnings
    secrets = dict.fromkeys(
        node.text
        for _, node in secret_scalars(draft.root)
        # A short number is more often a count than a password, and turns up everywhere.
        if isinstance(node.value, str) or len(node.text) >= _MIN_DIGITS
    )
    draft.secrets.update(islice(secrets, _MAX_SECRETS))
    if len(secrets) > _MAX_SECRETS:
        problems.append(Problem(draft.root.mark, "", f"more than {_MAX_SECRETS} secrets"))


def _told_secrets(root: Node) -> Iterator[Problem]:
    # The environment is where secrets belong.
    return (p for p in literal_secrets(root) if not p.mark.source.label.startswith(PREFIX))


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
    found = [translate(error, Experiment, draft.root) for error in errors[:_MAX_FOUND]]
    found = _without_commas(draft, found)
    tasks = task_settings(draft.data.get("tasks"))
    findings = check(draft.data, tasks, draft.path.absolute().parent)
    for finding in islice(findings, _MAX_FOUND):
        (draft.warnings if finding.warning else found).append(draft.problem(finding))
    draft.problems += [problem for problem in found if problem.mark not in known]
    draft.inactive += map(draft.problem, inactive(draft.data))


def _without_commas(draft: Draft, found: list[Problem]) -> list[Problem]:
    """Return the problems, in which each decimal comma is told as such and not by what follows from it."""
    slips = list(islice(decimal_commas(draft.root), _MAX_FOUND))
    following = {dotted(slip.key_path) for slip in slips}
    places = {slip.mark for slip in slips}
    parameters = draft.root.items.get("parameters")
    if parameters is not None:
        texts = decimal_comma_texts(parameters.node, ("parameters",))
        for path, node, message in islice(texts, _MAX_FOUND):
            draft.warnings.append(Problem(node.mark, dotted(path), message))
    return [
        *(Problem(slip.mark, dotted(slip.path), slip.message) for slip in slips),
        *(p for p in found if p.path not in following and p.mark not in places),
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
        node = locate(draft.root, path_of(error)).node
        if isinstance(node, Scalar) and node.interpolated:
            node.value, changed = node.text, True
    return changed
