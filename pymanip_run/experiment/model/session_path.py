"""Where the session file is: placeholders in its name, and what happens when it is there."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter
from typing import TYPE_CHECKING

from pymanip_run.clock import SYSTEM, iso_local
from pymanip_run.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["SessionPath", "check_template"]

PLACEHOLDERS = ("date", "time", "n", "experiment")
_SUFFIXES = (".h5", ".hdf5")
_MAX_NUMBER = 1_000_000


def check_template(template: str) -> str | None:
    """Return what is wrong with a file name that may have placeholders, None if nothing is."""
    try:
        parts = list(Formatter().parse(template))
    except ValueError:
        return f"{template!r} has a '{{' or '}}' too many; write '{{{{' for the character itself"
    for _, name, spec, conversion in parts:
        if name is None:
            continue
        if name not in PLACEHOLDERS:
            known = "; there are {date}, {time}, {n} and {experiment}"
            return (
                f"unknown placeholder {f'{{{name}}}'!r}{did_you_mean(name, PLACEHOLDERS) or known}"
            )
        if conversion or (spec and not (name == "n" and re.fullmatch(r"0?[1-9]", spec))):
            return f"{template!r}: only {{n}} takes a format, a width such as {{n:03}}"
    return _wrong_name(template)


def _wrong_name(template: str) -> str | None:
    if "\\" in template:
        return f"'{template}' has a backslash; folders are separated by '/'"
    if not _has_home(template):
        return f"{template!r}: there is no home folder {template.partition('/')[0]!r}"
    if not template.isprintable():
        return f"{template!r} has a character that cannot be seen"
    if template.endswith(".db"):
        return f"{template!r} is a database of pymanip; the name of a session ends in .h5"
    if template.endswith("/"):
        return f"{template!r} is a folder; the name of a file is needed"
    return None


def _has_home(name: str) -> bool:
    try:
        Path(name).expanduser()
    except RuntimeError:
        return False
    return True


class SessionPath:
    """The session file's name, which depends on the instant and on what is there.

    Parameters
    ----------
    template
        A name with placeholders; a relative one is below `folder`, ``~/`` is the user's home.
        None: `experiment`.h5.
    folder, experiment
        Folder and name without suffix of the experiment file.
    exists
        ``"append"``, ``"new"`` or ``"fail"``. ``{n}`` is the next free number; only where
        ``"append"`` was written out is it the last one that is there.
    now
        The instant, Unix seconds; the present one if left out.
    """

    def __init__(
        self,
        template: str | None,
        folder: Path,
        experiment: str,
        exists: str | None,
        now: float | None = None,
    ) -> None:
        given_none = template is None
        if template is None:
            template = experiment.replace("{", "{{").replace("}", "}}")
        self._typed_suffix = template.endswith(_SUFFIXES) or given_none
        self._template = template if template.endswith(_SUFFIXES) else f"{template}.h5"
        self._folder = folder
        self._experiment = experiment
        self.exists = exists or "append"
        names = [name for _, name, _, _ in Formatter().parse(template)]
        self._numbered = "n" in names
        self._last = exists == "append"
        when = iso_local(SYSTEM.time() if now is None else now)
        self._values: Mapping[str, str] = {
            "date": when[:10],
            "time": when[11:19].replace(":", "-"),
            "experiment": experiment,
        }

    @property
    def must_be_new(self) -> bool:
        """Whether an existing file must not be continued."""
        return self.exists != "append" or (self._numbered and not self._last)

    @property
    def retries(self) -> bool:
        """Whether another number is taken when the file appears meanwhile."""
        return self.exists == "new" or self._numbered

    def resolve(self) -> Path:
        """Return the file's path now.

        Raises
        ------
        UsageError
            If it is there and must not be, or if a folder is there.
        """
        self._refuse_folders()
        if self._numbered:
            return self._by_number()
        path = self._at(0)
        if self.exists == "append" or not path.exists():
            return path
        if self.exists == "fail":
            raise UsageError(
                f"{path} exists; choose another session.file, or session.exists: append or new"
            )
        return next(other for other in _numbered(path) if not other.exists())

    def _refuse_folders(self) -> None:
        """Refuse the name of a folder: a session is a file, and it would be guessing which one."""
        path = self._at(1)
        typed = path if self._typed_suffix else path.with_name(path.name.removesuffix(".h5"))
        if not typed.is_dir():
            return
        inside = typed / f"{self._experiment}.h5"
        beside = "" if self._typed_suffix else f", or {path} for one beside it"
        raise UsageError(f"{typed} is a folder; write {inside} for a file in it{beside}")

    def _by_number(self) -> Path:
        previous = path = self._at(1)
        for number in range(2, _MAX_NUMBER):
            if not path.exists():
                break
            previous, path = path, self._at(number)
        return previous if self._last else path

    def _at(self, number: int) -> Path:
        return self._folder / Path(self._template.format(n=number, **self._values)).expanduser()


def _numbered(path: Path) -> Iterator[Path]:
    for number in range(2, _MAX_NUMBER):
        yield path.with_name(f"{path.stem}_{number}{path.suffix}")
