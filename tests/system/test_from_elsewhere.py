"""A second computer (a network namespace at the other end of a cable), and a second user of this one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from helpers_ports import free_port

from pymanip_run import access
from pymanip_run.registry import registered_runs

PROJECT = Path(__file__).parents[2]
EXPERIMENT = """
module: tasks.py
tasks: {measure: {every: 50ms}}
server: {port: PORT}
"""
TASKS = "async def measure(sesn):\n    sesn.add_entry(T=sesn.now())\n"
HERE, THERE, NOBODY_THERE = "10.213.77.1", "10.213.77.2", "10.213.77.9"
NOBODY = 65534


def ip(*arguments):
    return subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def cable():
    """A cable to another computer, a namespace with an address of its own; its name."""
    if shutil.which("ip") is None:
        pytest.skip("needs ip, of iproute2")
    name, end = f"pmr{os.getpid()}", f"pmr{os.getpid() % 10**6}"
    made = ip("netns", "add", name)
    if made.returncode:
        pytest.skip(f"no network namespace can be made: {made.stderr.strip()}")
    try:
        for arguments in (
            ["link", "add", f"{end}a", "type", "veth", "peer", "name", f"{end}b"],
            ["link", "set", f"{end}b", "netns", name],
            ["addr", "add", f"{HERE}/24", "dev", f"{end}a"], ["link", "set", f"{end}a", "up"],
            ["-n", name, "addr", "add", f"{THERE}/24", "dev", f"{end}b"],
            ["-n", name, "link", "set", f"{end}b", "up"], ["-n", name, "link", "set", "lo", "up"],
        ):  # fmt: skip
            done = ip(*arguments)
            if done.returncode:
                pytest.skip(f"no cable can be laid: {done.stderr.strip()}")
        yield name, f"{end}a"
    finally:
        ip("link", "del", f"{end}a")
        ip("netns", "del", name)


@pytest.fixture
def run(tmp_path, wait_until):
    """Start an experiment; return its port."""
    processes = []

    def start(*options):
        port = free_port()
        (tmp_path / "experiment.yaml").write_text(EXPERIMENT.replace("PORT", str(port)))
        (tmp_path / "tasks.py").write_text(TASKS)
        process = subprocess.Popen(
            [sys.executable, "-m", "pymanip_run", "experiment.yaml", "--for", "60s", *options],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT)}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        processes.append(process)
        wait_until(lambda: any(r.is_running and r.port for r in registered_runs()), "the run")
        return port

    yield start
    for process in processes:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


@pytest.fixture
def there(cable, tmp_path):
    """Type a command on the other computer, whose user has a home, but no token, of their own."""
    home = tmp_path / "their home"
    home.mkdir()
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(PROJECT), "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / "config"), "XDG_STATE_HOME": str(home / "state"),
    }  # fmt: skip

    def command(*arguments):
        return ["ip", "netns", "exec", cable[0], sys.executable, "-m", "pymanip_run", *map(str, arguments)]  # fmt: skip

    def type_(*arguments):
        return subprocess.run(
            command(*arguments), cwd=home, env=environment, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    def start(*arguments):
        return subprocess.Popen(
            command(*arguments), cwd=home, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    type_.start = start
    return type_


def test_shared_another_computer_gets_in_with_the_token_and_not_without(run, there):
    port = run("--share")
    refused = there("observe", f"{HERE}:{port}", "--once")
    assert refused.returncode == 3
    assert "a token is needed" in refused.stderr
    wrong = there("observe", f"{HERE}:{port}", "--once", "--token", access.new_token())
    assert wrong.returncode == 3
    assert "not the one of this run" in wrong.stderr
    link = access.link(f"http://{HERE}:{port}", access.user_token())
    seen = there("observe", link, "--once")
    assert seen.returncode == 0, seen.stderr
    assert seen.stdout.startswith("T ")
    assert there("observe", f"{HERE}:{port}", "--once").returncode == 0, "the token was kept"
    noted = there("observe", f"{HERE}:{port}", "--note", "hello from the office")
    assert noted.returncode == 0, noted.stderr


def test_not_shared_another_computer_finds_nobody_and_is_told_why(run, there):
    port = run()
    done = there("observe", f"{HERE}:{port}", "--once", "--token", access.user_token())
    assert done.returncode == 3
    assert "nobody listens there" in done.stderr
    assert "is it shared?  pymanip-run experiment.yaml --share" in done.stderr


def test_watch_of_a_computer_that_is_off_is_3(there):
    began = time.monotonic()
    done = there("observe", NOBODY_THERE, "--watch", "--once")
    assert done.returncode == 3, done.stderr
    assert time.monotonic() - began < 15
    assert "Traceback" not in done.stderr


def test_watch_of_a_computer_whose_cable_was_pulled_is_7_and_then_3(run, there, cable):
    port = run("--share")
    link = access.link(f"http://{HERE}:{port}", access.user_token())
    watching = there.start("observe", link, "--watch", "--max-age", "1min")
    time.sleep(2.5)  # it has looked, and waits for the end
    assert watching.poll() is None
    ip("link", "set", cable[1], "down")
    try:
        _, errors = watching.communicate(timeout=40)
        assert watching.returncode in (3, 7), errors  # what the kernel says first
        assert there("observe", link, "--watch").returncode == 3
    finally:
        ip("link", "set", cable[1], "up")


# -- a second user of this computer -------------------------------------------------------------

SPY = """
import http.client, json, os, socket, sys
port, *paths = sys.argv[1:]
found = {}
for name, headers in (("none", {}), ("guessed", {"Authorization": "Bearer AAAA-BBBB-CCCC-DDDD"})):
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=10)
    connection.request("GET", "/api/v1/snapshot", headers=headers)
    found[name] = connection.getresponse().status
for path in paths:
    try:
        if path.endswith((".sock", ".socket")):
            socket.socket(socket.AF_UNIX).connect(path)
        else:
            open(path).read()
        found[path] = "open"
    except OSError as error:
        found[path] = type(error).__name__
print(json.dumps({"uid": os.getuid(), **found}))
"""


@pytest.fixture
def open_folder(monkeypatch):
    """Homes in a folder that everybody may enter, unlike pytest's: what is closed then is so by our doing."""
    with tempfile.TemporaryDirectory(prefix="pymanip-run-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        for kind in ("CONFIG", "STATE"):
            monkeypatch.setenv(f"XDG_{kind}_HOME", f"{folder}/{kind.lower()}")
        yield Path(folder)


def test_another_user_of_this_computer_gets_in_nowhere(script, open_folder):
    if os.geteuid() != 0:
        pytest.skip("only root can act as another user")
    port = free_port()
    run = script(f"""
        async def measure(sesn):
            if not sesn.logged_variables():
                say("running")
            sesn.add_entry(T=1.0)
            await sesn.sleep(0.05)
        with AsyncSession("cell") as sesn:
            sesn.run(measure, server_port={port})
        """)
    run.wait_for("running")
    secret = [path for path in open_folder.rglob("*") if not path.is_dir()]
    assert access.token_path() in secret
    assert any(path.is_socket() for path in secret)
    done = subprocess.run(
        ["/usr/bin/env", "python3", "-I", "-c", SPY, str(port), *map(str, secret)],
        user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", env={"PATH": os.defpath},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"another user cannot start Python here: {done.stderr.strip()}")
    found = json.loads(done.stdout)
    assert found.pop("uid") == NOBODY
    assert found.pop("none") == 401
    assert found.pop("guessed") == 401
    assert set(found.values()) == {"PermissionError"}, found
    run.send(signal.SIGINT)
    assert run.end()[0] == 0
