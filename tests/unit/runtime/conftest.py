"""An event loop whose time is virtual, and processes that get signals."""

import asyncio
import os
import selectors
import subprocess
import sys
import textwrap
from contextlib import contextmanager
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]


class JumpingSelector(selectors.DefaultSelector):
    """Does not wait for time to pass, but makes it pass."""

    now = 1000.0

    def select(self, timeout=None):
        events = super().select(0)
        if not events:
            assert timeout is not None, "nothing is ready, and no timer will make it so"
            self.now += max(0.0, timeout)
        return events


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self.clock = JumpingSelector()
        super().__init__(self.clock)

    def time(self):
        return self.clock.now


@pytest.fixture(scope="session")
def run_virtually():
    """Run a coroutine in virtual time, which stands still while something computes."""

    def run(coroutine):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            return runner.run(coroutine)

    return run


PROLOGUE = """
import os, signal

def say(word):
    os.write(1, f"{{word}}\\n".encode())

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
for signum in {ignored}:
    signal.signal(signum, signal.SIG_IGN)
"""


class Child:
    """A Python process that says lines and gets signals."""

    def __init__(self, process):
        self._process = process
        self.lines = []

    def wait_for(self, word):
        for line in self._process.stdout:
            self.lines.append(line.strip())
            if line.strip() == word:
                return
        pytest.fail(f"the child ended without saying {word!r}: {self.lines}")

    def next_line(self):
        """Wait for whatever it says next."""
        self.lines.append(self._process.stdout.readline().strip())
        return self.lines[-1]

    def wait_until_blocked(self):
        """Wait until it waits inside the system: only there is a blocking call interrupted."""
        stat = Path(f"/proc/{self._process.pid}/stat")
        while stat.read_text().rpartition(")")[2].split()[0] != "S":
            assert self._process.poll() is None, "the child ended"

    def send(self, signum):
        self._process.send_signal(signum)

    def end(self):
        """Wait for the end, return the exit code."""
        self.lines += [line.strip() for line in self._process.stdout]
        return self._process.wait(30)


@pytest.fixture
def child():
    """Start Python code in a process of its own; it has `say(word)`.

    Its signals are what they are by default, whatever they are here (``nohup``), but those `ignored`.
    """

    @contextmanager
    def start(code, ignored=()):
        prologue = PROLOGUE.format(ignored=[int(signum) for signum in ignored])
        with subprocess.Popen(
            [sys.executable, "-c", prologue + textwrap.dedent(code)],
            cwd=PROJECT,
            env=os.environ | {"PYTHONPATH": str(PROJECT)},
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield Child(process)
            finally:
                process.kill()

    return start
