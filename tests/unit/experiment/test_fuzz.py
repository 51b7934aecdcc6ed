"""Whatever is in an experiment file: it is read, or refused with a ConfigError, in a short time."""

import contextlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pymanip_run.errors import ConfigError
from pymanip_run.experiment.load import load_experiment

EXAMPLE = """\
version: 1
session: {file: "data/x_{date}.h5", title: Run 12, exists: append, checkpoint: 5s}
metadata:
  cell: &cell {height: 0.41 m, fluid: water}
  copy: {<<: *cell, height: 1}
  password: ${NOT_SET:-hunter2}
module: convection.py
parameters:
  voltage: 3.0
  setpoint: {value: 25.0, unit: degC, tunable: {min: 10, max: 60, max_step: 5}}
variables:
  T_top:    {unit: degC, label: Top plate, format: ".3f", period: 10s}
tasks:
  - read
  - snapshot: {use: take_image, every: 10min, start_after: 30s, kwargs: {exposure: 0.02}}
  - voltage_scan:
      use: scan_step
      sweep: {parameter: voltage, start: 0, stop: 5, num: 11, settle: 30s}
  - grid: {sweep: {grid: {voltage: {log: {start: 1, stop: 5, num: 11}}, field: [0.1, 0.2]}, snake: true}}
server: {enabled: false, port: 6_913}
limits: {duration: 14d}
x-free: |
  text
"""
PIECES = [
    *"{}[]:,-?&*!|>'\"%@`#~<=$\\ \n\r\t\0\x1b\x85", "\u2028", "\ufeff", "\U0001f600", "- ", ": ", "\n  ", "? ", "<<: ",
    "&a ", "*a", "!!int ", "${X}", "${", "$${", "{x}", "---\n", "...\n", "%YAML 1.1\n", "null", "true", ".nan", "1e999",
    "-1", "0x", "x-", "devices:", "every: 1s", "sweep: ", "[[[[", "{{{{", "10_000", "''", "password: ",
]  # fmt: skip
FUZZ = settings(
    max_examples=300, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@st.composite
def mutations(draw):
    text = EXAMPLE
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 2, 8, 40])))
        middle = draw(
            st.one_of(st.sampled_from(PIECES), st.just(text[end : end + 20]), st.text(max_size=3))
        )
        text = text[:start] + middle + text[end:]
    return text


def read_or_refuse(path, overrides=()):
    with contextlib.suppress(ConfigError):
        load_experiment(path, overrides)


def test_the_example_itself_is_read(tmp_path):
    (tmp_path / "e.yaml").write_text(EXAMPLE, encoding="utf-8")
    assert len(load_experiment(tmp_path / "e.yaml").model.tasks) == 4


@FUZZ
@given(text=mutations())
def test_a_changed_file_is_read_or_refused(tmp_path, text):
    (tmp_path / "e.yaml").write_bytes(text.encode("utf-8", "surrogatepass"))
    read_or_refuse(tmp_path / "e.yaml")


@FUZZ
@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path, data):
    (tmp_path / "e.yaml").write_bytes(data)
    read_or_refuse(tmp_path / "e.yaml")


# Values in all the wrong places: nothing here is a syntax error.
VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5),
        st.sampled_from(["10s", "-1s", "append", "x.db", "${X}", "{n}", "1" * 310, "every", ".3f"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["every", "value", "sweep", "grid", "start", "x-a", "a", "log"]), inner, max_size=3),
    ),
    max_leaves=8,
)  # fmt: skip
PATHS = st.sampled_from([
    "version", "session", "session.file", "session.exists", "metadata", "metadata.a", "module", "parameters",
    "parameters.voltage", "parameters.setpoint.tunable", "parameters.setpoint.tunable.min", "variables.T_top",
    "variables.T_top.format", "tasks", "tasks.read", "tasks.read.every", "tasks.grid.sweep", "tasks.grid.sweep.grid",
    "tasks.grid.sweep.grid.voltage", "tasks.voltage_scan.sweep.num", "tasks.0", "tasks.new", "server", "server.port",
    "limits", "limits.duration", "devices", "a.b.c", "x-free",
])  # fmt: skip


@FUZZ
@given(path=PATHS, value=VALUES)
def test_any_value_anywhere_is_accepted_or_refused(tmp_path, path, value):
    import yaml

    (tmp_path / "e.yaml").write_text(EXAMPLE, encoding="utf-8")
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=False)
    read_or_refuse(tmp_path / "e.yaml", [f"{path}={text.removesuffix(chr(10) + '...' + chr(10))}"])


@pytest.mark.parametrize(
    "text", ["[" * 10**6, "{a: " * 2 * 10**5, "- " * 5 * 10**5, "&a " * 3 * 10**5, "a: b\n" * 10**5]
)
def test_large_nonsense_is_refused_at_once(tmp_path, text):
    (tmp_path / "e.yaml").write_text(text)
    with pytest.raises(ConfigError):
        load_experiment(tmp_path / "e.yaml")
