"""The source code of the project, for the tests that read it."""

import ast
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).parents[2]
PACKAGE = PROJECT / "pymanip_run"


def modules() -> list[Path]:
    """All modules of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def parsed() -> Iterator[tuple[str, ast.Module]]:
    """The name (relative to the project) and syntax tree of each module of the package."""
    for path in modules():
        yield str(path.relative_to(PROJECT)), ast.parse(path.read_text("utf-8"), filename=str(path))


def texts() -> list[Path]:
    """All files that people wrote: code, configuration and documentation."""
    suffixes = {".py", ".md", ".toml", ".yaml", ".yml", ".js", ".css", ".html"}
    found = [PROJECT / ".ci" / "run", *(p for p in PROJECT.iterdir() if p.suffix in suffixes)]
    for folder in ("pymanip_run", "tests", "docs", "sample_experiments"):
        found += [
            p
            for p in (PROJECT / folder).rglob("*")
            if p.suffix in suffixes and "_build" not in p.parts
        ]
    return sorted(found)
