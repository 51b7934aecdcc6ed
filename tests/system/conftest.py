"""Python scripts in processes of their own, that say words and get signals."""

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PROLOGUE = """
import asyncio, os, signal, sys, threading, time
from pymanip_run import *
from pymanip_run import AsyncSession

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def say_when_asked(sesn):
    "Say so when the run is asked to end, also while the main thread computes."
    def watch():
        while not sesn.running:
            time.sleep(0.002)
        while sesn.running:
            time.sleep(0.002)
        say("asked")
    threading.Thread(target=watch, daemon=True).start()
"""


class Script:
    """A running script."""

    def __init__(self, process):
        self._process = process
        self.pid = process.pid
        self.lines = []

    def wait_for(self, word):
        """Read what it says up to a line that begins with `word`, and return that line."""
        for line in self._process.stdout:
            self.lines.append(line.strip())
            if line.startswith(word):
                return line.strip()
        return pytest.fail(
            f"ended without saying {word!r}: {self.lines}\n{self._process.stderr.read()}"
        )

    def next_error(self):
        """Wait for the next line on standard error."""
        return self._process.stderr.readline()

    def send(self, signum):
        self._process.send_signal(signum)

    def end(self):
        """Wait for the end; return exit code (negative: killed by a signal), and standard error."""
        out, errors = self._process.communicate(timeout=60)
        self.lines += out.split("\n")
        return self._process.returncode, errors


@pytest.fixture(scope="module")
def browser():
    """A real browser; what uses it is marked with ``needs_system("chromium")``."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        yield chromium
        chromium.close()


@pytest.fixture
def script(tmp_path):
    """Start a script in `tmp_path`, with `say(…)` and the names of pymanip_run."""
    running = []

    def start(code):
        path = tmp_path / "experiment.py"
        path.write_text(PROLOGUE + textwrap.dedent(code))
        process = subprocess.Popen(
            [sys.executable, path.name],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT)}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            # Where the tests themselves were started with a script's `&`, SIGINT is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
        )  # fmt: skip
        running.append(process)
        return Script(process)

    yield start
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def wait_until():
    """Wait until something is the case, for at most 20 s."""

    def wait(condition, what):
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, f"not within 20 s: {what}"
            time.sleep(0.01)

    return wait


@pytest.fixture
def healed(tmp_path, wait_until):
    """Wait until the session file is complete by itself, then open it."""
    from pymanip_run import SavedAsyncSession

    def open_(name="a"):
        def left():
            return [p.name for p in tmp_path.iterdir() if p.name.startswith(f"{name}.h5.")]

        wait_until(lambda: not left(), f"the side files are gone: {left()}")
        return SavedAsyncSession(tmp_path / name, verbose=False)

    return open_
