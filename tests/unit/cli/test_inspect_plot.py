"""``inspect --plot``: variables drawn in the terminal, or into a file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pymanip_run import AsyncSession

PROJECT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("session")
    with AsyncSession(folder / "a", verbose=False) as sesn:
        sesn.describe("T_top", unit="°C", label="Top\x1b[31m")
        sesn.save_parameter(voltage=3)
        for i in range(10):
            sesn.add_entry({"T_top": i, "T_bottom": 10 - i} | {f"v{n}": n for n in range(9)})
    AsyncSession(folder / "empty", verbose=False).close()
    return folder


def inspect(folder, *arguments, **environ):
    return subprocess.run(
        [sys.executable, "-m", "pymanip_run", "inspect", *arguments],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(PROJECT), "PYTHONIOENCODING": "utf-8"} | environ,
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, encoding="utf-8",
    )  # fmt: skip


def test_each_variable_has_a_panel(folder):
    done = inspect(folder, "a.h5", "--plot", "T_top", "T_bottom")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "T_top · Top\\x1b[31m (°C)  10 values"
    assert "T_bottom  10 values" in lines
    assert sum("⣀" in line or "⠉" in line for line in lines) >= 4


def test_within_ascii_it_is_drawn_in_ascii(folder):
    done = inspect(folder, "a.h5", "T_top", "--plot", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "(degC)" in done.stdout
    assert "''" in done.stdout


def test_of_many_variables_the_first_are_drawn_and_how_to_see_others_is_said(folder):
    lines = inspect(folder, "a.h5", "--plot").stdout.splitlines()
    assert sum(" values" in line for line in lines) == 8
    assert lines[-2:] == [
        "3 more variables; name those to be drawn:",
        "  pymanip-inspect a.h5 --plot v6",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.h5", "--plot", "T_tpo"], "did you mean 'T_top'"),
        (["a.h5", "--plot", "voltage"], "--plot draws logged variables, and voltage is none"),
        (["empty.h5", "--plot"], "there is nothing to plot"),
        (["a.h5", "-o", "a.png"], "-o is for a plot; add --plot"),
        (["a.h5", "--log"], "--log is for a plot; add --plot"),
        (["a.h5", "--plot", "-o", "a"], "for example -o a.png"),
        (["a.h5", "--plot", "-o", "a.txt"], "one of "),
        (["a.h5", "--plot", "-o", "no/a.png"], "there is no folder no"),
        (["a.h5", "--plot", "--events"], "show different things"),
    ],
)
def test_what_cannot_be_drawn_is_said_with_what_can(folder, arguments, message):
    done = inspect(folder, *arguments)
    assert done.returncode == 2, done.stdout
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("name", "beginning"), [("a.png", b"\x89PNG"), ("b.SVG", b"<?xml")])
def test_a_figure_is_written_as_its_suffix_says(folder, name, beginning):
    done = inspect(folder, "a.h5", "--plot", "T_top", "T_bottom", "-o", name)
    assert done.returncode == 0, done.stderr
    assert done.stderr == f"{name}: 2 variables\n"
    assert (folder / name).read_bytes().startswith(beginning)
    assert not list(folder.glob("*.part"))


def test_without_matplotlib_there_is_still_the_terminal(folder, tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['matplotlib'] = None\n")
    without = {"PYTHONPATH": f"{tmp_path}{os.pathsep}{PROJECT}"}
    assert inspect(folder, "a.h5", "--plot", "T_top", **without).returncode == 0
    done = inspect(folder, "a.h5", "--plot", "T_top", "-o", "c.png", **without)
    assert done.returncode == 2
    assert done.stderr == "this needs matplotlib; install it: pip install 'pymanip-run[plot]'\n"
