"""The commands that watch a run from elsewhere: observe, open, token, in processes of their own."""

# ruff: noqa: S310 - http to this computer

import csv
import json
import math
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest
from helpers_ports import free_port

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
CONTROLLED = """
        from pymanip_run.session.running import RunOptions, run_tasks
        from pymanip_run.session.serving import ServerOptions
        asyncio.run(run_tasks(sesn, [measure], RunOptions(server=ServerOptions(port=PORT, control=True))))
"""


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
    watched = cli("observe", f"localhost:{address.port}", "--watch")
    assert (watched.returncode, watched.stdout) == (3, "")
    assert "no run that could be watched" in watched.stderr
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 0, errors


# -- observe ------------------------------------------------------------------------------------


def test_once_prints_the_last_values(cli, run):
    done = cli("observe", run.host, "--once")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["P", "T"]
    assert " K " in done.stdout
    host, _, port = run.host.partition(":")
    shown = json.loads(cli("observe", host, "--port", port, "--once", "--json").stdout)
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
    # Not by communicate(): it would skip what readline() has taken in beyond the lines.
    rest, errors = process.stdout.read(), process.stderr.read()
    assert process.wait(20) == 0, errors
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


@pytest.mark.parametrize("suffix", [".h5", ".csv"])
def test_a_recording_has_the_last_values_of_a_run_that_ends(cli, script, tmp_path, suffix):
    run = script(
        """
        from pymanip_run.session import internals
        n = 0
        async def measure(sesn):
            global n
            n += 1
            if n == 1:
                say(internals(sesn).address)
            sesn.add_entry(T=n)
            if n == 400:
                sesn.note("the end")
                sesn.ask_exit("enough")
            await sesn.sleep(0.01)
        with AsyncSession("cell") as sesn:
            sesn.run(measure, server_port=PORT)
        """.replace("PORT", str(free_port()))
    )
    host = run.wait_for("http").removeprefix("http://")
    done = cli("observe", host, "--record", f"far{suffix}")
    assert run.end()[0] == 0
    assert done.returncode == 0, done.stderr
    assert "the run has finished: enough" in done.stderr
    near = SavedAsyncSession(tmp_path / "cell", verbose=False)["T"].values.tolist()
    if suffix == ".csv":
        rows = list(csv.reader((tmp_path / "far.csv").read_text().splitlines()))[1:]
        far = [float(row[1]) for row in rows]
    else:
        session = SavedAsyncSession(tmp_path / "far", verbose=False)
        far = session["T"].values.tolist()
        assert "the end" in [event.text for event in session.events()]
    assert far
    assert far == near[-len(far) :], "the last moments are there"


@pytest.mark.parametrize("suffix", [".h5", ".csv"])
def test_a_recording_may_begin_before_the_first_entry(cli, script, tmp_path, suffix, wait_until):
    run = script(
        """
        from pathlib import Path
        from pymanip_run.session import internals
        told = False
        async def measure(sesn):
            global told
            if not told:
                told = True
                say(internals(sesn).address)
            if Path("go").exists() and not sesn.logged_variables():
                sesn.add_entry(T=1.0, P=2.0)
            await sesn.sleep(0.02)
        with AsyncSession("cell") as sesn:
            sesn.describe("T", unit="K")
            sesn.save_parameter(offset=float("nan"))
            sesn.run(measure, server_port=PORT)
        """.replace("PORT", str(free_port()))
    )
    far = tmp_path / f"far{suffix}"
    process = cli.start("observe", run.wait_for("http").removeprefix("http://"), "--record", far)
    assert "recording" in process.stderr.readline()
    wait_until(far.exists, "the recording")
    (tmp_path / "go").touch()

    def is_there():
        if suffix == ".csv":
            return len(far.read_text().splitlines()) == 2
        return "T" in SavedAsyncSession(far, verbose=False).logged_variables()

    wait_until(is_there, "the entry")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    run.send(signal.SIGINT)
    run.end()
    if suffix == ".csv":
        head, row = csv.reader(far.read_text().splitlines())
        assert head == ["time", "P", "T [K]"]
        assert row[1:] == ["2.0", "1.0"]
        assert "no column" not in errors
    else:
        session = SavedAsyncSession(far, verbose=False)
        assert session["T"].unit == "K"
        assert math.isnan(session.parameter("offset"))


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


