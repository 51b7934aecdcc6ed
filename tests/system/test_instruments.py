"""Experiments with instruments in processes of their own: what hangs, dies, or comes back."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pymanip_run import SavedAsyncSession
from pymanip_run.registry import registered_runs

PROJECT = Path(__file__).parents[2]
PYTHONPATH = os.pathsep.join([str(PROJECT), str(PROJECT / "tests")])
SCPI = PROJECT / "tests" / "instruments" / "scpi.py"


class Process:
    """A running command; what it says is read up to a word."""

    def __init__(self, command, folder):
        self._process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            cwd=folder, env=os.environ | {"PYTHONPATH": PYTHONPATH}, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - no threads here
        )  # fmt: skip
        self.pid = self._process.pid
        self.lines = []

    def wait_for(self, word, errors=False):
        for line in self._process.stderr if errors else self._process.stdout:
            self.lines.append(line.rstrip())
            if word in line:
                return line.rstrip()
        _, rest = self._process.communicate(timeout=30)
        return pytest.fail(f"ended without saying {word!r}: {self.lines}\n{rest}")

    def send(self, signum):
        self._process.send_signal(signum)

    def end(self):
        """Wait for the end; return the exit code and what was said on standard error."""
        out, errors = self._process.communicate(timeout=60)
        self.lines += out.splitlines()
        return self._process.returncode, errors

    def kill(self):
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def start(tmp_path):
    running = []

    def start(*command):
        running.append(Process(command, tmp_path))
        return running[-1]

    yield start
    for process in running:
        process.kill()


@pytest.fixture
def experiment(tmp_path, start):
    """Write an experiment and run it."""

    def write(devices, tasks, module):
        (tmp_path / "tasks.py").write_text(
            "import asyncio, os, threading, time\n"
            "from instruments.scpi import *\n"
            "def say(*words):\n"
            '    os.write(1, (" ".join(map(str, words)) + "\\n").encode())\n' + module
        )
        text = f"module: tasks.py\ndevices:\n{devices}\ntasks: {tasks}\n"
        (tmp_path / "experiment.yaml").write_text(text)

    def run(devices, tasks, module, *options):
        write(devices, tasks, module)
        return start("-m", "pymanip_run", "experiment.yaml", "--display", "none", *options)

    run.write = write
    return run


@pytest.fixture
def instrument(tmp_path, start):
    """Switch the SCPI instrument on, at a port that stays the same."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "commands.txt"

    def switch_on():
        process = start(SCPI, port, log)
        process.wait_for("ready")
        return process

    switch_on.port = port
    switch_on.commands = lambda: log.read_text().splitlines() if log.exists() else []
    return switch_on


@pytest.fixture
def session(tmp_path):
    def open_():
        return SavedAsyncSession(tmp_path / "experiment.h5", verbose=False)

    return open_


def device_events(sesn):
    return [f"{e.source}: {e.text}" for e in sesn.events() if e.kind == "device"]


def until(condition, what):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, f"not within 30 s: {what}"
        time.sleep(0.01)


def test_the_end_of_a_run_says_what_became_of_the_devices(experiment, instrument):
    instrument()
    process = experiment(
        f"  thermo: {{use: AsyncThermometer, args: [{instrument.port}]}}\n"
        f"  supply: {{use: PlainThermometer, args: [{instrument.port}], blocking: true,"
        " safe: {call: set_output, args: [false]}}",
        "[read]",
        "async def read(sesn):\n"
        "    sesn.add_entry(T=await sesn.thermo.read(), T2=await sesn.supply.read())\n"
        "    sesn.ask_exit()\n",
    )
    code, errors = process.end()
    assert code == 0, errors
    assert "devices closed: supply (safe: output off), thermo\n" in errors
    until(lambda: instrument.commands()[-1:] == ["OUTP OFF"], "the output is off")


def test_a_close_that_hangs_is_a_warning_and_not_another_exit_code(experiment, session):
    process = experiment(
        "  stuck: {use: Stuck, close_timeout: 300ms}\n  other: {use: Other}",
        "[read]",
        "class Stuck:\n"
        "    def close(self):\n"
        "        time.sleep(60)\n"
        "class Other:\n"
        "    def close(self):\n"
        "        raise OSError('stuck valve')\n"
        "async def read(sesn):\n"
        "    sesn.add_entry(n=1)\n"
        "    sesn.ask_exit()\n",
    )
    began = time.monotonic()
    code, errors = process.end()
    assert code == 0, errors
    assert time.monotonic() - began < 20
    assert "warning: device 'stuck' could not be closed: closing stuck did not return" in errors
    assert "warning: device 'other' could not be closed: OSError: stuck valve" in errors
    assert session().runs()[0].exit_code == 0


