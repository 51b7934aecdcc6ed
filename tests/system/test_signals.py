"""Ctrl-C, SIGTERM and SIGHUP to ``pymanip-run experiment.yaml``, wherever its tasks are at the moment."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from pymanip_run import AsyncSession, SavedAsyncSession
from pymanip_run.registry import registered_runs

PROJECT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "pymanip_run", "a.yaml"]
NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
BOTH = pytest.mark.parametrize("signum", NAMES, ids=NAMES.values())

# What a task does when the signal comes; the first heeds the stop, the others do not.
HEEDS = "await sesn.sleep(1000)"
PLACES = {
    "asyncio.sleep": "await asyncio.sleep(1000)",
    "time.sleep": "time.sleep(1000)",
    "a busy loop": "compute()",
    "a thread of asyncio": "await asyncio.to_thread(time.sleep, 1000)",
}
MODULE = """
import asyncio, contextlib, os, time

def say(word):
    with contextlib.suppress(OSError):  # a terminal that has gone
        os.write(1, f"{{word}}\\n".encode())

def compute():
    while True:
        pass

class Supply:
    def __init__(self):
        self.log = open("device.txt", "a")

    def off(self):
        self.log.write("off ")

    def close(self):
        self.log.write("closed")
        self.log.close()

def setup(sesn):
    sesn.note("set up")

async def teardown(sesn):
    sesn.note("torn down")

async def read(sesn):
    for n in range(100):
        sesn.add_entry(n=n)
    say("ready")
    try:
        {body}
    finally:
        sesn.add_entry(last=1)

def plainly(sesn):
    sesn.add_entry(n=0)
    say("ready")
    try:
        time.sleep(1000)
    finally:
        sesn.add_entry(last=1)

async def stubborn(sesn):
    sesn.add_entry(n=0)
    say("ready")
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            say("cancelled")

async def other(sesn):
    sesn.add_entry(other=1)
