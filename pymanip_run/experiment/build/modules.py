"""Importing the user's modules: what goes wrong in them is shown as the user's own traceback."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import itertools
import os
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pymanip_run.errors import ConfigError, did_you_mean
from pymanip_run.masking import masked_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

__all__ = ["BrokenModuleError", "Modules", "experiment_path", "source_of", "users_traceback"]

_PACKAGE = f"{Path(__file__).parents[2]}{os.sep}"
#: Installed packages are below it as well; none of them calls the user's code before we do.
_STDLIB = f"{Path(os.__file__).parent}{os.sep}"


class BrokenModuleError(ConfigError):
    """A module cannot be imported; `detail` is the user's traceback, if it is the module's fault."""

    def __init__(self, message: str, detail: str = "") -> None:
        super().__init__(message)
        self.detail = detail


@contextmanager
def experiment_path(folder: Path) -> Iterator[None]:
    """Let modules be imported from the experiment's folder, after all others.

    Afterwards nothing is left of it: neither the folder in ``sys.path`` nor its modules, so that
    another experiment in this process gets its own ``tasks.py``.
    """
    text = str(folder)
    before = set(sys.modules)
    sys.path.append(text)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        if text in sys.path:
            # From the end: it may have been there before for another reason.
            del sys.path[len(sys.path) - 1 - sys.path[::-1].index(text)]
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file and folder in Path(file).parents:
                del sys.modules[name]


class Modules:
    """Imports the modules of an experiment, each once.

    Parameters
    ----------
    folder
        The experiment's folder; its path must be open, see :func:`experiment_path`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: dict[str, ModuleType | BrokenModuleError] = {}

    def get(self, name: str) -> ModuleType:
        """Return a module, given as ``tasks.py`` or as a dotted name.

        Raises
        ------
        BrokenModuleError
            If it cannot be imported.
        """
        if name not in self._loaded:
            # An experiment that cannot be run leaves nothing behind, no __pycache__ either.
            no_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
            try:
                self._loaded[name] = self._import(name)
            except BrokenModuleError as problem:
                self._loaded[name] = problem
            finally:
                sys.dont_write_bytecode = no_bytecode
        found = self._loaded[name]
        if isinstance(found, BrokenModuleError):
            raise found
        return found

    def sources(self) -> list[str]:
        """Return the code of all modules that were imported, and of their neighbours in the folder."""
        asked = [module for module in self._loaded.values() if not isinstance(module, Exception)]
        beside = [module for module in list(sys.modules.values()) if self._is_beside(module)]
        return [source_of(module) for module in dict.fromkeys([*asked, *beside])]

    def _is_beside(self, module: ModuleType) -> bool:
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or "site-packages" in file:
            return False
        return self._folder in Path(file).parents

    def _import(self, name: str) -> ModuleType:
        is_file = name.endswith(".py") or "/" in name
        if not is_file and not all(part.isidentifier() for part in name.split(".")):
            raise BrokenModuleError(
                f"{name!r} is neither a file such as tasks.py nor a dotted name"
            )
        try:
            return self._import_file(name) if is_file else importlib.import_module(name)
        except BrokenModuleError:
            raise
        except KeyboardInterrupt:
            raise
        except SystemExit:
            text = f"{name} ends the program (sys.exit) when it is imported"
            raise BrokenModuleError(f'{text}; put that under  if __name__ == "__main__":') from None
        except BaseException as error:  # noqa: BLE001 - whatever a module raises is its author's to see
            if isinstance(error, ModuleNotFoundError) and _is_itself(error.name, name):
                raise BrokenModuleError(f"there is no module {name!r}{self._near(name)}") from None
            detail = masked_source(users_traceback(error))
            raise BrokenModuleError(f"{name} cannot be imported", detail) from None

    def _import_file(self, name: str) -> ModuleType:
        path = self._path(name)
        if not path.is_file():
            where = "beside the experiment file" if path.parent == self._folder else "there"
            raise BrokenModuleError(f"there is no file {name!r} {where}{self._near(name)}")
        module_name = _free_name(path)
        known = sys.modules.get(module_name)
        if known is not None and _file_of(known) == path.resolve():
            return known
        spec = importlib.util.spec_from_file_location(module_name, path)
        if spec is None or spec.loader is None:
            raise BrokenModuleError(f"{name!r} is not a Python file; its name ends in .py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[module_name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[module_name]
            raise
        return module

    def _path(self, name: str) -> Path:
        try:
            return self._folder / Path(name).expanduser()
        except RuntimeError:  # ~somebody who has no home
            return self._folder / name

    def _near(self, name: str) -> str:
        folder = self._path(name).parent
        if not folder.is_dir():
            return ""
        if not name.endswith(".py"):
            return did_you_mean(name, [other.stem for other in folder.glob("*.py")])
        prefix = name.rpartition("/")[0]
        files = [other.name for other in folder.glob("*.py")]
        return did_you_mean(name, [f"{prefix}/{file}" if prefix else file for file in files])


def _is_itself(missing: str | None, name: str) -> bool:
    return missing is not None and (name == missing or name.startswith(f"{missing}."))


def _file_of(module: ModuleType) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if file else None


def _free_name(path: Path) -> str:
    """Return the name under which a file is imported: its own, if that takes nothing from others."""
    name = path.stem
    known = sys.modules.get(name)
    if known is not None:
        taken = _file_of(known) != path.resolve()
    else:
        taken = not name.isidentifier() or name in sys.stdlib_module_names or _installed(name, path)
    return f"_experiment_{name}" if taken else name


def _installed(name: str, path: Path) -> bool:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and (
        spec.origin is None or Path(spec.origin).resolve() != path.resolve()
    )


def source_of(module: ModuleType | None) -> str:
    """Return the code of a module, "" where there is none."""
    try:
        return inspect.getsource(module) if module is not None else ""
    except (OSError, TypeError):
        return ""


def users_traceback(error: BaseException) -> str:
    """Return the traceback of an error without the frames of this package and of the import system."""
    whole = traceback.TracebackException.from_exception(error)
    seen: set[int] = set()
    waiting: list[traceback.TracebackException | None] = [whole]
    while waiting:
        part = waiting.pop()
        if part is None or id(part) in seen:
            continue
        seen.add(id(part))
        part.stack = traceback.StackSummary.from_list(_users_frames(part.stack))
        waiting += [part.__cause__, part.__context__, *(part.exceptions or ())]
    lines = whole.format() if whole.stack or len(seen) > 1 else whole.format_exception_only()
    return "".join(lines).rstrip()


def _users_frames(stack: traceback.StackSummary) -> list[traceback.FrameSummary]:
    """Return the frames from the user's first one on: what called it is ours, asyncio's or contextlib's."""
    frames = [frame for frame in stack if not _is_ours(frame.filename)]
    return list(itertools.dropwhile(lambda frame: frame.filename.startswith(_STDLIB), frames))


def _is_ours(filename: str) -> bool:
    return filename.startswith((_PACKAGE, "<frozen"))
