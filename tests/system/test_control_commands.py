"""``status``, ``note`` and ``stop``: one process asks another."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pymanip_run.registry import registered_runs

PROJECT = Path(__file__).parents[2]
TASKS = """
import asyncio
async def read(sesn):
    sesn.add_entry(T=20.5, p=float("nan"))
async def long_step(sesn):
    sesn.add_entry(began=1)
    await asyncio.sleep(60)
async def quick(sesn):
    await sesn.sleep(0.05)
async def scan(sesn, value):
    sesn.add_entry(U=value)
    await sesn.sleep(0.5)
"""


def run(*arguments, cwd, **options):
    return subprocess.run(
        [sys.executable, "-m", "pymanip_run", *map(str, arguments)],
        cwd=cwd, env=os.environ | {"PYTHONPATH": str(PROJECT)},
        capture_output=True, text=True, timeout=60, check=False, **options,
    )  # fmt: skip


@pytest.fixture
def start(tmp_path, wait_until):
    """Start an experiment with some tasks, and wait until others know of it."""
    (tmp_path / "tasks.py").write_text(TASKS)
    processes = []

    def begin(name, *tasks, more=""):
        file = tmp_path / f"{name}.yaml"
        file.write_text(
            f"module: tasks.py\nsession: {{file: {name}.h5, title: The {name}}}\n"
            f"parameters: {{U: 0}}\ntasks: {{{', '.join(tasks)}}}\n{more}"
        )
        process = subprocess.Popen(
            [sys.executable, "-m", "pymanip_run", file.name, "--display", "none"],
            cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT)}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        processes.append(process)

        def known():
            assert process.poll() is None, process.communicate()
            mine = [r for r in registered_runs() if r.pid == process.pid and r.control]
            return (
                mine
                and json.loads(run("status", process.pid, "--json", cwd=tmp_path).stdout)["runs"][
                    0
                ]["variables"]
            )

        wait_until(known, f"{name} runs and has logged something")
        return process

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def test_the_only_run_needs_no_name(start, tmp_path):
    process = start("cell", "read: {every: 0.1}", "quick: {}")
    shown = run("status", cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    first, second, third = shown.stdout.splitlines()
    assert re.fullmatch(
        rf"running   cell\.h5 · The cell · 0:00:\d\d · process {process.pid}", first
    )
    assert "read every 100 ms" in second
    assert re.search(r"T 20\.5 \(1 s ago\) · p nan", third)
    noted = run("note", "refilled", "nitrogen", cwd=tmp_path)
    assert (noted.returncode, noted.stdout) == (0, "")
    assert re.fullmatch(r"noted at \d\d:\d\d:\d\d in cell\.h5\n", noted.stderr)
    stopped = run("stop", cwd=tmp_path)
    assert stopped.returncode == 0
    assert "cell.h5: finishing the present step" in stopped.stderr
    assert "cell.h5: stopped by pymanip-run stop" in stopped.stderr
    assert "pymanip-inspect cell.h5" in stopped.stderr
    # It has ended when `stop` returns: nothing is left to be done.
    assert process.wait(5) == 0
    assert "stopped by pymanip-run stop after" in process.stderr.read()
    assert sorted(p.name for p in tmp_path.glob("cell.*")) == ["cell.h5", "cell.log", "cell.yaml"]
    summary = json.loads(run("inspect", "cell.h5", "--json", cwd=tmp_path).stdout)
    assert summary["runs"][0]["exit_code"] == 0
    assert [e["text"] for e in summary["events"] if e["kind"] == "note"] == ["refilled nitrogen"]
    over = run("status", cwd=tmp_path).stdout
    assert over.startswith("ended     cell.h5 · stopped by pymanip-run stop, ")


def test_one_session_is_shown_whole_and_as_json(start, tmp_path):
    process = start(
        "cell", "read: {every: 0.1}", "scan: {sweep: {parameter: U, start: 0, stop: 5, num: 40}}"
    )
    shown = run("status", "cell", cwd=tmp_path).stdout.splitlines()
    assert any(re.fullmatch(r" +scan \d+ of 40 points(, .* left)?", line) for line in shown)
    assert any(re.fullmatch(r" +T 20\.5 \(1 s ago\)", line) for line in shown)
    (told,) = json.loads(run("status", "cell.h5", "--json", cwd=tmp_path).stdout)["runs"]
    assert told["state"] == "running"
    assert told["answers"] is True
    assert (told["pid"], told["session"]) == (process.pid, str(tmp_path / "cell.h5"))
    assert told["sweeps"][0]["total"] == 40
    assert told["variables"]["p"]["value"] is None
    assert 0 <= told["variables"]["T"]["age"] < 5
    assert {task["name"]: task["kind"] for task in told["tasks"]} == {
        "read": "every",
        "scan": "sweep",
    }


def test_of_several_runs_one_must_be_named(start, tmp_path):
    start("cell", "read: {every: 0.1}", "quick: {}")
    start("oven", "read: {every: 0.1}", "quick: {}")
    for command in (["stop"], ["note", "refilled nitrogen"]):
        refused = run(*command, cwd=tmp_path)
        assert refused.returncode == 2
        text = " 'refilled nitrogen'" if command[0] == "note" else ""
        assert refused.stderr.splitlines() == [
            "several runs are going on; say which:",
            f"  pymanip-run {command[0]} oven.h5{text}",
            f"  pymanip-run {command[0]} cell.h5{text}",
        ]
    assert run("note", "cell", "only here", cwd=tmp_path).returncode == 0
    assert run("stop", "oven.yaml", cwd=tmp_path).returncode == 0
    assert run("status", "cell", cwd=tmp_path).stdout.startswith("running")
    again = run("stop", "oven", cwd=tmp_path)
    assert again.returncode == 0
    assert "oven.h5 is not running: stopped by pymanip-run stop" in again.stderr
    wrong = run("stop", "cel", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "no run is called 'cel' here; did you mean 'cell'?" in wrong.stderr
    assert run("note", "nosuch.h5", "text", cwd=tmp_path).returncode == 2


def test_without_a_run_it_is_said(tmp_path):
    for command in (["stop"], ["note", "text"]):
        refused = run(*command, cwd=tmp_path)
        assert refused.returncode == 2
        assert "is going on on this computer" in refused.stderr
    assert "pymanip-run new" in run("status", cwd=tmp_path).stdout
    unknown = run("status", "cell", cwd=tmp_path)
    assert unknown.returncode == 2
    assert "no run is called 'cell' here" in unknown.stderr


def test_stop_names_what_it_waits_for_and_how_to_cancel_it(start, tmp_path):
    process = start("cell", "long_step: {}", "quick: {}")
    waiting = subprocess.Popen(
        [sys.executable, "-m", "pymanip_run", "stop"],
        cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(PROJECT)}, text=True, stderr=subprocess.PIPE,
    )  # fmt: skip
    said = [waiting.stderr.readline() for _ in range(3)]
    assert said[1] == "waiting for long_step\n"
    assert said[2].rstrip().endswith("pymanip-run stop --force")
    waiting.send_signal(signal.SIGINT)
    assert "goes on ending" in waiting.communicate(timeout=20)[1]
    assert waiting.returncode == 130
    assert process.poll() is None
    assert "ending: pymanip-run stop" in run("status", cwd=tmp_path).stdout
    forced = run("stop", "--force", cwd=tmp_path)
    assert forced.returncode == 0, forced.stderr
    assert "pymanip-run stop had asked for it already; cancelling the present step" in forced.stderr
    assert process.wait(10) == 130


def test_stop_need_not_wait(start, tmp_path):
    process = start("cell", "long_step: {}")
    done = run("stop", "--no-wait", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "cell.h5: finishing the present step\n")
    assert process.poll() is None


def test_a_killed_run_is_shown_as_such(start, tmp_path, wait_until):
    process = start("cell", "read: {every: 0.1}", "quick: {}")
    process.kill()
    process.wait()
    shown = run("status", cwd=tmp_path).stdout
    assert re.match(
        r"lost      cell\.h5 · began .*, ended without a word \(killed, a third Ctrl-C, or power lost\)",
        shown,
    )
    assert json.loads(run("status", "--json", cwd=tmp_path).stdout)["runs"][0]["state"] == "lost"
    refused = run("stop", cwd=tmp_path)
    assert refused.returncode == 2
    assert "the last one was cell.h5: began" in refused.stderr
    start("cell", "read: {every: 0.1}", "quick: {}")
    again = run("status", cwd=tmp_path).stdout
    assert "lost      cell.h5" in again
    assert "recover" not in again, "what is beside the file is of the run that is going on"


def test_a_run_that_does_not_answer_is_told_with_its_pid(start, tmp_path):
    process = start("cell", "read: {every: 0.1}", "quick: {}")
    process.send_signal(signal.SIGSTOP)
    try:
        shown = run("status", cwd=tmp_path)
        assert f"process {process.pid} does not answer" in shown.stdout
        refused = run("stop", cwd=tmp_path)
        assert refused.returncode == 3
        assert "it does not answer; it will do as asked if it wakes up" in refused.stderr
        assert refused.stderr.splitlines()[-1] == f"  kill -INT {process.pid}"
    finally:
        process.send_signal(signal.SIGCONT)
    assert process.wait(20) == 0


def test_a_script_can_be_asked_and_stopped_as_well(script, tmp_path, wait_until):
    running = script("""
        async def read(sesn):
            sesn.add_entry(T=20.5)
            say("reading")
            await sesn.sleep(0.1)
        with AsyncSession("a", verbose=False) as sesn:
            asyncio.run(sesn.monitor(read))
        say("after")
    """)
    running.wait_for("reading")
    assert f"process {running.pid}" in run("status", "a", cwd=tmp_path).stdout
    assert run("stop", "a", cwd=tmp_path).returncode == 0
    assert running.wait_for("after")
    assert running.end()[0] == 0


def test_stop_force_ends_a_call_that_holds_the_loop(script, tmp_path, healed):
    running = script("""
        async def blocked(sesn):
            sesn.add_entry(T=1)
            say("blocking")
            time.sleep(1000)
        with AsyncSession("a", verbose=False) as sesn:
            asyncio.run(sesn.monitor(blocked, server_port=None))
    """)
    running.wait_for("blocking")
    done = run("stop", "a", "--force", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert running.end()[0] == -signal.SIGINT  # KeyboardInterrupt, as after a second Ctrl-C
    (stored,) = healed().runs()
    reason = "pymanip-run stop, cancelled by pymanip-run stop --force"
    assert (stored.exit_code, stored.exit_reason) == (130, reason)


def test_the_loop_that_is_blocked_by_a_driver_can_still_be_asked(script, tmp_path):
    running = script("""
        async def blocked(sesn):
            sesn.add_entry(T=1)
            say("blocking")
            time.sleep(2)
        with AsyncSession("a", verbose=False) as sesn:
            asyncio.run(sesn.monitor(blocked))
    """)
    running.wait_for("blocking")
    (told,) = json.loads(run("status", "a", "--json", cwd=tmp_path).stdout)["runs"]
    assert (told["answers"], told["tasks"][0]["state"]) == (True, "running")
    assert run("stop", "a", cwd=tmp_path).returncode == 0
    assert running.end()[0] == 0
