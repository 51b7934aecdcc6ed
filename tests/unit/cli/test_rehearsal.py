"""The report of a rehearsal as people read it."""

import io
import sys

import pytest

from pymanip_run.cli.rehearsal import exit_code_of, report_text
from pymanip_run.experiment.rehearsal.rehearse import Rehearsal
from pymanip_run.experiment.rehearsal.report import (
    Report,
    SweepReport,
    TaskReport,
    VariableReport,
    why,
)
from pymanip_run.runtime.virtual_waiting import Cost


def report(**changes):
    found = {
        "tasks": {"read": TaskReport(8640, 0, 2)},
        "variables": {"T": VariableReport(8640, -1.25, 41.3, 0.1)},
        "sweeps": {}, "alarms": (), "mails": (), "warnings": (),
        "bytes_per_day": 42e6, "virtual_seconds": 86400.0, "real_seconds": 3.21, "exit_code": 0,
    }  # fmt: skip
    return Report(**found | changes)


def test_it_is_calm():
    assert report_text(report()) == (
        "rehearsed 1 d in 3.2 s · nothing was written, no instrument was opened\n"
        "\n"
        "task    runs   errors   missed\n"
        "read   8 640        –        2\n"
        "\n"
        "variable   values   least   greatest         rate\n"
        "T           8 640   -1.25       41.3   every 10 s\n"
        "\n"
        "file     about 42.0 MB a day"
    )


def test_sweeps_warnings_and_the_exit_code_are_told_where_there_are_any():
    text = report_text(
        report(
            sweeps={"scan": SweepReport(11, 363.0)},
            warnings=("task 'a' logs nothing",),
            exit_code=1,
        )
    )
    assert "sweep   points      time\nscan        11   0:06:03\n" in text
    assert "\nwarning: task 'a' logs nothing\n" in text
    assert text.endswith("exit code 1, as the real run would have")


@pytest.mark.parametrize(
    ("rate", "shown"),
    [(None, "–"), (1e-3, "every 16 min 40 s"), (1.0, "1/s"), (1234.5, "1.23e+03/s")],
)
def test_rates_are_told_as_people_say_them(rate, shown):
    text = report_text(report(variables={"T": VariableReport(2, None, None, rate)}))
    assert text.splitlines()[6].split("   ")[-1].strip() == shown


def test_real_time_that_was_waited_is_told_with_its_reason():
    costs = [
        Cost("answer", "answer from 127.0.0.1:5025", 2.5),
        Cost("thread", "read (a.py:3)", 0.01),
    ]
    text = report_text(report(), [(why(cost), cost.seconds) for cost in costs])
    assert "\n  2.5 s of it for the answer from 127.0.0.1:5025\n" in text
    assert "a.py" not in text, "what took no time to speak of is left out"


def test_names_do_not_act_on_the_terminal(monkeypatch):
    assert "\x1b" not in report_text(report(tasks={"a\x1b[31m": TaskReport(1, 0, 0)}))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert report_text(report()).isascii()


@pytest.mark.parametrize(
    ("asked", "failure", "code"),
    [
        (0, None, 0),
        (1, ValueError(), 1),
        (5, None, 5),
        (143, KeyboardInterrupt(), 143),
        (0, KeyboardInterrupt(), 130),
        (3, SystemExit(3), 3),
        (0, SystemExit("no"), 1),
    ],
)
def test_the_exit_code_is_that_of_a_real_run(asked, failure, code):
    assert exit_code_of(Rehearsal((), asked, failure, None)) == code