BLOCKED = """
class Driver:
    def read(self):
        say("reading")
        threading.Event().wait()
    def off(self):
        say("off")
async def read(sesn):
    sesn.add_entry(n=1)
    await CALL
"""


@pytest.mark.parametrize(
    ("call", "blocking"),
    [("sesn.device_call(sesn.dev.read)", "false"), ("sesn.dev.read()", "true")],
)
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_a_driver_that_hangs_keeps_neither_the_safe_action_nor_the_end(
    experiment, session, call, blocking, signum
):
    process = experiment(
        f"  dev: {{use: Driver, blocking: {blocking}, close_timeout: 300ms,"
        " safe: {call: 'off', timeout: 300ms}}",
        "[read]",
        BLOCKED.replace("CALL", call),
    )
    process.wait_for("reading")
    process.send(signum)
    process.wait_for("finishing the present step", errors=True)
    process.send(signum)
    began = time.monotonic()
    code, errors = process.end()
    assert code == 128 + signum, errors
    assert time.monotonic() - began < 20
    assert process.lines.count("off") == 1
    assert "dev (safe: off" in errors
    sesn = session()
    assert sesn.runs()[0].exit_code == 128 + signum
    assert "dev: safe: off" in device_events(sesn)
    assert registered_runs()[0].safe_state == "done"


def test_a_plain_driver_that_holds_the_loop_is_interrupted_and_made_safe(experiment, session):
    process = experiment(
        "  dev: {use: Driver, safe: 'off'}",
        "[read]",
        BLOCKED.replace("threading.Event().wait()", "time.sleep(1000)").replace(
            "await CALL", "sesn.dev.read()"
        ),
    )
    process.wait_for("reading")
    process.send(signal.SIGINT)
    process.wait_for("finishing the present step", errors=True)
    process.send(signal.SIGINT)
    code, errors = process.end()
    assert code == 130, errors
    assert process.lines.count("off") == 1
    assert device_events(session())[-2:] == ["dev: safe: off", "dev: closed"]


def test_a_second_ctrl_c_while_devices_close_skips_nothing(experiment, session):
    process = experiment(
        "  first: {use: Slow, safe: 'off'}\n  second: {use: Slow, safe: 'off'}",
        "[read]",
        "class Slow:\n"
        "    async def off(self):\n"
        "        say('off')\n"
        "        await asyncio.sleep(0.5)\n"
        "    async def close(self):\n"
        "        await asyncio.sleep(0.2)\n"
        "        say('closed')\n"
        "async def read(sesn):\n"
        "    say('ready')\n"
        "    await sesn.sleep(1000)\n",
    )
    process.wait_for("ready")
    process.send(signal.SIGINT)
    process.wait_for("off")
    process.send(signal.SIGINT)
    code, errors = process.end()
    assert code == 130, errors
    assert process.lines == ["ready", "off", "off", "closed", "closed"]
    assert registered_runs()[0].safe_state == "done"


def test_a_third_ctrl_c_leaves_at_once_and_the_next_start_makes_safe_first(experiment, session):
    module = (
        "class Dev:\n"
        "    async def off(self):\n"
        "        say('off')\n"
        "        await asyncio.sleep(HOW)\n"
        "async def read(sesn):\n"
        "    say('ready')\n"
        "    await WHAT\n"
    )
    devices = "  dev: {use: Dev, safe: {call: 'off', timeout: 60s}}"
    process = experiment(
        devices, "[read]", module.replace("HOW", "1000").replace("WHAT", "sesn.sleep(1000)")
    )
    process.wait_for("ready")
    process.send(signal.SIGINT)
    process.wait_for("off")
    process.send(signal.SIGINT)
    process.wait_for("press Ctrl-C again to leave them as they are", errors=True)
    process.send(signal.SIGINT)
    assert process.end()[0] == 130
    process = experiment(
        devices,
        "[read]",
        module.replace("HOW", "0").replace("WHAT", "asyncio.sleep(sesn.ask_exit() or 0)"),
    )
    code, errors = process.end()
    assert code == 0, errors
    assert process.lines == ["off", "ready", "off"]
    assert "ended without making its devices safe: the safe actions are run first" in errors


