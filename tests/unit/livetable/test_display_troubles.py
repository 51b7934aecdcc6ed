"""Tasks that fail, hang or miss their ticks, on every display."""

import io

import pytest
from helpers_livetable import StillRun

from pymanip_run.livetable.farewell import Ending, end_of_run
from pymanip_run.livetable.lines import status_line
from pymanip_run.livetable.model import Model
from pymanip_run.livetable.screen import Screen
from pymanip_run.livetable.state import SweepProgress, TaskProgress
from pymanip_run.livetable.trouble import troubles

NOW = 1000.0


@pytest.mark.parametrize(
    ("task", "lines"),
    [
        (TaskProgress("read", "waiting", NOW + 4), []),
        (TaskProgress("read", "retrying", NOW + 3.2, None, 3), ["read: failed 3 times, next try in 4 s"]),
        (TaskProgress("read", "waiting", NOW + 90, 100, 1), ["read: failed once, next in 1 min 30 s"]),
        (TaskProgress("read", "running", NOW - 1, 10, 2), ["read: failed 2 times"]),
        (
            TaskProgress("read", "hung", None, 10, 1, 12, "driver.py:7 in wait"),
            ["read: a call does not end, at driver.py:7 in wait", "missed ticks: read 12"],
        ),
        (TaskProgress("re\x1bad", "running", None, 10, 1), ["re\\x1bad: failed once"]),
    ],
)  # fmt: skip
def test_what_is_said_of_a_task(task, lines):
    assert troubles([task], NOW) == lines


def shown(run, width=80, height=23):
    lines = Screen(Model(run.started), run).compose(width, height)
    return ["".join(part for part, _ in line) for line in lines]


def test_the_screen_tells_of_them_below_the_sweeps():
    run = StillRun()
    run.sweep_list = [SweepProgress("scan", 3, 9)]
    run.task_list = [
        TaskProgress("read", "retrying", run.time + 4, 10.0, 3, 2),
        TaskProgress("slow", "running", None, 10.0, 0, 7),
    ]
    lines = shown(run)
    scan = next(i for i, line in enumerate(lines) if "3 of 9 points" in line)
    assert lines[scan + 1] == " read: failed 3 times, next try in 4 s"
    assert lines[scan + 2] == " missed ticks: read 2, slow 7"


def test_forty_failing_tasks_leave_room_for_the_values():
    run = StillRun()
    run.task_list = [TaskProgress(f"read_{i}", "retrying", None, 10.0, 1) for i in range(40)]
    lines = shown(run)
    assert sum("failed once" in line for line in lines) <= 5
    assert any("nothing logged yet" in line for line in lines)


def test_a_line_tells_of_them_in_words_of_their_own():
    run = StillRun()
    run.task_list = [
        TaskProgress("read", "hung", None, 10.0, 3, 2, "driver.py:7 in wait"),
        TaskProgress("well", "waiting", run.time + 5, 10.0),
    ]
    words = status_line(Model(run.started), run).split()[1:]
    assert words == ["read.failures=3", "read.missed=2", "read.hung=1"]


def test_points_that_were_passed_over_are_told():
    run = StillRun()
    run.sweep_list = [SweepProgress("scan", 7, 9, 130.0, 2)]
    assert any("7 of 9 points, 2 failed · 0:02:10 left" in line for line in shown(run))
    assert status_line(Model(run.started), run).split()[1:] == [
        "scan=7/9",
        "scan.left=0:02:10",
        "scan.failed=2",
    ]


def test_the_farewell_counts_them():
    ending = Ending("finished", 10.0, 3, 1, troubles=["read: 3 failures, 1 missed tick"])
    assert end_of_run(ending).splitlines()[1] == "read: 3 failures, 1 missed tick"


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("Ctrl-C", "press Ctrl-C again to cancel it"),
        ("SIGTERM", "send SIGTERM again, or press Ctrl-C, to cancel it"),
        ("key q", "press Ctrl-C twice to cancel it"),
    ],
)
def test_the_screen_says_what_cancels_the_present_step(reason, advice):
    lines = shown(StillRun(stopping=reason))
    assert lines[-1] == f" finishing the present step; {advice}"


def test_only_a_display_on_the_terminal_ends_with_it(monkeypatch):
    from helpers_livetable import Session

    from pymanip_run.livetable import Display, Options

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for stream, dead in ((Terminal(), True), (io.StringIO(), False)):
        monkeypatch.setattr("sys.stdout", stream)
        session = Session()
        display = Display(session.view, session.feed, StillRun(), Options("json"))
        display.start()
        display.hung_up()
        session.recorder.add_entry(T=1.0)
        display.close(summary={"exit_code": 0})
        assert ("summary" not in stream.getvalue()) is dead
