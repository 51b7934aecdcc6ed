"""Whatever ends a run: its devices are made safe once, and then closed."""

import asyncio
import contextlib

import pytest

from pymanip_run.errors import TaskError
from pymanip_run.experiment.run.running import run_experiment
from pymanip_run.registry import registered_runs
from pymanip_run.session import RunOptions

MODULE = """\
import asyncio, os, signal, sys, time

def log(word):
    with open("log.txt", "a") as file:
        print(word, file=file)

class {kind}:
    {asynchronous}def off(self):
        log("off")
    {asynchronous}def close(self):
        log("closed")

def interrupt():
    os.kill(os.getpid(), signal.SIGINT)

async def leave():
    sys.exit(7)

{setup}def setup(sesn):
    {in_setup}

async def read(sesn):
    sesn.add_entry(x=1)
    {in_task}

{teardown}def teardown(sesn):
    {in_teardown}
"""
FILE = """\
module: tasks.py
devices: {supply: {use: KIND, safe: "off"}}
tasks: [read]
server: {enabled: false}
"""
EXPECTED = (
    ArithmeticError,
    ExceptionGroup,
    KeyboardInterrupt,
    SystemExit,
    TaskError,
    asyncio.CancelledError,
)
WAYS = {
    "asked": {"in_task": "sesn.ask_exit()"},
    "failed": {"in_task": "1 / 0"},
    "exited": {"in_task": "sys.exit(7)"},
    "interrupted itself": {"in_task": "raise KeyboardInterrupt"},
    "a child exited": {"in_task": "await asyncio.create_task(leave())"},
    "a group failed": {
        "in_task": "async with asyncio.TaskGroup() as g: g.create_task(asyncio.sleep(-1, 1 / 0))"
    },
    "cancelled all": {"in_task": "[t.cancel() for t in asyncio.all_tasks()]; await asyncio.sleep(1)"},
    "setup failed": {"in_setup": "1 / 0"},
    "setup exited": {"in_setup": "sys.exit(7)"},
    "plain setup exited": {"setup": "", "in_setup": "sys.exit(7)"},
    "teardown failed": {"in_task": "sesn.ask_exit()", "in_teardown": "1 / 0"},
    "teardown exited": {"in_task": "1 / 0", "in_teardown": "sys.exit(7)"},
    "plain teardown exited": {"in_task": "1 / 0", "teardown": "", "in_teardown": "sys.exit(7)"},
    "time limit": {"more": "limits: {duration: 50ms}", "in_task": "await sesn.sleep(10)"},
    "entries": {"more": "limits: {entries: 3}"},
    "grace": {
        "more": "limits: {duration: 10ms, grace: 10ms}",
        "in_task": "await asyncio.sleep(1000)",
    },
    "alarm": {
        "more": "alarms: {a: {when: x > 0, do: [stop]}}",
        "in_task": "await sesn.sleep(10)",
    },
    "first Ctrl-C": {"in_task": "interrupt()"},
    "second Ctrl-C": {"in_task": "interrupt(); await asyncio.sleep(0.05); interrupt(); await asyncio.sleep(9)"},
    "Ctrl-C in setup": {"in_setup": "interrupt(); time.sleep(0.3); interrupt(); time.sleep(9)"},
    "Ctrl-C in teardown": {
        "in_task": "interrupt(); await asyncio.sleep(0.01)",
        "in_teardown": "interrupt(); await asyncio.sleep(9)",
    },
}  # fmt: skip


@pytest.mark.parametrize("kind", ["Plain", "Asynchronous"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_devices_are_made_safe_once_and_closed_on_every_way_out(folder, way, kind):
    parts = {"setup": "async ", "teardown": "async ", "in_setup": "pass", "in_task": "pass"}
    parts |= {"in_teardown": "pass", "more": ""} | way
    asynchronous = "async " if kind == "Asynchronous" else ""
    folder.write(
        FILE.replace("KIND", kind) + parts["more"],
        MODULE.format(kind=kind, asynchronous=asynchronous, **parts),
    )
    with contextlib.suppress(*EXPECTED):
        run_experiment("experiment.yaml", options=RunOptions())
    assert (folder.path / "log.txt").read_text().split() == ["off", "closed"]
    (run, *_) = registered_runs()
    assert (run.safe_state, run.stop is not None) == ("done", True)