def test_a_control_token_is_not_kept(cli, script, tmp_path):
    kept = tmp_path / "their config/pymanip-run/hosts.json"
    code = SCRIPT.replace("sesn.run(measure, server_port=PORT)", CONTROLLED)
    started = script(code.replace("PORT", str(free_port())))
    started.host = started.wait_for("http").removeprefix("http://")
    control = access.user_token(control=True)
    cli.environment = cli.environment | {"XDG_CONFIG_HOME": str(tmp_path / "their config")}
    assert cli("observe", started.host, "--once", "--token", control).returncode == 0
    assert not kept.exists()
    done = cli("observe", started.host, "--stop", "--token", control)
    assert (done.returncode, started.end()[0]) == (0, 0), done.stderr
    assert "this is the control token: it is not kept" in done.stderr
    assert not kept.exists()


def test_the_token_is_asked_for_where_there_is_a_person(cli, run, tmp_path):
    import pty

    cli.environment = cli.environment | {"XDG_CONFIG_HOME": str(tmp_path / "their config")}
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("observe", run.host, "--once"), cwd=tmp_path, env=cli.environment, stdin=theirs,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        os.write(ours, access.user_token().lower().replace("-", "").encode() + b"\n")
        out, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        os.close(ours)
    assert process.returncode == 0, errors
    assert "token:" in errors
    assert out.startswith("P ")
    assert cli("observe", run.host, "--once").returncode == 0, "asked for once"


def test_a_host_without_a_server_is_exit_3_with_a_hint(cli):
    done = cli("observe", "127.0.0.1:9", "--once")
    assert done.returncode == 3
    assert "nobody listens there" in done.stderr
    assert "Traceback" not in done.stderr
    assert cli("observe", "http://[::1", "--once").returncode == 2


@pytest.mark.needs_system("tmux")
def test_on_a_terminal_it_is_a_table_that_ends_without_ending_the_run(
    cli, run, tmp_path, wait_until
):
    tmux = ["tmux", "-L", f"pymanip-run-{os.getpid()}"]
    kept = {k: v for k, v in cli.environment.items() if k.startswith(("XDG_", "PYTHON", "PATH", "HOME"))}  # fmt: skip
    typed = shlex.join(
        ["env", *(f"{k}={v}" for k, v in kept.items()), *command("observe", run.host)]
    )

    def seen():
        done = subprocess.run(
            [*tmux, "capture-pane", "-p"], capture_output=True, text=True, check=False
        )
        return done.stdout

    subprocess.run([*tmux, "new-session", "-d", "-x", "100", "-y", "24", f"{typed}; echo code $?; sleep 60"], check=True)  # fmt: skip
    try:
        wait_until(lambda: "T " in seen() and "/s" in seen(), "the table")
        shown = seen()
        assert "cell.h5" in shown
        assert "elsewhere" in shown
        assert "Ctrl-C ends the watching; the run goes on" in shown
        subprocess.run([*tmux, "send-keys", "C-c"], check=True)
        wait_until(lambda: "code 0" in seen(), "its end")
        assert "the run goes on" in seen()
    finally:
        subprocess.run([*tmux, "kill-server"], check=False)
    assert next(r for r in registered_runs() if r.is_running)


# -- watch --------------------------------------------------------------------------------------


