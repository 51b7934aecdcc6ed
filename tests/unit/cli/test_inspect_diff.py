"""``inspect --diff A B`` as it is typed, and the options that cannot go together."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import pymanip_run
from pymanip_run.session import AsyncSession

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(pymanip_run.__file__).parent.parent)}
OLD = Path(__file__).parents[1] / "storage" / "pymanip_sessions" / "schema_4.1.db"


def run(*arguments, cwd, command="main_inspect"):
    code = f"from pymanip_run.cli import {command} as m; m()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        cwd=cwd, capture_output=True, text=True, timeout=60, check=False, env=ENVIRONMENT,
    )  # fmt: skip


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    for name, voltage in (("monday", 3), ("tuesday", 4)):
        with AsyncSession(folder / name, verbose=False) as sesn:
            sesn.describe("T", unit="°C")
            sesn.save_parameter(voltage=voltage)
            for i in range(4):
                sesn.add_entry(T=voltage + i)
    return folder


def test_what_differs_is_shown_part_by_part(lab):
    done = run("--diff", "monday", "tuesday", cwd=lab)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("A  monday.h5")
    assert lines[1].startswith("B  tuesday.h5")
    assert "Configuration the same" in lines
    assert "Parameters    voltage 3 → 4" in lines
    row = next(line.split() for line in lines if line.startswith("  T"))
    assert row[:6] == ["T", "4", "4", "4.5", "5.5", "+1"]
    assert row[-1] == "°C"


def test_the_flag_may_come_last_and_names_restrict(lab):
    done = run("monday", "tuesday", "voltage", "--diff", cwd=lab)
    assert "voltage 3 → 4" in done.stdout
    assert "no variables" in done.stdout


def test_as_json_it_is_one_object(lab):
    found = json.loads(run("--diff", "monday", "tuesday", "--json", cwd=lab).stdout)
    assert [*found] == [
        "a", "b", "configuration", "code", "versions", "computer", "parameters", "metadata", "statistics",
    ]  # fmt: skip
    assert found["a"]["file"] == "monday.h5"


def test_a_session_of_pymanip_can_be_compared(lab):
    done = run("--diff", "monday", OLD, cwd=lab)
    assert done.returncode == 0, done.stderr
    assert "no run" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--diff", "monday"], "pymanip-inspect --diff monday OTHER.h5"),
        (["--diff", "monday", "tusday"], "did you mean 'tuesday.h5'?"),
        (["--diff", "monday", "tuesday", "nothing"], "no logged variable 'nothing'"),
        (["--diff", "--tail", "2", "monday", "tuesday"], "--diff and --tail show different things"),
        (["--follow", "--config", "monday"], "--config and --follow show different things"),
        (["--verify", "--follow", "monday"], "show different things"),
        (["--plot", "--json", "monday"], "leave one of them out"),
    ],
)
def test_what_makes_no_sense_is_refused_with_what_would(lab, arguments, said):
    done = run(*arguments, cwd=lab)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_call_without_options_says_the_same_as_one_through_the_parser(lab):
    for words in (
        ["monday"],
        ["monday", "T"],
        ["mondy"],
        ["monday", "nothing"],
        ["nowhere/at/all"],
    ):
        short = run(*words, cwd=lab)
        parsed = run("inspect", *words, cwd=lab, command="main")
        assert (short.returncode, short.stdout, short.stderr) == (
            parsed.returncode, parsed.stdout, parsed.stderr,
        )  # fmt: skip


def test_a_call_without_options_imports_neither_typer_nor_pydantic(lab):
    code = (
        "import sys; sys.argv = ['pymanip-inspect', 'monday.h5']\n"
        "from pymanip_run.cli import main_inspect as m\n"
        "try: m()\nexcept SystemExit: pass\n"
        "print([m for m in ('typer', 'pydantic', 'rich', 'asyncio', 'yaml') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=lab, env=ENVIRONMENT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "[]"
