"""Tunable parameters that were changed during a run: what they are when its sweeps go on."""

import asyncio

import pytest

from pymanip_run import SavedAsyncSession
from pymanip_run.experiment.build.plan import prepare
from pymanip_run.experiment.run.resume import compare, find_past
from pymanip_run.experiment.run.running import execute, open_session
from pymanip_run.session import RunOptions

TEXT = """
module: tasks.py
session: run.h5
parameters:
  voltage: {value: 0, tunable: {}}
  field: {value: 1.0, unit: T, tunable: {max: 5}}
  angle: 1
tasks:
  scan: {use: step, sweep: {parameter: voltage, values: [0, 1, 2]}}
server: {enabled: false}
"""
MODULE = """
import json, pathlib

async def step(sesn, value):
    for name, new in json.loads(pathlib.Path("tune.json").read_text()).items():
        sesn.save_parameter({name: new})
    sesn.add_entry(v=value, field=sesn.parameter("field"), angle=sesn.parameter("angle"))
    if value < 2:
        sesn.ask_exit()
"""


class Bench:
    """An experiment whose runs end after each point, the last of the sweep excepted."""

    def __init__(self, folder):
        self.folder = folder
        self.write()

    def write(self, old="", new=""):
        self.folder.write(TEXT.replace(old, new), MODULE)

    def run(self, *overrides, resume=None, tune="{}"):
        (self.folder.path / "tune.json").write_text(tune)
        with prepare("experiment.yaml", overrides) as plan:
            resumption = None
            if resume is not None:
                course = find_past(self.folder.path / "run.h5", resume).course
                resumption = compare(plan, course).resumption(course, anyway=True)
            with open_session(plan) as sesn:
                options = RunOptions(handle_signals=False, resumption=resumption)
                asyncio.run(execute(plan, sesn, options))

    def values(self, name):
        return SavedAsyncSession("run.h5", verbose=False)[name].values.tolist()

    def told(self):
        events = SavedAsyncSession("run.h5", verbose=False).events()
        return [f"{e.source} {e.text}" for e in events if e.kind == "resume" and e.source != "scan"]


@pytest.fixture
def bench(folder, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    return Bench(folder)


def test_a_tuned_parameter_keeps_its_value_when_the_sweep_goes_on(bench, caplog):
    bench.run(tune='{"field": 2.5, "angle": 7}')
    bench.run(resume=0)
    bench.run(resume=1)
    # What is not tunable is what the file says, and the sweep's own axis is what the sweep says.
    assert bench.values("field") == [2.5, 2.5, 2.5]
    assert bench.values("angle") == [7, 1, 1]
    assert bench.values("v") == [0, 1, 2]
    first, second = bench.told()
    assert first.startswith("field goes on with 2.5 T, as run 0 of ")
    assert first.endswith(" left it, not with 1.0 T of the experiment file")
    assert second.startswith("field goes on with 2.5 T, as run 1 of ")
    assert "parameter 'field' goes on with 2.5 T" in caplog.text


def test_a_run_that_begins_anew_begins_with_the_file(bench):
    bench.run(tune='{"field": 2.5}')
    bench.run()
    assert bench.values("field") == [2.5, 1.0]
    assert bench.told() == []


def test_what_was_not_tuned_is_not_told(bench):
    bench.run()
    bench.run(resume=0)
    assert bench.values("field") == [1.0, 1.0]
    assert bench.told() == []


def test_set_takes_the_place_of_what_was_tuned(bench):
    bench.run(tune='{"field": 2.5}')
    bench.run("parameters.field=2", resume=0)
    assert bench.values("field") == [2.5, 2]
    (text,) = bench.told()
    assert text.startswith("field begins with 2 T, as --set says; run 0 of ")
    assert text.endswith(" left it at 2.5 T")


def test_what_was_set_for_the_earlier_run_already_is_no_newer_wish(bench):
    """The command that is offered at its end repeats it."""
    bench.run("parameters.field=2", tune='{"field": 2.5}')
    bench.run("parameters.field=2", resume=0, tune='{"field": 3.5}')
    bench.run("parameters.field=2", resume=1)
    assert bench.values("field") == [2.5, 3.5, 3.5]
    assert bench.told()[0].endswith(" left it, not with 2 T of --set, which that run had too")


@pytest.mark.parametrize("is_repeated", [False, True])
def test_the_environment_is_a_wish_like_set(bench, monkeypatch, is_repeated):
    if is_repeated:
        monkeypatch.setenv("PYMANIP_RUN_PARAMETERS__FIELD", "1.0")
    bench.run(tune='{"field": 2.5}')
    monkeypatch.setenv("PYMANIP_RUN_PARAMETERS__FIELD", "1.0")
    bench.run(resume=0)
    assert bench.values("field") == [2.5, 2.5 if is_repeated else 1.0]
    said = "which that run had too" if is_repeated else "as PYMANIP_RUN_PARAMETERS__FIELD says"
    assert said in bench.told()[0]


def test_a_value_of_the_file_that_was_changed_and_accepted_takes_its_place_too(bench):
    bench.run(tune='{"field": 2.5}')
    bench.write("value: 1.0", "value: 3.0")
    bench.run(resume=0)
    assert bench.values("field") == [2.5, 3.0]
    assert bench.told()[0].startswith("field begins with 3.0 T, as was accepted; run 0 of ")


def test_what_is_beyond_the_limits_by_now_is_not_kept(bench):
    bench.run(tune='{"field": 2.5}')
    bench.write("max: 5", "max: 2")
    bench.run(resume=0)
    assert bench.values("field") == [2.5, 1.0]
    assert bench.told()[0].endswith(" left it at 2.5 T, which is now outside of its limits")


def test_each_earlier_run_left_its_own_value(bench):
    bench.run(tune='{"field": 2.5}')
    bench.run(tune='{"field": 4.5}')
    bench.run(resume=0)
    bench.run()
    bench.run(resume=1)
    assert bench.values("field") == [2.5, 4.5, 2.5, 1.0, 4.5]
