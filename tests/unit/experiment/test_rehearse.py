"""Rehearsals: unmodified tasks in virtual time, and what the report says of them."""

import json
import math
import random
import time

import numpy as np
import pytest

from pymanip_run.clock import VirtualClock
from pymanip_run.errors import ConfigError
from pymanip_run.experiment.rehearsal.rehearse import SEEDED_START_NS, rehearsed
from pymanip_run.records import Window

_RANDOM = random.Random
MODULE = """
import asyncio, random, threading, time
import numpy as np

class Thermometer:
    def __init__(self): raise OSError("the real one was opened")

class FakeThermometer:
    async def __aenter__(self):
        await asyncio.sleep(0.5)
        return self
    async def __aexit__(self, *error): pass
    async def read(self):
        await asyncio.sleep(0.1)
        return random.gauss(20, 1)

async def read(sesn): sesn.add_entry(T=random.gauss(20, 1), U=np.random.normal(), V=np.random.default_rng().normal())
async def read_device(sesn): sesn.add_entry(T=await sesn.thermo.read())
def plain(sesn):
    time.sleep(random.random())
    sesn.add_entry(p=random.random(), when=time.time())
def plain_too(sesn):
    time.sleep(random.random())
    sesn.add_entry(q=random.random(), when_too=time.monotonic())
async def slow(sesn):
    await asyncio.sleep(25)
    sesn.add_entry(slow=1)
async def again(sesn):
    sesn.add_entry(again=1)
    await sesn.sleep(7)
async def once(sesn): sesn.add_entry(once=1)
async def chance(sesn):
    sesn.add_entry(
        a=random.Random().random(),
        b=np.random.RandomState().normal(),
        c=np.random.Generator(np.random.PCG64()).normal(),
        d=np.random.default_rng().normal(),
        e=np.random.SeedSequence().entropy % 1000,
    )
    random.seed()
    np.random.seed()
    sesn.add_entry(f=random.random(), g=np.random.normal())
async def silent(sesn): await sesn.sleep(1)
async def scan(sesn, V):
    await asyncio.sleep(3)
    sesn.add_entry(I=V / 10)
async def scan_oddly(sesn, x):
    sesn.add_entry(x=x)
    return {x}
def rising():
    yield from (1, 2, 3)
async def blocks(sesn):
    until = threading.Event()
    until.wait(0.5)
    sesn.add_entry(b=1)
async def sleeps(sesn):
    time.sleep(2)
    sesn.add_entry(s=1)
async def broken(sesn):
    if sesn.now() > sesn.t0 + 100:
        raise ValueError("the sensor broke")
    sesn.add_entry(ok=1)
async def stops(sesn):
    sesn.ask_exit("enough")
async def exits(sesn):
    raise SystemExit(3)
async def waits_for_ever(sesn): await asyncio.Event().wait()
async def nested(sesn):
    async def child(): sesn.add_entry(n=1)
    await asyncio.gather(child(), child())
async def notes(sesn): sesn.note("refilled")
async def frames(sesn): sesn.add_dataset(frame=np.zeros((100, 100), np.uint16))
async def thread(sesn): await asyncio.to_thread(sesn.add_entry, t=1.0)
async def never_waits(sesn): sesn.add_entry(x=1)
async def paths(sesn): sesn.add_entry(name=len(sesn.session_name)); assert sesn.session_path.name == "experiment.h5"
async def waits(sesn):
    await asyncio.to_thread(threading.Event().wait, 0.12)
    sesn.add_entry(w=1)
async def real_thread(sesn):
    await asyncio.to_thread(threading.Event().wait, 0.7)
    sesn.add_entry(r=1)
"""


@pytest.fixture
def rehearse(folder):
    """Rehearse tasks of the module above; return the report and the rehearsal."""

    def run(tasks, more="", *overrides, exit_code=None, **options):
        folder.write(f"module: tasks.py\n{more}\ntasks: {tasks}\n", MODULE)
        with rehearsed("experiment.yaml", overrides, **options) as rehearsal:
            code = rehearsal.asked if exit_code is None else exit_code
            report = rehearsal.report(code)
        assert sorted(p.name for p in folder.path.iterdir()) == ["experiment.yaml", "tasks.py"]
        return report, rehearsal

    return run


# -- how long -------------------------------------------------------------------------------------


def test_a_day_of_ten_seconds_are_8640_runs(rehearse):
    report, _ = rehearse("{read: {every: 10s}}", duration=86400)
    assert report.tasks["read"].runs == 8640
    assert report.variables["T"].n == 8640
    assert report.virtual_seconds == pytest.approx(86400, abs=0.01)
    assert report.variables["T"].rate == pytest.approx(0.1)


