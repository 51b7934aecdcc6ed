"""From an experiment file to what is run.

:func:`prepare` finds everything that can be found before anything is opened; :func:`open_session`
and :func:`execute` do the run.
"""

from __future__ import annotations

import inspect
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pymanip_run.experiment.functions import Call, FunctionMissingError, find_function
from pymanip_run.experiment.load import Draft, LoadedExperiment, read_draft
from pymanip_run.experiment.modules import BrokenModuleError, Modules, experiment_path
from pymanip_run.experiment.points import axis_names
from pymanip_run.experiment.problems import Mark, Problem, Source
from pymanip_run.experiment.session_path import SessionPath
from pymanip_run.masking import masked_source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import ModuleType

    from pymanip_run.experiment.model import Task
    from pymanip_run.experiment.nodes import Part

__all__ = ["Plan", "PlannedTask", "prepare"]


@dataclass(frozen=True)
class PlannedTask:
    """A task of the file with the function that it calls."""

    name: str
    settings: Task
    call: Call
    #: Makes the points of a sweep.
    generator: Callable[..., Any] | None = None


@dataclass(frozen=True)
class Plan:
    """All that a run of an experiment needs, checked."""

    loaded: LoadedExperiment
    tasks: tuple[PlannedTask, ...]
    setup: Callable[..., Any] | None
    teardown: Callable[..., Any] | None
    module_source: str

    @property
    def title(self) -> str:
        """What displays call the experiment."""
        return self.loaded.model.session.title or self.loaded.name

    @property
    def run_texts(self) -> dict[str, str]:
        """What is kept with the run, without secrets."""
        return {
            "experiment": self.loaded.redacted_text,
            "overrides": "\n".join(self.loaded.overrides),
            "module": masked_source(self.module_source),
        }

    def session_path(self, file: str | None = None, exists: str | None = None) -> SessionPath:
        """Return where the session is; `file` (as it is) and `exists` take the place of the file's."""
        session = self.loaded.model.session
        if exists is None and "exists" in session.model_fields_set:
            exists = session.exists
        template = session.file
        if file is not None:
            template = file.replace("{", "{{").replace("}", "}}")
        return SessionPath(template, self.loaded.folder, self.loaded.name, exists)


@contextmanager
def prepare(path: str | Path, overrides: Sequence[str] = ()) -> Iterator[Plan]:
    """Read an experiment file, import its module, find the functions of its tasks.

    Within the context the experiment's folder is importable; run the plan there.

    Parameters
    ----------
    path
        The experiment file.
    overrides
        Texts ``path=value`` that change it, as with ``--set``.

    Raises
    ------
    ConfigError
        With everything that is wrong in the file and in the module. Nothing has been created then.
    """
    draft = read_draft(path, overrides)
    with experiment_path(draft.path.absolute().parent):
        finder = _Finder(draft)
        tasks = tuple(filter(None, (finder.task(*item) for item in draft.tasks().items())))
        module = finder.main
        setup, teardown = finder.hook("setup"), finder.hook("teardown")
        loaded = draft.loaded()
        yield Plan(loaded, tasks, setup, teardown, _source(module))


def _source(module: ModuleType | None) -> str:
    try:
        return inspect.getsource(module) if module is not None else ""
    except (OSError, TypeError):
        return ""


class _Finder:
    """Finds the functions that the file names; what is missing becomes a problem of the draft."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._modules = Modules(draft.path.absolute().parent)
        name = draft.data.get("module")
        self._main_name = name if isinstance(name, str) and name else None
        self.main = self._module(self._main_name, ("module",)) if self._main_name else None

    def task(self, name: str, task: Task) -> PlannedTask | None:
        """Return a task with its function, None if something is wrong with it."""
        path: tuple[Part, ...] = ("tasks", name)
        function = self._function(task.use, name, path, "coroutine")
        generator = None
        if task.sweep is not None and task.sweep.use is not None:
            generator = self._function(task.sweep.use, name, (*path, "sweep"), "generator")
        if function is None:
            return None
        values = axis_names(task.sweep) if task.sweep else ()
        call = Call(function, task.kwargs, values, name)
        for message, kwarg in call.complaints():
            place = (*path, "kwargs", kwarg) if kwarg else path
            self._draft.add(place, message, key=True)
        return PlannedTask(name, task, call, generator)

    def hook(self, name: str) -> Callable[..., Any] | None:
        """Return ``setup`` or ``teardown`` of the module, if it has it."""
        function = getattr(self.main, name, None)
        return function if callable(function) else None

    def _function(
        self, use: str | None, name: str, path: tuple[Part, ...], what: str
    ) -> Callable[..., Any] | None:
        place = (*path, "use") if use else path
        module_name, _, function_name = (use or name).rpartition(":")
        main = not module_name or module_name in (self._main_name, _stem(self._main_name))
        module = self.main if main else self._module(module_name, place)
        if module is None:
            return None
        try:
            return find_function(module, function_name, what)
        except FunctionMissingError as error:
            shown = self._shown(self._main_name or "" if main else module_name)
            asked = self._draft.mark(*place, key=not use)
            self._problem(shown, f"{error} (asked for at {asked})")
        return None

    def _module(self, name: str, place: tuple[Part, ...]) -> ModuleType | None:
        try:
            return self._modules.get(name)
        except BrokenModuleError as problem:
            if problem.detail:
                asked = self._draft.mark(*place)
                self._problem(
                    self._shown(name), f"cannot be imported (asked for at {asked})", problem.detail
                )
            else:
                self._draft.add(place, str(problem))
        return None

    def _problem(self, label: str, message: str, detail: str = "") -> None:
        self._draft.problems.append(Problem(Mark(Source(label), 0, 0), "", message, detail))

    def _shown(self, module: str) -> str:
        """Return how a module is called in messages: a file by its path, as the experiment file was given."""
        return str(self._draft.path.parent / module) if module.endswith(".py") else module


def _stem(module: str | None) -> str | None:
    return module.removesuffix(".py").rpartition("/")[2] if module else None
