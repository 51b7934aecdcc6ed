"""Rehearsals by the real command, in a process of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
SAMPLES = sorted(p.parent for p in (PROJECT / "sample_experiments").glob("*/experiment.yaml"))
TASKS = """
import asyncio, os, random, time
async def read(sesn):
    sesn.add_entry(T=random.gauss(20, 1))
async def read_more(sesn):
    await asyncio.sleep(random.random())
    sesn.add_entry(p=random.random())
def plain(sesn):
    time.sleep(0.5)
    sesn.add_entry(q=random.random())
async def broken(sesn):
    raise ValueError("the sensor broke")
async def polls(sesn):
    os.write(2, b"busy\\n")
    while sesn.running:
        await asyncio.sleep(0)
async def blocks(sesn):
    os.write(2, b"busy\\n")
    deadline = time.process_time() + 60
    while time.process_time() < deadline:
        pass
class Thermometer:
    def __init__(self):
        raise OSError("opened the real one")
class Fake:
    def read(self):
        return 20.0
async def read_device(sesn):
    sesn.add_entry(T=sesn.thermo.read())
"""
DEVICE = "devices: {thermo: {use: tasks:Thermometer, simulate: tasks:Fake}}"


class Rehearsals:
    """A folder with an experiment, the command, and what is left behind."""

    def __init__(self, folder):
        self.folder = folder
        (folder / "tasks.py").write_text(TASKS)
        self.environment = os.environ | {
            "PYTHONPATH": str(PROJECT), "XDG_STATE_HOME": str(folder / "state"),
        }  # fmt: skip

    def write(self, tasks, more=""):
        (self.folder / "experiment.yaml").write_text(f"module: tasks.py\n{more}\ntasks: {tasks}\n")

    def start(self, *options):
        return subprocess.Popen(
            [sys.executable, "-m", "pymanip_run", "experiment.yaml", *options],
            cwd=self.folder, env=self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *options):
        with self.start(*options) as process:
            out, errors = process.communicate(timeout=90)
        return process.returncode, out, errors

    def report(self, *options):
        code, out, errors = self.run("--dry-run", "--json", *options)
        assert errors == ""
        (line,) = out.splitlines()
        found = json.loads(line)
        assert found["exit_code"] == code
        return found

    @property
    def left(self):
        return sorted(p.name for p in self.folder.iterdir()) == ["experiment.yaml", "tasks.py"]


@pytest.fixture
def rehearsals(tmp_path):
    return Rehearsals(tmp_path)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda p: p.name)
def test_every_sample_can_be_rehearsed(sample, tmp_path):
    folder = shutil.copytree(
        sample, tmp_path / "sample", ignore=shutil.ignore_patterns("*.h5*", "*.log", "__pycache__")
    )
    before = sorted(folder.rglob("*"))
    done = subprocess.run(
        [sys.executable, "-m", "pymanip_run", "experiment.yaml", "--dry-run", "--seed", "1", "--json"],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True,
        timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["variables"]
    assert all(task["runs"] for task in report["tasks"].values())
    assert sorted(folder.rglob("*")) == before, "nothing is written"


def test_hours_take_seconds(rehearsals):
    rehearsals.write("{read: {every: 10s}, read_more: {every: 10s}, plain: {every: 10s}}")
    began = time.monotonic()
    report = rehearsals.report("--for", "8h", "--seed", "1")
    assert time.monotonic() - began < 60
    assert {name: task["runs"] for name, task in report["tasks"].items()} == {
        "read": 2880, "read_more": 2880, "plain": 2880,
    }  # fmt: skip
    assert rehearsals.left


def test_two_rehearsals_with_a_seed_are_equal(rehearsals):
    rehearsals.write("{read: {every: 10s}, read_more: {}, plain: {every: 3s}}")
    reports = [rehearsals.report("--for", "1h", "--seed", "5") for _ in range(2)]
    for report in reports:
        assert report.pop("real_seconds") < 60
    assert reports[0] == reports[1]


def test_the_report_for_people_says_the_same(rehearsals):
    rehearsals.write("{read: {every: 10s}}", "variables: {T: {}, p: {}}")
    code, out, errors = rehearsals.run("--dry-run", "--for", "1h")
    assert (code, errors) == (0, "")
    assert re.search(r"^rehearsed 1 h in .* · nothing was written", out)
    assert re.search(r"^read +360 +– +–$", out, re.M)
    assert re.search(r"^T +360 +[\d.]+ +[\d.]+ +every 10 s$", out, re.M)
    assert "warning: variable 'p' is declared but never logged" in out


def test_a_failing_task_shows_the_users_traceback_and_exits_with_1(rehearsals):
    rehearsals.write("{read: {every: 10s}, broken: {every: 10s}}")
    code, out, errors = rehearsals.run("--dry-run", "--json")
    assert code == json.loads(out)["exit_code"] == 1
    assert errors.startswith("Traceback")
    assert "ValueError: the sensor broke" in errors
    assert 'tasks.py", line' in errors
    assert "pymanip_run" not in errors
    assert rehearsals.left


def test_an_invalid_file_exits_with_2(rehearsals):
    rehearsals.write("{read: {evry: 10s}}")
    code, out, errors = rehearsals.run("--dry-run")
    assert (code, out) == (2, "")
    assert "did you mean 'every'?" in errors


def test_a_device_without_simulation_exits_with_2_and_is_not_opened(rehearsals):
    rehearsals.write("{read_device: {every: 1s}}", "devices: {thermo: {use: tasks:Thermometer}}")
    code, _, errors = rehearsals.run("--dry-run")
    assert code == 2
    assert "devices.thermo" in errors
    assert "opened the real one" not in errors


def test_simulate_is_a_real_run_with_simulated_devices(rehearsals):
    rehearsals.write("{read_device: {every: 100ms}}", DEVICE)
    began = time.monotonic()
    code, _, errors = rehearsals.run("--simulate", "--for", "1s")
    assert code == 0, errors
    assert time.monotonic() - began >= 1
    assert (rehearsals.folder / "experiment.h5").exists()


def test_without_simulation_the_real_device_is_opened(rehearsals):
    rehearsals.write("{read_device: {every: 100ms}}", DEVICE)
    code, _, errors = rehearsals.run("--for", "1s")
    assert code == 3
    assert "opened the real one" in errors


def test_a_seed_without_a_rehearsal_is_refused_with_the_command_that_works(rehearsals):
    rehearsals.write("[read]")
    code, _, errors = rehearsals.run("--seed", "4")
    assert code == 2
    assert "pymanip-run experiment.yaml --dry-run --seed 4" in errors
    assert rehearsals.left


@pytest.mark.parametrize("task", ["polls", "blocks"])
def test_ctrl_c_ends_a_rehearsal_with_what_it_has_seen(rehearsals, task):
    rehearsals.write(f"{{read: {{every: 100ms}}, {task}: {{}}}}")
    with rehearsals.start("--dry-run", "--json", "--for", "30d") as process:
        assert process.stderr.readline() == "busy\n"
        process.send_signal(signal.SIGINT)
        if task == "blocks":
            assert "press Ctrl-C again" in process.stderr.readline()
            process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert process.returncode == (130 if task == "blocks" else 0), errors
    report = json.loads(out)
    assert report["exit_code"] == process.returncode
    assert report["tasks"].keys() == {"read", task}
    assert rehearsals.left


def test_nothing_is_registered(rehearsals):
    rehearsals.write("{read: {every: 10s}}")
    rehearsals.report()
    assert not list(rehearsals.folder.rglob("state/**/*.json"))
