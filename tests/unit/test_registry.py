"""The runs of this user, as files in the state folder."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import replace

import pytest

from pymanip_run import registry
from pymanip_run.core.context import boot_id, process_start
from pymanip_run.registry import (
    RegisteredRun,
    Registration,
    registered_runs,
    state_folder,
    writer_of,
)


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
        Registration(RegisteredRun("", run.pid, run.host, float(start))).finish(0, "done")
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


def test_a_run_whose_pid_was_given_to_another_process_is_lost(run):
    began = process_start(run.pid)
    mine = replace(run, boot_id=boot_id(), process_start=began)
    assert (mine.is_running, mine.state) == (True, "running")
    others = replace(mine, process_start=began - 1)
    assert (others.is_running, others.state) == (False, "lost")


def test_a_zombie_is_not_alive(run):
    process = subprocess.Popen([sys.executable, "-c", ""])
    began = process_start(process.pid)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert process_start(process.pid) is None
    assert not replace(run, pid=process.pid, process_start=began).is_running
    process.wait()


def test_a_run_that_has_ended_is_over_though_its_process_lives_on(run):
    over = replace(run, stop=2000.0)
    assert (over.is_running, over.is_alive, over.state) == (False, True, "ended")


def test_a_run_that_goes_on_is_kept_however_many_came_after(run, monkeypatch):
    monkeypatch.setattr(registry, "KEPT", 3)
    Registration(replace(run, start=1.0))
    for start in range(8, 13):
        Registration(replace(run, start=float(start))).finish(0, "done")
    assert [r.start for r in registered_runs()] == [12.0, 11.0, 10.0, 9.0, 1.0]


def test_sockets_of_dead_runs_are_swept_away(run, dead_pid):
    living, dead = Registration(run), Registration(replace(run, pid=dead_pid))
    for registration in (living, dead):
        registration.path.with_suffix(".sock").touch()
    (state_folder() / "orphan.sock").touch()
    Registration(run)
    assert [p.name for p in state_folder().glob("*.sock")] == [f"{living.path.stem}.sock"]


def test_a_run_whose_instruments_may_not_be_safe_is_kept_longer(run, dead_pid, monkeypatch):
    monkeypatch.setattr(registry, "KEPT", 2)
    monkeypatch.setattr(registry, "KEPT_AT_MOST", 6)
    lost = replace(run, pid=dead_pid, experiment="/lab/experiment.yaml")
    Registration(replace(lost, start=1.0))
    Registration(replace(lost, start=2.0, safe_state="done"))
    Registration(replace(run, start=3.0, host="elsewhere"))
    Registration(replace(run, start=4.0, safe_state="failed", stop=5.0))
    Registration(replace(run, pid=dead_pid, start=5.0))
    for start in range(10, 14):
        Registration(replace(run, start=float(start))).finish(0, "done")
    assert [r.start for r in registered_runs()] == [13.0, 12.0, 11.0, 4.0, 3.0, 1.0]
    for start in range(14, 19):
        Registration(replace(lost, start=float(start)))
    assert len(registered_runs()) == 7
    assert min(r.start for r in registered_runs()) == 3.0


def test_the_run_that_writes_a_session_is_known_by_it_and_by_the_sessions_lock(run, tmp_path):
    session = tmp_path / "é 1.h5"
    Registration(replace(run, session=str(tmp_path / "other.h5")))
    Registration(replace(run, session=str(session), stop=2.0))
    lock = tmp_path / "é 1.h5.lock"
    lock.touch()
    assert writer_of(session) is None
    going = Registration(replace(run, session=str(session))).run
    assert writer_of(session) == going
    lock.unlink()
    assert writer_of(session) is None
