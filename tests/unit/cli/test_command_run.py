"""``pymanip-run run``: what it shows, what it leaves, and what it exits with."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pymanip_run
from pymanip_run.session import AsyncSession

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(pymanip_run.__file__).parent.parent)}
TASKS = """
import asyncio
count = 0
async def read(sesn):
    sesn.add_entry(T=41.5)
    await sesn.sleep(0.05)
async def bad(sesn):
    await sesn.sleep(0.2)
    raise ValueError("the [red]sensor\\x1b[31m broke")
async def talk(sesn):
    print("a print of a task")
    await sesn.sleep(0.05)
async def three(sesn):
    global count
    count += 1
    sesn.add_entry(n=count)
    if count == 3:
        sesn.ask_exit("three is enough")
async def hang(sesn):
    sesn.add_entry(T=1)
    await asyncio.sleep(60)
"""


@pytest.fixture
def experiment(tmp_path):
    (tmp_path / "tasks.py").write_text(TASKS)

    def write(*tasks):
        path = tmp_path / "experiment.yaml"
        path.write_text(f"module: tasks.py\ntasks: [{', '.join(tasks)}]\nsession: data.h5\n")
        return path

    return write


def command(*arguments):
    return [sys.executable, "-m", "pymanip_run", *map(str, arguments)]


def run(*arguments, **options):
    options.setdefault("env", ENVIRONMENT)
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, timeout=60, check=False, **options
    )


def started(*arguments):
    return subprocess.Popen(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    )


def inspected(path):
    return json.loads(run("inspect", path, "--json").stdout)


def test_a_run_shows_lines_in_a_pipe_and_its_end_on_standard_error(experiment, tmp_path):
    done = run(experiment("read"), "--for", "1s", "--print-every", "300ms")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert 3 <= len(lines) <= 6
    assert all(re.fullmatch(r"\S+T\S+[+-]\d{4} T=41\.500", line) for line in lines), lines
    assert re.search(r"after 0:00:01 · \d+ entries of 1 variable", done.stderr)
    assert "look: pymanip-inspect" in done.stderr
    assert inspected(tmp_path / "data.h5")["variables"]["T"]["n"] > 5
    assert "run 0 started" in (tmp_path / "data.log").read_text()


def test_json_has_every_entry_and_ends_with_a_summary(experiment, tmp_path):
    done = run(experiment("three", "talk"), "--json")
    items = [json.loads(line) for line in done.stdout.splitlines()]
    assert [i["values"]["n"] for i in items if i["type"] == "entry"] == [1, 2, 3]
    assert items[-1]["type"] == "summary"
    assert items[-1]["exit_code"] == 0
    assert "three is enough" in items[-1]["exit_reason"]
    assert items[-1]["variables"] == inspected(tmp_path / "data.h5")["variables"]
    assert "a print of a task" in done.stderr


NOISY = """
print("noise of the module")
class Driver:
    def __init__(self):
        print("noise of the driver")
    def off(self):
        print("noise of the safe state")
def setup(sesn):
    print("noise of setup")
async def read(sesn):
    print("noise of the task")
    sesn.add_entry(T=1.0)