def test_after_a_kill_the_safe_actions_run_first(experiment, session):
    module = (
        "class Dev:\n"
        "    def off(self):\n"
        "        say('off')\n"
        "def setup(sesn):\n"
        "    say('setup')\n"
        "async def read(sesn):\n"
        "    say('ready')\n"
        "    await sesn.sleep(1000)\n"
    )
    process = experiment("  dev: {use: Dev, safe: 'off'}", "[read]", module)
    process.wait_for("ready")
    process.send(signal.SIGKILL)
    process.end()
    process = experiment("  dev: {use: Dev, safe: 'off'}", "[read]", module, "--for", "100ms")
    code, errors = process.end()
    assert code == 0, errors
    assert process.lines == ["off", "setup", "ready", "off"]
    assert "ended without a word: the safe actions are run first" in errors
    (event,) = [e for e in session().events() if e.kind == "recovery" and e.source == "devices"]
    assert "ended without a word" in event.text


def test_a_device_that_cannot_be_opened_is_exit_code_3(experiment, instrument, session):
    process = experiment(
        "  first: {use: Dev, safe: 'off'}\n"
        f"  thermo: {{use: AsyncThermometer, args: [{instrument.port}]}}",
        "[read]",
        "class Dev:\n"
        "    def off(self):\n"
        "        say('off')\n"
        "async def read(sesn):\n"
        "    say('ready')\n",
    )
    code, errors = process.end()
    assert code == 3
    assert process.lines == ["off"]
    assert "Traceback" not in errors
    assert "device 'thermo' cannot be opened: ConnectionRefusedError: [Errno 111]" in errors
    assert "AsyncThermometer, declared at experiment.yaml:4:3" in errors
    assert "required: false" in errors


def test_a_device_call_that_fails_in_a_task_is_exit_code_1(experiment, session):
    process = experiment(
        "  dev: {use: Driver, close_timeout: 100ms}",
        "[read]",
        BLOCKED.replace("CALL", "sesn.device_call(sesn.dev.read, timeout=0.1)"),
    )
    code, errors = process.end()
    assert code == 1, errors
    assert "dev.read() did not return within 100 ms, at " in errors
    assert "tasks.py" in errors


def test_after_a_ctrl_c_while_devices_are_opened_nothing_more_is_begun(experiment, session):
    process = experiment(
        "  slow: {use: Slow}\n  other: {use: Other}",
        "[read]",
        "class Slow:\n"
        "    def __init__(self):\n"
        "        say('opening')\n"
        "        time.sleep(2.5)\n"
        "    def close(self):\n"
        "        say('closed')\n"
        "class Other:\n"
        "    def __init__(self):\n"
        "        say('other')\n"
        "def setup(sesn):\n"
        "    say('setup')\n"
        "async def read(sesn):\n"
        "    say('read')\n",
    )
    process.wait_for("opening")
    process.send(signal.SIGINT)
    code, errors = process.end()
    assert code == 0, errors
    assert process.lines == ["opening", "closed"]
    assert "device 'slow' is still being opened" in errors


READ = """
async def read(sesn):
    sesn.add_entry(T=await sesn.thermo.read())
    say("read")
"""


@pytest.mark.parametrize("kind", ["AsyncThermometer", "PlainThermometer"])
def test_an_instrument_that_is_killed_and_restarted_is_found_again(
    experiment, instrument, session, kind
):
    server = instrument()
    blocking = "true" if kind == "PlainThermometer" else "false"
    process = experiment(
        f"  thermo: {{use: {kind}, args: [{instrument.port}], blocking: {blocking},"
        " reconnect: {wait: 50ms, max_wait: 200ms}, safe: {call: set_output, args: [false]}}",
        "{read: {every: 50ms, on_error: {then: continue}}}",
        READ,
    )
    process.wait_for("read")
    server.send(signal.SIGKILL)
    server.end()
    until(lambda: any("lost" in text for text in device_events(session())), "it is lost")
    time_of_loss = session().last_timestamp
    server = instrument()
    until(lambda: any("open again" in text for text in device_events(session())), "it is back")
    until(lambda: session().last_timestamp > time_of_loss + 0.2, "data go on")
    process.send(signal.SIGINT)
    code, errors = process.end()
    assert code == 0, errors
    texts = device_events(session())
    assert [text.split()[1].strip(":") for text in texts] == [
        "opened", "lost", "open", "safe", "closed",
    ]  # fmt: skip
    until(lambda: instrument.commands()[-1:] == ["OUTP OFF"], "the output is off")


