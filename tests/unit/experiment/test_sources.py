"""Where values come from: defaults < the user's configuration < file < environment < --set < options."""

import os

import pytest
import yaml

from pymanip_run.errors import ConfigError
from pymanip_run.experiment.load.loading import read_draft
from pymanip_run.experiment.load.show import shown_config
from pymanip_run.experiment.text.overrides import Assignment

SMALLEST = "module: tasks.py\ntasks: [read]\n"
MAIL = "email: {host: smtp.example.org, user: lab, password: hunter2, from: lab@example.org}\n"


@pytest.fixture
def settings(tmp_path_factory, monkeypatch):
    """Write the user's configuration, and return its path."""
    root = tmp_path_factory.mktemp("xdg")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(root))
    path = root / "pymanip-run" / "config.yaml"
    path.parent.mkdir()

    def write(text, mode=0o600):
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    return write


def origins(folder, text, *overrides, options=()):
    """Return value and origin of each line of ``--show-config``."""
    folder.write(text)
    shown = shown_config(read_draft("experiment.yaml", overrides, options=options))
    lines = [line.partition("  # ") for line in shown.splitlines()[1:] if "  # " in line]
    return {key.strip(): origin for key, _, origin in lines}


# -- the user's configuration ----------------------------------------------------------------------


def test_the_users_configuration_gives_what_the_file_leaves_out(folder, settings):
    settings(f"{MAIL}server: {{port: 7000, token: run}}\n")
    model = folder.model(
        "email: {to: me@example.org, host: mail.example.org}\nserver: {port: 8000}\n"
    )
    assert (model.email.host, model.email.user) == ("mail.example.org", "lab")
    assert (model.email.password, model.email.to) == ("hunter2", ["me@example.org"])
    assert (model.server.port, model.server.token) == (8000, "run")


def test_without_a_receiver_nobody_gets_mails_that_the_file_does_not_ask_for(folder, settings):
    settings(MAIL)
    assert folder.model("").email is None


def test_with_a_receiver_in_the_configuration_every_experiment_sends_mails(folder, settings):
    settings(MAIL.replace("}", ", to: me@example.org}"))
    assert folder.model("").email.to == ["me@example.org"]
    assert folder.model("email: null\n").email is None


def test_a_mail_of_an_alarm_may_rely_on_the_configuration(folder, settings):
    settings(MAIL.replace("}", ", to: me@example.org}"))
    assert folder.model("alarms: {hot: {when: T > 1, do: mail}}\n").email.from_ == "lab@example.org"


def test_an_empty_configuration_says_nothing(folder, settings):
    settings("# nothing yet\n")
    assert folder.load(SMALLEST).warnings == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("server: {prot: 1}", ":1:10: server.prot: unknown key 'prot'; did you mean 'port'?"),
        ("sever: {}", ":1:1: sever: unknown key 'sever'; did you mean 'server'?"),
        ("tasks: [a]", ":1:1: tasks: unknown key 'tasks'; possible here: email, server"),
        ("email:\n  host: smtp\n  port: 70_000", ":3:9: email.port: must be at most 65535"),
        ("email: {password: ${LAB_UNSET_PASSWORD}}", ":1:20: inside [ ] and { } a reference needs quotes"),
        ("email: {password: '${LAB_UNSET_PASSWORD}'}", "LAB_UNSET_PASSWORD is not set"),
        ("email: [", ":2:1: a value is missing before the end"),
        ("- a", ":1:1: keys with values are needed: email and server"),
    ],
)  # fmt: skip
def test_what_is_wrong_in_the_configuration_is_told_with_its_own_place(
    folder, settings, text, message
):
    path = settings(f"{text}\n")
    found = folder.complaint(SMALLEST)
    assert str(path) in found
    assert message in found


def test_problems_of_configuration_and_file_come_together(folder, settings):
    path = settings("server: {port: x}\n")
    places = [
        line.split(": ")[0]
        for line in folder.complaint("module: 1\ntasks: [a]\n").splitlines()
        if line[0] != " "
    ]
    assert places == ["experiment.yaml:1:9", f"{path}:1:16"]


