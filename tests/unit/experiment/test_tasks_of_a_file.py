"""From the tasks of the file to those that run: rules, threads, points."""

import threading

import pytest

from pymanip_run.experiment.build.plan import prepare
from pymanip_run.experiment.run.running import run_experiment
from pymanip_run.experiment.run.tasks import tasks_of
from pymanip_run.runtime.tasks import normalise
from pymanip_run.session import AsyncSession, RunOptions, SavedAsyncSession

QUIET = RunOptions(handle_signals=False)


@pytest.fixture
def run(folder):
    def run(text, module):
        folder.write(f"module: tasks.py\n{text}", module)
        return SavedAsyncSession(run_experiment("experiment.yaml", options=QUIET), verbose=False)

    return run


def test_the_rules_of_the_file_reach_the_tasks(folder):
    folder.write(
        """\
module: tasks.py
tasks:
  warm: {once: true, before: read, start_after: 3s}
  read: {every: 10s, timeout: 8s, on_error: {retry: 5, wait: 2s, max_wait: 1min, then: continue}}
  scan: {sweep: {values: [1, 2]}, on_error: {then: stop}}
  plain: {}
""",
        "async def warm(): ...\nasync def read(): ...\nasync def scan(sesn, value): ...\nasync def plain(): ...\n",
    )
    with prepare("experiment.yaml") as plan:
        sesn = AsyncSession()
        warm, read, scan, plain = normalise(tasks_of(plan, sesn), sesn)
    assert [spec.status.kind for spec in (warm, read, scan, plain)] == [
        "once",
        "every",
        "sweep",
        "repeat",
    ]
    assert (warm.start.delay, read.start.gates, plain.guard) == (3.0, [warm.gate], None)
    assert read.guard is not None
    assert scan.guard is not None


def test_a_failing_task_is_tried_again_in_a_real_run(run):
    saved = run(
        "tasks: {read: {every: 20ms, on_error: {retry: 3, wait: 1ms}}}\nlimits: {entries: 3}\n",
        "calls = []\nasync def read(sesn):\n    calls.append(1)\n"
        "    if len(calls) in (2, 3):\n        raise OSError('no answer')\n    sesn.add_entry(x=1)\n",
    )
    errors = [(e.kind, e.source, e.text) for e in saved.events() if e.source == "read"]
    assert errors[0] == ("error", "read", "OSError: no answer; retry 1 of 3 in 1 ms")
    assert errors[1][:2] == ("recovery", "read")
    assert errors[1][2].startswith("works again after 2 failures in ")


def test_plain_functions_have_a_thread_each_and_keep_the_point_of_their_sweep(run):
    saved = run(
        "tasks: {scan: {sweep: {values: [10, 20]}}, beside: {sweep: {values: [1]}}}\n",
        "import threading\n"
        "def scan(sesn, value): sesn.add_entry(a=value); sesn.note(threading.current_thread().name)\n"
        "def beside(sesn, value): sesn.add_entry(b=value); sesn.note(threading.current_thread().name)\n",
    )
    assert saved["_point_scan"].values.tolist() == [0, 1]
    assert saved["_point_beside"].values.tolist() == [0]
    notes = [event.text for event in saved.events() if event.kind == "note"]
    assert sorted(notes) == ["beside", "scan", "scan"]


DEVICE = """
class Supply:
    def __init__(self, log): self.log = log
    def set_voltage(self, *values): self.log.append(values)
    async def aset(self, value): self.log.append(("async", value))

log, failures = [], [True]

def setup(sesn):
    sesn.supply = Supply(log)

async def scan(sesn, *values):
    if values == (1,) and failures:
        failures.pop()
        raise OSError("no answer")
    sesn.add_entry(v=values[0])

def teardown(sesn):
    sesn.save_metadata(log=[list(entry) for entry in log])
"""


@pytest.mark.parametrize(
    ("sweep", "log"),
    [
        (
            "{parameter: v, start: 0, stop: 1, num: 2, set: supply.set_voltage}",
            [[0.0], [1.0], [1.0]],
        ),
        ("{values: [5], set: supply.aset}", [["async", 5]]),
        ("{grid: {v: [1, 2], i: [3]}, set: supply.set_voltage}", [[1, 3], [2, 3]]),
    ],
)
def test_the_device_is_set_at_each_point_and_before_each_try(run, sweep, log):
    devices = "devices: {supply: {use: 'tasks:Supply', args: [[]]}}\n"
    saved = run(
        f"{devices}parameters: {{v: 0, i: 0}}\n"
        f"tasks: {{scan: {{sweep: {sweep}, on_error: {{retry: 1, wait: 1ms}}}}}}\n",
        DEVICE,
    )
    assert saved.metadatas()["log"] == log


def test_no_thread_is_left_behind_by_a_run(run):
    before = set(threading.enumerate())
    saved = run(
        "tasks: {read: {every: 5ms, timeout: 1s}}\nlimits: {entries: 3}\n",
        "def setup(): pass\ndef teardown(): pass\ndef read(sesn): sesn.add_entry(x=1)\n",
    )
    assert saved["x"].size >= 3
    for thread in set(threading.enumerate()) - before:
        thread.join(10)
        assert not thread.is_alive(), thread.name