def test_an_instrument_that_answers_nothing_any_more_is_opened_again(
    experiment, instrument, session
):
    instrument()
    process = experiment(
        f"  thermo: {{use: PlainThermometer, args: [{instrument.port}], blocking: true,"
        " reconnect: {wait: 50ms, max_wait: 200ms}, close_timeout: 300ms}",
        "{read: {every: 100ms, timeout: 300ms, on_error: {then: continue}}}",
        READ,
    )
    process.wait_for("read")
    with socket.create_connection(("127.0.0.1", instrument.port)) as tell:
        tell.sendall(b"MODE hang\n")
    until(lambda: any("lost" in text for text in device_events(session())), "it is lost")
    with socket.create_connection(("127.0.0.1", instrument.port)) as tell:
        tell.sendall(b"MODE ok\n")
    n = session()["T"].size
    until(lambda: session()["T"].size > n + 2, "data go on")
    process.send(signal.SIGINT)
    code, errors = process.end()
    assert code == 0, errors


# -- pymanip-run safe -----------------------------------------------------------------------------

SUPPLY = (
    "  supply: {{use: PlainThermometer, args: [{port}], safe: {{call: set_output, args: [false]}}}}"
)


def safe(start, *options):
    process = start("-m", "pymanip_run", "safe", "experiment.yaml", *options)
    code, errors = process.end()
    return code, process.lines, errors


def test_safe_runs_the_safe_actions_alone(experiment, instrument, start, tmp_path):
    instrument()
    experiment.write(SUPPLY.format(port=instrument.port), "[read]", "async def read(sesn): ...\n")
    assert safe(start) == (0, ["supply  safe: output off"], "")
    until(lambda: instrument.commands() == ["OUTP OFF"], "the output is off")
    assert list(tmp_path.glob("*.h5*")) == []


def test_safe_exits_3_when_a_device_is_not_there(experiment, instrument, start):
    experiment.write(SUPPLY.format(port=instrument.port), "[read]", "async def read(sesn): ...\n")
    code, lines, errors = safe(start)
    assert code == 3, errors
    assert lines[0].startswith(
        "supply  FAILED: device 'supply' cannot be opened: ConnectionRefused"
    )


def test_safe_can_be_tried_on_simulated_devices(experiment, instrument, start):
    devices = SUPPLY.format(port=instrument.port).replace(
        "args:", "simulate: FakeThermometer, args:", 1
    )
    experiment.write(devices, "[read]", "async def read(sesn): ...\n")
    assert safe(start, "--simulate")[:2] == (0, ["supply  safe: output off"])


def test_safe_without_safe_actions_says_so(experiment, start):
    experiment.write("  dev: {use: FakeThermometer}", "[read]", "async def read(sesn): ...\n")
    code, lines, errors = safe(start)
    assert (code, lines) == (0, [])
    assert "no device has safe actions" in errors


def test_safe_refuses_beside_a_run_of_the_experiment(experiment, instrument, start):
    instrument()
    process = experiment(SUPPLY.format(port=instrument.port), "[read]",
        "async def read(sesn):\n    say('ready')\n    await sesn.sleep(1000)\n",
    )  # fmt: skip
    process.wait_for("ready")
    code, lines, errors = safe(start)
    assert (code, lines) == (2, [])
    assert f"is being run by process {process.pid} since" in errors
    assert "pymanip-run safe experiment.yaml --force" in errors
    assert instrument.commands() == []
    assert safe(start, "--force")[0] == 0
    until(lambda: instrument.commands() == ["OUTP OFF"], "the output is off")
    process.send(signal.SIGINT)
    assert process.end()[0] == 0


def test_what_the_devices_were_is_kept_with_the_run(experiment, session):
    process = experiment("  dev: {use: FakeThermometer}", "[read]",
        "async def read(sesn):\n    sesn.ask_exit()\n",
    )  # fmt: skip
    code, errors = process.end()
    assert code == 0, errors
    (device,) = json.loads(session().runs()[0].texts["devices"])
    assert device["class"] == "instruments.scpi.FakeThermometer"
