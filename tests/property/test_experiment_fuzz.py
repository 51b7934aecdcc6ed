"""Whatever is in an experiment file: it is read, or refused with a ConfigError, soon and in little memory.

PYMANIP_RUN_TEST_FUZZ=10000 pytest tests/property/test_experiment_fuzz.py
python tests/property/test_experiment_fuzz.py -max_total_time=60      with atheris, where it installs
"""

import contextlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pymanip_run.errors import ConfigError
from pymanip_run.experiment.load.loading import read_draft
from pymanip_run.experiment.load.show import shown_config

PROJECT = Path(__file__).parents[2]
COMPLETE = PROJECT / "tests" / "unit" / "experiment" / "complete" / "experiment.yaml"
FILES = int(os.environ.get("PYMANIP_RUN_TEST_FUZZ", "500"))
ENVIRON = {
    "LAB_SMTP_PASSWORD": "hunter2",
    "X": "${X}",
    "LONG": "x" * 100_000,
    "LAB_TOKEN": "",
    "N": "7",
    "XDG_CONFIG_HOME": "/nonexistent",
}
FORMS = """\
version: 1
session: "data/x_{date}.h5"
metadata:
  cell: &cell {height: 0.41 m, fluid: water}
  copy: {<<: *cell, height: 1}
  note: "${N:-7} $${N} ${X}"
module: convection.py
parameters: {voltage: 3.0, setpoint: {value: 25.0, unit: degC, tunable: {min: 10, max: 60, max_step: 5}}}
devices: {d: {use: t:D, simulate: t:F, safe: [off, {call: set}]}, e: {use: t:E, safe: off}}
tasks:
  - read
  - snapshot: {use: take_image, every: 10min, start_after: 30s, kwargs: {exposure: 0.02}}
  - once: {once: true, before: snapshot}
  - grid: {sweep: {grid: {voltage: {log: {start: 1, stop: 5, num: 11}}, field: [0.1, 0.2]}, snake: true}}
alarms: {a: {when: 'age("T x") > 2min', do: {run: t:f}}, b: {when: rate(T) < -1 per s, do: stop}}
plots: [[T, U], {x: T, y: U}, {variables: T}]
limits: {duration: 14d}
x-free: |
  text
  password: swordfish
"""
PIECES = [
    *"{}[]:,-?&*!|>'\"%@`#~<=$\\ \n\r\t\0\x1b\x85", "\u2028", "\ufeff", "\U0001f600", "- ", ": ", "\n  ", "? ", "<<: ",
    "&a ", "*a", "*cell", "!!int ", "!!python/name:os.system ", "${X}", "${LONG}", "${", "$${", "{x}", "---\n", "...\n",
    "%YAML 1.1\n", "null", "true", ".nan", "1e999", "-1", "0x", "x-", "devices:", "every: 1s", "sweep: ", "[[[[", "{{{{",
    "10_000", "''", "password: ", "3,5", "T > 1", "when: ", "before: ", "email: {}", "\r", "\r\n", "\ud800",
]  # fmt: skip
#: A hang is what takes seconds; a busy computer is none.
FUZZ = settings(
    max_examples=FILES, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def starting_points():
    """Return the texts that are changed, and the lines that are taken from one into the other."""
    complete = COMPLETE.read_text("utf-8")
    return [complete, FORMS]


@st.composite
def mutations(draw):
    texts = starting_points()
    text = draw(st.sampled_from(texts))
    lines = "\n".join(texts).splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 2, 8, 40])))
        middle = draw(
            st.one_of(
                st.sampled_from(PIECES),
                st.just(text[end : end + 20]),
                st.text(max_size=3),
                st.sampled_from(lines),
            )
        )
        text = text[:start] + middle + text[end:]
    return text


def read_or_refuse(path, overrides=(), environ=ENVIRON):
    """Read a file; what is accepted can be shown, and what is shown means the same."""
    refusal = None
    try:
        draft = read_draft(path, overrides, environ)
        draft.loaded()
    except ConfigError as error:
        refusal = str(error)
    if refusal is not None:
        assert 0 < len(refusal) < 300_000
        assert "hunter2" not in refusal
        return
    shown = shown_config(draft)
    if "***" not in shown:
        again = path.with_name("shown.yaml")
        again.write_text(shown, "utf-8")
        assert read_draft(again, environ=environ).loaded().model == draft.model


