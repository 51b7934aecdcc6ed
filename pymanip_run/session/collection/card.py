"""What a table of sessions knows of each: all but the series and the records."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, NamedTuple

from pymanip_run.errors import DamagedFileError, PymanipError
from pymanip_run.records import Parameter
from pymanip_run.storage.files import SYSTEM_FILES, Files

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pymanip_run.core.view import SessionView
    from pymanip_run.records import Statistics, VariableInfo
    from pymanip_run.storage.contract import ReadableStore

__all__ = ["FACTS", "Result", "SessionCard", "are_facts", "read_facts"]

logger = logging.getLogger(__name__)

#: A longer metadata item is not part of a table.
MOST_CHARACTERS = 1000
#: What each session has besides parameters, metadata and results.
FACTS = (
    "name", "title", "created", "start", "stop", "duration", "runs", "exit_code", "exit_reason", "host", "user",
)  # fmt: skip

_NUMBERS, _TEXTS = {int, float, bool, NoneType}, {str, NoneType}
#: What `read_facts` returns.
KINDS: dict[str, Any] = {
    **dict.fromkeys(("uuid", "title"), str),
    **dict.fromkeys(("parameters", "metadata", "results", "datasets"), dict),
    **dict.fromkeys(("created", "runs"), (int, float)),
    **dict.fromkeys(("start", "stop", "exit_code"), (int, float, NoneType)),
    **dict.fromkeys(("exit_reason", "host", "user"), (str, NoneType)),
}


class Result(NamedTuple):
    """What is known of a logged variable: its unit, and exact statistics."""

    unit: str | None
    n: int
    first_time: float
    first: float
    last_time: float
    last: float
    min: float
    max: float
    mean: float


@dataclass(frozen=True)
class SessionCard:
    """One row of a table of sessions.

    Parameters
    ----------
    file
        The session file.
    facts
        As from `read_facts`.
    """

    file: str
    facts: Mapping[str, Any]

    @cached_property
    def path(self) -> Path:
        """The session file."""
        return Path(self.file)

    @property
    def name(self) -> str:
        """Name of the session: its file's name without suffix."""
        return self.path.stem

    @property
    def problem(self) -> str | None:
        """Why the file cannot be read; None when it can."""
        return self.facts.get("problem")

    @cached_property
    def parameters(self) -> dict[str, Parameter]:
        """The parameters, with unit and time of the last change."""
        return {name: Parameter(*one) for name, one in self.facts.get("parameters", {}).items()}

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The metadata, without long ones."""
        found: Mapping[str, Any] = self.facts.get("metadata", {})
        return found

    @cached_property
    def results(self) -> dict[str, Result]:
        """The logged variables that have values."""
        return {name: Result(*one) for name, one in self.facts.get("results", {}).items()}

    @property
    def datasets(self) -> Mapping[str, int]:
        """The number of records of each dataset."""
        found: Mapping[str, int] = self.facts.get("datasets", {})
        return found

    @property
    def duration(self) -> float | None:
        """Seconds from the start of the first run to the end of the last; None where one is missing."""
        start, stop = self.facts.get("start"), self.facts.get("stop")
        return None if start is None or stop is None else stop - start

    def has(self, name: str) -> bool:
        """Tell whether :meth:`get` finds something."""
        parts = ("parameters", "metadata", "results")
        return any(name in self.facts.get(part, ()) for part in parts) or name in FACTS

    def get(self, name: str) -> Any:
        """Return a parameter, metadata item, last value of a variable, or one of `FACTS`: the first that there is.

        None where there is none.
        """
        for part, place in (("parameters", 0), ("metadata", None), ("results", 5)):
            found = self.facts.get(part, {})
            if name in found:
                return found[name] if place is None else found[name][place]
        return getattr(self, name) if name in ("name", "duration") else self.facts.get(name)

    def names(self) -> Iterator[str]:
        """Iterate over the names that :meth:`get` knows."""
        for part in ("parameters", "metadata", "results"):
            yield from self.facts.get(part, ())
        yield from FACTS


def read_facts(path: Path, files: Files = SYSTEM_FILES) -> tuple[dict[str, Any], bool]:
    """Return what a table shows of a session file, as JSON can hold it, and whether that will stay so.

    A file that cannot be read has the reason under ``"problem"``. One that is damaged stays damaged; what the system
    refuses may work the next time.
    """
    # With a warm cache nothing is opened, and HDF5 need not be there.
    from pymanip_run.core.chunked import one_moment  # noqa: PLC0415
    from pymanip_run.core.view import SessionView  # noqa: PLC0415
    from pymanip_run.storage.reading import open_store  # noqa: PLC0415

    try:
        store = open_store(path, files)
        try:
            with one_moment(store):
                return _facts(SessionView(store, path.stem), store), True
        finally:
            store.close()
    except (OSError, PymanipError) as error:
        lasts = isinstance(error, DamagedFileError)
        return {"problem": _without_path(str(error), path)}, lasts
    except Exception as error:
        logger.debug("%s cannot be read", path, exc_info=True)
        return {"problem": f"it cannot be read: {type(error).__name__}: {error}"}, False


def are_facts(found: Any) -> bool:
    """Tell whether this is what `read_facts` returns: who sends a folder may have made its cache, too."""
    if not isinstance(found, dict):
        return False
    if found.keys() == {"problem"}:
        return isinstance(found["problem"], str)
    if found.keys() != KINDS.keys():
        return False
    parameters, results = found["parameters"], found["results"]
    return (
        all(isinstance(found[key], kinds) for key, kinds in KINDS.items())
        and all(
            isinstance(one, list) and len(one) == len(Parameter._fields)
            for one in parameters.values()
        )
        and all(
            isinstance(one, list) and len(one) == len(Result._fields) for one in results.values()
        )
        and {type(number) for one in results.values() for number in one[1:]} <= _NUMBERS
        and {type(one[0]) for one in parameters.values()} <= _NUMBERS | _TEXTS
        and {type(one[1]) for one in parameters.values()} <= _NUMBERS
        and {type(one[0]) for one in results.values()} <= _TEXTS
        and {type(one[2]) for one in parameters.values()} <= _TEXTS
    )


def _facts(view: SessionView, store: ReadableStore) -> dict[str, Any]:
    info, runs = view.info(), store.runs()
    facts: dict[str, Any] = {
        "uuid": info.uuid,
        "title": info.title,
        "created": info.created,
        "runs": len(runs),
        "parameters": {name: list(one) for name, one in view.parameter_table().items()},
        "metadata": {k: v for k, v in view.metadatas().items() if len(str(v)) <= MOST_CHARACTERS},
        "results": {n: _result(v) for n, v in view.variables().items() if v.statistics.n},
        "datasets": {name: one.n for name, one in view.datasets_info().items()},
    }
    start = runs[0].start if runs else info.created  # a script may record without a run
    facts["start"] = start if math.isfinite(start) else None
    for key in ("stop", "exit_code", "exit_reason", "host", "user"):
        facts[key] = getattr(runs[-1], key) if runs else None
    return facts


def _result(info: VariableInfo) -> list[Any]:
    s: Statistics = info.statistics
    return [
        info.description.unit, s.n, s.first_time, s.first_value, s.last_time, s.last_value, s.min, s.max, s.mean,
    ]  # fmt: skip


def _without_path(text: str, path: Path) -> str:
    """Return a message without the file's name before it, which the table has already."""
    rest = text.removeprefix(str(path)).lstrip(": ").removeprefix("is ")
    return rest or text
