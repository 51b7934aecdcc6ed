"""``--show-config`` and the warnings of a run: what would be used, and what will not be done."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import pymanip_run
from pymanip_run.experiment.load.loading import load_experiment

PACKAGE = str(Path(pymanip_run.__file__).parent.parent)
TASKS = "async def read(sesn):\n    sesn.add_entry(T=1.0)\n    await sesn.sleep(0.05)\n"


@pytest.fixture
def run(tmp_path):
    (tmp_path / "tasks.py").write_text(TASKS)

    def run(text, *words, **variables):
        (tmp_path / "e.yaml").write_text(text)
        return subprocess.run(
            [sys.executable, "-m", "pymanip_run", "e.yaml", *words], cwd=tmp_path, capture_output=True, text=True,
            timeout=60, check=False, env=os.environ | {"PYTHONPATH": PACKAGE} | variables,
        )  # fmt: skip

    return run


SMALLEST = "module: tasks.py\ntasks: [read]\n"


def test_options_come_last_and_are_named(run, tmp_path):
    options = [
        "--for",
        "3s",
        "--session",
        "a{b}.h5",
        "--new",
        "--port",
        "7001",
        "--no-server",
        "--show-config",
    ]
    done = run(SMALLEST, "--set", "limits.duration=1h", *options, PYMANIP_RUN_SERVER__PORT="7000")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line.split("  # ") for line in done.stdout.splitlines()[1:] if "  # " in line]
    origins = {key.strip(): origin for key, origin in lines}
    assert origins["duration: 3s"] == "--for"
    assert origins["port: 7001"] == "--port"
    assert origins["enabled: false"] == "--no-server"
    assert origins["exists: new"] == "--new"
    assert origins["module: tasks.py"] == "e.yaml:1:9"
    shown = yaml.safe_load(done.stdout)
    assert shown["session"]["file"] == f"{tmp_path}/a{{{{b}}}}.h5"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.yaml", "tasks.py"]


def test_a_file_that_is_not_valid_is_told_and_not_shown(run):
    done = run("module: tasks.py\n", "--show-config", "--for", "soon")
    assert (done.returncode, done.stdout) == (2, "")
    assert "'tasks' is missing" in done.stderr
    assert "--for: limits.duration: 'soon' is not a duration" in done.stderr


def test_what_a_run_does_not_do_is_said_once_each_at_its_start(run, tmp_path):
    text = (
        f"{SMALLEST}plots: [[T]]\nalarms: {{hot: {{when: T > 60}}}}\nserver: {{enabled: false}}\n"
    )
    done = run(text, "--for", "200ms")
    assert done.returncode == 0, done.stderr
    expected = [f"warning: {line}" for line in load_experiment(tmp_path / "e.yaml").inactive]
    said = done.stderr.replace("warning: e.yaml", f"warning: {tmp_path}/e.yaml").splitlines()
    assert [line for line in said if line.startswith("warning: ")] == expected


def test_what_an_environment_variable_changed_is_kept_with_the_run(run, tmp_path):
    run(
        SMALLEST, "--for", "200ms", PYMANIP_RUN_PARAMETERS__GAIN="7", PYMANIP_RUN_EMAIL__PASSWORD=""
    )
    done = subprocess.run(
        [sys.executable, "-m", "pymanip_run", "inspect", "e.h5", "--config"], cwd=tmp_path, capture_output=True,
        text=True, check=True, env=os.environ | {"PYTHONPATH": PACKAGE},
    )  # fmt: skip
    assert "PYMANIP_RUN_PARAMETERS__GAIN=7" in done.stdout
