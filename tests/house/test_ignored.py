"""What git and the builder of the package ignore is no part of it."""

import subprocess
import sys

import pytest
from source import PROJECT


@pytest.mark.skipif(not (PROJECT / ".git").exists(), reason="no repository of git")
def test_no_code_of_the_project_is_ignored():
    # Hatchling leaves out of the package what git ignores: a folder called build, for example.
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "pymanip_run", "tests"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert [name for name in listed if not name.endswith((".pyc", ".pyo"))] == []


def test_ruff_reads_every_module_of_the_package():
    shown = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--show-files", "pymanip_run"],
        cwd=PROJECT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert set(shown) >= {str(path) for path in (PROJECT / "pymanip_run").rglob("*.py")}
