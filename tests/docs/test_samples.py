"""Every sample experiment runs, and its session holds what it says."""

import json

import pytest
from documents import PROJECT, Desk

SAMPLES = sorted(p.name for p in (PROJECT / "sample_experiments").iterdir() if p.is_dir())


@pytest.fixture
def desk(tmp_path):
    return Desk(tmp_path)


def session(desk, sample, name="session.h5"):
    """What ``pymanip-inspect --json`` says of the finished session."""
    folder = desk.samples / sample
    assert [p.name for p in folder.iterdir() if ".h5" in p.name] == [name], "side files were left"
    content = json.loads(desk.run(f"pymanip-inspect {name} --json", folder))
    assert [run["exit_code"] for run in content["runs"]] == [0]
    assert content["healthy"] is True
    return content


def test_every_sample_is_tested_here():
    assert SAMPLES == ["cooling_body", "from_python", "this_computer"]


@pytest.mark.parametrize("sample", SAMPLES)
def test_every_sample_explains_itself_in_a_readme(sample):
    assert (PROJECT / "sample_experiments" / sample / "README.md").exists()


def test_this_computer_logs_every_second(desk):
    desk.run("pymanip-run experiment.yaml --for 4s", desk.samples / "this_computer")
    variables = session(desk, "this_computer")["variables"]
    load, memory = variables["cpu_load"], variables["memory_used"]
    assert 3 <= load["n"] <= 5
    assert load["unit"] == "%"
    assert 0 <= load["min"] <= load["max"] <= 100
    assert memory["min"] > 0
    assert variables["cpu0_load"]["n"] == load["n"]


def test_the_python_form_needs_no_experiment_file(desk):
    said = desk.run("python convection.py --seconds 3", desk.samples / "from_python")
    content = session(desk, "from_python", "convection.h5")
    n = content["variables"]["T_bottom"]["n"]
    assert f"{n} values of T_bottom" in said
    assert 10 <= n <= 16
    assert content["datasets"]["profile"]["n"] in {3, 4}
    assert content["parameters"]["heating_power"] == 12.0


def test_the_cooling_body_follows_newtons_law(desk):
    desk.run("pymanip-run experiment.yaml", desk.samples / "cooling_body")
    content = session(desk, "cooling_body")
    rest, tau = content["variables"]["T_rest"], content["variables"]["tau"]
    assert rest["n"] == 3
    assert rest["last"][1] == pytest.approx(25, abs=0.15)
    assert tau["mean"] == pytest.approx(1.0, rel=0.2)
    assert content["parameters"]["T_set"] == 25.0


def test_this_computer_says_what_to_install_when_psutil_is_missing(desk):
    folder = desk.samples / "this_computer"
    (folder / "psutil.py").write_text("raise ImportError('not here')")
    said = desk.run(
        f"PYTHONPATH={folder}:$PYTHONPATH pymanip-run experiment.yaml --for 1s 2>&1 || test $? = 2",
        folder,
    )
    assert "pip install 'pymanip-run[samples]'" in said
    assert list(folder.glob("*.h5*")) == []


BARE_MACHINE = """
import psutil
psutil.cpu_freq = lambda percpu=False: None
psutil.disk_io_counters = psutil.net_io_counters = lambda: None
psutil.sensors_temperatures = lambda: {}
import this_computer
assert this_computer.frequencies() == []
assert this_computer.rates(0.0) == this_computer.rates(1.0) == {}
assert this_computer.temperatures() == {}
"""


def test_this_computer_copes_with_a_machine_that_tells_little(desk):
    desk.run(f"python - <<'END'\n{BARE_MACHINE}\nEND", desk.samples / "this_computer")
