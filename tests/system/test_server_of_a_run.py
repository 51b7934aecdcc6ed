"""A run as a process of its own, and what it serves."""

# ruff: noqa: S310 - http to this computer

import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from pymanip_run import SavedAsyncSession, access
from pymanip_run.registry import registered_runs

PROJECT = Path(__file__).parents[2]
EXPERIMENT = """
module: tasks.py
parameters:
  setpoint: {value: 25.0, unit: °C, tunable: {min: 10, max: 60}}
tasks: {measure: {every: 50ms}}
server: {port: 0, control: true}
"""
TASKS = "async def measure(sesn):\n    sesn.add_entry(T=sesn.parameter('setpoint'))\n"


@pytest.fixture
def experiment(tmp_path):
    """Write an experiment, and start it."""
    processes = []

    def start(*options, text=EXPERIMENT):
        (tmp_path / "experiment.yaml").write_text(text)
        (tmp_path / "tasks.py").write_text(TASKS)
        process = subprocess.Popen(
            [sys.executable, "-m", "pymanip_run", "experiment.yaml", "--for", "60s", *options],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT)}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.communicate()


@pytest.fixture
def wait_for_server(wait_until):
    """Wait until a run serves, and return its port."""

    def wait():
        wait_until(
            lambda: any(r.is_running and r.port for r in registered_runs()), "a run that serves"
        )
        return next(r.port for r in registered_runs() if r.is_running and r.port)

    return wait


def ask(port, path, body=None, token=None):
    headers = {"Authorization": f"Bearer {token or access.user_token()}"}
    data = None
    if body is not None:
        data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data, headers)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def test_a_run_is_seen_changed_and_stopped_from_outside(experiment, wait_for_server, wait_until):
    process = experiment()
    port = wait_for_server()
    token = access.user_token(control=True)
    wait_until(lambda: "T" in ask(port, "/api/v1/snapshot")["values"], "values")
    shown = ask(port, "/api/v1/snapshot")
    assert shown["state"] == "running"
    assert [task["name"] for task in shown["tasks"]] == ["measure"]
    assert shown["tasks"][0]["period"] == 0.05
    assert 0 < shown["remaining"] <= 60
    ask(port, "/api/v1/parameters/setpoint", {"value": 30}, token)
    wait_until(lambda: ask(port, "/api/v1/snapshot")["values"]["T"]["value"] == 30.0, "the change")
    ask(port, "/api/v1/notes", {"text": "from outside"})
    ask(port, "/api/v1/stop", {"reason": "enough"}, token)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0
    assert f"http://localhost:{port}" in errors
    assert "enough" in errors
    assert token not in errors
    assert access.user_token() not in errors
    with pytest.raises(urllib.error.URLError):
        ask(port, "/healthz")


def test_a_port_that_was_asked_for_and_is_taken_is_an_error_before_anything_is_made(
    experiment, tmp_path
):
    with socket.create_server(("127.0.0.1", 0)) as other:
        process = experiment("--port", str(other.getsockname()[1]))
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "is taken by another program" in errors
    assert not list(tmp_path.glob("*.h5"))


def test_without_a_server_no_port_is_open(experiment, wait_until):
    process = experiment("--no-server")
    wait_until(lambda: any(r.is_running for r in registered_runs()), "the run")
    time.sleep(0.3)
    inodes = {p.readlink().name for p in Path(f"/proc/{process.pid}/fd").iterdir() if p.exists()}
    listening = [
        line
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    ]
    assert not [line for line in listening if f"socket:[{line.split()[9]}]" in inodes]
    assert next(r for r in registered_runs() if r.is_running).port is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert "dashboard" not in errors


def test_a_rehearsal_opens_no_port(experiment):
    process = experiment("--dry-run", text=EXPERIMENT.replace("port: 0", "port: 1"))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors


def test_shared_the_link_for_a_phone_is_said_and_that_others_read_along(
    experiment, wait_for_server
):
    process = experiment("--share")
    port = wait_for_server()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert f"http://{socket.gethostname()}:{port}/#t={access.user_token()}" in errors
    assert "read along" in errors
    assert f"ssh -L {port}:localhost:{port}" in errors


def test_open_to_everybody_is_said(experiment, wait_for_server):
    process = experiment(text=EXPERIMENT.replace("port: 0", "port: 0, token: none"))
    wait_for_server()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert "no token" in errors


