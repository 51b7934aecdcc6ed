"""The complete experiment file of the specification: every key is read, and means what it says."""

import shutil
from pathlib import Path

import pytest

from pymanip_run.errors import ConfigError
from pymanip_run.experiment.build.plan import prepare
from pymanip_run.experiment.load.loading import load_experiment
from pymanip_run.experiment.model.experiment import Experiment
from pymanip_run.experiment.rehearsal.alarm_tests import failed_tests

COMPLETE = Path(__file__).parent / "complete"


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setenv("LAB_SMTP_PASSWORD", "correct horse")
    monkeypatch.delenv("SUPPLY_ADDRESS", raising=False)
    monkeypatch.chdir(tmp_path)
    shutil.copytree(COMPLETE, tmp_path, dirs_exist_ok=True)
    return Path("experiment.yaml")


def test_the_complete_file_is_valid_without_a_warning(file):
    with prepare(file) as plan:
        assert plan.loaded.warnings == ()
        assert [task.name for task in plan.tasks] == [
            "read_temperatures", "regulate", "snapshot", "warm_up", "voltage_scan"
        ]  # fmt: skip


def test_the_complete_file_written_out_means_the_same(file):
    model = load_experiment(file).model
    settings = model.model_dump(mode="json", exclude_unset=True, by_alias=True)
    assert Experiment.model_validate(settings) == model
    assert settings["alarms"]["drift"]["when"] == "abs(rate(T_bottom)) > 2 per 1min"


def test_every_key_of_the_complete_file_arrives(file):
    model = load_experiment(file).model
    assert model.session.checkpoint == 5
    thermo, supply = model.devices["thermo"], model.devices["supply"]
    assert (thermo.open_timeout, thermo.close_timeout, thermo.reconnect.max_wait) == (20, 10, 60)
    assert thermo.simulate.use == "convection:FakeThermometer"
    assert supply.args == ["GPIB0::8::INSTR"]
    assert supply.simulate.kwargs == {"noise": 1e-3}
    assert (supply.safe[0].call, supply.safe[0].args, supply.safe[0].timeout) == (
        "set_output",
        [False],
        5,
    )
    assert not supply.required
    read = model.tasks["read_temperatures"]
    assert (read.every, read.timeout) == (10, 8)
    assert (read.on_error.retry, read.on_error.wait, read.on_error.then) == (5, 2, "continue")
    assert model.tasks["warm_up"].before == ["voltage_scan"]
    assert model.tasks["voltage_scan"].sweep.set == "supply.set_voltage"
    assert [plot.variables for plot in model.plots] == [["T_top", "T_bottom"], None, ["power"]]
    assert (model.plots[1].x, model.plots[1].y) == ("voltage", "power")
    assert (model.plots[2].scale, model.plots[2].window) == ("log", 21600)
    hot, silent, drift = model.alarms.values()
    assert (hot.when.variable, hot.when.comparison, hot.when.limit) == ("T_bottom", ">", 60)
    assert (hot.for_, hot.clear.limit, hot.message) == (30, 55, "Bottom plate above 60 degC")
    assert [getattr(action, "run", action) for action in hot.do] == [
        "log",
        "mail",
        "cool_down",
        "stop",
    ]
    assert (silent.when.quantity, silent.when.limit) == ("age", 120)
    assert (drift.when.quantity, drift.when.magnitude) == ("rate", True)
    assert drift.when.limit == pytest.approx(2 / 60)
    test = model.alarm_tests[0]
    assert (test.variable, test.values, test.every, test.expect) == (
        "T_bottom",
        [20, 70, 70],
        30,
        ["too_hot"],
    )
    email = model.email
    assert (email.host, email.port, email.security, email.user) == (
        "smtp.example.org",
        587,
        "starttls",
        "lab",
    )
    assert (email.password, email.from_, email.to) == (
        "correct horse",
        "lab@example.org",
        ["me@example.org"],
    )
    assert (email.every, email.on, email.min_interval) == (7200, ["alarm", "error", "finish"], 900)
    assert email.attach_report
    server = model.server
    assert (server.enabled, server.port, server.share, server.token) == (True, 6913, False, "user")
    assert (server.allowed_hosts, server.tls, server.control) == ([], None, False)
    limits = model.limits
    assert (limits.duration, limits.entries, limits.min_free_disk, limits.grace) == (
        1209600,
        10**7,
        2 * 10**9,
        30,
    )


