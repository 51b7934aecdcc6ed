"""The tools that keep the house in order, each run as a developer would."""

import subprocess
import sys
from pathlib import Path

import pytest
from source import PROJECT

HERE = Path(sys.executable).parent


def assert_passes(*command, timeout=300):
    done = subprocess.run(
        command,
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"$ {' '.join(map(str, command))}\n{done.stdout}{done.stderr}", pytrace=False)


def test_ruff_finds_nothing():
    assert_passes(HERE / "ruff", "check", "--no-cache", ".")


def test_the_code_is_formatted():
    assert_passes(HERE / "ruff", "format", "--check", "--diff", "--no-cache", ".")


@pytest.mark.timeout(300)
def test_mypy_finds_nothing():
    assert_passes(HERE / "mypy", "--strict")


def test_imports_follow_the_layers():
    assert_passes(HERE / "lint-imports", "--no-cache")


def test_the_documentation_builds_without_a_warning(tmp_path):
    assert_passes(
        sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html",
        "-d", tmp_path / "doctrees", "docs", tmp_path / "html",
    )  # fmt: skip
