"""The code of an experiment besides its main module: what it imported from its own folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pymanip_run.masking import masked_source, starred

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["other_sources"]

#: All together; what is longer is data rather than code.
MAX_LENGTH = 1 << 20


def other_sources(folder: Path, main: str) -> dict[str, str]:
    """Return the text ``modules``: the sources of modules in `folder`, each after a line with its name.

    Parameters
    ----------
    folder
        The experiment's folder, absolute.
    main
        The source of the main module, which is kept by itself.
    """
    parts, length = [], 0
    for path in sorted(set(_files(folder))):
        try:
            source = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        length += len(source)
        if source != main and length <= MAX_LENGTH:
            name = path.relative_to(folder)
            parts.append(f"# ----- {name} -----\n{starred(masked_source(source))}")
    return {"modules": "\n".join(parts)} if parts else {}


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of the modules that were imported from a folder; not those of an environment in it."""
    for module in list(sys.modules.values()):
        file = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(file, str) and file.endswith(".py"):
            path = Path(file)
            if folder in path.parents and "site-packages" not in path.parts:
                yield path