def test_every_key_there_is_stands_in_the_complete_file(file):
    given, known = set(), set()
    _collect(load_experiment(file).model, given, known)
    others = {
        "Simulate.args", "SafeAction.kwargs", "OnError.wait", "Sweep.values", "Sweep.log", "Sweep.grid", "Sweep.snake",
        "Sweep.use", "Parameter.label",
    }  # fmt: skip
    assert known - given - others == set()
    assert set(Experiment.model_fields) == load_experiment(file).model.model_fields_set


def _collect(value, given, known):
    if isinstance(value, dict):
        value = list(value.values())
    for one in value if isinstance(value, list) else [value]:
        if not hasattr(type(one), "model_fields"):
            continue
        name = type(one).__name__
        known.update(f"{name}.{key}" for key in type(one).model_fields)
        given.update(f"{name}.{key}" for key in one.model_fields_set)
        for key in one.model_fields_set:
            _collect(getattr(one, key), given, known)


def test_what_this_version_does_not_do_is_said_with_its_place(file):
    lines = load_experiment(file).inactive
    assert all(line.startswith("experiment.yaml:") and "this version" in line for line in lines)


def test_nothing_is_said_of_what_nobody_asked_for(folder):
    assert folder.load("module: t.py\ntasks: [a]\nserver: {enabled: false}\n").inactive == ()


def test_the_alarm_tests_of_the_complete_file_pass(file):
    with prepare(file) as plan:
        assert failed_tests(plan) == []


def test_the_coroutine_that_an_alarm_runs_is_found(file):
    with prepare(file) as plan:
        assert [(alarm.name, [call.__name__ for call in alarm.calls]) for alarm in plan.alarms] == [
            ("too_hot", ["cool_down"]), ("silent_sensor", []), ("drift", [])
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("alarms.too_hot.do=[log, {run: cool_dwon}]",
         "convection.py: defines no coroutine 'cool_dwon'; did you mean 'cool_down'? (asked for at --set "),
        ("alarms.drift.do={run: scan_step}",
         "alarms.drift.do.0.run: scan_step() needs 'value': give it under 'kwargs'"),
        ("alarms.drift.do={run: nowhere:f}", "there is no module 'nowhere'"),
    ],
)  # fmt: skip
def test_a_wrong_action_of_an_alarm_is_told(file, override, message):
    with pytest.raises(ConfigError) as caught, prepare(file, [override]):
        pass
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("alarms.drift.when=T_botom > 3", "alarms.drift.when: no task seems to log 'T_botom'; did you mean 'T_bottom'?"),
        ("alarms.drift.when=age(flow) > 3", "no task seems to log 'flow'; if one does, declare it under variables"),
        ("plots.2.variables=[power, pwer]", "plots.2.variables.1: no task seems to log 'pwer'; did you mean 'power'?"),
        ("plots.1.y=pover", "plots.1.y: no task seems to log 'pover'; did you mean 'power'?"),
        ("plots.0=[T_top, T_side]", "plots.0.1: no task seems to log 'T_side'; if one does, declare"),
    ],
)  # fmt: skip
def test_a_variable_that_nobody_logs_is_a_warning(file, override, message):
    with prepare(file, [override]) as plan:
        assert any(message in warning for warning in plan.loaded.warnings), plan.loaded.warnings


def test_the_warning_of_a_name_in_a_condition_points_at_the_name(file):
    text = file.read_text("utf-8").replace('when: "age(T_top) > 2min"', 'when: "age(T_tpo) > 2min"')
    file.write_text(text, "utf-8")
    with prepare(file) as plan:
        assert [w.partition(": ")[0] for w in plan.loaded.warnings] == ["experiment.yaml:66:30"]


def test_the_name_is_found_behind_a_function_of_which_it_is_a_part(file):
    text = file.read_text("utf-8").replace("abs(rate(T_bottom)) > 2", "abs(rate(ate)) > 2")
    file.write_text(text, "utf-8")
    with prepare(file) as plan:
        assert [w.partition(": ")[0] for w in plan.loaded.warnings] == ["experiment.yaml:67:27"]


def test_a_name_that_a_neighbour_of_the_module_logs_is_found(folder):
    (folder.path / "neighbour.py").write_text("def log(sesn):\n    sesn.add_entry(flow=1)\n")
    folder.write(
        "module: tasks.py\ntasks: [a]\nplots: [[flow]]\n",
        "import neighbour\nasync def a(sesn):\n    neighbour.log(sesn)\n",
    )
    with prepare("experiment.yaml") as plan:
        assert plan.loaded.warnings == ()