def is_asked(port):
    """Whether somebody is connected to a port of this computer."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(at[1].endswith(f":{port:04X}") and at[3] == "01" for at in lines)


@pytest.fixture
def watched(cli, wait_until):
    """Watch a run; returns when it was asked how it is, and is waited for."""

    def watch(run):
        process = cli.start("observe", run.host, "--watch")
        wait_until(lambda: is_asked(int(run.host.rpartition(":")[2])), "that it watches")
        time.sleep(1.0)  # the answer to the first question takes a moment
        assert process.poll() is None
        return process

    return watch


def test_watch_of_a_run_that_finishes_cleanly_is_0(run, watched):
    process = watched(run)
    run.send(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert "finished" in errors


def test_watch_of_a_killed_run_is_6(cli, run, watched):
    process = watched(run)
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


def test_watch_of_a_run_that_freezes_while_it_is_watched_is_7(run, watched):
    process = watched(run)
    os.kill(run.pid, signal.SIGSTOP)
    try:
        _, errors = process.communicate(timeout=40)
    finally:
        os.kill(run.pid, signal.SIGCONT)
    assert process.returncode == 7, errors


def test_watch_of_a_run_stopped_from_outside_is_0(cli, run, watched):
    process = watched(run)
    assert cli("stop").returncode == 0
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert "finished" in errors


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


def test_watch_of_a_run_that_should_stop_and_does_not_is_7(cli, script, wait_until):
    run = script("""
        from pymanip_run.session import internals
        async def measure(sesn):
            sesn.add_entry(T=1)
            say(internals(sesn).address)
            await asyncio.sleep(300)
        with AsyncSession() as sesn:
            sesn.run(measure)
        """)
    run.host = run.wait_for("http").removeprefix("http://")
    run.send(signal.SIGINT)

    def is_stopping():
        done = cli("observe", run.host, "--once", "--json")
        return json.loads(done.stdout)["state"] == "stopping"

    wait_until(is_stopping, "that it stops")
    done = cli("observe", run.host, "--watch", "--max-age", "1s")
    assert done.returncode == 7, done.stderr
    assert "asked to stop" in done.stderr


HEATING = """
module: tasks.py
tasks: [heat]
server: {port: PORT}
alarms:
  too_hot: {when: T > 60, do: [ACTIONS], message: Plate too hot}
"""
HEAT = """
from pathlib import Path

async def heat(sesn):
    sesn.add_entry(T=80.0 if Path("hot").exists() else 20.0)
    await sesn.sleep(0.05)
"""


@pytest.mark.parametrize(("actions", "words"), [("log", "too_hot"), ("stop", "too_hot")])
def test_watch_of_a_run_with_an_active_alarm_or_ended_by_one_is_5(
    cli, tmp_path, wait_until, actions, words
):
    port = free_port()
    (tmp_path / "tasks.py").write_text(HEAT)
    (tmp_path / "experiment.yaml").write_text(
        HEATING.replace("PORT", str(port)).replace("ACTIONS", actions)
    )
    run = cli.start("experiment.yaml", "--for", "60s")
    wait_until(lambda: any(r.is_running and r.port == port for r in registered_runs()), "the run")
    watching = cli.start("observe", f"127.0.0.1:{port}", "--watch")
    wait_until(lambda: is_asked(port), "that it watches")
    (tmp_path / "hot").touch()
    _, errors = watching.communicate(timeout=30)
    assert watching.returncode == 5, errors
    assert words in errors
    if actions == "stop":
        _, errors = run.communicate(timeout=30)
        assert run.returncode == 5, errors


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


def test_a_failed_run_is_not_finished_cleanly(script, watched, tmp_path):
    run = script("""
        from pymanip_run.session import internals
        n = 0
        async def measure(sesn):
            global n
            n += 1
            sesn.add_entry(T=n)
            if n == 1:
                say(internals(sesn).address)
            if os.path.exists("break"):
                raise ValueError("the sensor broke")
            await sesn.sleep(0.02)
        with AsyncSession() as sesn:
            sesn.run(measure)
        """)
    run.host = run.wait_for("http").removeprefix("http://")
    process = watched(run)
    (tmp_path / "break").touch()
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 6, errors
    assert "sensor broke" in errors


def test_the_run_is_registered_with_its_address(run):
    found = [r for r in registered_runs() if r.is_running]
    assert found[0].url == f"http://{run.host}"