@pytest.mark.parametrize("text", starting_points(), ids=["complete", "forms"])
def test_the_starting_points_are_valid(tmp_path, text):
    (tmp_path / "e.yaml").write_text(text, encoding="utf-8")
    assert len(read_draft(tmp_path / "e.yaml", environ=ENVIRON).loaded().model.tasks) > 3


@pytest.mark.timeout(3600)
@FUZZ
@given(text=mutations())
def test_a_changed_file_is_read_or_refused(tmp_path, text):
    (tmp_path / "e.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    read_or_refuse(tmp_path / "e.yaml")


@pytest.mark.timeout(3600)
@settings(FUZZ, max_examples=max(100, FILES // 5))
@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path, data):
    (tmp_path / "e.yaml").write_bytes(data)
    read_or_refuse(tmp_path / "e.yaml")


# Values in all the wrong places: nothing here is a syntax error.
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
        st.sampled_from(["10s", "-1s", "append", "x.db", "${X}", "{n}", "1" * 310, "every", ".3f", "T > 1", "T >", "a@b", "mail"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["every", "value", "sweep", "grid", "start", "x-a", "a", "log", "when", "run", "use", "5", "variables", "x"]),
            inner, max_size=3,
        ),
    ),
    max_leaves=8,
)  # fmt: skip
KEYS = [
    "version", "session", "metadata", "module", "devices", "parameters", "variables", "tasks", "plots", "alarms",
    "alarm_tests", "email", "server", "limits", "x-free", "file", "exists", "voltage", "setpoint", "tunable", "min", "T_top",
    "format", "period", "read_temperatures", "voltage_scan", "warm_up", "new", "every", "once", "before", "sweep", "num",
    "on_error", "wait", "kwargs", "thermo", "supply", "use", "safe", "simulate", "reconnect", "too_hot", "when", "clear", "do",
    "host", "password", "security", "to", "on", "port", "token", "tls", "cert", "allowed_hosts", "duration", "0", "1", "99",
]  # fmt: skip
PATHS = st.lists(st.sampled_from(KEYS), min_size=1, max_size=4).map(".".join)


@pytest.mark.timeout(3600)
@FUZZ
@given(path=PATHS, value=VALUES)
def test_any_value_anywhere_is_accepted_or_refused(tmp_path, path, value):
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=False)
    text = text.removesuffix("\n...\n").strip()
    read_or_refuse(_complete(tmp_path), [f"{path}={text}"])
    if "\0" not in text:
        read_or_refuse(
            _complete(tmp_path),
            environ=ENVIRON | {f"PYMANIP_RUN_{path.replace('.', '__').upper()}": text},
        )


@pytest.mark.timeout(3600)
@FUZZ
@given(text=st.text(max_size=60))
def test_any_override_is_accepted_or_refused(tmp_path, text):
    read_or_refuse(_complete(tmp_path), [text, f"metadata.x={text}", f"{text}=1"])


def _complete(folder):
    (folder / "e.yaml").write_bytes(COMPLETE.read_bytes())
    return folder / "e.yaml"


# -- monsters, each in a process of its own with little memory and time ------------------------------

