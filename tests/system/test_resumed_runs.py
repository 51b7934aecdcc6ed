"""``--resume`` as its user meets it: what goes on, what is refused, and what they are told to type."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pymanip_run import SavedAsyncSession

PROJECT = Path(__file__).parents[2]
TASKS = """
import asyncio
import pathlib

steps = []

async def scan_step(sesn, *place):
    sesn.add_entry(power=sum(place))
    steps.append(place)
    # As long as there is a file "slow", the third step does not end.
    if pathlib.Path("slow").exists() and len(steps) == 3:
        await asyncio.sleep(60)
    return sum(place)

async def other_step(sesn, value=0):
    sesn.add_entry(other=value)

def doubling(sesn):
    value = 1.0
    while value < 100:
        value = 2 * (yield value)
"""
EXPERIMENT = """
session: {session}
module: tasks.py
server: {{enabled: false}}
parameters: {{voltage: 3.0, field: {{value: 1.0, unit: T}}}}
tasks:
  scan: {{use: scan_step, sweep: {sweep}}}
"""
MAILS = "email: {host: localhost, security: none, user: me, from: a@b.org, to: [c@d.org], every: 1d, on: []}\n"
LINE = "{parameter: voltage, start: 0, stop: 4, num: 5}"


class Bench:
    """An experiment in a folder, run by the command."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = {}
        (folder / "tasks.py").write_text(TASKS)
        self.write()

    def write(self, sweep=LINE, session="run.h5", more=""):
        text = EXPERIMENT.format(sweep=sweep, session=session) + more
        (self.folder / "e.yaml").write_text(text)

    def start(self, *options):
        return subprocess.Popen(
            [sys.executable, "-m", "pymanip_run", "e.yaml", "--json", *options],
            cwd=self.folder, env=os.environ | {"PYTHONPATH": str(PROJECT)} | self.environment, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def run(self, *options, code=0):
        process = self.start(*options)
        out, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors
        return out, errors

    def interrupted(self, *options):
        """Run, and be killed in the third step."""
        (self.folder / "slow").touch()
        process = self.start(*options)
        entries = (line for line in process.stdout if '"power"' in line)
        assert len(list(itertools.islice(entries, 3))) == 3
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate(timeout=60)
        (self.folder / "slow").unlink()
        assert process.returncode == -signal.SIGKILL, errors
        return errors

    def session(self, name="run.h5"):
        return SavedAsyncSession(self.folder / name, verbose=False)

    def points(self, name="run.h5"):
        """For each run the points that are over."""
        saved = self.session(name)
        return [
            [p.number for p in saved.sweep_points(run.index) if p.state == "done"]
            for run in saved.runs()
        ]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def told(errors):
    """What was said, without the dates of runs."""
    return re.sub(r"of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "of DATE", errors)


def test_a_killed_sweep_goes_on_and_a_complete_one_does_not(bench):
    bench.interrupted()
    out, errors = bench.run("--resume")
    assert told(errors).startswith(
        "run.h5: run 0 of DATE left scan at 2 of 5 points unfinished; going on there\n"
    )
    assert bench.points() == [[0, 1], [2, 3, 4]]
    # The half of a point stays, and says which point it belongs to.
    assert list(bench.session()["_point_scan"].values) == [0, 1, 2, 2, 3, 4]
    assert [e.text for e in bench.session().events() if e.kind == "resume"]
    assert json.loads(out.splitlines()[-1])["sweeps"] == {
        "scan": {"points": 5, "total": 5, "failed": 0}
    }

    _, errors = bench.run("--resume")
    assert errors == (
        "run.h5: nothing to resume: scan is complete (5 of 5 points). To begin anew:\n"
        "  pymanip-run e.yaml\n"
    )
    assert len(bench.session().runs()) == 2


def test_a_changed_plan_is_refused_line_by_line_and_accepted_anyway(bench):
    bench.interrupted()
    bench.write("{parameter: voltage, start: 0, stop: 8, num: 9, settle: 1ms}")
    _, errors = bench.run("--resume", "--set", "parameters.field=2", code=2)
    assert told(errors) == (
        "what is measured is not what it was when run 0 of DATE began:\n"
        "  scan: settle: 0.001, was 0.0\n"
        "  scan: points.voltage: 9 values from 0.0 to 8.0, was [0.0, 1.0, 2.0, 3.0, 4.0]\n"
        "  parameters.field.value: 2, was 1.0\n"
        "it was started with other settings; to go on as it began:\n"
        "  pymanip-run e.yaml --resume\n"
        "to go on nevertheless, or to begin anew:\n"
        "  pymanip-run e.yaml --set parameters.field=2 --resume-anyway\n"
        "  pymanip-run e.yaml --set parameters.field=2\n"
    )
    assert len(bench.session().runs()) == 1

    _, errors = bench.run("--set", "parameters.field=2", "--resume-anyway")
    assert "  different, and accepted: parameters.field.value: 2, was 1.0" in errors
    assert bench.points() == [[0, 1], [2, 3, 4, 5, 6, 7, 8]]
    stored = json.loads(bench.session().runs()[-1].texts["sweeps"])["sweeps"]["scan"]
    assert stored["resumes"] == 0
    assert stored["first"] == 2
    assert "parameters.field.value: 2, was 1.0" in stored["accepted"]
    (event,) = [e for e in bench.session().events() if e.kind == "resume"]
    assert "although different: settle: 0.001, was 0.0" in event.text


def test_what_does_not_concern_the_points_may_change_and_is_said(bench):
    bench.interrupted()
    bench.write(more="  other: {use: other_step, once: true}\nlimits: {duration: 1h}\n")
    tasks = bench.folder / "tasks.py"
    tasks.write_text(tasks.read_text() + "\n# mended\n")
    _, errors = bench.run("--resume")
    changed = re.findall("changed since, but not what is measured at the points: (.*)", errors)
    assert changed == [
        'tasks.other: {"use": "other_step", "once": true}, was not there',
        'limits: {"duration": 3600.0}, was not there',
        "the code of tasks.py, or of a module that it imports",
    ]
    assert bench.points() == [[0, 1], [2, 3, 4]]


def test_who_forgets_to_resume_is_told_how_and_can_still_do_it(bench):
    bench.interrupted()
    errors = bench.interrupted()
    assert told(errors).splitlines()[0] == (
        "note: run 0 of DATE left scan at 2 of 5 points unfinished; this run begins anew. "
        "To go on there, end this one and type:  pymanip-run e.yaml --resume-run 0"
    )
    bench.run("--resume-run", "0")
    assert bench.points() == [[0, 1], [0, 1], [2, 3, 4]]
    _, errors = bench.run("--resume-run", "7", code=2)
    assert errors.endswith("has no run 7; there are runs 0 to 2\n")


def test_an_earlier_run_that_came_further_is_named(bench):
    bench.interrupted()
    bench.run("--for", "1ms", "--set", "tasks.scan.start_after=1s")
    _, errors = bench.run("--resume")
    assert told(errors).splitlines()[1:3] == [
        "  changed since, but not what is measured at the points: "
        "tasks.scan.start_after: not there any more, was 1.0",
        "note: run 0 of DATE left scan at 2 of 5 points too; "
        "to go on there instead:  pymanip-run e.yaml --resume-run 0",
    ]
    assert bench.points() == [[0, 1], [], [0, 1, 2, 3, 4]]


def test_an_earlier_run_is_named_also_where_the_last_one_has_nothing_left(bench):
    bench.interrupted()
    bench.run("--set", "tasks.scan.sweep.num=1", "--set", "tasks.scan.sweep.stop=0")
    _, errors = bench.run("--for", "1ms", "--set", "tasks.scan.sweep.settle=1s")
    first = told(errors).splitlines()[0]
    assert first.startswith("note: run 0 of DATE left scan at 2 of 5 points unfinished; this run")
    assert first.endswith("--set tasks.scan.sweep.settle=1s --resume-run 0")
    _, errors = bench.run("--resume", code=2)
    assert told(errors).splitlines()[-2:] == [
        "run 0 of DATE left scan at 2 of 5 points too; to go on there instead:",
        "  pymanip-run e.yaml --resume-run 0",
    ]


def test_a_session_that_the_environment_names_goes_on(bench):
    """Not that of the last run, which was another one."""
    bench.environment = {"PYMANIP_RUN_SESSION__FILE": "named.h5"}
    bench.interrupted()
    bench.environment = {}
    bench.interrupted()
    bench.environment = {"PYMANIP_RUN_SESSION__FILE": "named.h5"}
    _, errors = bench.run("--for", "1ms", "--set", "tasks.scan.start_after=1s")
    command = "PYMANIP_RUN_SESSION__FILE=named.h5 pymanip-run e.yaml"
    assert f"type:  {command} --set tasks.scan.start_after=1s --resume-run 0\n" in errors
    bench.run("--resume")
    assert bench.points("named.h5")[-1] == [0, 1, 2, 3, 4]
    assert bench.points() == [[0, 1]]


TUNES = """
import pathlib

async def scan_step(sesn, voltage):
    sesn.add_entry(power=voltage * sesn.parameter("field"))
    if not pathlib.Path("second").exists():
        sesn.save_parameter(field=2.5)
        sesn.ask_exit()
"""


def test_what_was_tuned_is_kept_and_passwords_are_not_repeated(bench):
    (bench.folder / "tasks.py").write_text(TUNES)
    bench.write(more=MAILS)
    settings = ("--set", "parameters.field.tunable={max: 5}", "--set", "email.password=sesame-open")
    _, errors = bench.run(*settings)
    assert "sesame" not in errors
    line, below = errors.splitlines()[-3:-1]
    assert line.startswith("left scan at 1 of 5 points; to go on:  pymanip-run e.yaml --set ")
    assert line.endswith("'parameters.field.tunable={max: 5}' --resume")
    assert below == "    with email.password given as before: it is not shown"
    (bench.folder / "second").touch()
    _, errors = bench.run(*settings, "--resume")
    assert "parameter 'field' goes on with 2.5 T, as run 0 of " in errors
    assert list(bench.session()["power"].values) == [0, 2.5, 5, 7.5, 10]


def test_the_session_of_the_last_run_is_found_whatever_is_in_its_name(bench):
    bench.write(session="{file: 'data/{experiment}_{date}_{n}.h5', exists: new}")
    bench.interrupted()
    (name,) = [p.name for p in (bench.folder / "data").glob("*.h5")]
    bench.run("--resume")
    assert [p.name for p in (bench.folder / "data").glob("*.h5")] == [name]
    assert bench.points(f"data/{name}") == [[0, 1], [2, 3, 4]]


def test_an_adaptive_sweep_is_sent_what_was_measured_and_not_measured_again(bench):
    bench.write("{use: doubling}")
    bench.interrupted()
    bench.run("--resume")
    assert bench.points() == [[0, 1], [2, 3, 4, 5, 6]]
    assert list(bench.session()["power"].values) == [1, 2, 4, 4, 8, 16, 32, 64]


def test_of_several_sweeps_those_go_on_that_are_unfinished(bench):
    bench.write(more="  other: {use: other_step, sweep: {values: [7, 8]}}\n")
    bench.interrupted()
    _, errors = bench.run("--resume")
    assert "left scan at 2 of 5 points unfinished" in errors
    saved = bench.session()
    assert list(saved["other"].values) == [7, 8]
    assert [p.sweep for p in saved.sweep_points(1) if p.state == "done"] == ["scan"] * 3
    _, errors = bench.run("--resume")
    assert "scan is complete (5 of 5 points), other is complete (2 of 2 points)" in errors


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--resume",), 2, "there is no session run.h5 to go on with"),
        (("--resume", "--new"), 2, "--new begins another one"),
        (("--resume", "--dry-run"), 2, "pymanip-run e.yaml --dry-run"),
        (("--resume-anyway", "--session", "nix.h5"), 2, "pymanip-run e.yaml --session PATH --resume"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_what_to_type(bench, options, code, words):
    _, errors = bench.run(*options, code=code)
    assert words in errors
    assert not (bench.folder / "run.h5").exists()


def test_a_stopped_sweep_ends_with_the_command_that_goes_on(bench):
    _, errors = bench.run("--for", "1ms", "--set", "tasks.scan.sweep.settle=1s")
    assert "left scan at 0 of 5 points; to go on:  pymanip-run e.yaml" in errors
    assert "--set tasks.scan.sweep.settle=1s --resume\n" in errors
