"""What a good file becomes: models, overrides, references, redaction."""

import hashlib
import subprocess
import sys

import pytest

SMALLEST = "module: tasks.py\ntasks: [read]\n"


def test_the_smallest_file_has_the_documented_defaults(folder):
    model = folder.load(SMALLEST).model
    assert model.module == "tasks.py"
    assert list(model.tasks) == ["read"]
    task = model.tasks["read"]
    assert (task.every, task.repeat, task.once, task.sweep, task.start_after) == (
        None,
        None,
        None,
        None,
        0,
    )
    assert (model.session.file, model.session.exists, model.session.checkpoint) == (
        None,
        "append",
        5,
    )
    assert model.limits.duration is None


def test_short_and_long_forms_mean_the_same(folder):
    short = folder.load(
        "module: t.py\ntasks: [a, b: {every: 1s}]\nsession: x.h5\nparameters: {v: 3}\n"
    )
    long = folder.load(
        "module: t.py\ntasks: {a: , b: {every: 1}}\nsession: {file: x.h5}\nparameters: {v: {value: 3}}\n"
    )
    assert short.model == long.model


def test_durations_and_counts_are_read_as_people_write_them(folder):
    model = folder.model(
        "limits: {duration: 1.5d}\nsession: {checkpoint: PT10S}\nserver: {port: 6_913}\n"
        "variables: {T: {period: 250ms}}\n"
    )
    assert model.limits.duration == 129600
    assert model.session.checkpoint == 10
    assert model.server.port == 6913
    assert model.variables["T"].period == 0.25


def test_free_keys_hold_anchors(folder):
    model = folder.load(
        "x-slow: &slow {every: 10s, x-note: why}\nmodule: t.py\ntasks:\n"
        "  a: *slow\n  b: {<<: *slow, every: 20s}\n"
    ).model
    assert (model.tasks["a"].every, model.tasks["b"].every) == (10, 20)


def test_metadata_is_kept_as_it_is_written(folder):
    model = folder.model(
        "metadata: {day: 2026-11-22, cell: {height: 0.41 m, n: [1, 2]}, on: off}\n"
    )
    assert model.metadata == {
        "day": "2026-11-22",
        "cell": {"height": "0.41 m", "n": [1, 2]},
        "on": "off",
    }


def test_names_and_lists_of_one_may_be_written_without_brackets(folder):
    model = folder.model(
        "devices: {d: {use: t:D, safe: off, simulate: t:F}}\n"
        "alarms: {hot: {when: T > 1, do: {run: cool}}, cold: {when: T < 1, do: mail}}\n"
        "alarm_tests: [{variable: T, values: [1, null], every: 1s, expect: hot}]\n"
        "plots: [[T], {variables: T}]\n"
        "email: {from: a@b, to: c@d, on: finish}\nserver: {allowed_hosts: labpc}\n"
    )
    assert [action.call for action in model.devices["d"].safe] == ["off"]
    assert model.devices["d"].simulate.use == "t:F"
    assert [action.run for action in model.alarms["hot"].do] == ["cool"]
    assert model.alarms["cold"].do == ["mail"]
    assert model.alarm_tests[0].expect == ["hot"]
    assert model.plots[0] == model.plots[1]
    assert (model.email.to, model.email.on) == (["c@d"], ["finish"])
    assert model.server.allowed_hosts == ["labpc"]


# -- ${NAME} -------------------------------------------------------------------------------------


def test_references_are_filled_in_after_parsing(folder, monkeypatch):
    monkeypatch.setenv("LAB_PORT", "7000")
    monkeypatch.setenv("LAB_EVIL", "x\nlimits: {duration: 1s}")
    monkeypatch.setenv("LAB_EMPTY", "")
    monkeypatch.delenv("LAB_UNSET", raising=False)
    model = folder.model(
        "server:\n  port: ${LAB_PORT}\nmetadata:\n"
        "  evil: ${LAB_EVIL}\n  text: port ${LAB_PORT}\n  quoted: '${LAB_PORT}'\n"
        "  literal: $${LAB_PORT}\n  unset: ${LAB_UNSET:-1e-3}\n  empty: ${LAB_EMPTY:-x}\n  nothing: ${LAB_EMPTY}\n"
        "  twice: ${LAB_PORT}${LAB_PORT}\n  dollar: a$b\n"
    )
    assert model.server.port == 7000
    assert model.metadata == {
        "evil": "x\nlimits: {duration: 1s}", "text": "port 7000", "quoted": 7000, "literal": "${LAB_PORT}",
        "unset": 1e-3, "empty": "x", "nothing": None, "twice": "70007000", "dollar": "a$b",
    }  # fmt: skip


def test_a_reference_that_looks_like_a_number_is_a_text_where_text_is_needed(folder, monkeypatch):
    monkeypatch.setenv("LAB_RUN", "12")
    assert folder.model("session: {title: '${LAB_RUN}'}\n").session.title == "12"


def test_what_is_stored_has_the_reference_and_not_its_value(folder, monkeypatch):
    monkeypatch.setenv("LAB_KEY", "hunter2")
    loaded = folder.load(SMALLEST + "metadata:\n  who: ${LAB_KEY}\n")
    assert "${LAB_KEY}" in loaded.redacted_text
    assert "hunter2" not in loaded.redacted_text


