"""The workflow files of "Experiments in CI": their shell commands work, in a folder of an experiment."""

import shutil

import pytest
import yaml
from documents import INSTALLS, PROJECT, Desk, blocks

PAGE = PROJECT / "docs" / "how-to" / "experiments-in-ci.md"
FILES = {block.caption: block.text for block in blocks(PAGE) if block.caption}


def github(text):
    """The shell commands of a workflow of GitHub."""
    (job,) = yaml.safe_load(text)["jobs"].values()
    return [step["run"] for step in job["steps"] if "run" in step]


def gitlab(text):
    """The shell commands of a job of GitLab."""
    (job,) = yaml.safe_load(text).values()
    return job["script"]


@pytest.mark.parametrize(
    ("name", "commands"), [(".github/workflows/experiment.yml", github), (".gitlab-ci.yml", gitlab)]
)
def test_the_commands_of_a_workflow_rehearse_an_experiment(name, commands, tmp_path):
    desk = Desk(tmp_path)
    folder = shutil.copytree(desk.samples / "cooling_body", tmp_path / "repository")
    (folder / "test_experiment.py").write_text(FILES["test_experiment.py"])
    steps = [step for step in commands(FILES[name]) if not INSTALLS.match(step)]
    assert len(steps) == 4
    printed = desk.run("set -e\n" + "\n".join(steps), folder)
    assert "rehearsed 20 s in" in printed
    assert "1 passed" in printed
    assert '"exit_code": 0' in (folder / "report.json").read_text()
    assert [p.name for p in folder.rglob("*.h5*")] == []


@pytest.mark.parametrize(
    ("name", "commands"), [(".github/workflows/experiment.yml", github), (".gitlab-ci.yml", gitlab)]
)
def test_a_workflow_fails_with_a_task(name, commands, tmp_path):
    desk = Desk(tmp_path)
    folder = shutil.copytree(desk.samples / "cooling_body", tmp_path / "repository")
    module = folder / "cooling_body.py"
    module.write_text(module.read_text().replace("sesn.bath.set_point = T_set", "1 / 0"))
    (rehearsal,) = (s for s in commands(FILES[name]) if "--dry-run" in s and "--json" not in s)
    printed = desk.run(f"{rehearsal} 2>&1 || echo exit code $?", folder)
    assert "ZeroDivisionError" in printed
    assert printed.rstrip().endswith("exit code 1")
