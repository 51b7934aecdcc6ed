"""Rules of the house that no tool knows, checked on the syntax tree or the text."""

import ast
import importlib
import re
import subprocess

import pytest
from source import PACKAGE, PROJECT, modules, parsed, texts

CLOCK = "pymanip_run/clock.py"
CLI = "pymanip_run/cli/"
MAX_LINES = 400
TOP_LEVEL = {
    ".ci", ".git", ".gitignore", "CHANGELOG.md", "LICENSE", "README.md",
    "docs", "pymanip_run", "pyproject.toml", "sample_experiments", "tests",
}  # fmt: skip
# Each with a one-letter class, so that this file does not mention them itself.
FORBIDDEN = [
    r"\bTOD[O]\b", r"\bFIXM[E]\b", r"\bXX[X]\b", r"\bHAC[K]\b", r"lorem ipsu[m]",
    "/wor[k]/", "/roo[t]/", r"/home/(?!user\b|lab\b|me[\b/])\w", r"\biss[u]e #?\d", r"\bhelpe[r] session",
]  # fmt: skip


def dotted(node: ast.expr) -> str:
    """``a.b.c`` for an attribute chain of names, else an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
        return f"{before}.{node.attr}"
    return ""


def reads_of_time(tree: ast.Module) -> list[str]:
    """Where a module imports the system's clocks, or asks datetime for the time."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [f"{node.lineno}: import {a.name}" for a in node.names if a.name == "time"]
        elif isinstance(node, ast.ImportFrom) and node.module == "time":
            found.append(f"{node.lineno}: from time import …")
        elif isinstance(node, ast.Call):
            *before, last = dotted(node.func).split(".")
            if last in {"now", "utcnow", "today"} and before and before[-1] in {"datetime", "date"}:
                found.append(f"{node.lineno}: {dotted(node.func)}()")
    return found


def calls_of(tree: ast.Module, name: str) -> list[int]:
    return [n.lineno for n in ast.walk(tree) if isinstance(n, ast.Call) and dotted(n.func) == name]


def test_no_clock_is_read_outside_clock_py():
    assert [f"{m}:{r}" for m, tree in parsed() if m != CLOCK for r in reads_of_time(tree)] == []


@pytest.mark.parametrize(
    "code",
    [
        "import time",
        "from time import sleep",
        "import datetime\ndatetime.datetime.now()",
        "date.today()",
    ],
)
def test_the_clock_rule_sees_a_read_of_the_clock(code):
    assert reads_of_time(ast.parse(code))


def test_nothing_is_printed_outside_the_command_line():
    assert [
        f"{m}:{n}" for m, tree in parsed() if not m.startswith(CLI) for n in calls_of(tree, "print")
    ] == []


def test_no_module_blocks_in_a_sleep():
    assert [
        f"{m}:{n}" for m, tree in parsed() if m != CLOCK for n in calls_of(tree, "time.sleep")
    ] == []


def test_a_module_can_be_read_in_one_sitting():
    lengths = {
        str(p.relative_to(PROJECT)): len(p.read_text("utf-8").splitlines()) for p in modules()
    }
    assert {m: n for m, n in lengths.items() if n > MAX_LINES} == {}


def test_the_project_has_only_the_agreed_top_level_entries():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git working tree")
    assert {line.split("/")[0] for line in listed.stdout.splitlines()} - TOP_LEVEL == set()


def test_every_public_name_is_there_once():
    # Their order is checked by ruff (RUF022).
    for path in modules():
        name = ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
        if "__all__" not in path.read_text("utf-8") or name.endswith("__main__"):
            continue
        module = importlib.import_module(name)
        names = list(module.__all__)
        assert len(set(names)) == len(names), name
        assert [n for n in names if not hasattr(module, n)] == [], name


def test_decisions_are_short():
    lengths = {
        p.name: len(p.read_text("utf-8").splitlines())
        for p in PROJECT.glob("docs/explanations/decisions/*.md")
    }
    assert {name: n for name, n in lengths.items() if n > 40} == {}


def test_no_text_holds_a_loose_end_or_a_path_of_somebodys_computer():
    pattern = re.compile("|".join(FORBIDDEN))
    found = []
    for path in texts():
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if match := pattern.search(line):
                found.append(f"{path.relative_to(PROJECT)}:{number}: {match[0]}")
    assert found == []


def test_the_package_says_that_it_is_typed():
    assert (PACKAGE / "py.typed").exists()
