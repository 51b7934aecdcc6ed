"""``pymanip-inspect`` of a folder: the sessions in it as one table."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pymanip_run
from pymanip_run import AsyncSession

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(pymanip_run.__file__).parent.parent)}


def inspect(folder, *arguments):
    code = "from pymanip_run.cli import main_inspect as main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    desk = tmp_path_factory.mktemp("desk")
    (desk / "data").mkdir()
    for number in (1, 2, 10):
        with AsyncSession(desk / "data" / f"run_{number}", verbose=False) as sesn:
            sesn.describe("T", unit="°C")
            sesn.save_parameter(voltage=number % 3, gain=2.5, mode="[red]\x1b[31m")
            sesn.save_metadata(operator="Ann")
            sesn.add_entry(T=20.5 + number, **{f"variable_{i}": i for i in range(12)})
    (desk / "data" / "bad.h5").write_bytes(b"no session")
    return desk


def test_a_folder_is_a_table(desk):
    done = inspect(desk, "data/")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "3 sessions"
    assert lines[2].split()[:7] == ["session", "start", "duration", "ended", "by", "voltage", "T"]
    assert [line.split()[0] for line in lines[3:6]] == [
        "data/run_1",
        "data/run_2",
        "data/run_10",
    ]
    assert "no run" in lines[3]
    assert "21.5" in lines[3]
    assert "In all       gain 2.5 · mode [red]\\x1b[31m" in lines
    assert lines[-1] == "Unreadable   data/bad.h5: no session: this is not an HDF5 file"
    assert "\x1b" not in done.stdout


def test_what_does_not_fit_is_named(desk):
    narrow = inspect(desk, "data/")  # 160 columns off a terminal
    table, _, rest = narrow.stdout.partition("Not shown")
    assert max(map(len, table.splitlines())) <= 160
    assert "variable_11" in rest or "variable_11" in table


def test_conditions_order_and_columns(desk):
    done = inspect(desk, "data", "--where", "T > 22", "--sort", "T", "--reverse")
    assert [line.split()[0] for line in done.stdout.splitlines()[3:5]] == ["data/run_10", "data/run_2"]  # fmt: skip
    done = inspect(desk, "data/run_*.h5", "operator", "T", "--where", "voltage = 1")
    assert done.stdout.splitlines()[2].split()[-3:] == ["operator", "T", "(°C)"]
    assert [line.split()[0] for line in done.stdout.splitlines()[3:5]] == ["data/run_1", "data/run_10"]  # fmt: skip
    nothing = inspect(desk, "data", "--where", "voltage > 7")
    assert nothing.stdout.startswith("no session is so\n")


def test_several_files_are_a_table_as_the_shell_expands_them(desk):
    done = inspect(desk, "data/run_1.h5", "data/run_2.h5", "data/bad.h5")
    assert done.stdout.startswith("2 sessions\n")
    assert "bad.h5" in done.stdout
    alone = inspect(desk, "data/run_1.h5", "T")
    assert "Logged variables" in alone.stdout


def test_the_table_as_json(desk):
    found = json.loads(inspect(desk, "data", "--json").stdout)
    assert [one["name"] for one in found["sessions"]] == ["run_1", "run_2", "run_10"]
    first = found["sessions"][0]
    assert first["parameters"]["voltage"] == 1
    assert first["results"]["T"]["last"] == 21.5
    assert first["results"]["T"]["unit"] == "°C"
    assert first["metadata"] == {"operator": "Ann"}
    assert [*found["unreadable"].values()] == ["no session: this is not an HDF5 file"]
    some = json.loads(inspect(desk, "data", "voltage", "--json").stdout)
    assert set(some["sessions"][0]) == {"file", "name", "duration", "voltage"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["data", "voltag"], "no session has 'voltag'; did you mean 'voltage'?"),
        (["data", "--where", "voltage"], "'voltage' is no condition; write for example 'voltage > 3'"),
        (["data", "--where", "voltag > 3"], "did you mean 'voltage'?"),
        (["data", "--sort", "volt"], "no session has 'volt'"),
        (["data", "--tail", "3"], "the other options need a single one"),
        (["data/run_1.h5", "--sort", "T"], "name their folder:\n  pymanip-inspect data"),
        (["nothing/*.h5"], "there is no session in nothing/*.h5"),
        (["."], "pymanip-inspect './**/*.h5'"),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_said_with_what_can(desk, arguments, said):
    done = inspect(desk, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
