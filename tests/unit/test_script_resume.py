"""Sweeps of scripts that go on: ``sesn.sweep(..., resume=True)``."""

import json
import logging

import pytest

from pymanip_run import AsyncSession
from pymanip_run.errors import UsageError


async def step(sesn, value):
    sesn.add_entry(y=value)
    if sesn.parameter("until") == sesn["y"].size:
        sesn.ask_exit("enough")
    return 2 * value


async def other(sesn, value):
    sesn.add_entry(z=value)


@pytest.fixture
def sesn():
    with AsyncSession() as session:
        session.save_parameter(until=0)
        yield session


def run(sesn, *sweeps, until=0):
    sesn.save_parameter(until=until)
    sesn.run(*sweeps, server_port=None)
    return list(sesn["y"].values)


def points(sesn):
    return [
        [(p.sweep, p.number) for p in sesn.sweep_points(run.index) if p.state == "done"]
        for run in sesn.runs()
    ]


def test_a_sweep_goes_on_in_the_next_run(sesn, caplog):
    values = [10, 20, 30, 40]
    assert run(sesn, sesn.sweep(step, values, "s", resume=True), until=2) == [10, 20]
    assert run(sesn, sesn.sweep(step, values, "s", resume=True)) == values
    assert points(sesn) == [[("s", 0), ("s", 1)], [("s", 2), ("s", 3)]]
    assert list(sesn["_point_s"].values) == [0, 1, 2, 3]
    (event,) = [e for e in sesn.events() if e.kind == "resume"]
    assert event.text.startswith("goes on at point 2 after run 0 of")
    assert "goes on at point 2" in caplog.text


def test_a_complete_one_measures_nothing_and_says_so(sesn, caplog):
    run(sesn, sesn.sweep(step, [1, 2], "s", resume=True))
    assert run(sesn, sesn.sweep(step, [1, 2], "s", resume=True)) == [1, 2]
    assert "is complete since run 0" in caplog.text
    assert run(sesn, sesn.sweep(step, [1, 2], "s", resume=True)) == [1, 2]


def test_without_resume_it_begins_anew(sesn):
    run(sesn, sesn.sweep(step, [1, 2, 3], "s"), until=2)
    assert run(sesn, sesn.sweep(step, [1, 2, 3], "s")) == [1, 2, 1, 2, 3]
    assert "resumes" not in json.loads(sesn.runs()[-1].texts["sweeps"])["sweeps"]["s"]


def test_a_first_run_just_begins(sesn, caplog):
    assert run(sesn, sesn.sweep(step, [1], "s", resume=True)) == [1]
    assert caplog.text == ""


def test_only_those_that_want_it_go_on(sesn):
    run(sesn, sesn.sweep(other, [7, 8], "o"), sesn.sweep(step, [1, 2, 3], "s"), until=1)
    run(sesn, sesn.sweep(other, [7, 8], "o"), sesn.sweep(step, [1, 2, 3], "s", resume=True))
    assert list(sesn["y"].values) == [1, 2, 3]
    assert list(sesn["z"].values)[-2:] == [7, 8]


def test_changed_values_are_refused_before_anything_is_measured(sesn):
    run(sesn, sesn.sweep(step, [1, 2, 3], "s"), until=1)
    with pytest.raises(
        UsageError, match=r"values: \[1, 2, 4\], was \[1, 2, 3\]\n.*resume='anyway'"
    ):
        run(sesn, sesn.sweep(step, [1, 2, 4], "s", resume=True))
    assert len(sesn.runs()) == 1
    assert run(sesn, sesn.sweep(step, [1, 2, 4], "s", resume="anyway")) == [1, 2, 4]
    story = json.loads(sesn.runs()[-1].texts["sweeps"])["sweeps"]["s"]
    assert story["accepted"] == ["values: [1, 2, 4], was [1, 2, 3]"]


def test_it_goes_on_after_a_run_that_went_on(sesn):
    def values():
        value = 1
        while value < 60:
            value = yield value

    for until in (2, 3, 5):
        run(sesn, sesn.sweep(step, values, "s", resume=True), until=until)
    assert run(sesn, sesn.sweep(step, values, "s", resume=True)) == [1, 2, 4, 8, 16, 32]
    assert [len(one) for one in points(sesn)] == [2, 1, 2, 1]


def test_a_sweep_inside_a_task_cannot_go_on(sesn):
    async def task(sesn):
        await sesn.sweep(step, [1, 2], "s", resume=True)

    with pytest.raises(UsageError, match=r"give it to monitor\(\)"):
        run(sesn, task)


def test_its_points_come_back_from_a_file(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    for until in (2, 4, 0):
        with AsyncSession(tmp_path / "a", verbose=False) as sesn:
            run(sesn, sesn.sweep(step, range(6), "s", resume=True), until=until)
    assert [len(one) for one in points(sesn)] == [2, 2, 2]
    assert list(sesn["y"].values) == list(range(6))
