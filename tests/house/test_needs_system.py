"""A test of the system is skipped where its program is missing, but never under CI=true."""

import os
import shutil
import subprocess
import sys

import pytest
from source import PROJECT

MISSING = """
import pytest

@pytest.mark.needs_system("a-program-that-nobody-has")
def test_with_a_program():
    pass

def test_that_skips_by_itself():
    pytest.skip("this one may")
"""


@pytest.mark.parametrize(("ci", "outcome"), [("", "2 skipped"), ("true", "1 skipped, 1 error")])
def test_a_missing_program_fails_only_under_ci(tmp_path, ci, outcome):
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    (tmp_path / "tests").mkdir()
    shutil.copy(PROJECT / "tests" / "conftest.py", tmp_path / "tests")
    (tmp_path / "tests" / "test_it.py").write_text(MISSING)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env=os.environ | {"CI": ci},
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome in done.stdout.splitlines()[-1], done.stdout + done.stderr
