"""The bytes of a configuration file as text, or in plain words why there are none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pymanip_run.errors import ConfigError, did_you_mean
from pymanip_run.experiment.text.problems import Source

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MAX_BYTES", "read_text"]

MAX_BYTES = 2**20
SUFFIXES = (".yaml", ".yml")
SHOWN = 5


def read_text(path: Path, what: str = "experiment file") -> str:
    """Return the text of a file.

    Parameters
    ----------
    path
        The file.
    what
        What it ought to be.

    Raises
    ------
    ConfigError
        If there is none, it is too large, or no UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file{_near_file(path)}") from None
    except IsADirectoryError:
        hint = _inside(path) or f"; {_article(what)} is needed"
        raise ConfigError(f"{path}: this is a folder{hint}") from None
    except ValueError:  # NUL in its name
        raise ConfigError(f"{str(path)!r} is no name of a file") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{path}: larger than 1 MiB; this is no {what}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode(errors="replace")
        source = Source(str(path), before)
        byte = error.object[error.start]
        message = f"byte 0x{byte:02X} is not UTF-8; save the file as UTF-8 text"
        mark = source.mark(len(before))
        raise ConfigError(f"{mark}: {message}") from None
    if (zero := text.find("\0")) >= 0:
        mark = Source(str(path), text).mark(zero)
        raise ConfigError(f"{mark}: byte 0x00 is no text; save the file as UTF-8 text")
    return text


def _article(what: str) -> str:
    return f"an {what}" if what.startswith("e") else f"a {what}"


def _near_file(path: Path) -> str:
    names = _experiments(path.parent)
    if names is None:
        return f", nor a folder {path.parent}"
    if near := did_you_mean(path.name, names):
        return near
    if names:
        return f"; in {path.parent.absolute()} there are {_listed(names)}"
    return "; to begin with one:  pymanip-run new my_experiment"


def _inside(folder: Path) -> str:
    names = _experiments(folder) or []
    if len(names) == 1:
        return f"; did you mean {str(folder / names[0])!r}?"
    return f" with {_listed(names)}; say which" if names else ""


def _experiments(folder: Path) -> list[str] | None:
    """Return the experiment files of a folder, None where it cannot be read."""
    try:
        return sorted(other.name for other in folder.iterdir() if other.suffix in SUFFIXES)
    except OSError:
        return None


def _listed(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", …" if len(names) > SHOWN else "")
