"""Runs killed at random instants and resumed, until they are through: each point is there once, with all its data.

Some are killed again while they go on. For fifty runs of each kind of sweep::

    PYMANIP_RUN_TEST_RESUMES=50 pytest -s tests/system/test_resume_kill.py
"""

import itertools
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pymanip_run.core.course import course_of
from pymanip_run.core.plainly import from_text
from pymanip_run.storage.reading import open_store

PROJECT = Path(__file__).parents[2]
RUNS = int(os.environ.get("PYMANIP_RUN_TEST_RESUMES", "1"))
#: No life is killed more often, so that each comes to its end.
MOST_KILLS = 6
TASKS = """
import asyncio

import numpy as np

async def measure(sesn, *place):
    where = dict(zip(("x", "y"), place))
    sesn.add_entry(where, half=0)
    await asyncio.sleep(0.01)
    sesn.add_dataset(trace=np.full(300, place[0]))
    sesn.add_entry(where, half=1)
    # As floats of numpy, in a dict and a tuple: what comes back must be the very same.
    return {"f": (np.float32(place[0]) ** 3 - 2, len(place))}

def root():
    low, high = 0.0, 2.0
    for _ in range(18):
        middle = (low + high) / 2
        value, _ = (yield middle)["f"]
        low, high = (middle, high) if value < 0 else (low, middle)
"""
SWEEPS = {
    "one axis": "{parameter: x, start: 0, stop: 1, num: 18}",
    "snake": "{grid: {x: [0, 1, 2, 3], y: {start: 1, stop: 2, num: 5}}, snake: true}",
    "adaptive": "{use: root}",
}


def command(folder, *options):
    return [sys.executable, "-m", "pymanip_run", str(folder / "e.yaml"), "--json", *options]


def environment(folder):
    return os.environ | {"PYTHONPATH": str(PROJECT), "XDG_STATE_HOME": str(folder / "state")}


class Life:
    """One experiment, from its first start to the end of its sweep."""

    def __init__(self, folder, sweep, chance):
        self.folder = folder
        self.random = chance
        self.kills = 0
        self.path = folder / "run.h5"
        folder.mkdir()
        (folder / "tasks.py").write_text(TASKS)
        (folder / "e.yaml").write_text(
            "session: run.h5\nmodule: tasks.py\nserver: {enabled: false}\n"
            "parameters: {x: 0, y: 0}\n"
            f"tasks:\n  sweep: {{use: measure, sweep: {sweep}}}\n"
        )

    def process(self, *options):
        return subprocess.Popen(
            command(self.folder, *options),
            env=environment(self.folder), text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def to_the_end(self):
        """Run, be killed, go on, be killed again perhaps, and come to the end."""
        options = ()
        while True:
            process = self.process(*options)
            if self.kills < MOST_KILLS and (not self.kills or self.random.random() < 0.6):
                self.kill(process)
            _, errors = process.communicate(timeout=60)
            if process.returncode == 0 and "all sweeps done" in errors:
                return
            if process.returncode == -signal.SIGKILL:
                options = ("--resume",)
                continue
            # Killed before there was a run: there is nothing to go on with.
            nothing = "there is no session" in errors or "nothing to resume: no run" in errors
            if "sweep is complete" in errors:  # killed behind its last point
                return
            assert nothing, errors
            options = ()

    def kill(self, process):
        """Kill the run after a random number of lines, and then a random instant; or while it starts."""
        if self.random.random() < 0.85:
            for _ in itertools.islice(process.stdout, self.random.randrange(1, 40)):
                pass
            wait(self.random.uniform(0, 0.02))
        else:
            wait(self.random.uniform(0, 1.2))
        process.send_signal(signal.SIGKILL)
        self.kills += 1


def wait(seconds):
    threading.Event().wait(seconds)


def points_of(path):
    """Every point of every run that is over, and those of them that count."""
    store = open_store(path)
    try:
        runs = store.runs()
        every = [point for run in runs for point in store.sweep_points(run.index)]
        (past,) = course_of(store, runs, runs[-1].index).sweeps.values()
        return every, past
    finally:
        store.close()


def placed(points):
    return [(p.number, p.value) for p in points if p.state == "done"]


@pytest.fixture(scope="module", params=SWEEPS)
def uninterrupted(request, tmp_path_factory):
    """The sweep, and the points of a run of it that nobody killed."""
    sweep = SWEEPS[request.param]
    life = Life(tmp_path_factory.mktemp("whole") / "life", sweep, random.Random(0))
    life.kills = MOST_KILLS
    life.to_the_end()
    every, past = points_of(life.path)
    assert past.ended
    assert [number for number, _ in placed(every)] == list(range(past.done))
    assert past.done >= 18
    return sweep, placed(every)


@pytest.mark.timeout(60 + 60 * RUNS)
def test_a_killed_sweep_that_is_resumed_has_each_point_once(uninterrupted, tmp_path):
    sweep, expected = uninterrupted
    kills = 0
    for number in range(RUNS):
        seed = random.randrange(2**32)
        life = Life(tmp_path / str(number), sweep, random.Random(seed))
        life.to_the_end()
        kills += life.kills
        every, past = points_of(life.path)
        assert placed(every) == expected, f"seed {seed}"
        assert placed(past.points) == expected, f"seed {seed}"
        look_at_the_data(life.path, past.points)
    print(f"{RUNS} runs, {kills} kills")


def look_at_the_data(path, points):
    """All that belongs to a point was recorded between its start and its end; the rest is half of a point."""
    from pymanip_run import SavedAsyncSession

    saved = SavedAsyncSession(path, verbose=False)
    (half_times, halves), (point_times, numbers) = saved["half"], saved["_point_sweep"]
    (x_times, x), traces = saved["x"], saved.dataset_times("trace")
    assert list(half_times) == list(point_times) == list(x_times)
    whole = 0
    for point in points:
        inside = (half_times > point.start) & (half_times <= point.time)
        assert list(halves[inside]) == [0, 1]
        assert set(numbers[inside]) == {point.number}
        value = from_text(point.value)
        assert set(x[inside]) == {float(value if isinstance(value, float) else value[0])}
        assert sum((traces > point.start) & (traces <= point.time)) == 1
        whole += 2
    # What else there is belongs to points that were cut off, one in a run at most.
    assert len(halves) - whole <= 2 * sum(run.stop is None for run in saved.runs())
