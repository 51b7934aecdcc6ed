"""The JSON Schema says what the program does: what it takes, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from pymanip_run.errors import ConfigError
from pymanip_run.experiment.load.loading import load_experiment
from pymanip_run.experiment.model.schema import experiment_schema
from pymanip_run.experiment.text.nodes import plain
from pymanip_run.experiment.text.problems import Source
from pymanip_run.experiment.text.yaml12 import compose

PROJECT = Path(__file__).parents[3]
COMPLETE = Path(__file__).parent / "complete" / "experiment.yaml"
SAMPLES = sorted((PROJECT / "sample_experiments").glob("*/*.yaml"))
TEMPLATES = sorted((PROJECT / "pymanip_run" / "templates").rglob("*.yaml.template"))
SMALLEST = "module: tasks.py\ntasks: [a]\n"


@pytest.fixture(scope="module")
def schema():
    return experiment_schema()


@pytest.fixture(scope="module")
def validator(schema):
    return jsonschema.Draft202012Validator(schema)


def faults(validator, text):
    """Return what the schema objects to in a file."""
    problems = []
    root = compose(Source("e.yaml", text), problems)
    assert problems == [], "a schema sees values, not YAML"
    return list(validator.iter_errors(plain(root)))


def parts(schema):
    """Yield all mappings of a schema that describe a value."""
    if isinstance(schema, dict):
        yield schema
    for part in (
        schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    ):
        yield from parts(part)


def test_the_schema_is_one_of_its_dialect(schema):
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_every_key_is_described(schema):
    missing = [
        f"{name}.{key}"
        for name, model in {**schema["$defs"], "Experiment": schema}.items()
        for key, value in model.get("properties", {}).items()
        if not value.get("description")
    ]
    assert missing == []


def test_what_the_schema_calls_a_default_is_the_default(schema, tmp_path):
    (tmp_path / "e.yaml").write_text(
        "module: t.py\ntasks: {a: {sweep: {values: [1]}}}\n"
        "devices: {d: {use: t:D, safe: s, reconnect: {}}}\nalarms: {a: {when: T > 1}}\n"
        "plots: [[T]]\nemail: {from: a@b, to: c@d}\n"
    )
    model = load_experiment(tmp_path / "e.yaml").model
    examples = {
        "Experiment": model, "Session": model.session, "Device": model.devices["d"], "Task": model.tasks["a"],
        "Reconnect": model.devices["d"].reconnect, "SafeAction": model.devices["d"].safe[0],
        "OnError": model.tasks["a"].on_error, "Sweep": model.tasks["a"].sweep, "Plot": model.plots[0],
        "Alarm": model.alarms["a"], "Email": model.email, "Server": model.server, "Limits": model.limits,
    }  # fmt: skip
    checked = 0
    for name, example in examples.items():
        for key, value in {**schema["$defs"], "Experiment": schema}[name]["properties"].items():
            field = {f.alias or n: n for n, f in type(example).model_fields.items()}[key]
            if "default" in value and field not in example.model_fields_set:
                assert getattr(example, field) == value["default"], f"{name}.{key}"
                checked += 1
    assert checked > 30


def test_every_example_in_the_schema_is_valid(schema):
    checked = 0
    for part in parts(schema):
        for example in part.get("examples", ()) if isinstance(part.get("examples"), list) else ():
            rest = {key: value for key, value in part.items() if key != "examples"}
            jsonschema.Draft202012Validator({**rest, "$defs": schema["$defs"]}).validate(example)
            checked += 1
    assert checked > 20


@pytest.mark.parametrize(
    "file", [COMPLETE, *SAMPLES, *TEMPLATES], ids=lambda path: f"{path.parent.name}/{path.name}"
)
def test_complete_file_samples_and_templates_are_valid(validator, file):
    assert faults(validator, file.read_text("utf-8").replace("@TITLE@", "A title")) == []


VALID = [
    "session: run.h5", "session: {file: run.h5, checkpoint: 500ms}", "parameters: {v: 1, w: {value: text, unit: V}}",
    "server: {port: '${LAB_PORT}', enabled: '${LAB_ON:-true}', token: '${LAB_TOKEN:-run}'}", "limits: {entries: 10_000}",
    "limits: {duration: 1.5d, min_free_disk: 512 MiB, grace: PT10S}", "limits: {duration: 2h30m, min_free_disk: 1e9}",
    "limits: {duration: 3600, min_free_disk: 5}", "limits: {duration: '${LAB_TIME}'}",
    "plots: [[T, U], {x: T, y: U}, {variables: T, scale: log, window: 6h}]",
    "alarms: {a: {when: T > 60, do: {run: cool}}, b: {when: age(T) > 2min, do: [log, mail]}, c: {when: T < 1, do: stop}}",
    "alarm_tests: [{variable: T, values: [1, null], every: 30s, expect: []}]",
    "devices: {d: {use: t:D, safe: off, simulate: t:F}, e: {use: t:D, safe: [off, {call: off}], simulate: {use: t:F}}}",
    "email: {to: [a@b, 'C <c@d>'], from: a@b, on: alarm, security: none}", "email: {host: smtp}", "email: null",
    "server: {tls: null}", "x-anything: [1, {a: b}]", "server: {x-note: here}", "metadata: {a: [1, {b: null}]}", "version: 1",
]  # fmt: skip
VALID_TASKS = [
    "[a, b]", "[a, {b: {every: 1s}}, {c: null}]", "{a: null, b: {once: true, before: c}}",
    "{a: {sweep: {values: [1, 2]}}, b: {sweep: {start: 0, stop: 1, num: 5}}, c: {sweep: {log: {start: 1, stop: 9, num: 3}}}}",
    "{a: {sweep: {grid: {v: [1], w: {start: 0, stop: 1, num: 2}}, snake: true}}, b: {sweep: {use: gen, parameter: v}}}",
    "{a: {on_error: {retry: 3, then: stop}, timeout: 5}}",
]  # fmt: skip
WRONG = [
    "sesion: run.h5", "session: 5", "session: {exists: always}", "session: {checkpoint: soon}", "session: {checkpoint: 0}",
    "session: {checkpoint: -1}", "limits: {duration: '12:30:00'}", "limits: {min_free_disk: 2 apples}", "limits: 5s",
    "limits: {entries: 0}", "limits: {entries: 1.5}", "parameters: [v]", "parameters: {v: [1]}", "parameters: {v: null}",
    "parameters: {v: {unit: V}}", "variables: {T: {unit: 1}}", "variables: {T: {periode: 3s}}", "version: 2",
    "server: {port: 70000}", "server: {port: -1}", "server: {enabled: yes}", "server: {enabled: 1}", "server: {token: mine}",
    "server: {tls: {cert: a.crt}}", "server: {allowed_hosts: [5]}", "email: {port: 0}", "email: {security: startls}",
    "email: {to: nobody}", "email: {on: [alarms]}", "email: {every: 0s}", "plots: [T]", "plots: [[]]", "plots: [{x: T}]",
    "plots: [{variables: [T], scale: loglog}]", "plots: [{}]", "plots: [{x: T, y: U, variables: [T]}]",
    "alarms: {a: {}}", "alarms: {a: {when: T}}", "alarms: {a: {when: 5}}", "alarms: {a: {when: T > 1, do: [maill]}}",
    "alarms: {a: {when: T > 1, do: []}}", "alarms: {a: {when: T > 1, do: {run: 5}}}", "alarms: {a: {when: T > 1, for: long}}",
    "alarm_tests: [{variable: T, values: [x], every: 1s, expect: []}]", "alarm_tests: [{variable: T, every: 1s, expect: []}]",
    "devices: {d: {}}", "devices: {d: {use: t:D, safe: {cal: off}}}", "devices: {d: {use: t:D, simulate: {args: []}}}",
    "devices: {d: {use: t:D, open_timeout: 0}}", "devices: [d]", "metadata: 5",
]  # fmt: skip
WRONG_TASKS = [
    "[]", "a", "[5]", "[{a: {}, b: {}}]", "{a: 5}", "{a: {evry: 1s}}", "{a: {every: 1s, once: true}}", "{a: {repeat: false}}",
    "{a: {every: null}}", "{a: {sweep: {start: 0, stop: 1}}}", "{a: {sweep: {values: []}}}", "{a: {sweep: {}}}",
    "{a: {sweep: {values: [1], use: gen}}}", "{a: {sweep: {start: 0, stop: 1, step: 1}}}", "{a: {before: [b]}, b: {}}",
    "{a: {on_error: {then: retry}}}", "{a: {on_error: {retry: -1}}}", "{a: {sweep: {log: {start: 0, stop: 1, num: 2}}}}",
]  # fmt: skip


def whole(lines, tasks):
    return [
        *(f"{SMALLEST}{line}\n" for line in lines),
        *(f"module: t.py\ntasks: {task}\n" for task in tasks),
    ]


@pytest.mark.parametrize("text", whole(VALID, VALID_TASKS))
def test_what_is_right_passes_the_schema(validator, text):
    assert [fault.message for fault in faults(validator, text)] == []


@pytest.mark.parametrize("text", whole(WRONG, WRONG_TASKS))
def test_what_is_wrong_fails_schema_and_program_alike(validator, tmp_path, text):
    # every: null is refused by a check of the program, and valid where null means "left out".
    if "every: null" not in text:
        assert faults(validator, text) != []
    (tmp_path / "e.yaml").write_text(text)
    with pytest.raises(ConfigError):
        load_experiment(tmp_path / "e.yaml")


def test_the_command_writes_what_editors_and_other_programs_check_by(tmp_path, schema):
    environment = {"PYTHONPATH": str(PROJECT), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}

    def run(*words):
        return subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    command = (sys.executable, "-m", "pymanip_run", "schema")
    assert json.loads(run(*command).stdout) == schema
    done = run(*command, "-o", "experiment.schema.json")
    assert (done.returncode, done.stdout) == (0, "")
    assert "# yaml-language-server: $schema=./experiment.schema.json" in done.stderr
    assert json.loads((tmp_path / "experiment.schema.json").read_text("utf-8")) == schema
    (tmp_path / "wrong.yaml").write_text("module: t.py\ntasks: [a]\nsesion: x\n")
    check = (
        str(Path(sys.executable).parent / "check-jsonschema"),
        "--schemafile",
        "experiment.schema.json",
    )
    done = run(*check, *map(str, [COMPLETE, *SAMPLES]))
    assert done.returncode == 0, done.stdout
    done = run(*check, "wrong.yaml")
    assert done.returncode == 1
    assert "'sesion'" in done.stdout
    done = run(*command, "-o", "nowhere/x.json")
    assert (done.returncode, done.stderr) == (
        2,
        "nowhere/x.json cannot be written: No such file or directory\n",
    )
