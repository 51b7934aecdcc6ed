"""``pymanip-inspect --follow`` beside real runs: across their ends, a kill, and the next start."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pymanip_run import AsyncSession

PROJECT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-c", "from pymanip_run.cli import main_inspect as m; m()"]
WRITER = """
import sys, time
from pymanip_run import AsyncSession
first, kept = int(sys.argv[1]), None
with AsyncSession("cell", verbose=False, checkpoint_period=0.1) as sesn:
    for i in range(first, first + 20):
        sesn.add_entry(T=i)
        time.sleep(0.01)
    sesn.note(f"run from {first}")
    print("written", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def follow(tmp_path):
    """Start a follower of ``cell.h5``."""
    running = []

    def start(*options, **more):
        process = subprocess.Popen(
            [*COMMAND, "cell.h5", "--follow", *options],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": ""}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no threads here
            **more,
        )  # fmt: skip
        running.append(process)
        # From here on it misses nothing.
        assert "Ctrl-C ends this" in process.stderr.readline()
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def write(tmp_path, first):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(first)],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT)}, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout.readline() == "written\n"
    return process


def read_until(process, value):
    """Read JSON lines up to the event with this text; return the values of T."""
    found = []
    for line in process.stdout:
        item = json.loads(line)
        if item["type"] == "entry":
            found.append(item["values"]["T"])
        elif item["text"] == value:
            return found
    return pytest.fail(process.stderr.read())


def test_it_follows_one_run_after_the_other_also_one_that_is_killed(follow, tmp_path):
    with AsyncSession(tmp_path / "cell", verbose=False) as sesn:
        sesn.add_entry(T=-1)
    process = follow("--json", "--tail", "1")
    killed = write(tmp_path, 0)
    assert read_until(process, "run from 0") == [-1.0, *map(float, range(20))]
    killed.kill()
    killed.communicate()
    for first in (100, 200):
        writer = write(tmp_path, first)
        assert read_until(process, f"run from {first}") == [float(first + i) for i in range(20)]
        writer.communicate("")
        assert writer.returncode == 0
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "Traceback" not in errors
    assert [line for line in out.splitlines() if json.loads(line)["type"] == "entry"] == []


def test_lines_for_people_have_names_units_and_events(follow, tmp_path):
    with AsyncSession(tmp_path / "cell", verbose=False) as sesn:
        sesn.describe("T", unit="°C")
        sesn.add_entry(T=20.125)
        sesn.note("refilled [red]\x1b[31m")
        process = follow("--tail", "1")
        assert process.stdout.readline().endswith("  T 20.125 °C\n")
        assert process.stdout.readline().endswith("  note: refilled [red]\\x1b[31m\n")
        sesn.add_entry(T=21.5, power=3)
        assert process.stdout.readline().endswith("  T 21.500 °C  power 3\n")
        sesn.add_dataset(frame=[[1, 2], [3, 4]])
        assert "  frame  record 0, (2, 2) int64" in process.stdout.readline()


def test_only_events(follow, tmp_path):
    with AsyncSession(tmp_path / "cell", verbose=False) as sesn:
        process = follow("--events")
        sesn.add_entry(T=1)
        sesn.note("one")
        assert process.stdout.readline().endswith("  note: one\n")


def test_it_goes_quietly_and_at_once_when_its_reader_has_left(follow, tmp_path):
    with AsyncSession(tmp_path / "cell", verbose=False) as sesn:
        sesn.add_entry(T=1)
    process = follow("--tail", "1")
    assert process.stdout.readline().endswith("T 1\n")
    process.stdout.close()  # nothing more comes in: it must not wait for that
    assert process.wait(timeout=10) == 0
    assert "Traceback" not in process.stderr.read()


def test_a_reader_that_leaves_in_the_middle_of_a_line_is_no_failure(follow, tmp_path):
    with AsyncSession(tmp_path / "cell", verbose=False) as sesn:
        for i in range(20_000):
            sesn.add_entry(T=i)
    process = follow("--tail", "20000")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=20) == 0
    assert "Traceback" not in process.stderr.read()


def test_a_new_file_of_the_same_name_is_followed(follow, tmp_path):
    with AsyncSession(tmp_path / "cell", verbose=False) as sesn:
        sesn.add_entry(T=1)
    process = follow("--json")
    (tmp_path / "cell.h5").rename(tmp_path / "old.h5")
    assert "is gone; waiting until there is one again" in process.stderr.readline()
    with AsyncSession(tmp_path / "cell", verbose=False) as sesn:
        sesn.add_entry(T=2)
        sesn.note("over")
        assert read_until(process, "over") == [2.0]
