"""The runs of this user, as files in the state folder."""

import json
import os
import socket
import subprocess
import sys

import pytest

from pymanip_run import registry
from pymanip_run.core.context import boot_id
from pymanip_run.registry import RegisteredRun, Registration, registered_runs, state_folder


@pytest.fixture
def run():
    return RegisteredRun(
        session="/data/a.h5", pid=os.getpid(), host=socket.gethostname(), start=1000.5
    )


@pytest.fixture
def dead_pid():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_a_run_is_registered_from_start_to_end(run):
    registration = Registration(run)
    assert registered_runs() == [run]
    assert registered_runs()[0].is_running
    registration.update(port=6913, safe_state="done")
    registration.finish(3, "TaskError: x")
    (found,) = registered_runs()
    assert (found.exit_code, found.exit_reason, found.port, found.safe_state) == (
        3,
        "TaskError: x",
        6913,
        "done",
    )
    assert found.stop > found.start
    assert not found.is_running
    assert [p.suffix for p in state_folder().iterdir()] == [".json"]


def test_the_latest_run_comes_first(run):
    for start in (5.0, 1000.0, 70.0):
        Registration(RegisteredRun("", run.pid, run.host, start))
    assert [r.start for r in registered_runs()] == [1000.0, 70.0, 5.0]


def test_a_run_whose_process_is_gone_is_not_running(run, dead_pid):
    assert not RegisteredRun("", dead_pid, run.host, 0).is_running
    assert not RegisteredRun("", run.pid, "elsewhere", 0).is_running


def test_a_run_of_another_boot_is_not_running_though_its_pid_is_taken(run):
    assert not RegisteredRun("", run.pid, run.host, 0, boot_id="another").is_running
    assert RegisteredRun("", run.pid, run.host, 0, boot_id=boot_id()).is_running


def test_what_is_no_run_is_passed_over(run):
    Registration(run)
    for name, text in {
        "a": "",
        "b": "[]",
        "c": "{}",
        "d": json.dumps({"session": 3}),
        "e": "null",
    }.items():
        (state_folder() / f"{name}.json").write_text(text)
    (state_folder() / "f.json").write_bytes(b"\xff")
    assert registered_runs() == [run]


def test_fields_of_a_later_version_are_passed_over(run):
    Registration(run)
    (path,) = state_folder().iterdir()
    path.write_text(json.dumps(json.loads(path.read_text()) | {"colour": "blue"}))
    assert registered_runs() == [run]


def test_only_the_latest_runs_are_kept(run, monkeypatch):
    monkeypatch.setattr(registry, "KEPT", 3)
    for start in range(8, 13):  # of different lengths as text
        Registration(RegisteredRun("", run.pid, run.host, float(start)))
    assert [r.start for r in registered_runs()] == [12.0, 11.0, 10.0, 9.0]


def test_a_folder_that_cannot_be_written_stops_no_run(run, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    registration = Registration(run)
    registration.update(port=1)
    registration.finish(0, "done")
    assert registered_runs() == []


def test_no_home_stops_no_run(run, monkeypatch):
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setattr("pathlib.Path.home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    Registration(run).finish(0, "done")
    assert registered_runs() == []


def test_the_folder_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert state_folder() == tmp_path / "pymanip-run" / "runs"
    for value in ("", "relative/path"):
        monkeypatch.setenv("XDG_STATE_HOME", value)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert state_folder() == tmp_path / ".local" / "state" / "pymanip-run" / "runs"


def test_others_cannot_look_into_the_folder(run):
    Registration(run)
    assert state_folder().stat().st_mode & 0o077 == 0
