"""What the shell completes: commands, files, sessions, names in them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pymanip_run
from pymanip_run.cli.complete import with_run
from pymanip_run.session import AsyncSession

PROJECT = str(Path(pymanip_run.__file__).parent.parent)
MAIN = "from pymanip_run.cli import main; main()"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("lab")
    for name in ("experiment.yaml", "export_all.yml", "tasks.py", "data.csv"):
        (path / name).touch()
    (path / "more").mkdir()
    (path / "more" / "deep.yaml").touch()
    with AsyncSession(path / "cell.h5", verbose=False) as sesn:
        sesn.add_entry(T_top=1, T_bottom=2, power=3)
        sesn.save_parameter(voltage=4)
    return path


def completed(folder, *words):
    """What bash is given for the last word."""
    done = subprocess.run(
        [sys.executable, "-c", MAIN],
        env=os.environ | {
            "PYTHONPATH": PROJECT,
            "_PYMANIP_RUN_COMPLETE": "complete_bash",
            "COMP_WORDS": "\n".join(["pymanip-run", *words]),
            "COMP_CWORD": str(len(words)),
        },
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["exp"], ["export", "experiment.yaml", "export_all.yml"]),
        (["run", ""], ["experiment.yaml", "export_all.yml"]),
        (["check", "more/"], ["more/deep.yaml"]),
        (["experiment.yaml", "--dis"], ["--display"]),
        (["experiment.yaml", "--display", "j"], ["json"]),
        (["run", "experiment.yaml", "--session", ""], ["cell.h5"]),
        (["inspect", ""], ["cell.h5"]),
        (["inspect", "cell.h5", "T_"], ["T_bottom", "T_top"]),
        (["export", "cell", "p"], ["power"]),
        (["inspect", "cell.h5", "volt"], ["voltage"]),
        (["export", "cell.h5", "--to", "cs"], ["csv"]),
        (["new", "cell", "--template", "s"], ["sweep"]),
        (["inspect", "nosuch.h5", ""], []),
        (["inspect", "data.csv", ""], []),
        (["run", "nowhere/"], []),
        (["stop", ""], []),
    ],
    ids=" ".join,
)  # fmt: skip
def test_the_shell_completes(folder, words, expected):
    assert sorted(completed(folder, *words)) == sorted(expected)


def test_a_known_session_is_completed_where_it_can_be_named(folder):
    with AsyncSession(folder / "a.h5", verbose=False) as sesn:

        async def once(sesn):
            sesn.ask_exit()

        sesn.run(once, handle_signals=False)
    assert completed(folder, "status", "") == ["a.h5"]
    assert completed(folder, "stop", "") == []
    (folder / "a.h5").unlink()


def is_file(word):
    return word.endswith(".yaml")


def test_where_the_first_word_is_a_file_its_run_is_completed():
    bash = {"COMP_WORDS": "pymanip-run\na.yaml\n--f", "COMP_CWORD": "2"}
    with_run(bash, is_file)
    assert bash == {"COMP_WORDS": "pymanip-run\nrun\na.yaml\n--f", "COMP_CWORD": "3"}
    zsh = {"_TYPER_COMPLETE_ARGS": "pymanip-run a.yaml --f"}
    with_run(zsh, is_file)
    assert zsh == {"_TYPER_COMPLETE_ARGS": "pymanip-run run a.yaml --f"}


@pytest.mark.parametrize(
    "line",
    [
        {"COMP_WORDS": "pymanip-run\na.yaml", "COMP_CWORD": "1"},
        {"COMP_WORDS": "pymanip-run\ninspect\na", "COMP_CWORD": "2"},
        {"_TYPER_COMPLETE_ARGS": "pymanip-run a.yaml"},
        {"_TYPER_COMPLETE_ARGS": "pymanip-run inspect a"},
        {},
    ],
)
def test_all_other_lines_stay_as_they_are(line):
    before = dict(line)
    with_run(line, is_file)
    assert line == before
