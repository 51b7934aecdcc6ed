"""``recover``, ``compact`` and ``inspect --verify`` as a user types them: exit codes and what is said."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import pytest

import pymanip_run
from pymanip_run.session import AsyncSession, SavedAsyncSession

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(pymanip_run.__file__).parent.parent)}
MAIN = "from pymanip_run.cli import main; main()"

KILLED = """
import os, signal, sys
from pymanip_run.session import AsyncSession, internals
sesn = AsyncSession(sys.argv[1], verbose=False, checkpoint_period=1000)
for i in range(50):
    sesn.add_entry(T=i)
os.kill(internals(sesn).store._child.pid, signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
"""


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-c", MAIN, *map(str, arguments)],
        capture_output=True, text=True, timeout=60, check=False, env=ENVIRONMENT,
    )  # fmt: skip


@pytest.fixture
def session(tmp_path):
    path = tmp_path / "cell.h5"
    with AsyncSession(path, verbose=False) as sesn:
        for i in range(3000):
            sesn.add_entry(T=20 + i % 5)
        sesn.add_dataset(frame=[[1, 2], [3, 4]])
    return path


@pytest.fixture
def crashed(tmp_path):
    """A session whose run and checkpointer were killed."""
    path = tmp_path / "cell.h5"
    died = subprocess.run([sys.executable, "-c", KILLED, path], env=ENVIRONMENT, check=False)
    assert died.returncode == -signal.SIGKILL
    return path


def names(path):
    return sorted(p.name for p in path.parent.iterdir() if p.suffix != ".log")


def test_recover_says_what_it_brought_in_and_where_to_look(crashed):
    done = run("recover", crashed)
    assert done.returncode == 0
    assert done.stdout == ""
    assert re.fullmatch(
        rf"{crashed}: \d+ records taken from the journal\nlook: pymanip-inspect {crashed}\n", done.stderr
    )  # fmt: skip
    assert names(crashed) == ["cell.h5"]
    assert SavedAsyncSession(crashed, verbose=False)["T"].size == 50


def test_recover_after_a_clean_end_says_that_there_is_nothing_to_do(session):
    before = session.read_bytes()
    done = run("recover", session)
    assert done.returncode == 0
    assert "nothing to recover, the last run ended cleanly" in done.stderr
    assert session.read_bytes() == before
    assert names(session) == ["cell.h5"]


def test_a_damaged_journal_is_recovered_and_the_loss_is_told(crashed):
    segment = crashed.with_name("cell.h5.wal.1")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0xFF
    segment.write_bytes(data)
    done = run("recover", crashed)
    assert done.returncode == 0
    assert "damaged bytes kept in a copy of the journal" in done.stderr
    assert "1 records lost" in done.stderr
    assert names(crashed) == ["cell.h5", "cell.h5.wal.1.damaged"]
    verified = run("inspect", crashed, "--verify")
    assert verified.returncode == 4
    assert "an earlier loss" in verified.stdout


def test_compact_says_how_much_smaller_it_became(session):
    before = session.stat().st_size
    done = run("compact", session)
    assert done.returncode == 0
    assert done.stdout == ""
    assert re.fullmatch(
        rf"{session}: [\d.]+ \w+ → [\d.]+ \w+, read back and compared\n", done.stderr
    )
    assert session.stat().st_size < before
    assert names(session) == ["cell.h5"]
    assert run("inspect", session, "--verify").returncode == 0


def test_compact_takes_in_what_a_crash_left(crashed):
    assert run("compact", crashed).returncode == 0
    assert names(crashed) == ["cell.h5"]
    assert SavedAsyncSession(crashed, verbose=False)["T"].size == 50


def test_compact_refuses_a_level_that_gzip_has_not(session):
    done = run("compact", session, "--level", "10")
    assert done.returncode == 2
    assert "--level" in done.stderr


def test_an_interrupted_compact_leaves_the_original(session, tmp_path):
    """Ctrl-C as soon as the copy is there."""
    original = session.read_bytes()
    code = (
        "import os, signal, sys\nfrom pymanip_run.storage.files import Files\n"
        "Files.fdatasync = staticmethod(lambda fd: os.kill(os.getpid(), signal.SIGINT))\n" + MAIN
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "compact", session],
        capture_output=True, text=True, timeout=60, check=False, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
    assert session.read_bytes() == original
    assert names(session) == ["cell.h5"]


def test_verify_says_that_all_is_well_and_where_the_data_are(session):
    done = run("inspect", session, "--verify")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        f"{session} · healthy",
        "read 3000 values and 1 records; all of it is in the HDF5 file",
    ]


def test_verify_tells_programs_the_same(session, crashed):
    told = json.loads(run("inspect", session, "--verify", "--json").stdout)
    assert told == {
        "file": str(session), "healthy": True, "problems": [], "values": told["values"],
        "records": told["records"], "journal_bytes": told["journal_bytes"], "transaction_pending": False,
    }  # fmt: skip
    assert f"read {told['values']} values and {told['records']} records" in (
        run("inspect", session, "--verify").stdout
    )
    assert json.loads(run("inspect", crashed, "--verify", "--json").stdout)["journal_bytes"] > 0


def test_verify_says_how_much_is_still_in_the_journal(crashed):
    done = run("inspect", crashed, "--verify")
    assert done.returncode == 0
    assert "read 50 values" in done.stdout
    assert "still in the journal beside the HDF5 file" in done.stdout


def test_verify_finds_values_that_were_changed_and_exits_with_4(session):
    with h5py.File(session, "r+") as h5:
        h5["variables/T/value"][17] = 1e6
    done = run("inspect", session, "--verify")
    assert done.returncode == 4
    assert done.stdout.splitlines()[0].endswith("· damaged")
    assert "T: the statistics tell max = 24.0, the values 1000000.0" in done.stdout


@pytest.mark.parametrize("command", [["recover"], ["compact"]])
def test_a_session_that_is_being_written_is_left_alone(tmp_path, command):
    with AsyncSession(tmp_path / "cell", verbose=False) as sesn:
        sesn.add_entry(T=1)
        done = run(*command, tmp_path / "cell.h5")
        assert done.returncode == 4
        assert f"is being written by process {os.getpid()} on " in done.stderr
        assert "stop that run first" in done.stderr
        sesn.add_entry(T=2)
    assert SavedAsyncSession(tmp_path / "cell.h5", verbose=False)["T"].size == 2


@pytest.mark.parametrize("command", [["recover"], ["compact"], ["inspect", "--verify"]])
def test_a_file_that_is_not_there_is_exit_2_with_the_nearest_name(session, command):
    done = run(*command, session.with_name("cel.h5"))
    assert done.returncode == 2
    assert "did you mean 'cell.h5'?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", [["recover"], ["compact"], ["inspect", "--verify"]])
@pytest.mark.parametrize("content", [b"", b"no session at all", b"\x89HDF\r\n\x1a\n" + bytes(3000)])
def test_what_is_no_session_is_exit_4_in_one_sentence_and_stays(tmp_path, command, content):
    path = tmp_path / "garbage.h5"
    path.write_bytes(content)
    done = run(*command, path)
    assert done.returncode == 4
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "garbage.h5" in done.stderr
    assert path.read_bytes() == content
    assert names(path) == ["garbage.h5"]


def test_a_pipe_is_no_session(tmp_path):
    os.mkfifo(tmp_path / "pipe.h5")
    done = run("inspect", tmp_path / "pipe.h5")
    assert done.returncode == 4
    assert "no regular file" in done.stderr