MIB = 2**20
HEAD = "module: t.py\ntasks: [a]\n"
MONSTERS = {
    "1 MiB of brackets": "[" * MIB,
    "1 MiB of braces": "{a: " * (MIB // 4),
    "1 MiB of closing brackets": "]" * MIB,
    "1 MiB of dashes": "- " * (MIB // 2),
    "1 MiB of question marks": "? " * (MIB // 2),
    "1 MiB of anchors": "&a " * (MIB // 3),
    "1 MiB of quotes": HEAD + "metadata: " + '"' * (MIB - 50),
    "1 MiB of line breaks": HEAD + "\n" * (MIB - 50),
    "1 MiB of carriage returns": HEAD + "\r" * (MIB - 50),
    "1 MiB of blanks": HEAD + " " * (MIB - 50),
    "1 MiB of tabs": HEAD + "\t" * (MIB - 50),
    "1 MiB of hashes": HEAD + "#" * (MIB - 50),
    "1 MiB of NUL": "\0" * MIB,
    "1 MiB of dollars": HEAD + "metadata: {a: '" + "$" * (MIB - 100) + "'}\n",
    "many references": HEAD + "metadata: {a: '" + "${N}" * (MIB // 4 - 100) + "'}\n",
    "many large references": HEAD + "metadata: [" + "'${LONG}', " * 50_000 + "1]\n",
    "many broken references": HEAD + "metadata: {a: '" + "${" * (MIB // 2 - 100) + "'}\n",
    "a reference within references": HEAD + "metadata: {a: '" + "${A:-" * (MIB // 5 - 100) + "'}\n",
    "duplicate keys": "a: b\n" * (MIB // 5),
    "many keys": "".join(f"key{n}: 1\n" for n in range(80_000)),
    "many similar keys": HEAD + "limits: {" + "".join(f"durat{n}: 1, " for n in range(60_000)) + "}\n",
    "a very long key": HEAD + "k" * (MIB - 100) + ": 1\n",
    "a very long quoted key": HEAD + '"' + "k" * (MIB - 100) + '": 1\n',
    "a very long task": "module: t.py\ntasks: [" + "a" * (MIB - 100) + "]\n",
    "a very long placeholder": HEAD + "session: '{" + "n" * (MIB - 100) + "}'\n",
    "many placeholders": HEAD + "session: '" + "{n}" * (MIB // 3 - 100) + "'\n",
    "a very long scalar": HEAD + "metadata: {a: " + "x" * (MIB - 100) + "}\n",
    "a very long number": HEAD + "parameters: {a: " + "9" * (MIB - 100) + "}\n",
    "a very long duration": HEAD + "limits: {duration: " + "1h" * (MIB // 2 - 100) + "}\n",
    "a very long condition": HEAD + "alarms: {a: {when: '" + "abs(" * (MIB // 4 - 100) + "'}}\n",
    "a very long host": HEAD + "email: {host: '" + "a:" * (MIB // 2 - 100) + "'}\n",
    "a very long address": HEAD + "email: {to: '" + "a@" * (MIB // 2 - 100) + "'}\n",
    "many decimal commas": HEAD + "parameters: {" + ", ".join(f"v{n}: 3,{n}" for n in range(40_000)) + "}\n",
    "many tasks": "module: t.py\ntasks: [" + ", ".join(f"t{n}" for n in range(60_000)) + "]\n",
    "many tasks before each other": "module: t.py\ntasks: {"
    + ", ".join(f"t{n}: {{once: true, before: t{n + 1}}}" for n in range(20_000)) + "}\n",
    "many tasks before unknown ones": "module: t.py\ntasks: {"
    + ", ".join(f"t{n}: {{once: true, before: [u{n}]}}" for n in range(20_000)) + "}\n",
    "all before all": "module: t.py\ntasks: {"
    + ", ".join(f"t{n}: {{once: true, before: [{', '.join(f't{m}' for m in range(300))}]}}" for n in range(300)) + "}\n",
    "a long list of tasks": "module: t.py\ntasks:\n" + "".join(f"- t{n}: {{every: 1s, timeout: 2s}}\n" for n in range(20_000)),
    "a long list of wrong tasks": "module: t.py\ntasks:\n" + "".join(f"- t{n}: {{evry: 1s}}\n" for n in range(40_000)),
    "many alarms": HEAD + "alarms: {" + ", ".join(f"a{n}: {{when: T{n} > 1}}" for n in range(25_000)) + "}\n",
    "many tests of unknown alarms": HEAD + "alarms: {" + ", ".join(f"a{n}: {{when: T > 1}}" for n in range(9_000)) + "}\nalarm_tests: ["
    + ", ".join(f"{{variable: T, values: [1], every: 1, expect: b{n}}}" for n in range(9_000)) + "]\n",
    "many undeclared parameters": "module: t.py\nparameters: {" + ", ".join(f"v{n}: 1" for n in range(20_000)) + "}\ntasks: {a: {sweep: {grid: {"
    + ", ".join(f"w{n}: [1]" for n in range(20_000)) + "}}}}\n",
    "many secrets": HEAD + "metadata: {" + ", ".join(f"password{n}: longer{n}" for n in range(30_000)) + "}\n",
    "an alias bomb": HEAD + "x-0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    + "".join(f"x-{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 40)),
    "a bomb of large aliases": HEAD + f"x-0: &a {'x' * 900_000}\nmetadata: [{', '.join(['*a'] * 9_000)}]\n",
    "a bomb of merge keys": HEAD + "x-0: &a0 {" + ", ".join(f"k{n}: 1" for n in range(100)) + "}\n"
    + "".join(f"x-{n}: &a{n} {{<<: *a{n - 1}}}\n" for n in range(1, 2_000)),
    "a deep chain of aliases": HEAD + "x-0: &a0 [x]\n" + "".join(f"x-{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 140)),
    "aliases of aliases of deep nests": HEAD + f"x-0: &a0 {'[' * 45}{']' * 45}\n"
    + "".join(f"x-{n}: &a{n} {'[' * 45}*a{n - 1}{']' * 45}\n" for n in range(1, 100)),
}  # fmt: skip
CHILD = """
import json, os, resource, sys, time
from pymanip_run.errors import ConfigError
from pymanip_run.experiment.load.loading import read_draft
from pymanip_run.experiment.load.show import shown_config

def read(path):
    try:
        draft = read_draft(path, environ=environ)
        draft.loaded()
        return len(shown_config(draft)), "read"
    except ConfigError as error:
        return len(str(error)), "refused"

environ = json.loads(os.environ["FUZZ_ENVIRON"])
read(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[2:]:
    start = time.process_time()
    size, end = read(path)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps([end, size, memory / 1024, time.process_time() - start]), flush=True)
"""


@pytest.fixture(scope="module")
def monsters(tmp_path_factory):
    """What became of each monster: read or refused, size of what was said, memory in MB, seconds."""
    folder = tmp_path_factory.mktemp("monsters")
    for number, text in enumerate([HEAD, *MONSTERS.values()]):
        (folder / f"{number}.yaml").write_text(text, encoding="utf-8", newline="")
    environment = {
        "PYTHONPATH": str(PROJECT),
        "FUZZ_ENVIRON": json.dumps(ENVIRON),
        "PATH": os.environ["PATH"],
    }

    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))
        resource.setrlimit(resource.RLIMIT_CPU, (200, 200))

    done = subprocess.run(
        [sys.executable, "-c", CHILD, *(f"{n}.yaml" for n in range(len(MONSTERS) + 1))], cwd=folder, env=environment,
        capture_output=True, text=True, timeout=600, check=False, preexec_fn=limited,
    )  # fmt: skip
    results = map(json.loads, done.stdout.splitlines())
    return dict(zip(MONSTERS, results, strict=False)), done.stderr


@pytest.mark.timeout(700)
@pytest.mark.parametrize("name", MONSTERS)
def test_a_monster_takes_little_time_and_memory(monsters, name):
    results, error = monsters
    assert name in results, f"it hung, or took too much memory: {error[-3000:]}"
    end, size, megabytes, seconds = results[name]
    assert size < (64 if end == "read" else 1) * MIB
    assert megabytes < 300
    assert seconds < 15


def _with_atheris():
    import tempfile

    import atheris

    folder = Path(tempfile.mkdtemp())
    corpus = folder / "corpus"
    corpus.mkdir()
    for number, text in enumerate(starting_points()):
        (corpus / str(number)).write_text(text, "utf-8")

    def one(data):
        (folder / "e.yaml").write_bytes(data)
        with contextlib.suppress(ConfigError):
            read_draft(folder / "e.yaml", environ=ENVIRON).loaded()

    atheris.instrument_all()
    atheris.Setup([*sys.argv, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    _with_atheris()
