"""What of an experiment file must not change before its sweeps go on."""

import pytest

from pymanip_run.experiment.build.plan import prepare
from pymanip_run.experiment.build.sweep_plan import sweep_plan
from pymanip_run.experiment.run.resume import compare, find_past, last_run
from pymanip_run.experiment.run.running import run_experiment
from pymanip_run.session import RunOptions

TEXT = """
module: tasks.py
session: run.h5
metadata: {operator: Ada}
parameters: {voltage: 0, field: {value: 1.0, unit: T, label: B, tunable: {min: 0, max: 5}}}
devices:
  meter: {use: "tasks:Meter", kwargs: {gain: 1}, simulate: "tasks:Fake", close_timeout: 5s}
tasks:
  watch: {every: 1s}
  scan: {use: step, kwargs: {k: 1}, sweep: {parameter: voltage, start: 0, stop: 1, num: 3}}
email: {host: localhost, security: none, user: me, password: "sesame-open", from: a@b.c, to: [a@b.c], on: []}
server: {enabled: false}
"""
MODULE = """
class Meter:
    def __init__(self, gain=1): pass
class Fake(Meter): pass
async def watch(sesn): pass
async def step(sesn, value, k): sesn.add_entry(y=value)
"""


@pytest.fixture
def course(folder, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    folder.write(TEXT, MODULE)
    path = run_experiment("experiment.yaml", options=RunOptions(handle_signals=False))
    return find_past(path).course


def compared(course, folder, old="", new="", *overrides, simulated=False):
    assert old in TEXT
    folder.write(TEXT.replace(old, new) if old else TEXT)
    with prepare("experiment.yaml", overrides, simulated=simulated) as plan:
        return compare(plan, course)


def test_nothing_is_different_in_the_same_file(course, folder):
    same = compared(course, folder)
    assert (same.changes, same.asides, same.overrides) == ({}, (), None)


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ("num: 3", "num: 2", ["scan: points.voltage: [0.0, 1.0], was [0.0, 0.5, 1.0]"]),
        ("start: 0, stop: 1, num: 3", "values: [0, 1, 0.5]", ["scan: points.voltage: [0, 1, 0.5], was [0.0, 0.5, 1.0]"]),
        ("num: 3}", "num: 3, settle: 2s}", ["scan: settle: 2.0, was 0.0"]),
        ("{k: 1}", "{k: 2}", ["scan: kwargs.k: 2, was 1"]),
        ("value: 1.0, unit: T", "value: 1.5, unit: T", ["parameters.field.value: 1.5, was 1.0"]),
        ("gain: 1", "gain: 2", ["devices.meter.kwargs.gain: 2, was 1"]),
        ("parameter: voltage, start", "start", [
            'scan: parameter: not there any more, was "voltage"',
            "scan: points.value: [0.0, 0.5, 1.0], was not there",
            "scan: points.voltage: not there any more, was [0.0, 0.5, 1.0]",
        ]),
        ("  scan: {use: step, kwargs: {k: 1}, sweep: {parameter: voltage, start: 0, stop: 1, num: 3}}\n", "",
         ["scan: this sweep is not there any more"]),
        ("  watch:", "  scan2: {use: step, kwargs: {k: 1}, sweep: {values: [1]}}\n  watch:",
         ["scan2: this sweep was not there"]),
    ],
)  # fmt: skip
def test_what_decides_about_the_points_is_told_line_by_line(course, folder, old, new, lines):
    found = compared(course, folder, old, new)
    assert sorted(found.lines()) == sorted(lines)
    if lines[0].startswith("scan:") and "this sweep" not in lines[0]:
        assert found.asides == ()


@pytest.mark.parametrize(
    ("old", "new", "aside"),
    [
        ("every: 1s", "every: 2s", "tasks.watch.every: 2.0, was 1.0"),
        ("Ada", "Grace", 'metadata.operator: "Grace", was "Ada"'),
        ("label: B", "label: Field", 'parameters.field.label: "Field", was "B"'),
        ("max: 5", "max: 6", "parameters.field.tunable.max: 6.0, was 5.0"),
        ("voltage: 0,", "voltage: 1,", "parameters.voltage.value: 1, was 0"),
        ("close_timeout: 5s", "close_timeout: 6s", "devices.meter.close_timeout: 6.0, was 5.0"),
        ("use: step, kwargs", "use: step, on_error: {retry: 2}, kwargs",
         'tasks.scan.on_error: {"retry": 2}, was not there'),
    ],
)  # fmt: skip
def test_all_else_may_change_and_is_said(course, folder, old, new, aside):
    found = compared(course, folder, old, new)
    assert found.changes == {}
    assert found.asides == (aside,)


def test_the_code_may_change_and_is_said(course, folder):
    folder.write(TEXT, MODULE + "\n# mended\n")
    with prepare("experiment.yaml") as plan:
        assert compare(plan, course).asides == (
            "the code of tasks.py, or of a module that it imports",
        )


def test_overrides_are_part_of_the_file_and_told_as_they_were_typed(course, folder):
    found = compared(course, folder, "", "", "parameters.field=2")
    assert found.lines() == ["parameters.field.value: 2, was 1.0"]
    assert found.overrides == ()


def test_simulated_devices_are_others(course, folder):
    assert compared(course, folder, simulated=True).lines()[0].startswith("simulated devices: true")


def test_no_secret_is_stored_with_the_plan(course):
    assert course.file["email"]["password"] == "***"
    assert "sesame" not in course.run.texts["sweeps"]


def test_the_last_session_of_an_experiment_is_known(course, folder):
    with prepare("experiment.yaml") as plan:
        assert last_run(plan).session == str(folder.path / "run.h5")
    (folder.path / "other.yaml").write_text(TEXT)
    with prepare("other.yaml") as plan:
        assert last_run(plan) is None


@pytest.mark.parametrize(
    ("sweep", "plan"),
    [
        (
            "{grid: {x: [1, 2], y: {log: {start: 1, stop: 100, num: 3}}}, snake: true}",
            {"points": {"x": [1, 2], "y": [1.0, 10.0, 100.0]}, "order": "x > y, back and forth"},
        ),
        ("{use: points, set: meter.set}", {"generator": "points", "set": "meter.set"}),
        ("{values: [a, b]}", {"points": {"value": ["a", "b"]}}),
    ],
)
def test_the_plan_holds_values_and_order(folder, sweep, plan):
    module = "async def s(sesn, *place): pass\ndef points(): yield 1\nclass Meter:\n def set(self, x): pass\n"
    folder.write(
        f'module: tasks.py\ndevices: {{meter: {{use: "tasks:Meter"}}}}\ntasks: {{s: {{sweep: {sweep}}}}}\n',
        module,
    )
    with prepare("experiment.yaml") as prepared:
        assert sweep_plan(prepared.tasks[0]) == {"task": "s", "settle": 0.0, **plan}
