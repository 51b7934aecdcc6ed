"""The commands that watch a run from elsewhere: observe, open, token, in processes of their own."""

# ruff: noqa: S310 - http to this computer

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

from pymanip_run import AsyncSession, SavedAsyncSession, access
from pymanip_run.registry import registered_runs

PROJECT = Path(__file__).parents[2]
SCRIPT = """
    from pymanip_run.session import internals
    n = 0
    async def measure(sesn):
        global n
        n += 1
        if n == 1:
            say(internals(sesn).address)
        sesn.add_entry(T=n, P=-n)
        await sesn.sleep(0.02)
    with AsyncSession("cell") as sesn:
        sesn.describe("T", unit="K", period=0.5)
        sesn.save_parameter(voltage=4)
        sesn.run(measure, server_port=PORT)
    """


def free_port():
    """A port of its own: a run that is tested beside must not get it when this one was killed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def command(*arguments):
    return [sys.executable, "-m", "pymanip_run", *map(str, arguments)]


@pytest.fixture
def cli(tmp_path):
    """Run a command, or begin one."""
    started = []

    class Cli:
        environment = os.environ | {"PYTHONPATH": str(PROJECT)}

        def __call__(self, *arguments, timeout=60):
            return subprocess.run(
                command(*arguments), cwd=tmp_path, env=self.environment, stdin=subprocess.DEVNULL,
                capture_output=True, text=True, timeout=timeout, check=False,
            )  # fmt: skip

        def start(self, *arguments):
            process = subprocess.Popen(
                command(*arguments), cwd=tmp_path, env=self.environment, stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
            started.append(process)
            return process

    yield Cli()
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def run(script):
    """A run that serves, and where."""
    started = script(SCRIPT.replace("PORT", str(free_port())))
    started.host = started.wait_for("http").removeprefix("http://")
    return started


# -- token --------------------------------------------------------------------------------------


def test_the_token_is_printed_made_once_and_rotated(cli):
    first = cli("token")
    assert first.returncode == 0
    assert first.stdout.strip() == access.user_token()
    assert cli("token").stdout == first.stdout
    control = cli("token", "--control").stdout
    assert control != first.stdout
    rotated = cli("token", "--rotate")
    assert rotated.stdout != first.stdout
    assert rotated.stdout.strip() == access.user_token()
    assert "within 5 s" in rotated.stderr
    assert cli("token", "--control").stdout == control


def test_a_damaged_token_file_says_how_to_make_a_new_one(cli):
    access.user_token()
    access.token_path().write_text("nonsense")
    done = cli("token")
    assert done.returncode == 2
    assert "pymanip-run token --rotate" in done.stderr
    assert cli("token", "--rotate").returncode == 0
    assert cli("token").returncode == 0


# -- open ---------------------------------------------------------------------------------------


def test_open_prints_the_link_that_logs_in(cli, run):
    done = cli("open", "--no-browser")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"http://{run.host}/#t={access.user_token()}"


def test_open_without_a_run_says_so(cli):
    done = cli("open")
    assert done.returncode == 2
    assert "no run of" in done.stderr


def test_open_serves_a_session_that_is_over(cli, tmp_path):
    with AsyncSession(tmp_path / "old", verbose=False, title="an old one") as sesn:
        sesn.add_entry(T=1.0)
    process = cli.start("open", "old", "--no-browser", "--port", "0")
    link = process.stdout.readline().strip()
    address = access.parse_address(link)
    headers = {"Authorization": f"Bearer {address.token}"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{address.url}/api/v1/snapshot", headers=headers)
    ) as answer:
        shown = json.load(answer)
    assert (shown["state"], shown["title"], shown["values"]["T"]["value"]) == (
        "saved",
        "an old one",
        1.0,
    )
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0, errors


# -- observe ------------------------------------------------------------------------------------


def test_once_prints_the_last_values(cli, run):
    done = cli("observe", run.host, "--once")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["P", "T"]
    assert " K " in done.stdout
    shown = json.loads(cli("observe", run.host, "--once", "--json").stdout)
    assert shown["values"]["P"]["value"] < 0


def test_a_note_arrives(cli, run, tmp_path):
    assert cli("observe", run.host, "--note", "hello from afar").returncode == 0
    run.send(signal.SIGINT)
    run.end()
    events = SavedAsyncSession(tmp_path / "cell", verbose=False).events()
    assert "hello from afar" in [event.text for event in events]


def test_what_needs_the_control_token_says_so(cli, run):
    done = cli("observe", run.host, "--set", "voltage=5")
    assert done.returncode == 3
    assert "control" in done.stderr


def test_off_a_terminal_it_is_json_lines_until_the_end(cli, run):
    process = cli.start("observe", run.host, "--json")
    lines = [json.loads(process.stdout.readline()) for _ in range(10)]
    run.send(signal.SIGINT)
    rest, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    items = [*lines, *map(json.loads, rest.splitlines())]
    numbers = [item["values"]["T"] for item in items if item["type"] == "entry"]
    assert numbers == list(range(int(numbers[0]), int(numbers[0]) + len(numbers)))
    assert items[-1]["type"] == "summary"


def test_recording_into_a_session_is_exactly_what_the_run_has(cli, run, tmp_path, wait_until):
    process = cli.start("observe", run.host, "--record", "far.h5")
    assert "recording" in process.stderr.readline()
    cli("observe", run.host, "--note", "a remark")
    wait_until(
        lambda: (
            (tmp_path / "far.h5").exists()
            and SavedAsyncSession(tmp_path / "far", verbose=False).events()
        ),
        "the remark",
    )
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    run.send(signal.SIGINT)
    run.end()
    far = SavedAsyncSession(tmp_path / "far", verbose=False)
    near = SavedAsyncSession(tmp_path / "cell", verbose=False)
    for name in ("T", "P"):
        t, v = far[name]
        whole_t, whole_v = near[name]
        inside = (whole_t >= t[0]) & (whole_t <= t[-1])
        assert t.tolist() == whole_t[inside].tolist()
        assert v.tolist() == whole_v[inside].tolist()
    assert len(far["T"].values) > 5
    assert far["T"].unit == "K"
    assert far.parameter("voltage") == 4
    assert "a remark" in [event.text for event in far.events()]


def test_recording_into_csv(cli, run, tmp_path, wait_until):
    process = cli.start("observe", run.host, "--record", "far.csv")
    wait_until(
        lambda: (
            (tmp_path / "far.csv").exists()
            and len((tmp_path / "far.csv").read_text().splitlines()) > 20
        ),
        "rows",
    )
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    rows = list(csv.reader((tmp_path / "far.csv").read_text().splitlines()))
    assert rows[0] == ["time", "P", "T [K]"]
    numbers = [float(row[2]) for row in rows[1:]]
    assert numbers == [numbers[0] + k for k in range(len(numbers))]
    refused = cli("observe", run.host, "--record", "far.csv")
    assert refused.returncode == 2
    assert "exists" in refused.stderr
    assert cli("observe", run.host, "--record", "far.txt").returncode == 2


def test_a_recording_goes_on_after_a_restart_of_the_run(cli, tmp_path, script, wait_until):
    port = free_port()
    code = SCRIPT.replace("PORT", str(port)).replace("T=n, P=-n", "T=sesn.now()")
    first = script(code)
    first.wait_for("http")
    process = cli.start("observe", f"127.0.0.1:{port}", "--record", "far.h5")
    assert "recording" in process.stderr.readline()

    def recorded():
        return SavedAsyncSession(tmp_path / "far", verbose=False)["T"].size

    wait_until(
        lambda: (
            (tmp_path / "far.h5").exists()
            and SavedAsyncSession(tmp_path / "far", verbose=False).logged_variables()
            and recorded() > 5
        ),
        "entries",
    )
    os.kill(first.pid, signal.SIGKILL)
    first.end()
    second = script(code)
    second.wait_for("http")
    before = recorded()
    wait_until(lambda: recorded() > before + 20, "entries of the second run")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert "connection lost" in errors
    assert "nothing was missed" in errors
    second.send(signal.SIGINT)
    second.end()
    far, near = (SavedAsyncSession(tmp_path / name, verbose=False)["T"] for name in ("far", "cell"))
    inside = (near.timestamps >= far.timestamps[0]) & (near.timestamps <= far.timestamps[-1])
    assert far.timestamps.tolist() == near.timestamps[inside].tolist()


def test_the_token_is_asked_for_once_and_kept(cli, run, tmp_path, monkeypatch):
    token = access.user_token()
    cli.environment = cli.environment | {"XDG_CONFIG_HOME": str(tmp_path / "their config")}
    refused = cli("observe", run.host, "--once")
    assert refused.returncode == 3
    assert "a token is needed" in refused.stderr
    assert cli("observe", run.host, "--once", "--token", token.lower()).returncode == 0
    assert cli("observe", run.host, "--once").returncode == 0, "kept"
    kept = tmp_path / "their config/pymanip-run/hosts.json"
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_host_without_a_server_is_exit_3_with_a_hint(cli):
    done = cli("observe", "127.0.0.1:9", "--once")
    assert done.returncode == 3
    assert "nobody listens there" in done.stderr
    assert "Traceback" not in done.stderr
    assert cli("observe", "http://[::1", "--once").returncode == 2


# -- watch --------------------------------------------------------------------------------------


def watched(cli, run, *options):
    return cli.start("observe", run.host, "--watch", *options)


def test_watch_of_a_run_that_finishes_cleanly_is_0(cli, run):
    process = watched(cli, run)
    time.sleep(1.5)  # it looks, and waits for the end
    run.send(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert "finished" in errors


def test_watch_of_a_killed_run_is_6(cli, run):
    process = watched(cli, run)
    time.sleep(1.5)
    os.kill(run.pid, signal.SIGKILL)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 6, errors
    assert cli("observe", run.host, "--watch").returncode == 6, "refused"


def test_watch_of_a_frozen_run_is_7(cli, run):
    os.kill(run.pid, signal.SIGSTOP)
    try:
        done = cli("observe", run.host, "--watch")
    finally:
        os.kill(run.pid, signal.SIGCONT)
    assert done.returncode == 7, done.stderr
    assert "no answer" in done.stderr


def test_watch_of_a_run_without_new_data_is_7(cli, script):
    run = script("""
        from pymanip_run.session import internals
        async def measure(sesn):
            sesn.add_entry(T=1)
            say(internals(sesn).address)
            await sesn.sleep(60)
        with AsyncSession() as sesn:
            sesn.run(measure)
        """)
    run.host = run.wait_for("http").removeprefix("http://")
    assert cli("observe", run.host, "--watch", "--once").returncode == 0
    done = cli("observe", run.host, "--watch", "--max-age", "1s")
    assert done.returncode == 7, done.stderr
    assert "no new data for" in done.stderr


def test_watch_of_an_unreachable_or_unknown_host_is_3(cli):
    done = cli("observe", "no-such-host.invalid", "--watch")
    assert done.returncode == 3, done.stderr


def test_watch_of_something_else_than_a_run_is_3(cli):
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer():
            connection, _ = other.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
                )

        thread = threading.Thread(target=answer)
        thread.start()
        done = cli("observe", f"127.0.0.1:{other.getsockname()[1]}", "--watch", "--once")
        thread.join()
    assert done.returncode == 3, done.stderr


def test_a_failed_run_is_not_finished_cleanly(cli, script):
    run = script("""
        from pymanip_run.session import internals
        n = 0
        async def measure(sesn):
            global n
            n += 1
            sesn.add_entry(T=n)
            if n == 1:
                say(internals(sesn).address)
            if n == 150:
                raise ValueError("the sensor broke")
            await sesn.sleep(0.02)
        with AsyncSession() as sesn:
            sesn.run(measure)
        """)
    run.host = run.wait_for("http").removeprefix("http://")
    process = watched(cli, run)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 6, errors
    assert "sensor broke" in errors


def test_the_run_is_registered_with_its_address(run):
    found = [r for r in registered_runs() if r.is_running]
    assert found[0].url == f"http://{run.host}"
