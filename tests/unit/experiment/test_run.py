"""A whole run: what the file asks for is done and stored."""

import itertools
import json

import pytest

from pymanip_run.errors import StorageError, UsageError
from pymanip_run.experiment.build.plan import prepare
from pymanip_run.experiment.build.points import grid_points
from pymanip_run.experiment.run.running import execute, open_session, run_experiment, tasks_of
from pymanip_run.runtime.tasks import normalise
from pymanip_run.session import RunOptions, SavedAsyncSession

SMALLEST = "module: tasks.py\ntasks: [read]\n"
QUIET = RunOptions(handle_signals=False)


@pytest.fixture
def run(folder, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))

    def run(text, module, *overrides, **options):
        folder.write(text, module)
        options.setdefault("options", QUIET)
        return SavedAsyncSession(
            run_experiment("experiment.yaml", overrides, **options), verbose=False
        )

    return run


MODULE = """\
def setup(sesn):
    sesn.note("set up")

async def teardown(sesn):
    sesn.note("torn down")

async def ticks(sesn):
    sesn.add_entry(tick=1)

def in_a_thread(sesn, value):
    import threading
    sesn.add_entry(value=value, main=threading.current_thread() is threading.main_thread())

async def scan(sesn, field, voltage):
    sesn.add_entry(v=voltage, b=field, parameter=sesn.parameter("voltage"))
    return voltage

async def adapt(sesn, value):
    sesn.add_entry(adapted=value)
    return value * 2

def halves(sesn):
    result = yield 1
    while result < 8:
        result = yield result
"""


def test_what_the_file_asks_for_is_done_and_stored(run):
    saved = run(
        """\
session: {file: data/run, title: A title}
metadata: {operator: lab, password: hunter2}
module: tasks.py
parameters: {voltage: {value: 7, unit: V}, field: 1.5}
variables: {tick: {unit: s, label: Ticks, format: .1f, period: 1s}}
tasks:
  ticks: {every: 10ms}
  in_a_thread: {once: true, kwargs: {value: 3}}
  scan:
    sweep: {grid: {voltage: {start: 0, stop: 1, num: 3}, field: [1, 2]}, snake: true, settle: 10ms}
  adapt: {sweep: {use: halves}}
limits: {duration: 1min}
""",
        MODULE,
        "parameters.field=2",
    )
    assert saved.session_path.as_posix().endswith("data/run.h5")
    assert saved.info().title == "A title"
    assert saved["v"].values.tolist() == [0, 0, 0.5, 0.5, 1, 1]
    assert saved["b"].values.tolist() == [1, 2, 2, 1, 1, 2]
    assert saved["parameter"].values.tolist() == saved["v"].values.tolist()
    assert saved["adapted"].values.tolist() == [1, 2, 4]
    assert (saved["value"].values.tolist(), saved["main"].values.tolist()) == ([3], [0])
    assert saved["tick"].size > 2
    assert (saved["tick"].unit, saved["tick"].label) == ("s", "Ticks")
    assert saved.parameters() == {"voltage": 1.0, "field": 2}
    assert saved.parameter_table()["voltage"].unit == "V"
    assert saved.metadatas() == {"operator": "lab", "password": "***"}
    assert [event.text for event in saved.events() if event.kind == "note"] == [
        "set up",
        "torn down",
    ]


def test_a_run_keeps_its_file_overrides_and_module_without_secrets(run, monkeypatch):
    monkeypatch.setattr("sys.argv", ["pymanip-run", "--set", "metadata.token=hunter2"])
    saved = run(
        SMALLEST + "limits: {duration: 50ms}\n",
        "TOKEN = 'hunter2'\nasync def read(sesn):\n    await sesn.sleep(1)\n",
        "metadata.token=hunter2",
    )
    (stored,) = saved.runs()
    assert stored.texts["experiment"] == SMALLEST + "limits: {duration: 50ms}\n"
    assert stored.texts["overrides"] == "metadata.token=***"
    assert stored.texts["module"].startswith("TOKEN = '***'\nasync def read")
    assert json.loads(stored.texts["argv"]) == ["pymanip-run", "--set", "metadata.token=***"]
    assert len(stored.config_sha256) == 64
    assert stored.exit_code == 0


def test_the_duration_of_the_options_takes_the_place_of_the_files(run):
    options = RunOptions(handle_signals=False, duration=0.05)
    module = "async def read(sesn):\n    sesn.add_entry(x=1)\n    await sesn.sleep(1000)\n"
    saved = run(SMALLEST + "limits: {duration: 1000s}\n", module, options=options)
    assert saved["x"].size == 1


