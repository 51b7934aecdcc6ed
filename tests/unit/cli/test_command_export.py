"""``pymanip-export`` as it is typed: formats by name or ending, windows, stretches, zones, records."""

import json
import os
import pty
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import pymanip_run
from pymanip_run.core.view import SessionView
from pymanip_run.export.zones import moment
from pymanip_run.session import AsyncSession
from pymanip_run.storage.memory import MemoryStore

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(pymanip_run.__file__).parent.parent)}
COMMAND = [sys.executable, "-c", "from pymanip_run.cli import main_export as m; m()"]
SESSIONS = Path(__file__).parents[1] / "storage" / "pymanip_sessions"


def run(*arguments, cwd, **options):
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], cwd=cwd, env=ENVIRONMENT | options,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """A folder with a session of two variables and three images."""
    with AsyncSession(tmp_path / "cell.h5", verbose=False) as sesn:
        sesn.describe("T", unit="°C")
        for i in range(20):
            sesn.add_entry(T=i / 7, power=12)
            if i % 7 == 0:
                sesn.add_dataset(frame=np.full((4, 5), i, np.uint16))
    return tmp_path


def test_the_ending_of_the_file_chooses_the_format(folder):
    assert run("cell", "-o", "a.npz", cwd=folder).returncode == 0
    with np.load(folder / "a.npz") as arrays:
        assert len(arrays["T"]) == 20
    done = run("cell", "-o", "lines.json", "T", cwd=folder)
    assert done.stderr == "lines.json: 20 rows of 1 variable\n"
    assert json.loads((folder / "lines.json").read_text().splitlines()[-1])["values"] == {
        "T": 19 / 7
    }


def test_without_a_file_it_is_beside_the_session(folder):
    for to, name in (("sqlite", "cell.sqlite"), ("jsonl", "cell.jsonl"), ("npz", "cell.npz")):
        assert run("cell.h5", "--to", to, cwd=folder).returncode == 0
        assert (folder / name).is_file()
    done = run("cell.h5", "--to", "csv", "--how", "separate", cwd=folder)
    assert done.stderr == "cell_csv: 40 rows of 2 variables in 2 files\n"
    assert {p.name for p in (folder / "cell_csv").iterdir()} == {"T.csv", "power.csv", "index.json"}


def test_stretches_in_a_zone(folder):
    done = run("cell", "T", "--resample", "1h", "--tz", "+05:30", "-o", "-", cwd=folder)
    head, *rows = done.stdout.splitlines()
    assert head == "time,T_mean [°C],T_min [°C],T_max [°C],T_count"
    assert sum(float(row.rsplit(",", 1)[1]) for row in rows) == 20
    assert all(":30:00.000000+05:30," in row for row in rows)


def test_a_name_of_the_zone_is_that_of_the_computer(folder):
    done = run("cell", "T", "--tz", "local", "-o", "-", cwd=folder, TZ="Asia/Tokyo")
    assert done.stdout.splitlines()[1].split(",")[0].endswith("+09:00")


def test_records_of_datasets_are_files_with_an_index(folder):
    done = run("cell", "--datasets", "npy", "-o", "frames", cwd=folder)
    assert done.stderr == "frames: 3 records of 1 dataset, listed in frames/index.csv\n"
    assert np.load(folder / "frames" / "frame" / "000002.npy").tolist() == [[14] * 5] * 4
    again = run(
        "cell", "--datasets", "npz", "-o", "frames", cwd=folder
    )  # its own folder is replaced
    assert again.returncode == 0
    assert {p.name for p in (folder / "frames").iterdir()} == {"frame.npz", "index.csv"}
    (folder / "frames" / "index.csv").unlink()
    assert "is not empty" in run("cell", "--datasets", "npy", "-o", "frames", cwd=folder).stderr


def test_an_old_session_is_exported_too(tmp_path):
    done = run(SESSIONS / "schema_3_by_0.4.3.db", "T_bottom", "-o", "-", cwd=tmp_path)
    assert len(done.stdout.splitlines()) == 41
    assert done.returncode == 0