def test_on_a_terminal_it_is_said_in_red(experiment, tmp_path):
    import pty

    experiment().kill()  # it has written the files
    (tmp_path / "experiment.yaml").write_text(
        EXPERIMENT.replace("port: 0", "port: 0, token: none").replace("PORT", "0")
    )
    ours, theirs = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "pymanip_run", "experiment.yaml", "--for", "1s", "--display", "none"],
        cwd=tmp_path, env=environment | {"PYTHONPATH": str(PROJECT), "TERM": "xterm"}, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 4096):
            said += part
    except OSError:
        pass  # the other end is closed
    finally:
        os.close(ours)
    assert process.wait(30) == 0, said
    red = said.partition(b"\x1b[31m")[2].partition(b"\x1b[0m")[0]
    assert b"asks for no token" in red


@pytest.mark.parametrize("number", [1, 2])
def test_several_scripts_on_one_computer_each_have_a_port(script, number):
    code = """
        async def look(sesn):
            from pymanip_run.session import internals
            say(internals(sesn).address)
            await sesn.sleep(60)
        with AsyncSession() as sesn:
            sesn.run(look)
        """
    runs = [script(code) for _ in range(2)]
    addresses = {run.wait_for("http") for run in runs}
    assert len(addresses) == 2
    for run in runs:
        run.send(signal.SIGINT)
        assert run.end()[0] == 0
    del number


def test_a_script_whose_port_is_taken_goes_on_without(script):
    with socket.create_server(("127.0.0.1", 0)) as other:
        run = script(f"""
            async def look(sesn):
                from pymanip_run.session import internals
                say("address", internals(sesn).address)
                sesn.ask_exit()
            with AsyncSession() as sesn:
                sesn.run(look, server_port={other.getsockname()[1]})
            """)
        assert run.wait_for("address") == "address None"
        code, errors = run.end()
    assert code == 0
    assert "there is no dashboard: port" in errors


def test_custom_routes_run_where_the_tasks_do_and_behind_the_token(script):
    run = script("""
        from aiohttp import web
        import asyncio, threading
        from pymanip_run.session import internals

        async def where(request):
            body = await request.text()
            return web.json_response({"thread": threading.current_thread().name, "same": asyncio.get_running_loop() is loop, "body": body})

        async def measure(sesn):
            global loop
            loop = asyncio.get_running_loop()
            say(internals(sesn).address)
            await sesn.sleep(60)

        with AsyncSession() as sesn:
            sesn.run(measure, custom_routes=[web.get("/mine", where), web.post("/mine", where)])
        """)
    port = int(run.wait_for("http").rpartition(":")[2])
    assert ask(port, "/mine") == {"thread": "MainThread", "same": True, "body": ""}
    assert ask(port, "/mine", {"a": 1})["body"] == '{"a": 1}'
    with pytest.raises(urllib.error.HTTPError, match="401"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/mine")
    run.send(signal.SIGINT)
    assert run.end()[0] == 0


@pytest.fixture(scope="module")
def pymanip(tmp_path_factory):
    """The package pymanip 0.4.4 as it was published, without the libraries that its observer does not need."""
    folder = tmp_path_factory.mktemp("pymanip")
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", folder]  # fmt: skip
    for wanted in (["--no-deps", "pymanip==0.4.4"], ["requests"]):
        done = subprocess.run([*pip, *wanted], capture_output=True, text=True, check=False)
        if done.returncode:
            (pytest.fail if os.environ.get("CI") else pytest.skip)(
                f"pymanip cannot be had: {done.stderr.strip()}"
            )
    return folder


def test_pymanips_own_observer_works_unchanged(script, tmp_path, pymanip):
    run = script("""
        from pymanip_run.session import internals
        async def measure(sesn):
            if not sesn.logged_variables():
                say(internals(sesn).address)
            sesn.add_entry(T=sesn.now() % 100, P=1.5)
            await sesn.sleep(0.02)
        with AsyncSession("cell") as sesn:
            sesn.save_parameter(voltage=4)
            sesn.run(measure, server_token="none")
        """)
    port = run.wait_for("http").rpartition(":")[2]
    code = textwrap.dedent(f"""
        import importlib.util, json, time
        # The file itself: the packages above it import databases and plots.
        spec = importlib.util.spec_from_file_location("remoteobserver", {str(pymanip / "pymanip/asyncsession/remoteobserver.py")!r})
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        observer = module.RemoteObserver("127.0.0.1", {port})
        last = observer.get_last_values()
        observer.start_recording()
        time.sleep(1)
        print(json.dumps([last, observer.stop_recording(), observer.server_ts_start]))
        """)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(pymanip)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    last, data, since = json.loads(done.stdout.splitlines()[-1])
    run.send(signal.SIGINT)
    assert run.end()[0] == 0
    assert last["P"] == 1.5
    assert data["voltage"] == 4
    assert len(data["T"]) > 5
    with SavedAsyncSession(tmp_path / "cell", verbose=False) as saved:
        times, values = saved["T"]
    inside = (times > since) & (times <= data["time"][-1])
    assert data["time"] == times[inside].tolist()
    assert data["T"] == values[inside].tolist()
