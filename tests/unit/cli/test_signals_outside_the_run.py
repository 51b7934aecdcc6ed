"""Signals before and after the run itself, in real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
CODE = """
import sys
from pymanip_run.cli.outcome import TALK
from pymanip_run.cli.signals import outside_the_run

with outside_the_run(lambda: sys.argv[1] == "after"):
    try:
        print("ready", flush=True)
        input()
        print("closed", flush=True)
    finally:
        print("left", flush=True)
"""
BOTH = pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])


@pytest.fixture
def start():
    running = []

    def start(when):
        process = subprocess.Popen(
            [sys.executable, "-c", CODE, when], env=os.environ | {"PYTHONPATH": str(PROJECT)},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        running.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


@BOTH
def test_before_the_run_the_first_ends_the_program_in_order(start, signum):
    process = start("before")
    process.send_signal(signum)
    out, _ = process.communicate(timeout=30)
    assert (process.returncode, out) == (128 + signum, "left\n")


@BOTH
def test_after_the_run_the_first_changes_nothing(start, signum):
    process = start("after")
    process.send_signal(signum)
    assert process.stderr.readline() == "\n"
    assert "the session is being closed; once more to leave at once" in process.stderr.readline()
    out, _ = process.communicate("\n", timeout=30)
    assert (process.returncode, out) == (0, "closed\nleft\n")


@BOTH
def test_after_the_run_the_second_ends_the_process_at_once(start, signum):
    process = start("after")
    process.send_signal(signum)
    assert process.stderr.readline() == "\n"
    process.send_signal(signum)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, out) == (128 + signum, "")
    assert "left at once; what was stored is safe" in errors


def test_a_terminal_that_closes_before_or_after_the_run_is_no_reason_to_leave(start):
    process = start("before")
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate("\n", timeout=30)
    assert (process.returncode, out) == (0, "closed\nleft\n")