"""


@pytest.mark.parametrize(
    ("arguments", "noises"),
    [
        (("check", "a.yaml", "--json"), 1),
        (("a.yaml", "--dry-run", "--for", "1s", "--json"), 5),
        (("a.yaml", "--for", "1s", "--json", "--no-server"), 5),
        (("a.yaml", "--replay", "old.h5", "--json"), 1),
    ],
)
def test_json_is_json_whatever_the_users_code_prints(tmp_path, arguments, noises):
    (tmp_path / "tasks.py").write_text(NOISY)
    (tmp_path / "a.yaml").write_text(
        "module: tasks.py\ntasks: {read: {every: 1s}}\n"
        "devices: {d: {use: Driver, simulate: Driver, safe: off}}\n"
    )
    with AsyncSession(tmp_path / "old.h5", verbose=False) as sesn:
        sesn.add_entry(T=2)
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    try:
        assert json.loads(done.stdout)
    except ValueError:
        assert len([json.loads(line) for line in done.stdout.splitlines()]) > 2
    assert len(set(re.findall("noise of .*", done.stderr))) == noises


def test_force_color_sends_no_cursor_codes_into_a_pipe(experiment):
    environment = ENVIRONMENT | {"FORCE_COLOR": "1"}
    done = run(experiment("three"), env=environment)
    assert "\x1b" not in done.stdout + done.stderr


def test_a_failing_task_exits_1_with_the_users_traceback_only(experiment, tmp_path):
    done = run(experiment("read", "bad"))
    assert done.returncode == 1
    assert "ValueError: the [red]sensor\\x1b[31m broke" in done.stderr
    assert "tasks.py" in done.stderr
    assert "pymanip_run/" not in done.stderr
    summary = inspected(tmp_path / "data.h5")
    assert summary["runs"][0]["exit_code"] == 1
    assert summary["variables"]["T"]["n"] >= 1


def test_two_v_show_the_whole_traceback(experiment):
    done = run(experiment("bad"), "-vv")
    assert done.returncode == 1
    assert "pymanip_run" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--dry-run", "--replay", "old.h5"], "--dry-run and --replay do not go together"),
        (["--no-server", "--port", "7000"], "--no-server and --port do not go together"),
        (["--no-server", "--share"], "--no-server and --share do not go together"),
        (["--session", ""], "--session needs the name of a file"),
        (["--dry-run", "--seed", "-1"], "'--seed': Input should be greater than or equal to 0"),
    ],
)
def test_options_that_cannot_be_meant_so_are_refused(experiment, tmp_path, options, said):
    done = run(experiment("read"), *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data.h5").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_ends_calmly(experiment, tmp_path, number):
    process = started(experiment("read"), "--print-every", "10ms")
    process.stdout.readline()
    process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "stopped by" in errors
    assert inspected(tmp_path / "data.h5")["runs"][0]["exit_code"] == 0


def test_the_second_signal_cancels(experiment, tmp_path):
    process = started(experiment("hang"))
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert any("Ctrl-C" in line for line in iter(process.stderr.readline, ""))
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 143
    assert inspected(tmp_path / "data.h5")["variables"]["T"]["n"] == 1


def test_a_closed_pipe_does_not_end_the_run_not_even_a_task_that_prints(experiment, tmp_path):
    process = started(experiment("read", "talk"), "--for", "1s", "--print-every", "10ms")
    process.stdout.readline()
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    assert process.wait(30) == 0, errors
    assert "Traceback" not in errors
    assert inspected(tmp_path / "data.h5")["variables"]["T"]["n"] > 5


def test_quiet_says_nothing(experiment):
    done = run(experiment("three"), "-qq", "--display", "none")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_new_and_append(experiment, tmp_path):
    path = experiment("three")
    assert run(path).returncode == 0
    assert run(path, "--new").returncode == 0
    assert run(path, "--append").returncode == 0
    names = sorted(p.name for p in tmp_path.glob("*.h5"))
    assert len(names) == 2
    assert len(inspected(tmp_path / "data.h5")["runs"]) == 2


def test_another_session_can_be_named(experiment, tmp_path):
    assert run(experiment("three"), "--session", "elsewhere.h5", cwd=tmp_path).returncode == 0
    assert (tmp_path / "elsewhere.h5").exists()
    assert not (tmp_path / "data.h5").exists()


def test_an_invalid_experiment_is_exit_2_and_creates_nothing(tmp_path):
    (tmp_path / "experiment.yaml").write_text("module: tasks.py\ntaks: [read]\n")
    done = run(tmp_path / "experiment.yaml")
    assert done.returncode == 2
    assert "did you mean 'tasks'?" in done.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["experiment.yaml"]


def test_a_locked_session_is_exit_4(experiment, tmp_path):
    path = experiment("read")
    process = started(path)
    process.stdout.readline()
    done = run(path)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert done.returncode == 4
    assert str(process.pid) in done.stderr
    assert "Traceback" not in done.stderr


def test_what_a_task_asks_for_in_vain_is_exit_1_with_the_line_of_the_task(tmp_path):
    (tmp_path / "tasks.py").write_text(
        "async def read(sesn):\n    sesn.add_entry(T_top=1)\n    sesn['T_tpo']\n"
    )
    (tmp_path / "experiment.yaml").write_text("module: tasks.py\ntasks: [read]\n")
    done = run(tmp_path / "experiment.yaml")
    assert done.returncode == 1
    assert 'tasks.py", line 3, in read' in done.stderr
    assert "did you mean 'T_top'?" in done.stderr
    assert inspected(tmp_path / "experiment.h5")["runs"][0]["exit_code"] == 1


def test_a_task_that_meets_an_error_of_the_system_is_exit_1_without_frames_of_python(tmp_path):
    (tmp_path / "tasks.py").write_text(
        "def setup(sesn):\n    open('/nowhere/ttyUSB0')\n\nasync def read(sesn):\n    pass\n"
    )
    (tmp_path / "experiment.yaml").write_text("module: tasks.py\ntasks: [read]\n")
    done = run(tmp_path / "experiment.yaml", "--no-server")
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback (most recent call last):\n  File ")
    assert [line for line in done.stderr.splitlines() if "  File " in line] == [
        f'  File "{tmp_path}/tasks.py", line 2, in setup'
    ]


def test_a_warning_about_the_file_is_said(experiment):
    done = run(experiment("three"), "--set", "parameters.voltge=4")
    assert done.returncode == 0
    assert "warning: --set parameters.voltge=4: parameters.voltge: a new parameter" in done.stderr
    assert "warning:" not in run(experiment("three"), "--set", "parameters.voltge=4", "-q").stderr


def test_the_third_signal_says_that_the_data_are_safe(tmp_path):
    (tmp_path / "tasks.py").write_text(
        "import asyncio, time\n"
        "async def read(sesn):\n"
        "    sesn.add_entry(T=1)\n"
        "    try:\n        await asyncio.sleep(60)\n    finally:\n        print('cleaning'); time.sleep(60)\n"
    )
    (tmp_path / "experiment.yaml").write_text("module: tasks.py\ntasks: [read]\n")
    process = started(tmp_path / "experiment.yaml")
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert any("Ctrl-C" in line for line in iter(process.stderr.readline, ""))
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "cleaning\n"
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "what was stored is safe: pymanip-inspect" in errors


def test_a_hangup_leaves_the_run_and_what_it_writes_into_a_pipe(experiment, tmp_path):
    process = started(experiment("read"), "--for", "1s", "--json")
    process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert (
        "the terminal was closed (SIGHUP); the run goes on" in (tmp_path / "data.log").read_text()
    )
    assert json.loads(out.splitlines()[-1])["type"] == "summary"


STORM = """
import signal
from pymanip_run.livetable import Display, Options
display = Display(None, None, None, Options())
signal.signal(signal.SIGALRM, lambda *_: display.abandon())
signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
for _ in range(200_000):
    display.abandon()
signal.setitimer(signal.ITIMER_REAL, 0)
print("through")
"""


def test_a_hangup_may_interrupt_the_handling_of_another():
    """A terminal that is closed sends more than one."""
    done = subprocess.run(
        [sys.executable, "-c", STORM], capture_output=True, text=True, timeout=30, check=False, env=ENVIRONMENT
    )  # fmt: skip
    assert done.stdout == "through\n", done.stderr


def test_a_full_disk_under_standard_output_is_said_and_the_run_goes_on(experiment, tmp_path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command(experiment("three")),
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False, env=ENVIRONMENT,
        )  # fmt: skip
    assert done.returncode == 0
    assert "No space left on device" in done.stderr + (tmp_path / "data.log").read_text()


def test_a_python_file_is_no_experiment(tmp_path):
    (tmp_path / "tasks.py").write_text("")
    done = run(tmp_path / "tasks.py")
    assert done.returncode == 2
    assert "is a Python file" in done.stderr
