"""``pymanip-run check`` as a user types it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pymanip_run

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(pymanip_run.__file__).parent.parent)}
COMPLETE = Path(__file__).parents[1] / "experiment" / "complete"
TASKS = "async def read(sesn):\n    pass\nasync def scan(sesn, value):\n    pass\n"


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "pymanip_run", *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=60, check=False, env=ENVIRONMENT,
    )  # fmt: skip


@pytest.fixture
def check(tmp_path):
    (tmp_path / "tasks.py").write_text(TASKS)

    def call(text, *options):
        (tmp_path / "experiment.yaml").write_text(f"module: tasks.py\n{text}\n")
        done = run("check", "experiment.yaml", *options, cwd=tmp_path)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["experiment.yaml", "tasks.py"]
        return done

    return call


def test_a_valid_file_is_said_to_be_with_what_is_in_it(check):
    done = check(
        "parameters: {U: 0}\nvariables: {T: {period: 10s}}\nlimits: {duration: 14d}\n"
        "tasks: {read: {every: 10s}, scan: {sweep: {parameter: U, start: 0, stop: 5, num: 11, settle: 30s}}}"
    )
    assert (done.returncode, done.stderr) == (0, "")
    head, sweep, file, server = done.stdout.splitlines()
    assert head == "experiment.yaml is valid: 2 tasks"
    assert (
        sweep
        == "  scan           11 points, at least 5 min 30 s (settle 30 s, how long a step takes is not known)"
    )
    assert re.fullmatch(
        r"  file           about 139 kB a day, 1\.9 MB in 14 d for the variable with a period "
        r"\(more is not known before a first run\); [\d.]+ .B free",
        file,
    )
    assert re.match(r"  server         http://localhost:6913, this computer only, ", server)


def test_the_complete_example_is_valid(tmp_path):
    shutil.copytree(COMPLETE, tmp_path / "lab")
    environment = ENVIRONMENT | {"LAB_SMTP_PASSWORD": "hunter2"}
    done = subprocess.run(
        [sys.executable, "-m", "pymanip_run", "check", "experiment.yaml"],
        cwd=tmp_path / "lab", capture_output=True, text=True, timeout=60, check=False, env=environment,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    head = done.stdout.splitlines()[0]
    assert head.startswith(
        "experiment.yaml is valid: 2 devices (both can be simulated), 5 tasks, 3 alarms ("
    )
    assert "  voltage_scan   11 points, at least 5 min 30 s" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr
    assert not (tmp_path / "lab" / "data").exists()


@pytest.mark.parametrize(
    ("devices", "said"),
    [
        ("a: {use: 'tasks:A', simulate: 'tasks:A'}", "1 device (it can be simulated)"),
        ("a: {use: 'tasks:A'}", "1 device (without simulation)"),
        (
            "a: {use: 'tasks:A'}, b: {use: 'tasks:A', simulate: 'tasks:A'}",
            "2 devices (no simulation of a)",
        ),
        ("a: {use: 'tasks:A'}, b: {use: 'tasks:A'}", "2 devices (without simulation)"),
    ],
)
def test_what_can_be_simulated_is_told(check, tmp_path, devices, said):
    (tmp_path / "tasks.py").write_text(f"{TASKS}class A:\n    pass\n")
    done = check(f"devices: {{{devices}}}\ntasks: [read]")
    assert done.stdout.splitlines()[0] == f"experiment.yaml is valid: {said}, 1 task"


def test_the_options_of_a_run_are_checked_with_it(check):
    done = check(
        "tasks: [read]\nvariables: {T: {period: 1s}}",
        "--for",
        "1h",
        "--set",
        "variables.T.period=100ms",
    )
    assert "580 kB in 1 h" in done.stdout
    wrong = check("tasks: [read]", "--set", "limits.duration=soon")
    assert wrong.returncode == 2
    assert "--set limits.duration=soon: limits.duration: 'soon' is not a duration" in wrong.stderr
    assert check("tasks: [read]", "--for", "soon").returncode == 2


def test_warnings_follow(check):
    done = check("tasks: [read]\nvariables: {T: {period: 1s}}", "--set", "parameters.voltge=4")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1].startswith("warning: --set parameters.voltge=4: ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("taks: [read]", "did you mean 'tasks'?"),
        ("tasks: [raed]", "defines no coroutine 'raed'; did you mean 'read'?"),
    ],
)
def test_an_invalid_file_is_exit_2_with_the_place(check, text, said):
    done = check(text)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    as_json = check(text, "--json")
    assert as_json.returncode == 2
    answer = json.loads(as_json.stdout)
    assert answer["valid"] is False
    assert said in "\n".join(answer["problems"])


def test_json_has_all_of_it(check):
    done = check(
        "tasks: {scan: {sweep: {values: [1, 2], settle: 5s}}}\nvariables: {T: {period: 1s}}",
        "--json",
        "--for",
        "1min",
    )
    told = json.loads(done.stdout)
    assert told["valid"] is True
    assert told["sweeps"] == {"scan": {"points": 2, "seconds": 10.0, "settle": 5.0, "step": None}}
    assert told["duration"] == 60.0
    assert told["bytes"] == pytest.approx(60 * 16.1)
    assert told["session"].endswith("/experiment.h5")
    assert (told["exists"], told["from_last_run"]) == (False, False)


def test_what_is_no_experiment_is_refused_with_what_would_work(tmp_path):
    (tmp_path / "tasks.py").touch()
    (tmp_path / "data.h5").touch()
    for name, said in {
        "tasks.py": "is a Python file",
        "data.h5": "pymanip-inspect data.h5",
        "no.yaml": "no such file",
    }.items():
        done = run("check", name, cwd=tmp_path)
        assert done.returncode == 2
        assert said in done.stderr