def test_the_given_duration_is_stronger_than_that_of_the_file(rehearse):
    report, _ = rehearse("{read: {every: 1s}}", "limits: {duration: 1h}", duration=60)
    assert report.tasks["read"].runs == 60


def test_without_one_each_periodic_task_runs_three_times(rehearse):
    report, _ = rehearse("{read: {every: 1min}, again: {}, silent: {every: 2s}}")
    assert report.tasks["read"].runs == 3
    assert 120 <= report.virtual_seconds < 130


def test_a_periodic_task_that_misses_ticks_runs_three_times_as_well(rehearse):
    report, _ = rehearse("{slow: {every: 10s}}")
    assert (report.tasks["slow"].runs, report.tasks["slow"].missed) == (3, 6)


def test_without_one_sweeps_go_to_their_end(rehearse):
    sweep = "{sweep: {parameter: V, start: 0, stop: 5, num: 11, settle: 30s}, use: scan}"
    report, _ = rehearse(f"{{read: {{every: 10s}}, s: {sweep}}}", "parameters: {V: 0}")
    assert report.sweeps["s"].points == 11
    assert report.sweeps["s"].seconds == pytest.approx(11 * 33, abs=0.01)
    assert report.tasks["read"].runs == 37


def test_the_limit_of_the_file_ends_a_rehearsal_too(rehearse):
    sweep = "{sweep: {values: [1, 2, 3], settle: 30s}, use: scan}"
    report, _ = rehearse(f"{{s: {sweep}}}", "limits: {duration: 40s}")
    assert report.sweeps["s"].points == 1


@pytest.mark.parametrize("limits", ["{}", "{min_free_disk: 1000TB}"])
def test_neither_the_clock_nor_the_disk_of_the_computer_ends_it(rehearse, monkeypatch, limits):
    # As on a computer that has been up for longer than the rehearsal thinks.
    monkeypatch.setattr(VirtualClock, "START_NS", 10**9)
    report, rehearsal = rehearse("{waits: {every: 100ms}}", f"limits: {limits}", duration=1)
    assert report.real_seconds > 1  # the limits of a real run would be looked at
    assert (report.tasks["waits"].runs, rehearsal.asked) == (10, 0)


def test_tasks_that_repeat_themselves_run_three_times(rehearse):
    report, _ = rehearse("[again, silent]")
    assert report.tasks["again"].runs >= 3
    assert report.virtual_seconds < 60


def test_a_task_that_is_run_once_ends_the_rehearsal(rehearse):
    report, _ = rehearse("{once: {once: true, start_after: 1h}}")
    assert report.tasks["once"].runs == 1
    assert report.virtual_seconds == pytest.approx(3600, abs=0.01)


def test_a_task_that_asks_for_the_end_gets_it(rehearse):
    report, _ = rehearse("{read: {every: 10s}, stops: {every: 1h}}", duration=86400)
    assert report.virtual_seconds < 11
    assert report.exit_code == 0


def test_a_periodic_task_that_never_ends_ends_the_rehearsal_after_some_periods(rehearse):
    report, rehearsal = rehearse("{read: {every: 1s}, waits_for_ever: {every: 10s}}")
    assert report.tasks["waits_for_ever"].runs == 0
    assert report.virtual_seconds < 300
    assert "task 'waits_for_ever' never finished a run" in report.warnings
    assert "waits_for_ever" in str(rehearsal.failure)


def test_tasks_that_wait_for_nothing_that_comes_end_the_rehearsal(rehearse, monkeypatch):
    monkeypatch.setattr("pymanip_run.runtime.virtual_waiting.PATIENCE", 0.3)
    report, rehearsal = rehearse("{w: {once: true, use: waits_for_ever}}", "limits: {grace: 5s}")
    assert rehearsal.asked == 1
    assert report.virtual_seconds < 60


# -- the same every time --------------------------------------------------------------------------

ALL = "{read: {every: 3s}, plain: {every: 2s}, plain_too: {every: 2s}, again: {}, thread: {every: 5s}}"


def without_real_time(report):
    found = report.as_json()
    del found["real_seconds"]
    return json.dumps(found)


def recorded(rehearsal):
    store = rehearsal.findings.state.bounded
    return {
        name: [array.tolist() for array in store.read_series(name, Window())]
        for name in store.variables()
    }


def test_the_same_seed_gives_the_same_report_and_the_same_data(rehearse):
    first, one = rehearse(ALL, duration=600, seed=7)
    second, other = rehearse(ALL, duration=600, seed=7)
    assert without_real_time(first) == without_real_time(second)
    assert recorded(one) == recorded(other)


