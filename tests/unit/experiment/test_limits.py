"""Limits of a run: entries, free disk space, time, grace."""

import shutil
import threading

import pytest

from pymanip_run.errors import StorageError, TaskError
from pymanip_run.experiment.run import limits as limits_module
from pymanip_run.experiment.run.running import run_experiment
from pymanip_run.registry import registered_runs
from pymanip_run.session import RunOptions, SavedAsyncSession

QUIET = RunOptions(handle_signals=False)
READ = "async def read(sesn):\n    sesn.add_entry(x=1)\n    await sesn.sleep(0.001)\n"


@pytest.fixture
def run(folder):
    def run(limits, module=READ):
        folder.write(f"module: tasks.py\ntasks: [read]\nlimits: {{{limits}}}\n", module)
        return SavedAsyncSession(run_experiment("experiment.yaml", options=QUIET), verbose=False)

    return run


def test_a_run_ends_when_it_has_logged_as_many_entries_as_it_may(run):
    saved = run("entries: 1_200")
    assert saved["x"].size == 1200
    (stored,) = saved.runs()
    assert (stored.exit_code, stored.exit_reason) == (0, "1 200 entries reached")


def test_the_entries_of_runs_before_do_not_count(run):
    run("entries: 3")
    assert run("entries: 3")["x"].size == 6


def test_a_run_ends_with_exit_code_4_when_the_disk_fills_up(run, folder, monkeypatch):
    monkeypatch.setattr(limits_module, "LOOK_PERIOD", 0.01)
    usage, measured = shutil.disk_usage(folder.path), folder.path / "measured.txt"

    def disk_usage(path):
        return usage._replace(free=1_900_000_000 if measured.exists() else 3_000_000_000)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    saved = run("min_free_disk: 2GB", READ + "    open('measured.txt', 'w').close()\n")
    (stored,) = saved.runs()
    assert stored.exit_code == 4
    assert (
        stored.exit_reason
        == f"only 1.9 GB free in {folder.path}, less than limits.min_free_disk of 2.0 GB"
    )
    assert saved["x"].size > 0
    assert registered_runs()[0].exit_code == 4


def test_on_a_disk_that_is_too_full_no_run_begins_and_nothing_is_made(run, folder):
    with pytest.raises(StorageError, match=r"free in .* less than limits.min_free_disk") as caught:
        run("min_free_disk: 1000TB")
    assert "--set limits.min_free_disk=100MB" in str(caught.value)
    assert {path.name for path in folder.path.glob("*.*")} == {"experiment.yaml", "tasks.py"}


def test_the_time_limit_begins_with_the_tasks(run, folder):
    module = "import time\ndef setup(): time.sleep(1.5)\n" + READ
    saved = run("duration: 200ms", module)
    assert saved["x"].timestamps[-1] - saved["x"].timestamps[0] > 0.1


def test_a_call_that_goes_on_and_on_is_named_once(run, folder, monkeypatch):
    monkeypatch.setattr(limits_module, "LOOK_PERIOD", 0.01)
    monkeypatch.setattr(limits_module, "LONG", 0.05)
    folder.write(
        "module: tasks.py\ntasks: {read: {every: 10ms}}\nlimits: {duration: 500ms}\n",
        "async def read(sesn):\n    await sesn.sleep(100)\n",
    )
    path = run_experiment("experiment.yaml", options=QUIET)
    events = [e for e in SavedAsyncSession(path, verbose=False).events() if e.source == "read"]
    assert [event.kind for event in events] == ["warning", "warning"]
    assert events[0].text.startswith("a call has been going on for ")
    assert "tasks.py:2 in read; the ticks that pass are missed" in events[0].text
    assert " ticks missed: the step took 5" in events[1].text


def test_the_thread_that_watches_ends_with_the_run(run):
    run("duration: 100ms, min_free_disk: 1kB")
    for thread in threading.enumerate():
        if thread.name == "limits":
            thread.join(10)
            assert not thread.is_alive()


def test_a_step_that_outlasts_the_grace_time_is_cancelled_and_named(run, folder):
    module = "import asyncio\nasync def read(sesn):\n    await asyncio.sleep(1000)\n"
    with pytest.raises(TaskError, match=r"cancelled 100 ms after .* because still running: 'read'"):
        run("duration: 50ms, grace: 100ms", module)
    (stored,) = SavedAsyncSession(folder.path / "experiment.h5", verbose=False).runs()
    assert stored.exit_code == 1