def test_the_configuration_refers_to_the_environment_too(folder, settings, monkeypatch):
    monkeypatch.setenv("LAB_PORT", "7001")
    monkeypatch.setenv("LAB_EVIL", "${LAB_PORT}")
    settings("server: {port: '${LAB_PORT}', allowed_hosts: ['${LAB_EVIL}']}\n")
    server = folder.model("").server
    assert (server.port, server.allowed_hosts) == (7001, ["${LAB_PORT}"])


def test_files_of_the_configuration_are_beside_it(folder, settings):
    path = settings("server: {tls: {cert: lab.crt, key: lab.key}}\n")
    assert "there is no file" in folder.complaint(SMALLEST)
    for name in ("lab.crt", "lab.key"):
        (path.parent / name).touch()
    assert folder.model("").server.tls.cert == str(path.parent / "lab.crt")


def test_a_password_that_others_can_read_is_a_warning(folder, settings):
    path = settings(MAIL, mode=0o644)
    (warning,) = folder.load(SMALLEST).warnings
    assert (
        warning == f"{path}:1:54: others on this computer can read this password:  chmod 600 {path}"
    )
    path.chmod(0o600)
    assert folder.load(SMALLEST).warnings == ()


def test_a_configuration_that_cannot_be_read_is_told(folder, settings):
    path = settings("")
    path.unlink()
    path.mkdir()
    assert str(path) in folder.complaint(SMALLEST)


def test_the_stored_text_has_nothing_of_the_configuration(folder, settings):
    settings(f"{MAIL}server: {{port: 7000}}\n")
    loaded = folder.load(SMALLEST)
    assert loaded.redacted_text == SMALLEST
    assert loaded.overrides == ()


# -- the environment -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "read"),
    [
        ("SERVER__PORT", "7000", lambda m: m.server.port == 7000),
        ("SESSION", "y.h5", lambda m: m.session.file == "y.h5"),
        ("SESSION__TITLE", "Run 7", lambda m: m.session.title == "Run 7"),
        ("PARAMETERS__VOLTAGE", "4", lambda m: (m.parameters["voltage"].value, m.parameters["voltage"].unit) == (4, "V")),
        ("parameters__T_set", "5", lambda m: m.parameters["T_set"].value == 5),
        ("PARAMETERS__T_SET", "5", lambda m: m.parameters["T_set"].value == 5),
        ("TASKS__READ__EVERY", "2s", lambda m: m.tasks["read"].every == 2),
        ("TASKS__OTHER__EVERY", "2s", lambda m: m.tasks["other"].every == 2),
        ("EMAIL", "{from: a@b, to: c@d}", lambda m: m.email.to == ["c@d"]),
        ("SERVER__PORT", "", lambda m: m.server.port is None),
    ],
)  # fmt: skip
def test_a_variable_sets_a_value(folder, monkeypatch, name, value, read):
    monkeypatch.setenv(f"PYMANIP_RUN_{name}", value)
    loaded = folder.load(
        "module: t.py\ntasks: [read, other]\nsession: x.h5\nparameters: {voltage: {value: 3, unit: V}, T_set: 1}\n"
    )
    assert read(loaded.model)
    assert loaded.warnings == ()
    assert loaded.overrides == ((f"PYMANIP_RUN_{name}={value}",) if value else ())


def test_a_section_is_set_before_what_is_in_it(folder, monkeypatch):
    monkeypatch.setenv("PYMANIP_RUN_SERVER__PORT", "7000")
    monkeypatch.setenv("PYMANIP_RUN_SERVER", "{share: true}")
    server = folder.model("").server
    assert (server.port, server.share) == (7000, True)


@pytest.mark.parametrize("name", ["TOKEN", "TEST_KILLS", "BENCHMARKS", "BENCHMARKS_QUICK"])
def test_variables_of_others_are_left_alone(folder, monkeypatch, name):
    monkeypatch.setenv(f"PYMANIP_RUN_{name}", "5")
    loaded = folder.load(SMALLEST)
    assert (loaded.warnings, loaded.overrides) == ((), ())