def test_generators_that_are_begun_without_a_seed_repeat_themselves_too(rehearse):
    chances = []
    for _ in range(2):
        report, _ = rehearse("{chance: {every: 10s}}", duration=60, seed=7)
        chances.append({name: (v.min, v.max) for name, v in report.variables.items()})
    assert chances[0] == chances[1]
    assert len(chances[0]) == 7
    assert all(low < high for low, high in chances[0].values()), "each time another"
    assert random.Random is _RANDOM


def test_another_seed_gives_other_data(rehearse):
    first, _ = rehearse(ALL, duration=60, seed=7)
    second, _ = rehearse(ALL, duration=60, seed=8)
    for name in ("T", "U", "V", "p"):
        assert first.variables[name].min != second.variables[name].min


def test_without_a_seed_nothing_is_repeated(rehearse):
    first, _ = rehearse(ALL, duration=60)
    second, _ = rehearse(ALL, duration=60)
    assert first.variables["T"].min != second.variables["T"].min


def test_a_seed_fixes_the_instant_at_which_it_begins(rehearse):
    _, rehearsal = rehearse("{read: {every: 1s}}", seed=1)
    created = rehearsal.findings.state.bounded.info().created
    assert created == SEEDED_START_NS / 1e9 == 1_704_067_200
    _, rehearsal = rehearse("{read: {every: 1s}}")
    assert rehearsal.findings.state.bounded.info().created == pytest.approx(time.time(), abs=60)


def test_generators_and_time_are_put_back_afterwards(rehearse):
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    expected = random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    functions = np.random.default_rng, time.time, time.sleep
    rehearse(ALL, duration=10, seed=1)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == expected  # noqa: NPY002
    assert (np.random.default_rng, time.time, time.sleep) == functions


# -- what the tasks see ---------------------------------------------------------------------------


def test_devices_are_simulated(rehearse):
    devices = "devices: {thermo: {use: tasks:Thermometer, simulate: tasks:FakeThermometer}}"
    report, rehearsal = rehearse("{read_device: {every: 10s}}", devices, duration=100)
    assert rehearsal.failure is None
    assert report.variables["T"].n == 10


def test_a_device_that_cannot_be_simulated_is_an_error_with_its_place(rehearse):
    with pytest.raises(ConfigError, match=r"experiment.yaml:2:\d+: devices.thermo.*simulate"):
        rehearse("[read_device]", "devices: {thermo: {use: tasks:Thermometer}}")


def test_the_session_has_the_name_and_path_of_the_real_one(rehearse):
    report, rehearsal = rehearse("{paths: {every: 1s}}", duration=3)
    assert rehearsal.failure is None
    assert report.variables["name"].max == len("experiment")


def test_placeholders_of_the_session_file_are_filled_in_with_virtual_time(rehearse):
    _, rehearsal = rehearse("{read: {every: 1s}}", 'session: "data/run_{date}.h5"', seed=1)
    path = rehearsal.findings.state.bounded.path
    assert path.name in {"run_2023-12-31.h5", "run_2024-01-01.h5"}  # by the time zone
    assert not path.parent.exists()


def test_a_session_file_that_must_not_be_there_does_not_matter(folder):
    folder.write("module: tasks.py\nsession: {file: a.h5, exists: fail}\ntasks: [once]\n", MODULE)
    (folder.path / "a.h5").touch()
    with rehearsed("experiment.yaml") as rehearsal:
        assert rehearsal.failure is None
    assert (folder.path / "a.h5").stat().st_size == 0


def test_errors_of_the_file_are_those_of_a_run(rehearse):
    with pytest.raises(ConfigError, match="did you mean 'every'"):
        rehearse("{read: {evry: 10s}}")


def test_overrides_count(rehearse):
    report, _ = rehearse("{read: {every: 10s}}", "", "tasks.read.every=1s", duration=10)
    assert report.tasks["read"].runs == 10


def test_a_sweep_that_could_not_go_on_is_told_beforehand(rehearse):
    report, _ = rehearse("{s: {use: scan_oddly, sweep: {use: rising}}}")
    assert report.sweeps["s"].points == 3
    (warning,) = [text for text in report.warnings if text.startswith("sweep 's'")]
    assert "the result of point 0 cannot be stored (a set)" in warning


# -- what the report says -------------------------------------------------------------------------


