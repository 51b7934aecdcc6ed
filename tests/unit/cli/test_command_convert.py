"""``pymanip-run convert`` as it is typed."""

import os
import pickle
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import pymanip_run

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(pymanip_run.__file__).parent.parent)}
SESSIONS = Path(__file__).parents[1] / "storage" / "pymanip_sessions"


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, "-m", "pymanip_run", *map(str, arguments)],
        cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    shutil.copy(SESSIONS / "schema_4.1.db", tmp_path / "old.db")
    return tmp_path


def test_it_says_what_was_carried_over_and_what_to_type_next(folder):
    done = run("convert", "old.db", "new.h5", cwd=folder)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "old.db → new.h5: 85 values of 3 variables, 23 records of 21 datasets, 4 parameters, 3 metadata, 2 figures; "
        "read back and compared",
        "look: pymanip-inspect new.h5",
    ]
    shown = run("inspect", "new.h5", cwd=folder)
    assert "T_bottom" in shown.stdout


def test_without_a_target_it_is_beside_the_old_session_and_never_replaced(folder):
    assert run("convert", "old.db", cwd=folder).returncode == 0
    before = (folder / "old.h5").read_bytes()
    again = run("convert", "old.db", cwd=folder)
    assert again.returncode == 2
    assert "exists already; take another name, or add --force to replace it" in again.stderr
    assert (folder / "old.h5").read_bytes() == before
    assert run("convert", "old.db", "--force", cwd=folder).returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [(["nosuch.db"], 2, "old.db"), (["old.db", "no/such/new.h5"], 2, "mkdir -p"), (["empty.db"], 4, "it is empty"),
     (["old.db", "old.db"], 2, "pymanip-run convert")],
)  # fmt: skip
def test_it_refuses_with_what_would_work(folder, arguments, code, said):
    (folder / "empty.db").touch()
    done = run("convert", *arguments, cwd=folder)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert {p.name for p in folder.iterdir()} == {"old.db", "empty.db"}


def test_unreadable_records_are_named_and_can_be_skipped(folder):
    with sqlite3.connect(folder / "old.db") as connection:
        data = pickle.dumps({1, 2}, 4)
        connection.execute(
            "INSERT INTO dataset (timestamp, name, data) VALUES (1.7e9, 'odd', ?)", (data,)
        )
    connection.close()
    done = run("convert", "old.db", cwd=folder)
    assert done.returncode == 4
    assert "record 0 of dataset 'odd' is not read: it holds a set" in done.stderr
    assert "--skip" in done.stderr
    done = run("convert", "old.db", "--skip", cwd=folder)
    assert done.returncode == 0
    assert "  dataset 'odd': record 0 was left out:" in done.stderr


def test_inspect_reads_an_old_session_as_it_is(folder):
    done = run("inspect", "old.db", cwd=folder)
    assert done.returncode == 0
    assert done.stdout.startswith("old.db · session of pymanip, version 4.1 · ")
    assert [p.name for p in folder.iterdir()] == ["old.db"]


@pytest.mark.parametrize("command", [["recover"], ["compact"], ["inspect", "--verify"]])
def test_what_needs_a_session_file_says_how_to_make_one(folder, command):
    done = run(*command, "old.db", cwd=folder)
    assert done.returncode == 2
    assert "pymanip-run convert old.db old.h5" in done.stderr
    assert [p.name for p in folder.iterdir()] == ["old.db"]