@pytest.mark.parametrize(
    ("name", "warning"),
    [
        ("SERVR__PORT", "sets nothing; did you mean PYMANIP_RUN_SERVER__PORT?"),
        ("WHATEVER", "sets nothing; a variable for the experiment file is written for example PYMANIP_RUN_SERVER__PORT"),
        ("SERVER_PORT", "sets nothing; did you mean PYMANIP_RUN_SERVER__PORT?"),
        ("", "sets nothing; a variable for the experiment file is written for example PYMANIP_RUN_SERVER__PORT"),
        ("SERVER__", "sets nothing; did you mean PYMANIP_RUN_SERVER?"),
    ],
)  # fmt: skip
def test_a_variable_that_sets_nothing_is_a_warning(folder, monkeypatch, name, warning):
    monkeypatch.setenv(f"PYMANIP_RUN_{name}", "1")
    assert folder.load(SMALLEST).warnings == (f"PYMANIP_RUN_{name}: {warning}",)


def test_a_password_for_all_experiments_harms_none_that_sends_no_mails(
    folder, monkeypatch, settings
):
    monkeypatch.setenv("PYMANIP_RUN_EMAIL__PASSWORD", "hunter2")
    monkeypatch.setenv("PYMANIP_RUN_EMAIL__HOST", "smtp.example.org")
    for text in (SMALLEST, f"{SMALLEST}email: null\n"):
        loaded = folder.load(text)
        assert loaded.model.email is None
        assert loaded.overrides == ()
        assert loaded.warnings == (
            "PYMANIP_RUN_EMAIL__HOST: sets nothing: the experiment sends no mails",
            "PYMANIP_RUN_EMAIL__PASSWORD: sets nothing: the experiment sends no mails",
        )
    mail = "email: {user: lab, from: lab@example.org, to: me@example.org}\n"
    assert folder.model(mail).email.password == "hunter2"
    by_hand = ("email.user=lab", "email.from=lab@example.org", "email.to=me@example.org")
    assert folder.model("", *by_hand).email.host == "smtp.example.org"
    settings(mail)
    assert folder.model("").email.password == "hunter2"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("SERVER__PROT", "1", "PYMANIP_RUN_SERVER__PROT: server.prot: unknown key 'prot'; did you mean 'port'?"),
        ("SERVER__PORT", "x", "PYMANIP_RUN_SERVER__PORT: server.port: a whole number is needed, not the text 'x'"),
        ("MODULE__NAME", "x", "PYMANIP_RUN_MODULE__NAME: module.NAME: 'module' is not a mapping: it has no 'NAME'"),
        ("SERVER", "[", "PYMANIP_RUN_SERVER: server: a value is missing before the end"),
        ("EMAIL__PASSWORD", "[hunter2]", "PYMANIP_RUN_EMAIL__PASSWORD: email.password: a text is needed"),
    ],
)  # fmt: skip
def test_a_wrong_variable_is_told_by_its_name(folder, monkeypatch, name, value, message):
    monkeypatch.setenv(f"PYMANIP_RUN_{name}", value)
    found = folder.complaint(SMALLEST + MAIL)
    assert message in found.splitlines()
    assert "hunter2" not in found


def test_a_secret_of_the_environment_is_recorded_without_its_value(folder, monkeypatch):
    monkeypatch.setenv("PYMANIP_RUN_EMAIL__PASSWORD", "hunter2")
    loaded = folder.load(SMALLEST + "email: {from: a@b, to: c@d, user: lab}\n")
    assert loaded.model.email.password == "hunter2"
    assert loaded.overrides == ("PYMANIP_RUN_EMAIL__PASSWORD=***",)
    assert loaded.warnings == ()


# -- which wins, and what --show-config says ---------------------------------------------------------


def test_each_source_wins_over_the_one_before(folder, settings, monkeypatch):
    path = settings("server: {port: 1, token: run, control: true, share: true}\n")
    monkeypatch.setenv("PYMANIP_RUN_SERVER__TOKEN", "none")
    monkeypatch.setenv("PYMANIP_RUN_SERVER__CONTROL", "true")
    text = SMALLEST + "server: {port: 2, token: user, control: false}\n"
    options = [Assignment("--port", ["server", "port"], "4")]
    found = origins(folder, text, "server.port=3", "server.control=false", options=options)
    assert found["port: 4"] == "--port"
    assert found["control: false"] == "--set server.control=false"
    assert found["token: none"] == "PYMANIP_RUN_SERVER__TOKEN"
    assert found["share: true"] == f"{path}:1:53"
    assert found["enabled: true"] == "default"
    assert found["module: tasks.py"] == "experiment.yaml:1:9"
    assert folder.load(text, "server.port=3").model.server.port == 3


