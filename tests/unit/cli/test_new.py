"""``pymanip-run new``: what it writes runs as it is, and it never overwrites anything silently."""

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import pymanip_run
from pymanip_run.cli.new import FOLDER, SUFFIX, TEMPLATES

PROJECT = Path(pymanip_run.__file__).parent.parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(PROJECT), "PYTHONDONTWRITEBYTECODE": "1"}


def call(*command, cwd):
    return subprocess.run(
        [sys.executable, "-m", *map(str, command)],
        cwd=cwd, env=ENVIRONMENT, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def run(*arguments, cwd):
    return call("pymanip_run", *arguments, cwd=cwd)


def made(folder, template):
    done = run("new", "cell", "--template", template, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "cell", done.stdout


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_is_valid_and_its_own_tests_pass(tmp_path, template):
    folder, _ = made(tmp_path, template)
    checked = run("check", folder / "experiment.yaml", cwd=tmp_path)
    assert checked.returncode == 0, checked.stderr
    assert "warning" not in checked.stdout
    tested = call("pytest", "-q", "-p", "no:cacheprovider", cwd=folder)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert [p.name for p in folder.iterdir() if p.suffix not in (".py", ".yaml")] == []


@pytest.mark.parametrize(
    ("template", "variable"),
    [("this_computer", "load"), ("sweep", "amplitude"), ("instrument", "voltage_out")],
)
def test_the_two_commands_at_the_end_work_as_they_are(tmp_path, template, variable):
    _, said = made(tmp_path, template)
    commands = [line.strip() for line in said.splitlines() if line.startswith("  pymanip-")]
    assert commands == [
        "pymanip-run cell/experiment.yaml --for 30s",
        "pymanip-inspect cell/session.h5",
    ]
    ran = run("cell/experiment.yaml", "--for", "2s", "--display", "lines", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    looked = run("inspect", "cell/session.h5", "--json", cwd=tmp_path)
    summary = json.loads(looked.stdout)
    assert summary["title"] == "cell"
    assert summary["runs"][0]["exit_code"] == 0
    assert summary["variables"][variable]["n"] >= 2
    units = {name: known["unit"] for name, known in summary["variables"].items()}
    assert units[variable] == {"load": None, "amplitude": "mm", "voltage_out": "V"}[variable]


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_can_be_rehearsed(tmp_path, template):
    folder, _ = made(tmp_path, template)
    rehearsed = run(folder / "experiment.yaml", "--dry-run", "--for", "1h", "--json", cwd=tmp_path)
    assert rehearsed.returncode == 0, rehearsed.stderr
    assert json.loads(rehearsed.stdout)["warnings"] == []
    assert not (folder / "session.h5").exists()


def test_the_code_of_the_templates_is_in_the_style_of_the_house(tmp_path):
    for template in TEMPLATES:
        for path in (FOLDER / template).glob(f"*.py{SUFFIX}"):
            target = tmp_path / template / path.name.removesuffix(SUFFIX)
            target.parent.mkdir(exist_ok=True)
            target.write_text(path.read_text("utf-8"), "utf-8")
    settings = ["--no-cache", "--config", str(PROJECT / "pyproject.toml")]
    formatted = call("ruff", "format", "--check", "--diff", *settings, tmp_path, cwd=tmp_path)
    assert formatted.returncode == 0, formatted.stdout
    # The order of imports depends on where the package is installed.
    ignored = ["ANN", "D10", "S", "INP", "PLR2004", "PT", "N", "I"]
    linted = call(
        "ruff", "check", *settings, "--extend-ignore", ",".join(ignored), tmp_path, cwd=tmp_path
    )
    assert linted.returncode == 0, linted.stdout


def test_a_folder_with_files_is_refused_and_stays_as_it_is(tmp_path):
    (tmp_path / "cell").mkdir()
    (tmp_path / "cell" / "data.h5").write_text("precious")
    refused = run("new", "cell", cwd=tmp_path)
    assert refused.returncode == 2
    assert "cell is not empty (data.h5)" in refused.stderr
    assert refused.stderr.rstrip().endswith("pymanip-run new cell --force")
    assert [p.name for p in (tmp_path / "cell").iterdir()] == ["data.h5"]


@pytest.mark.needs_system("setpriv")
def test_a_folder_that_cannot_be_read_is_told_in_a_line(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    command = [sys.executable, "-m", "pymanip_run", "new", "closed"]
    if os.geteuid() == 0:  # who may read everything
        command = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", *command]
    done = subprocess.run(
        command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, "closed cannot be read: Permission denied\n")


def test_with_force_what_is_in_the_way_is_kept(tmp_path):
    folder = tmp_path / "cell"
    folder.mkdir()
    (folder / "data.h5").write_text("precious")
    for text in ("mine", "mine again"):
        (folder / "tasks.py").unlink(missing_ok=True)
        (folder / "tasks.py").write_text(text)
        done = run("new", "cell", "--force", cwd=tmp_path)
        assert done.returncode == 0
        assert "cell/tasks.py was there; it is kept as cell/tasks.py.old" in done.stderr
    assert (folder / "data.h5").read_text() == "precious"
    assert (folder / "tasks.py.old").read_text() == "mine"
    assert (folder / "tasks.py.old2").read_text() == "mine again"
    assert run("check", "cell/experiment.yaml", cwd=tmp_path).returncode == 0


def test_an_empty_folder_is_filled_and_missing_ones_are_made(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("empty", "a/b/c", 'it\'s "new": [x]'):
        assert run("new", name, cwd=tmp_path).returncode == 0
        assert run("check", f"{name}/experiment.yaml", cwd=tmp_path).returncode == 0


def test_the_present_folder_can_be_named(tmp_path):
    assert run("new", ".", cwd=tmp_path).returncode == 0
    assert json.dumps(tmp_path.name) in (tmp_path / "experiment.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["cell", "--template", "swep"], "there is no template 'swep'; did you mean 'sweep'?"),
        (["file.txt"], "file.txt is a file; name a folder"),
        (["file.txt/cell"], "cannot be written"),
        ([], "DIRECTORY"),
    ],
)
def test_new_refuses_with_what_would_work(tmp_path, arguments, said):
    (tmp_path / "file.txt").touch()
    refused = run("new", *arguments, cwd=tmp_path)
    assert refused.returncode == 2
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr
    assert [p.name for p in tmp_path.iterdir()] == ["file.txt"]


def test_the_templates_are_in_the_wheel(tmp_path):
    built = call("hatchling", "build", "-t", "wheel", "-d", tmp_path, cwd=PROJECT)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for path in FOLDER.rglob(f"*{SUFFIX}"):
        assert str(path.relative_to(PROJECT)) in names
    assert len(re.findall(r"experiment\.yaml\.template", " ".join(names))) == len(TEMPLATES)