def test_its_json_form_has_the_agreed_keys(rehearse):
    report, _ = rehearse("{read: {every: 10s}}", duration=100, seed=1)
    found = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert list(found) == [
        "tasks", "variables", "sweeps", "alarms", "mails", "warnings",
        "bytes_per_day", "virtual_seconds", "real_seconds", "exit_code",
    ]  # fmt: skip
    assert found["tasks"] == {"read": {"runs": 10, "errors": 0, "missed": 0}}
    assert found["variables"].keys() == {"T", "U", "V"}
    assert found["variables"]["T"].keys() == {"n", "min", "max", "rate"}
    assert found["alarms"] == found["mails"] == found["warnings"] == []
    assert found["virtual_seconds"] == pytest.approx(100, abs=0.01)
    assert 0 < found["real_seconds"] < 60


def test_a_single_value_has_no_rate(rehearse):
    report, _ = rehearse("{once: {once: true}}")
    assert report.variables["once"].rate is None
    assert report.as_json()["variables"]["once"] == {"n": 1, "min": 1, "max": 1, "rate": None}


def test_a_task_that_logs_nothing_is_named(rehearse):
    report, _ = rehearse("{silent: {every: 1s}, nested: {every: 1s}, thread: {every: 1s}}")
    assert report.warnings == ("task 'silent' logs nothing",)


def test_notes_and_datasets_are_logged_as_well(rehearse):
    report, _ = rehearse("{notes: {every: 1s}, frames: {every: 1s}}")
    assert report.warnings == ()


def test_a_variable_that_is_declared_but_never_logged_is_named(rehearse):
    report, _ = rehearse("{read: {every: 1s}}", "variables: {T: {unit: K}, p: {unit: Pa}}")
    assert report.warnings == ("variable 'p' is declared but never logged",)


def test_a_blocking_call_is_named_with_its_line(rehearse):
    report, _ = rehearse("{blocks: {once: true}}")
    (warning,) = report.warnings
    line = MODULE.splitlines().index("    until.wait(0.5)") + 1
    assert warning.startswith(f"tasks.py:{line} in blocks blocks all other tasks for more than 0.1")


def test_a_sleep_on_the_loop_is_named_once_with_its_line(rehearse):
    report, _ = rehearse("{sleeps: {every: 10s}}", duration=100)
    line = MODULE.splitlines().index("    time.sleep(2)") + 1
    assert report.warnings == (
        f"tasks.py:{line} calls time.sleep, which holds all other tasks; write await sesn.sleep(...)",
    )
    assert report.tasks["sleeps"].runs == 10


def test_a_task_that_never_waits_is_named(rehearse):
    report, rehearsal = rehearse("[never_waits]", duration=1)
    assert [w for w in report.warnings if "task 'never_waits', which never lets time pass" in w]
    assert rehearsal.waits[0][1] > 0.1


def test_what_costs_real_time_is_named(rehearse):
    report, rehearsal = rehearse("{real_thread: {once: true}}")
    (warning,) = report.warnings
    assert warning.startswith("a thread in Event.wait (")
    assert "simulate it in the event loop" in warning
    assert rehearsal.waits[0][1] > 0.5


def test_the_size_of_the_file_in_a_day_is_foreseen(rehearse):
    report, _ = rehearse("{again: {}}", duration=7000)
    values = report.bytes_per_day / 16
    assert values == pytest.approx(86400 / 7, rel=0.05)
    report, _ = rehearse("{frames: {every: 1s}}", duration=100)
    assert report.bytes_per_day == pytest.approx(86400 * 20_000, rel=0.05)


def test_a_failing_task_fails_the_rehearsal_as_it_would_the_run(rehearse):
    report, rehearsal = rehearse("{broken: {every: 10s}, read: {every: 1s}}", duration=86400)
    assert rehearsal.asked == 1
    assert isinstance(rehearsal.failure, ValueError)
    assert report.tasks["broken"].errors == 1
    assert report.virtual_seconds == pytest.approx(110, abs=1)


def test_a_task_that_exits_keeps_its_exit_code(rehearse):
    _, rehearsal = rehearse("{exits: {once: true}}")
    assert rehearsal.asked == 3
    assert isinstance(rehearsal.failure, SystemExit)


def test_retries_are_rehearsed_too(rehearse):
    rule = "{every: 10s, on_error: {retry: 2, wait: 1s, then: continue}}"
    report, rehearsal = rehearse(f"{{broken: {rule}}}", duration=200)
    assert rehearsal.failure is None
    assert report.tasks["broken"].errors > 0


def test_infinite_values_are_no_range(folder):
    module = "async def read(sesn):\n    sesn.add_entry(T=float('nan'))\n"
    folder.write("module: tasks.py\ntasks: {read: {every: 1s}}\n", module)
    with rehearsed("experiment.yaml") as rehearsal:
        report = rehearsal.report(0)
    assert report.variables["T"].min is None
    assert not math.isnan(report.variables["T"].n)
    json.dumps(report.as_json(), allow_nan=False)