def test_each_part_of_a_free_mapping_has_its_own_origin(folder):
    text = "module: t.py\ntasks: [a]\ndevices: {d: {use: t:D, kwargs: {resource: x, channels: [1, 2]}}}\nmetadata: {a: 1}\n"
    found = origins(folder, text, "devices.d.kwargs.resource=there", "metadata.b={c: 2}")
    assert found["resource: there"] == "--set devices.d.kwargs.resource=there"
    assert found["channels: [1, 2]"] == "experiment.yaml:3:57"
    assert found["a: 1"] == "experiment.yaml:4:15"
    assert found["c: 2"] == "--set metadata.b={c: 2}"


ALL = """\
module: t.py
session: data/x.h5
x-anchor: &slow {every: 10s, on_error: {retry: 2}}
metadata: {"odd key: x": [1e-5, 1.0, .inf, "yes", "1e3", "a\\nb", "${", "$${HOME}", null, {deep: {er: true}}], empty: {}}
devices:
  d: {use: t:D, simulate: t:F, safe: [off, {call: set, args: [0]}], kwargs: {"on": off, n: 010}}
parameters: {v: 3.0, w: {value: text, unit: "°C"}, "T [K]": 1}
variables: {T: {}}
tasks:
  - a
  - b: *slow
  - c: {sweep: {grid: {v: [1, 2.5], w: {start: 0, stop: 1, num: 3}}, snake: true}}
  - d: {<<: *slow, kwargs: {x: "2026-11-22"}}
plots: [[T], {x: v, y: T}, {variables: T}]
alarms: {hot: {when: '"T [K]" > 3', do: [log, {run: t:f}]}, cold: {when: T < 1}}
email: {from: "Lab <a@b.org>", to: c@d, port: 2_525}
limits: {grace: 0, duration: PT1H}
""".replace('"${"', '"$${"')


def test_what_is_shown_is_an_experiment_that_means_the_same(folder):
    folder.write(ALL)
    draft = read_draft("experiment.yaml")
    shown = shown_config(draft)
    (folder.path / "shown.yaml").write_text(shown, "utf-8")
    again = read_draft("shown.yaml")
    assert again.loaded().model == draft.model
    assert shown_config(again).splitlines()[0] != shown.splitlines()[0]
    read = yaml.safe_load(shown)
    assert read["metadata"]["odd key: x"][:5] == [1e-5, 1.0, float("inf"), "yes", "1e3"]
    assert read["devices"]["d"]["kwargs"] == {"on": "off", "n": 10}


def test_secrets_are_starred_wherever_they_stand(folder, monkeypatch):
    monkeypatch.setenv("LAB_DB_PASSWORD", "hunter2")
    text = """\
module: t.py
tasks: [a]
devices:
  d: {use: t:D, args: ["${LAB_DB_PASSWORD}", "user:${LAB_DB_PASSWORD}@lab", 7], kwargs: {api_key: hunter2, k: [hunter2]}}
parameters: {token: hunter2, v: 1}
metadata: {list: [{secret: hunter2}]}
email: {from: a@b, to: c@d, user: lab, password: hunter2}
server: {token: run}
"""
    folder.write(text)
    shown = shown_config(read_draft("experiment.yaml", ["email.password=hunter2hunter2"]))
    assert "hunter2" not in shown
    read = yaml.safe_load(shown)
    assert read["devices"]["d"]["args"] == ["***", "***", 7]
    assert read["devices"]["d"]["kwargs"] == {"api_key": "***", "k": ["***"]}
    assert read["email"]["password"] == "***"
    assert read["server"]["token"] == "run"


def test_what_is_not_valid_is_not_shown(folder):
    folder.write("module: t.py\n")
    with pytest.raises(ConfigError, match="'tasks' is missing"):
        shown_config(read_draft("experiment.yaml"))


def test_no_home_is_no_error(folder, monkeypatch):
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", "/nonexistent")
    assert folder.model("").server.port is None
    assert "HOME" in os.environ
