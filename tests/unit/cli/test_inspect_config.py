"""``inspect --config``: where the data of each run come from; all of it is in the file, for h5dump too."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

import pymanip_run

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(pymanip_run.__file__).parent.parent)}
GIT = [
    "git",
    "-c",
    "user.name=Ann",
    "-c",
    "user.email=ann@example.org",
    "-c",
    "commit.gpgsign=false",
]
TASKS = "from supply import current\nasync def read(sesn):\n    sesn.add_entry(I=current())\n    sesn.ask_exit('enough')\n"
FILE = """\
session: data.h5
module: tasks.py
parameters: {voltage: 3}
metadata: {api_key: hunter2}
tasks: [read]
"""


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "pymanip_run", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=60, check=False, env=ENVIRONMENT,
    )  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """Two runs in a repository: the first of committed code, the second of changed code."""
    folder = tmp_path_factory.mktemp("lab")
    (folder / "tasks.py").write_text(TASKS)
    (folder / "supply.py").write_text("password = 'hunter2'\ndef current():\n    return 1\n")
    (folder / "experiment.yaml").write_text(FILE)
    for command in (
        ["init", "-q"],
        ["add", "tasks.py", "experiment.yaml"],
        ["commit", "-q", "-m", "x"],
    ):
        subprocess.run([*GIT, "-C", folder, *command], check=True, capture_output=True)
    for number in range(2):
        done = run(
            "experiment.yaml", "--set", "parameters.voltage=4", "--display", "none", cwd=folder
        )
        assert done.returncode == 0, done.stderr
        if not number:
            with (folder / "tasks.py").open("a") as file:
                file.write("# changed\n")
    return folder


@pytest.mark.needs_system("git")
def test_the_header_names_the_code_and_what_was_changed(lab):
    shown = run("inspect", "data.h5", cwd=lab).stdout.splitlines()
    assert re.fullmatch(
        r"git [0-9a-f]{7} \(dirty: tasks\.py; not in git: supply\.py\) · --set parameters\.voltage=4",
        shown[2],
    )


@pytest.mark.needs_system("git")
def test_every_run_tells_all_of_its_origin(lab):
    done = run("inspect", "data.h5", "--config", cwd=lab)
    assert done.returncode == 0
    first, second = done.stdout.split("\n\nrun 1 · ")
    assert first.startswith("run 0 · ")
    assert "· enough · " in first.splitlines()[0]
    for text in (first, second):
        assert re.search(
            r"^command    .*experiment\.yaml --set parameters\.voltage=4 --display none$",
            text,
            re.M,
        )
        assert re.search(r"^overrides  parameters\.voltage=4$", text, re.M)
        assert re.search(r"^git        [0-9a-f]{40} ", text, re.M)
        assert re.search(r"^packages   python 3.*, h5py .*numpy", text, re.M)
        assert "parameters: {voltage: 3}" in text
        assert "async def read(sesn):" in text
        assert "# ----- supply.py -----" in text
        assert "def current():" in text
    assert "+# changed" in second
    assert "+# changed" not in first
    assert "hunter2" not in done.stdout


@pytest.mark.needs_system("git")
def test_json_has_it_as_data(lab):
    told = json.loads(run("inspect", "data.h5", "--config", "--json", cwd=lab).stdout)
    first, second = told["runs"]
    assert (first["index"], first["exit_code"], first["exit_reason"]) == (0, 0, "enough")
    assert first["overrides"] == ["parameters.voltage=4"]
    assert first["argv"][1:3] == ["experiment.yaml", "--set"]
    assert first["packages"]["h5py"] == h5py.__version__
    assert first["git_untracked"] == ["supply.py"]
    assert first["git_commit"] == second["git_commit"]
    assert "git_diff" not in first
    assert "+# changed" in second["git_diff"]
    assert first["config_sha256"] == second["config_sha256"]
    assert first["module"] == TASKS
    assert "hunter2" not in json.dumps(told)


@pytest.mark.needs_system("git", "h5dump")
def test_all_of_it_is_in_the_file_for_h5dump(lab):
    done = subprocess.run(
        ["h5dump", "-g", "/runs/000001", lab / "data.h5"],
        capture_output=True,
        text=True,
        check=True,
    )
    for name in (
        "start",
        "stop",
        "exit_code",
        "exit_reason",
        "host",
        "user",
        "pid",
        "boot_id",
        "config_sha256",
    ):
        assert f'ATTRIBUTE "{name}"' in done.stdout
    for name in (
        "experiment",
        "overrides",
        "module",
        "modules",
        "git_commit",
        "git_diff",
        "git_untracked",
        "packages",
        "argv",
    ):
        assert f'DATASET "{name}"' in done.stdout
    assert "+# changed" in done.stdout
    assert "hunter2" not in done.stdout


def test_packages_are_those_that_do_not_come_with_python(lab):
    told = json.loads(run("inspect", "data.h5", "--config", "--json", cwd=lab).stdout)
    names = set(told["runs"][0]["packages"]) - {"python"}
    assert names & {"json", "re", "logging", "ctypes"} == set()


def test_a_session_without_a_run_says_so(tmp_path):
    from pymanip_run.session import AsyncSession

    with AsyncSession(tmp_path / "a.h5", verbose=False) as sesn:
        sesn.add_entry(T=1)
    assert run("inspect", "a.h5", "--config", cwd=tmp_path).stdout == "no run is in this session\n"


def test_an_experiment_file_is_answered_with_its_command(lab):
    for command in ("inspect", "export", "recover"):
        done = run(command, "experiment.yaml", cwd=lab)
        assert done.returncode == 2
        assert done.stderr.splitlines()[1:] == [
            "  pymanip-run experiment.yaml",
            "  pymanip-run check experiment.yaml",
        ]


@pytest.mark.parametrize(
    ("name", "cure"),
    [("other.h5", "h5dump -H other.h5"), ("garbage.h5", "pymanip-run EXPERIMENT.yaml")],
)
def test_what_is_no_session_names_a_cure(tmp_path, name, cure):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    (tmp_path / "garbage.h5").write_text("hello")
    done = run("inspect", name, cwd=tmp_path)
    assert done.returncode == 4
    assert cure in done.stderr.splitlines()[-1]


THIRD = """
import os, signal
from pymanip_run.session import AsyncSession
async def read(sesn):
    sesn.add_entry(T=1)
    os.kill(os.getpid(), signal.SIGKILL)
sesn = AsyncSession("a", verbose=False)
sesn.run(read)
"""


def test_a_run_that_was_killed_is_shown_as_such(tmp_path):
    subprocess.run([sys.executable, "-c", THIRD], cwd=tmp_path, env=ENVIRONMENT, check=False)
    shown = run("inspect", "a.h5", cwd=tmp_path).stdout
    assert "the last run ended without a word (killed, a third Ctrl-C, or power lost)" in shown
    whole = run("inspect", "a.h5", "--config", cwd=tmp_path).stdout
    assert "ended without a word (killed, a third Ctrl-C, or power lost)" in whole.splitlines()[0]