"""


class Experiment:
    """An experiment in a folder, and its process."""

    def __init__(self, folder):
        self.folder = folder

    def write(self, body="pass", tasks="[read]", limits="{}"):
        (self.folder / "tasks.py").write_text(MODULE.format(body=body))
        (self.folder / "a.yaml").write_text(
            f"module: tasks.py\ntasks: {tasks}\nlimits: {limits}\nserver: {{enabled: false}}\n"
            "devices: {supply: {use: 'tasks:Supply', safe: off}}\n"
        )

    def start(self, *options):
        self.process = subprocess.Popen(
            [*COMMAND, *(options or ("--display", "none"))], cwd=self.folder, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        return self

    @property
    def environment(self):
        return os.environ | {"PYTHONPATH": str(PROJECT)}

    def says(self, word, stream="stdout"):
        """Wait for a line with this word."""
        lines = []
        for line in getattr(self.process, stream):
            lines.append(line)
            if word in line:
                return line
        return pytest.fail(f"ended without saying {word!r}: {lines} {self.process.stderr.read()}")

    def send(self, signum):
        self.process.send_signal(signum)

    def end(self):
        """Wait for the end; return exit code and standard error."""
        self.out, errors = self.process.communicate(timeout=60)
        return self.process.returncode, errors

    def left(self):
        """Check that nothing but the session and its log is left, that all is told; return the session."""
        names = {path.name for path in self.folder.iterdir() if path.is_file()}
        assert names == {"a.yaml", "tasks.py", "a.h5", "a.log", "device.txt"}
        AsyncSession(self.folder / "a.h5", verbose=False).close()  # the lock is released
        return SavedAsyncSession(self.folder / "a.h5", verbose=False)

    def ended(self, code, reason):
        """Check session and registry after an end that was recorded."""
        sesn = self.left()
        (run,) = sesn.runs()
        assert (run.exit_code, run.exit_reason) == (code, reason)
        (registered, *_) = registered_runs()
        assert Path(registered.session) == self.folder / "a.h5"
        assert (registered.exit_code, registered.exit_reason) == (code, reason)
        assert registered.stop is not None
        assert (self.folder / "device.txt").read_text() == "off closed"
        notes = [event.text for event in sesn.events() if event.kind == "note"]
        assert notes == ["set up", "torn down"]
        return sesn


@pytest.fixture
def experiment(tmp_path):
    experiment = Experiment(tmp_path)
    yield experiment
    with contextlib.suppress(AttributeError):
        experiment.process.kill()
        experiment.process.communicate()


@BOTH
def test_the_first_lets_the_present_step_finish_and_is_the_normal_end(experiment, signum):
    experiment.write(HEEDS)
    experiment.start().says("ready")
    experiment.send(signum)
    code, errors = experiment.end()
    assert code == 0
    assert f"stopped by {NAMES[signum]} after" in errors
    sesn = experiment.ended(0, NAMES[signum])
    assert (sesn["n"].size, sesn["last"].size) == (100, 1)


@BOTH
@pytest.mark.parametrize("body", PLACES.values(), ids=PLACES)
def test_the_second_cancels_the_present_step_wherever_it_is(experiment, body, signum):
    experiment.write(body)
    experiment.start().says("ready")
    experiment.send(signum)
    experiment.says("finishing the present step", "stderr")
    experiment.send(signum)
    code, errors = experiment.end()
    assert code == 128 + signum
    assert f"cancelled by a second {NAMES[signum]}" in errors
    name = NAMES[signum]
    sesn = experiment.ended(128 + signum, f"{name}, cancelled by a second {name}")
    assert (sesn["n"].size, sesn["last"].size) == (100, 1)


@pytest.mark.parametrize("body", PLACES.values(), ids=PLACES)
def test_a_grace_time_that_is_over_acts_like_the_second(experiment, body):
    experiment.write(body, limits="{grace: 300ms}")
    experiment.start().says("ready")
    experiment.send(signal.SIGTERM)
    code, errors = experiment.end()
    assert code == 143
    assert "tasks.py:" in errors  # the line where it is
    sesn = experiment.left()
    assert (sesn["n"].size, sesn["last"].size) == (100, 1)
    (run,) = sesn.runs()
    assert run.exit_code == 143
    assert run.exit_reason == "SIGTERM, cancelled by limits.grace (300 ms)"
    assert "cancelled by limits.grace (300 ms) after " in errors


@pytest.mark.parametrize("signum", [signal.SIGINT, None], ids=["second Ctrl-C", "grace"])
def test_a_plain_function_that_hangs_does_not_keep_the_process_from_ending(experiment, signum):
    experiment.write(tasks="[plainly]", limits="{grace: 600ms}" if signum is None else "{}")
    experiment.start().says("ready")
    experiment.send(signal.SIGINT)
    experiment.says("finishing the present step", "stderr")
    if signum is not None:
        experiment.send(signum)
    code, errors = experiment.end()
    assert code == 130
    assert signum is not None or "in plainly" in errors
    (run,) = experiment.left().runs()
    assert run.exit_code == 130


@pytest.mark.parametrize("body", PLACES.values(), ids=PLACES)
def test_a_time_limit_ends_a_run_whose_task_does_not(experiment, body):
    experiment.write(body, limits="{duration: 300ms, grace: 300ms}")
    code, errors = experiment.start().end()
    assert code == 1
    assert "still running: 'read'" in errors
    assert "tasks.py" in errors
    (run,) = experiment.left().runs()
    assert run.exit_code == 1


def test_a_teardown_that_holds_the_loop_is_not_cut_off(experiment):
    experiment.write("pass", limits="{duration: 200ms, grace: 300ms}")
    with (experiment.folder / "tasks.py").open("a") as file:
        file.write("async def teardown(sesn):\n    time.sleep(1.5)\n    sesn.note('torn down')\n")
    code, _ = experiment.start().end()
    assert code == 0
    experiment.ended(0, "time limit of 200 ms reached")


@BOTH
def test_the_third_ends_the_process_at_once_and_even_that_is_recorded(experiment, signum):
    experiment.write(tasks="[stubborn]")
    experiment.start().says("ready")
    experiment.send(signum)
    experiment.says("finishing the present step", "stderr")
    experiment.send(signum)
    experiment.says("cancelled")
    experiment.send(signum)
    code, errors = experiment.end()
    assert code == 128 + signum
    assert "left at once; what was stored is safe" in errors
    with contextlib.closing(AsyncSession(experiment.folder / "a.h5", verbose=False)):
        pass  # puts the journal into the file
    (run,) = experiment.left().runs()
    assert run.exit_code == 128 + signum
    assert run.exit_reason == f"{NAMES[signum]}, left at once by a third one"
    assert registered_runs()[0].exit_code == 128 + signum


@BOTH
def test_a_signal_while_python_cleans_up_does_not_change_the_exit_code(experiment, signum):
    experiment.write("sesn.ask_exit()")
    with (experiment.folder / "tasks.py").open("a") as file:
        file.write("import atexit\natexit.register(lambda: (say('cleaning'), time.sleep(1000)))\n")
    experiment.start().says("cleaning")
    experiment.send(signum)
    assert experiment.end()[0] == 0
    experiment.ended(0, "ask_exit()")


def test_a_task_that_heeds_no_cancellation_does_not_keep_the_process_from_ending(experiment):
    experiment.write(
        tasks="{stubborn: {every: 1s, timeout: 50ms, on_error: {then: continue}}}",
        limits="{duration: 300ms, grace: 3s}",
    )
    code, errors = experiment.start().end()
    assert "was cancelled but goes on, at " in errors
    assert code == 0
    experiment.ended(0, "time limit of 300 ms reached")


def test_others_keep_their_period_beside_a_plain_function_that_hangs(experiment):
    experiment.write(
        tasks="{plainly: {every: 100ms, timeout: 50ms, on_error: {then: continue}}, other: {every: 50ms}}",
        limits="{duration: 2s}",
    )
    code, _ = experiment.start("--json").end()
    assert code == 0
    summary = json.loads(experiment.out.splitlines()[-1])
    tasks = summary["tasks"]
    assert tasks["other"]["runs"] + tasks["other"]["missed"] == 40
    assert tasks["other"]["missed"] <= 20
    assert tasks["plainly"]["runs"] == 0
    errors = [event for event in experiment.left().events() if event.kind == "error"]
    assert [e.text.partition(",")[0] for e in errors] == [
        "took longer than its timeout of 50 ms",
        "the call does not end",
    ]


def test_a_signal_is_heeded_that_a_shell_ignores_in_the_background(experiment):
    experiment.write(HEEDS)
    script = f"{subprocess.list2cmdline([*COMMAND, '--display', 'none'])} & echo pid $!; wait $!; echo code $?"
    experiment.process = subprocess.Popen(
        ["/bin/sh", "-c", script], cwd=experiment.folder, env=experiment.environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    pid = int(experiment.says("pid").split()[1])
    experiment.says("ready")
    os.kill(pid, signal.SIGINT)
    assert experiment.says("code") == "code 0\n"
    experiment.ended(0, "Ctrl-C")


def test_a_reader_that_leaves_ends_the_display_not_the_run(experiment):
    experiment.write("await sesn.sleep(0.01)", limits="{duration: 1s}")
    script = f"set -o pipefail; {subprocess.list2cmdline(COMMAND)} --print-every 10ms | head -1; echo code $?"
    done = subprocess.run(
        ["bash", "-c", script], cwd=experiment.folder, env=experiment.environment, text=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "code 0", done
    assert "BrokenPipe" not in done.stderr
    sesn = experiment.ended(0, "time limit of 1 s reached")
    assert sesn["last"].timestamps[-1] - sesn["last"].timestamps[0] > 0.8


def test_json_lines_in_a_file_go_on_when_the_terminal_is_gone(experiment):
    experiment.write("await sesn.sleep(0.01)", limits="{duration: 1s}")
    with (experiment.folder / "out.json").open("w") as out:
        experiment.process = subprocess.Popen(
            [*COMMAND, "--json"], cwd=experiment.folder, env=experiment.environment, stdout=out,
            stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        while "entry" not in (experiment.folder / "out.json").read_text():
            assert experiment.process.poll() is None
        experiment.send(signal.SIGHUP)
        experiment.process.communicate(timeout=60)
    lines = [
        line
        for line in (experiment.folder / "out.json").read_text().splitlines()
        if line != "ready"
    ]
    assert json.loads(lines[-1])["type"] == "summary"
    assert "the run goes on" in (experiment.folder / "a.log").read_text()
    (experiment.folder / "out.json").unlink()
    sesn = experiment.ended(0, "time limit of 1 s reached")
    entries = [line for line in lines if json.loads(line)["type"] == "entry"]
    assert len(entries) == sesn["n"].size + sesn["last"].size


@pytest.mark.needs_system("tmux")
@pytest.mark.parametrize("how", ["kill-server", "kill-window"])
def test_a_run_in_tmux_survives_its_terminal(experiment, how, wait_until):
    experiment.write("await sesn.sleep(0.01)", limits="{duration: 3s}")
    tmux = ["tmux", "-f", "/dev/null", "-S", str(experiment.folder / "tmux")]
    inside = textwrap.dedent(f"""\
        export PYTHONPATH={PROJECT} XDG_STATE_HOME={os.environ["XDG_STATE_HOME"]}
        exec {subprocess.list2cmdline(COMMAND)}
        """)
    (experiment.folder / "tasks.sh").write_text(inside)
    subprocess.run(
        [*tmux, "new-session", "-d", "-x", "100", "-y", "30", "sh tasks.sh"],
        cwd=experiment.folder, check=True, env=os.environ | {"TERM": "screen"},
    )  # fmt: skip
    try:
        wait_until(lambda: registered_runs() and registered_runs()[0].is_running, "it runs")
        shown = subprocess.run([*tmux, "capture-pane", "-p"], capture_output=True, text=True, check=True)  # fmt: skip
        assert shown.stdout is not None
    finally:
        subprocess.run([*tmux, how], check=True)
    wait_until(lambda: registered_runs()[0].stop is not None, "it has ended")
    wait_until(lambda: not registered_runs()[0].is_alive, "its process has ended")
    for name in ("tasks.sh", "tmux"):
        (experiment.folder / name).unlink(missing_ok=True)
    sesn = experiment.ended(0, "time limit of 3 s reached")
    assert sesn["last"].timestamps[-1] - sesn["last"].timestamps[0] > 2.5
    log = (experiment.folder / "a.log").read_text()
    assert "the terminal was closed (SIGHUP); the run goes on without a display" in log
