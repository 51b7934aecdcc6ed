"""From an experiment file to what is run.

:func:`prepare` finds everything that can be found before anything is opened; :func:`open_session`
and :func:`execute` do the run.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pymanip_run.experiment.build.devices import DeviceFinder, find_factory
from pymanip_run.experiment.build.functions import (
    Call,
    FunctionMissingError,
    find_function,
    hook_complaint,
)
from pymanip_run.experiment.build.modules import (
    BrokenModuleError,
    Modules,
    experiment_path,
    source_of,
)
from pymanip_run.experiment.build.neighbours import other_sources
from pymanip_run.experiment.build.points import axis_names
from pymanip_run.experiment.checks.alarms import unmentioned
from pymanip_run.experiment.load.loading import Draft, LoadedExperiment, read_draft
from pymanip_run.experiment.model.experiment import Run
from pymanip_run.experiment.model.session_path import SessionPath
from pymanip_run.experiment.text.problems import Mark, Problem, Source
from pymanip_run.masking import known_secrets, masked_source, starred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from types import ModuleType

    from pymanip_run.devices import DeviceSpec
    from pymanip_run.experiment.model.experiment import Alarm, Task
    from pymanip_run.experiment.text.nodes import Part

__all__ = ["Plan", "PlannedAlarm", "PlannedTask", "prepare"]


#: What a module may have beside its tasks.
HOOKS = {"setup": "before", "teardown": "after"}


@dataclass(frozen=True)
class PlannedTask:
    """A task of the file with the function that it calls."""

    name: str
    settings: Task
    call: Call
    #: Makes the points of a sweep.
    generator: Callable[..., Any] | None = None


@dataclass(frozen=True)
class PlannedAlarm:
    """An alarm of the file with the functions that it runs."""

    name: str
    settings: Alarm
    #: In the order of its `do`.
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All that a run of an experiment needs, checked."""

    loaded: LoadedExperiment
    tasks: tuple[PlannedTask, ...]
    setup: Callable[..., Any] | None
    teardown: Callable[..., Any] | None
    module_source: str
    alarms: tuple[PlannedAlarm, ...] = ()
    #: In the order in which they are opened.
    devices: tuple[DeviceSpec, ...] = ()

    @property
    def title(self) -> str:
        """What displays call the experiment."""
        return self.loaded.model.session.title or self.loaded.name

    @property
    def run_texts(self) -> dict[str, str]:
        """What is kept with the run, without secrets."""
        return {
            "experiment": self.loaded.redacted_text,
            "overrides": "\n".join(map(starred, self.loaded.overrides)),
            "module": starred(masked_source(self.module_source)),
            **other_sources(self.loaded.folder, self.module_source),
            **self._devices_text,
        }

    @property
    def _devices_text(self) -> dict[str, str]:
        described = [device.described() for device in self.devices]
        return {"devices": starred(json.dumps(described))} if described else {}

    def session_path(
        self, file: str | None = None, exists: str | None = None, now: float | None = None
    ) -> SessionPath:
        """Return where the session is; `file` (as it is) and `exists` take the place of the file's.

        `now` is the instant for ``{date}`` and ``{time}``, Unix seconds; the present one if left out.
        """
        session = self.loaded.model.session
        if exists is None and "exists" in session.model_fields_set:
            exists = session.exists
        template = session.file
        if file is not None:
            template = file.replace("{", "{{").replace("}", "}}")
        return SessionPath(template, self.loaded.folder, self.loaded.name, exists, now)


@contextmanager
def prepare(
    path: str | Path, overrides: Sequence[str] = (), *, simulated: bool = False
) -> Iterator[Plan]:
    """Read an experiment file, import its module, find the functions of its tasks.

    Within the context the experiment's folder is importable; run the plan there.

    Parameters
    ----------
    path
        The experiment file.
    overrides
        Texts ``path=value`` that change it, as with ``--set``.
    simulated
        Whether each device is what its `simulate` says.

    Raises
    ------
    ConfigError
        With everything that is wrong in the file and in the module. Nothing has been created then.
    """
    draft = read_draft(path, overrides)
    folder = draft.path.absolute().parent
    with known_secrets(draft.secrets), experiment_path(folder):
        finder = _Finder(draft)
        tasks = tuple(filter(None, (finder.task(*item) for item in draft.tasks().items())))
        alarms = tuple(finder.alarm(*item) for item in draft.alarms().items())
        devices = finder.devices(simulated=simulated)
        module = finder.main
        setup, teardown = map(finder.hook, HOOKS)
        source = source_of(module)
        if source:
            finder.find_unmentioned()
        loaded = draft.loaded()
        yield Plan(loaded, tasks, setup, teardown, source, alarms, devices)


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
        self._refuse_hook(path, function)
        values = axis_names(task.sweep) if task.sweep else ()
        call = Call(function, task.kwargs, values, name)
        for message, kwarg in call.complaints():
            place = (*path, "kwargs", kwarg) if kwarg else path
            self._draft.add(place, message, key=True)
        return PlannedTask(name, task, call, generator)

    def _refuse_hook(self, path: tuple[Part, ...], function: Callable[..., Any]) -> None:
        """Tell that a function is run anyhow, which is then no task."""
        for hook, when in HOOKS.items():
            if function is getattr(self.main, hook, None):
                text = f"{hook}() is run by itself {when} the tasks; take it out of them"
                self._draft.add(path, text, key=True)

    def alarm(self, name: str, alarm: Alarm) -> PlannedAlarm:
        """Return an alarm with the functions that it runs."""
        calls = []
        for index, action in enumerate(alarm.do):
            if not isinstance(action, Run):
                continue
            path: tuple[Part, ...] = ("alarms", name, "do", index)
            function = self._function(action.run, action.run, path, "coroutine", "run")
            if function is None:
                continue
            call = Call(function, {}, (), action.run)
            for message, _ in call.complaints():
                self._draft.add((*path, "run"), message)
            calls.append(call)
        return PlannedAlarm(name, alarm, tuple(calls))

    def devices(self, *, simulated: bool) -> tuple[DeviceSpec, ...]:
        """Return the devices, and check what sweeps set of them."""
        finder = DeviceFinder(
            self._draft,
            lambda use, path: self._function(use, use, path, "device"),
            simulated=simulated,
        )
        specs = finder.specs()
        for name, task in self._draft.tasks().items():
            finder.check_set(name, task)
        return specs

    def find_unmentioned(self) -> None:
        """Warn of the variables of plots and alarms that neither the file nor its modules mention."""
        text = "\n".join(self._modules.sources())
        self._draft.warnings += map(self._draft.problem, unmentioned(self._draft.data, text))

    def hook(self, name: str) -> Callable[..., Any] | None:
        """Return ``setup`` or ``teardown`` of the module, if it has it."""
        found: object = getattr(self.main, name, None)
        if not callable(found):
            return None
        function: Callable[..., Any] = found
        if (complaint := hook_complaint(name, function)) is not None:
            self._problem(self._shown(self._main_name or ""), complaint)
        return function

    def _function(
        self, use: str | None, name: str, path: tuple[Part, ...], what: str, key: str = "use"
    ) -> Callable[..., Any] | None:
        place = (*path, key) if use else path
        module_name, _, function_name = (use or name).rpartition(":")
        main = not module_name or module_name in (self._main_name, _stem(self._main_name))
        module = self.main if main else self._module(module_name, place)
        if module is None:
            return None
        try:
            if what == "device":
                return find_factory(module, function_name)
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
