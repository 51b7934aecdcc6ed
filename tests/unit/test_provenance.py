"""Where the data of a run come from."""

import json
import os
import platform
import socket
import subprocess
import sys

import pytest

from pymanip_run import provenance

GIT = [
    "git",
    "-c",
    "user.name=Ann",
    "-c",
    "user.email=ann@example.org",
    "-c",
    "commit.gpgsign=false",
]


@pytest.fixture
def repository(tmp_path):
    def git(*arguments):
        return subprocess.run(
            [*GIT, "-C", tmp_path, *arguments], check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q")
    (tmp_path / "experiment.py").write_text("power = 12\n")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    return tmp_path, git("rev-parse", "HEAD").strip()


def test_computer_user_process_and_boot_are_told():
    found = provenance.attributes()
    assert (found["host"], found["pid"]) == (socket.gethostname(), os.getpid())
    assert found["user"]
    assert found.get("boot_id", "x")


def test_a_user_without_a_name_is_a_number(monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: (_ for _ in ()).throw(KeyError("uid")))
    assert provenance.attributes()["user"] == str(os.getuid())


def test_arguments_and_versions_are_told():
    found = provenance.texts(None)
    assert json.loads(found["argv"]) == sys.argv
    versions = json.loads(found["packages"])
    assert versions["python"] == platform.python_version()
    assert versions["pytest"] == pytest.__version__
    assert "git_commit" not in found


@pytest.mark.needs_system("git")
def test_the_commit_of_clean_code_is_told(repository):
    folder, commit = repository
    assert provenance.git_state(folder) == {"git_commit": commit}


@pytest.mark.needs_system("git")
def test_uncommitted_changes_are_told(repository):
    folder, commit = repository
    (folder / "experiment.py").write_text("power = 15\n")
    found = provenance.git_state(folder)
    assert found["git_commit"] == commit
    assert "+power = 15" in found["git_diff"]


@pytest.mark.needs_system("git")
def test_secrets_are_kept_out_of_changes_and_arguments(repository, monkeypatch):
    monkeypatch.setattr("sys.argv", ["script.py", "--password", "hunter2"])
    (repository[0] / "experiment.py").write_text("password = 'hunter2'\npower = 15\n")
    found = provenance.texts(repository[0])
    assert "+password = '***'\n+power = 15" in found["git_diff"]
    assert json.loads(found["argv"]) == ["script.py", "--password", "***"]


@pytest.mark.needs_system("git")
def test_huge_changes_are_cut(repository, monkeypatch):
    monkeypatch.setattr(provenance, "MAX_DIFF", 100)
    (repository[0] / "experiment.py").write_text("x = 1\n" * 1000)
    found = provenance.git_state(repository[0])["git_diff"]
    assert len(found) < 120
    assert found.endswith("(cut)\n")


@pytest.mark.needs_system("git")
def test_a_folder_outside_a_repository_has_no_commit(tmp_path):
    assert provenance.git_state(tmp_path) == {}


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.git_state(tmp_path) == {}


@pytest.mark.needs_system("git")
def test_git_that_takes_too_long_is_given_up(repository, monkeypatch):
    monkeypatch.setattr(provenance, "GIT_SECONDS", 0.0)
    assert provenance.git_state(repository[0]) == {}


@pytest.mark.needs_system("git")
def test_a_folder_cannot_make_git_run_its_programs(repository):
    folder, commit = repository
    trap = folder / "trap"
    trap.write_text(f"#!/bin/sh\ntouch '{folder}/sprung'\n")
    trap.chmod(0o755)
    config = folder / ".git" / "config"
    config.write_text(
        config.read_text()
        + f'[core]\nfsmonitor = {trap}\npager = {trap}\n[diff]\nexternal = {trap}\n[diff "t"]\ntextconv = {trap}\n'
    )
    (folder / ".gitattributes").write_text("* diff=t\n")
    (folder / "experiment.py").write_text("power = 15\n")
    assert provenance.git_state(folder)["git_commit"] == commit
    assert not (folder / "sprung").exists()


def test_a_script_is_kept_without_its_secrets(tmp_path):
    script = tmp_path / "measure.py"
    script.write_text("password = 'hunter2'\npower = 15\n")
    assert provenance.texts(None, script)["module"] == "password = '***'\npower = 15\n"
    assert "module" not in provenance.texts(None, tmp_path / "nowhere.py")
    script.write_bytes(b"\xff")
    assert "module" not in provenance.texts(None, script)


@pytest.mark.needs_system("git")
def test_code_that_was_never_committed_is_named(repository):
    folder, _ = repository
    for name in ("supply.py", "data.csv", "ignored.py"):
        (folder / name).touch()
    (folder / ".gitignore").write_text("ignored.py\n")
    assert provenance.git_state(folder)["git_untracked"] == "supply.py"
