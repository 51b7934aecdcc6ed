"""The README's first command, typed as it stands on a machine that has only Python."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from documents import PROJECT, blocks

IGNORED = shutil.ignore_patterns(".*", "__pycache__", "*.h5*", "*.log", "*.egg-info", "_build")
BUILT = {"build", "dist"}  # at the top only: the package has a room of that name


def ignored(folder, names):
    return IGNORED(folder, names) | (BUILT if Path(folder) == PROJECT else set())


@pytest.fixture
def clone(tmp_path):
    """A copy of the project without anything that git does not keep."""
    return shutil.copytree(PROJECT, tmp_path / "clone", ignore=ignored)


@pytest.mark.timeout(600)
def test_the_first_command_of_the_readme_installs_and_measures(clone):
    commands = [c for b in blocks(PROJECT / "README.md") for c in b.commands()]
    command = commands[0].replace("--for 30s", "--for 3s")
    env = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=clone,
        env=env | {"XDG_STATE_HOME": str(clone / "state")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if "No matching distribution" in done.stderr and not os.environ.get("CI"):
        pytest.skip("no package index can be reached")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "cpu_load" in done.stdout
    sample = clone / "sample_experiments" / "this_computer"
    assert [p.name for p in sample.glob("*.h5*")] == ["session.h5"]


def test_the_second_command_of_the_readme_is_what_ci_runs():
    readme = [c for b in blocks(PROJECT / "README.md") for c in b.commands() if "pytest" in c]
    assert len(readme) == 1
    assert re.search(r"\.venv/bin/pytest( -n \d --dist loadfile)?$", readme[0])
    assert "README.md" in (PROJECT / ".ci" / "run").read_text()