# -- --set ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "read"),
    [
        ("parameters.voltage=4", lambda m: m.parameters["voltage"].value == 4),
        ("parameters.voltage=4", lambda m: m.parameters["voltage"].unit == "V"),
        ("parameters.gain=1e-3", lambda m: m.parameters["gain"].value == 1e-3),
        ("parameters.gain.unit=dB", lambda m: (m.parameters["gain"].value, m.parameters["gain"].unit) == (2, "dB")),
        ("parameters.new=on", lambda m: m.parameters["new"].value == "on"),
        ("limits.duration=1h", lambda m: m.limits.duration == 3600),
        ("tasks.b.every=2s", lambda m: (m.tasks["b"].every, list(m.tasks)) == (2, ["a", "b"])),
        ("tasks.a.every=2s", lambda m: (m.tasks["a"].every, m.tasks["b"].every) == (2, 1)),
        ("tasks.c.once=true", lambda m: list(m.tasks) == ["a", "b", "c"]),
        ("session.title=Run 7", lambda m: (m.session.file, m.session.title) == ("x.h5", "Run 7")),
        ("session=y.h5", lambda m: m.session.file == "y.h5"),
        ("metadata={a: [1, 2]}", lambda m: m.metadata == {"a": [1, 2]}),
        ("metadata.list.1=5", lambda m: m.metadata["list"] == [1, 5]),
        ("metadata.list=", lambda m: m.metadata == {}),
        ("metadata.equation=a=b", lambda m: m.metadata["equation"] == "a=b"),
        ("session.checkpoint= 7s ", lambda m: m.session.checkpoint == 7),
    ],
)  # fmt: skip
def test_an_override_changes_one_value(folder, override, read):
    text = (
        "module: t.py\ntasks: [a, b: {every: 1s}]\nsession: x.h5\n"
        "parameters: {voltage: {value: 3, unit: V}, gain: 2}\nmetadata: {list: [1, 2]}\n"
    )
    loaded = folder.load(text, override)
    assert read(loaded.model)
    assert loaded.overrides == (override,)
    assert loaded.text == text


def test_the_last_override_wins(folder):
    assert (
        folder.load(SMALLEST, "limits.duration=1h", "limits.duration=2h").model.limits.duration
        == 7200
    )


def test_an_override_does_not_change_the_other_users_of_an_anchor(folder):
    text = "module: t.py\nx-d: &d {every: 1s}\ntasks: {a: *d, b: *d}\n"
    model = folder.load(text, "tasks.b.every=2s").model
    assert (model.tasks["a"].every, model.tasks["b"].every) == (1, 2)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("limits.duration=soon",
         "limits.duration: 'soon' is not a duration; write for example 250ms, 10s, 2h30m or 1.5d"),
        ("tasks.read.evry=1s", "tasks.read.evry: unknown key 'evry'; did you mean 'every'?"),
        ("limits.duration", "write path=value, for example --set parameters.voltage=4"),
        ("=3", "write path=value, for example --set parameters.voltage=4"),
        ("a..b=3", "write path=value, for example --set parameters.voltage=4"),
        ("metadata.x=[1", "metadata.x: the '[' in line 1 is not closed: ',' or ']' is expected here"),
        ("metadata.x={a: 1, a: 2}", "metadata.x.a: duplicate key 'a'; it is already in line 1"),
        ("module.name=3", "module.name: 'module' is not a mapping: it has no 'name'"),
        ("metadata.x.7=3", "metadata.x.7: 'metadata.x' is a list of 1: it has no '7'"),
        ("email={from: a@b, to: x}", "email.to: 'x' is not an address; write for example me@example.org"),
        ("alarms={hot: {when: T >}}", "alarms.hot.when: a number is missing (character 4)"),
    ],
)  # fmt: skip
def test_a_wrong_override_is_told_with_itself_as_its_place(folder, override, message):
    assert (
        folder.complaint(SMALLEST + "metadata: {x: [1]}\n", override)
        == f"--set {override}: {message}"
    )


def test_errors_of_file_and_overrides_come_together(folder):
    found = folder.complaint("module: 3\ntasks: [a]\n", "limits.duration=-1").splitlines()
    assert found[0].startswith("experiment.yaml:1:9: module: ")
    assert found[-1].startswith("--set limits.duration=-1: ")


# -- secrets -------------------------------------------------------------------------------------

SECRETS = """\
# password: hunter2
module: tasks.py
tasks: [read]
metadata:
  smtp: {user: lab, Password: hunter2, port: 25}
  api_key: |
    hunter2
    hunter2
  tokens: [hunter2, "hunter2"]
  passphrase:
    hunter2
  reference: kept
x-mail: &mail {secret: hunter2}
x-copy: *mail
"""


def test_secrets_are_masked_in_what_is_stored(folder):
    loaded = folder.load(SECRETS, "metadata.password=hunter2", "metadata.mail={token: hunter2}")
    assert "hunter2" not in loaded.redacted_text
    assert "hunter2" not in str(loaded.overrides)
    assert "reference: kept" in loaded.redacted_text
    assert "{user: lab, Password: '***', port: 25}" in loaded.redacted_text
    assert loaded.text == SECRETS
    assert loaded.sha256 == hashlib.sha256(loaded.redacted_text.encode()).hexdigest()


def test_the_masked_text_can_be_read_again(folder):
    assert folder.load(folder.load(SECRETS).redacted_text).model.metadata["smtp"]["port"] == 25


def test_a_wrong_secret_is_not_in_the_message(folder):
    found = folder.complaint(SMALLEST, "limits.password=hunter2", "server.token=hunter2")
    assert "hunter2" not in found


# -- speed --------------------------------------------------------------------------------------


def test_reading_a_file_imports_nothing_heavier_than_pydantic_and_yaml(folder):
    folder.write(SMALLEST + "parameters: {v: 1}\nvariables: {T: {unit: K}}\n")
    code = (
        "import sys; from pymanip_run.experiment.load.loading import load_experiment; "
        "load_experiment('experiment.yaml'); print('numpy' in sys.modules, 'h5py' in sys.modules)"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder.path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "False False\n"