def test_a_binary_format_is_not_put_on_a_terminal(folder):
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "cell", "--to", "npz", "-o", "-"],
        cwd=folder, env=ENVIRONMENT, stdout=slave, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert "npz is no text for a terminal; add -o FILE.npz" in process.stderr.read()
    os.close(slave)
    os.close(master)
    assert process.returncode == 2


def test_progress_is_shown_on_a_terminal_only(folder):
    assert "%" not in run("cell", "-o", "a.csv", cwd=folder).stderr
    master, slave = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "cell", "-o", "a.csv"], cwd=folder, env=ENVIRONMENT, stderr=slave, text=True
    ) as process:
        os.close(slave)
        seen = b""
        try:
            while part := os.read(master, 1000):
                seen += part
        except OSError:  # as Linux says that the other end is closed
            pass
    os.close(master)
    assert b"100%" in seen
    assert seen.endswith(b"a.csv: 20 rows of 2 variables\r\n")
    assert process.returncode == 0


@pytest.mark.parametrize("to", ["csv", "jsonl", "npz", "sqlite"])
def test_a_session_that_is_being_written_is_exported_as_it_is(tmp_path, to):
    with AsyncSession(tmp_path / "cell", verbose=False, checkpoint_period=0.05) as sesn:
        for i in range(500):
            sesn.add_entry(T=float(i))
        stop = threading.Event()

        def write():
            i = 500
            while not stop.is_set():
                sesn.add_entry(T=float(i))
                i += 1
                stop.wait(0.0002)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            done = run("cell", "--to", to, cwd=tmp_path)
        finally:
            stop.set()
            writer.join()
        rows = int(done.stderr.split(": ")[1].split()[0])
        assert done.returncode == 0
        assert 500 <= rows <= sesn["T"].size
    if to == "csv":
        values = [line.split(",")[1] for line in (tmp_path / "cell.csv").read_text().splitlines()]
        assert values == ["T", *(repr(float(i)) for i in range(rows))]


def test_moments_are_relative_to_the_beginning_and_the_end():
    store = MemoryStore()
    for second in (1000, 2000, 3000):
        store.append_row(second * 10**9, ("T",), (0.0,))
    view = SessionView(store, "s")
    assert moment("start", view) == 1000
    assert moment("start+10min", view) == 1600
    assert moment("start + 1h", view) == 4600
    assert moment("end-1min", view) == 2940
    assert moment("-2h", view) == -4200
    assert moment("1234.5", view) == 1234.5
    assert moment("1970-01-01T01:00:00+00:00", view) == 3600
    for word in ("started", "nan"):
        with pytest.raises(ValueError, match="is not a time"):
            moment(word, view)


@pytest.mark.parametrize("options", [["--to", "npz"], ["--to", "csv", "--how", "separate"]])
def test_what_another_session_left_beside_it_is_not_replaced_unasked(folder, options):
    for _ in range(2):  # its own is
        assert run("cell", *options, cwd=folder).returncode == 0
    with AsyncSession(folder / "other.h5", verbose=False) as sesn:
        sesn.add_entry(T=1)
    made = folder / ("cell.npz" if "npz" in options else "cell_csv")
    there = made.rename(made.with_name(made.name.replace("cell", "other")))
    before = there.stat()
    refused = run("other", *options, cwd=folder)
    assert refused.returncode == 2
    assert refused.stderr.startswith(f"{there.name} exists, and was not made from other.h5")
    assert (there.stat().st_mtime_ns, there.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert run("other", *options, "--force", cwd=folder).returncode == 0
    assert run("cell", *options, "-o", there.name, cwd=folder).returncode == 0  # named, so meant


def test_a_table_of_stretches_is_made_again_over_itself(folder):
    for _ in range(2):
        done = run("cell", "--resample", "1h", "--tz", "local", cwd=folder)
        assert done.returncode == 0, done.stderr
