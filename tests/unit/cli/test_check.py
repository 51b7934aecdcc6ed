"""``pymanip-run check`` as a user types it."""

import fcntl
import json
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
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


def test_a_check_does_not_wait_for_what_runs_an_experiment(tmp_path):
    shutil.copytree(COMPLETE, tmp_path / "lab")
    heavy = ("numpy", "h5py", "aiohttp", "rich", "pymanip_run.session.live", "pymanip_run.web")
    code = (
        "import sys\nfrom pymanip_run.cli import main\ntry: main()\nexcept SystemExit: pass\n"
        f"print('heavy', [m for m in {heavy} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "check", "experiment.yaml"],
        cwd=tmp_path / "lab", capture_output=True, text=True, timeout=60, check=True,
        env=ENVIRONMENT | {"LAB_SMTP_PASSWORD": "hunter2"},
    )  # fmt: skip
    assert "1 test passed" in done.stdout
    assert done.stderr == "heavy []\n"


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


def test_a_slip_in_an_override_of_a_name_is_told(check):
    text = "tasks: [read]\nvariables: {T_top: {period: 1s}}\n"
    done = check(text, "--set", "variables.T_tpo.unit=K", "--set", "variables.P.unit=W")
    warnings = [line for line in done.stdout.splitlines() if line.startswith("warning")]
    assert warnings == [
        "warning: --set variables.T_tpo.unit=K: variables.T_tpo: a new variable; "
        "the file does not declare 'T_tpo'; did you mean 'T_top'?"
    ]
    devices = f"{text}devices: {{supply: {{use: tasks:read}}}}\n"
    done = check(devices, "--set", "devices.suply.args=[GPIB0::8]")
    assert "devices.suply: 'use' is missing; did you mean 'supply'?" in done.stderr


#: Root may write everywhere.
AS_A_USER = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"] * (os.geteuid() == 0)


@pytest.mark.needs_system("setpriv")
@pytest.mark.parametrize("closed", ["folder", "session"])
def test_what_cannot_be_written_is_told_before_the_run_is_refused(tmp_path, closed):
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "experiment.yaml").write_text("module: tasks.py\ntasks: [read]\nsession: data/a\n")
    (tmp_path / "data").mkdir()
    command = [sys.executable, "-m", "pymanip_run", "experiment.yaml", "--no-server"]
    if closed == "session":
        run("experiment.yaml", "--for", "100ms", "--no-server", cwd=tmp_path)
        (tmp_path / "data" / "a.h5").chmod(0o444)
    else:
        (tmp_path / "data").chmod(0o555)
    found, refused = (
        subprocess.run(
            [*AS_A_USER, *command[:3], *arguments],
            cwd=tmp_path,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        for arguments in (["check", "experiment.yaml"], [*command[3:], "--for", "100ms"])
    )
    (tmp_path / "data").chmod(0o755)
    assert found.returncode == 0
    where = {"folder": f"the folder {tmp_path}/data", "session": f"{tmp_path}/data/a.h5"}[closed]
    assert (
        f"warning: {where} is not writable: a run would be refused, with exit code 4"
        in found.stdout
    )
    assert refused.returncode == 4, refused.stderr


def test_a_session_that_cannot_be_continued_is_told(check, tmp_path):
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "experiment.yaml").write_text("module: tasks.py\ntasks: [read]\n")
    (tmp_path / "experiment.h5").write_text("no session")
    done = run("check", "experiment.yaml", cwd=tmp_path)
    assert done.returncode == 0
    assert re.search(
        r"warning: .*experiment\.h5 is no session.*: a run would be refused, with exit code 4",
        done.stdout,
    )


def on_a_terminal(columns, *arguments, cwd):
    """Return what a command prints on a terminal of this width, in lines."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = {name: text for name, text in ENVIRONMENT.items() if name != "COLUMNS"}
    with subprocess.Popen(
        [sys.executable, "-m", "pymanip_run", *arguments],
        cwd=cwd, env=environment, stdin=slave, stdout=slave, stderr=subprocess.PIPE,
    ):  # fmt: skip
        os.close(slave)
        seen = b""
        try:
            while part := os.read(master, 10_000):
                seen += part
        except OSError:  # as Linux says that the other end is closed
            pass
    os.close(master)
    return seen.decode().splitlines()


@pytest.mark.parametrize("columns", [60, 80])
def test_on_a_terminal_the_lines_are_broken_between_words_below_each_other(tmp_path, columns):
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "experiment.yaml").write_text(
        "module: tasks.py\ntasks: [read]\nvariables: {T: {period: 1s}}\nlimits: {duration: 14d}\n"
    )
    lines = on_a_terminal(columns, "check", "experiment.yaml", cwd=tmp_path)
    assert max(map(len, lines)) <= columns
    first = next(i for i, line in enumerate(lines) if line.startswith("  file"))
    assert lines[first].startswith("  file           about 1.4 MB a day, 19.5 MB in 14 d")
    assert lines[first + 1].startswith(" " * 17)
    assert lines[first + 1][17] != " "


def test_a_pace_that_is_shorter_than_the_wait_is_told_with_it(check):
    from pymanip_run.cli.check import _sweep
    from pymanip_run.experiment.rehearsal.forecast import SweepForecast

    assert (
        _sweep(SweepForecast(11_000, 30.0, 1.0, 330_000.0))
        == "11 000 points, about 3 d 19 h (settle 30 s, 1 s a point in the last run)"
    )
    assert (
        _sweep(SweepForecast(1, 1.0, 2.5, 2.5))
        == "1 point, about 2.5 s (2.5 s a point in the last run)"
    )


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