def test_tasks_begin_after_the_time_that_the_file_says(run):
    saved = run(
        """\
module: tasks.py
tasks:
  first: {once: true}
  again: {start_after: 30ms}
  grid: {every: 20ms, start_after: 50ms}
  late: {once: true, start_after: 70ms}
  points: {sweep: {values: [1, 2, 3]}, start_after: 100ms}
""",
        """\
async def first(sesn): sesn.add_entry(first=1)
async def again(sesn):
    sesn.add_entry(again=1)
    await sesn.sleep(0.01)
async def grid(sesn): sesn.add_entry(grid=1)
async def late(sesn): sesn.add_entry(late=1)
async def points(sesn, value):
    sesn.add_entry(point=value)
    await sesn.sleep(0.02)
""",
    )
    start = saved.runs()[0].start
    begins = {
        name: saved[name].timestamps[0] - start for name in ("again", "grid", "late", "point")
    }
    assert sorted(begins, key=begins.get) == ["again", "grid", "late", "point"]
    assert begins["again"] >= 0.03
    assert begins["grid"] >= 0.05
    assert begins["point"] >= 0.1
    assert saved["grid"].size >= 4


def test_a_grid_that_begins_later_is_shown_as_one(folder):
    folder.write(
        "module: tasks.py\ntasks: {read: {every: 1s, start_after: 3s}}\n", "async def read(): ...\n"
    )
    with prepare("experiment.yaml") as plan, open_session(plan) as sesn:
        (spec,) = normalise(tasks_of(plan, sesn), sesn)
    assert (spec.status.name, spec.status.kind, spec.status.period) == ("read", "every", 1.0)


def test_no_point_is_measured_after_a_stop_during_settling(run):
    saved = run(
        "module: tasks.py\ntasks: {a: {sweep: {values: [1, 2], settle: 100s}}}\nlimits: {duration: 50ms}\n",
        "async def a(sesn, value): sesn.add_entry(point=value)\n",
    )
    assert saved.logged_variables() == set()


def test_a_failing_task_is_followed_by_teardown_and_its_error_comes_out(run, folder):
    module = (
        "async def read(sesn): raise ValueError('broken sensor')\n"
        "def teardown(sesn):\n    sesn.note('safe')\n    raise KeyError('also')\n"
    )
    with pytest.raises(ValueError, match="broken sensor"):
        run(SMALLEST, module)
    saved = SavedAsyncSession(folder.path / "experiment.h5", verbose=False)
    assert [event.text for event in saved.events() if event.kind == "note"] == ["safe"]
    assert saved.runs()[0].exit_code == 1


def test_a_failing_setup_ends_the_run_before_any_task(run, folder):
    with pytest.raises(ValueError, match="no heater"):
        run(
            SMALLEST,
            "def setup(): raise ValueError('no heater')\nasync def read(sesn): sesn.add_entry(x=1)\n",
        )
    assert (
        SavedAsyncSession(folder.path / "experiment.h5", verbose=False).logged_variables() == set()
    )


def test_another_run_gets_another_file_where_that_is_asked(run):
    module = "async def read(sesn):\n    sesn.ask_exit()\n"
    names = [run(SMALLEST + "session: {exists: new}\n", module).session_path.name for _ in range(2)]
    names += [
        run(SMALLEST, module, exists="new").session_path.name,
        run(SMALLEST, module).session_path.name,
    ]
    names.append(run(SMALLEST, module, file="other_{n}").session_path.name)
    assert names == [
        "experiment.h5",
        "experiment_2.h5",
        "experiment_3.h5",
        "experiment.h5",
        "other_{n}.h5",
    ]
    with pytest.raises(UsageError, match="exists"):
        run(SMALLEST, module, exists="fail")


def test_a_folder_that_cannot_be_made_is_a_storage_error(run, folder):
    (folder.path / "data").touch()
    with pytest.raises(StorageError, match="cannot be made"):
        run(SMALLEST + "session: data/x.h5\n", "async def read(): ...\n")


async def test_the_pieces_of_a_run_can_be_used_one_by_one(folder, monkeypatch, tmp_path_factory):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    folder.write(SMALLEST, "async def read(sesn):\n    sesn.add_entry(x=1)\n    sesn.ask_exit()\n")
    with prepare("experiment.yaml") as plan, open_session(plan) as sesn:
        assert plan.title == "experiment"
        await execute(plan, sesn, QUIET)
        assert sesn["x"].size == 1


def test_a_snake_changes_one_axis_by_one_step_at_a_time():
    points = grid_points([[0, 1, 2], [0, 1], [0, 1, 2]], snake=True)
    assert sorted(points) == sorted(grid_points([[0, 1, 2], [0, 1], [0, 1, 2]], snake=False))
    steps = [[abs(a - b) for a, b in zip(p, q, strict=True)] for p, q in itertools.pairwise(points)]
    assert all(sorted(step) == [0, 0, 1] for step in steps)
