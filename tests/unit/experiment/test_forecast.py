"""What a run will take: told as far as it is known, and no further."""

import asyncio
import os
import shutil
import socket
from types import SimpleNamespace

import pytest

from pymanip_run import AsyncSession, SavedAsyncSession
from pymanip_run.core.context import boot_id, process_start
from pymanip_run.experiment.build.plan import prepare
from pymanip_run.experiment.rehearsal import forecast as module
from pymanip_run.experiment.rehearsal.forecast import BYTES_PER_VALUE, DAY, forecast
from pymanip_run.registry import RegisteredRun, Registration

TASKS = """
import numpy as np
async def read(sesn):
    sesn.add_entry(T=1.0, p=2.0)
async def frame(sesn):
    sesn.add_dataset(frame=np.zeros(1000))
async def scan(sesn, value):
    sesn.add_entry(U=value)
    await sesn.sleep(0.1)
async def grid(sesn, a, b):
    pass
def points(sesn):
    yield 1
"""


@pytest.fixture
def told(tmp_path):
    """Forecast a run of an experiment file with this text."""
    (tmp_path / "tasks.py").write_text(TASKS)

    def tell(text, duration=None):
        path = tmp_path / "experiment.yaml"
        path.write_text(f"module: tasks.py\n{text}\n")
        before = sorted(p.name for p in tmp_path.iterdir())
        with prepare(path) as plan:
            found = forecast(plan, duration)
        assert sorted(p.name for p in tmp_path.iterdir()) == before, "nothing is created"
        return found

    return tell


@pytest.fixture
def registered(tmp_path):
    def register(**changes):
        known = {
            "session": str(tmp_path / "experiment.h5"), "pid": os.getpid(), "host": socket.gethostname(),
            "start": 1000.0, "boot_id": boot_id(), "process_start": process_start(os.getpid()),
        }  # fmt: skip
        return Registration(RegisteredRun(**(known | changes)))

    return register


def test_without_periods_and_an_earlier_run_nothing_is_invented(told):
    found = told("tasks: [read]")
    assert (found.file.bytes_per_day, found.file.total, found.duration) == (None, None, None)
    assert found.file.free > 0
    assert found.sweeps == {}
    assert found.warnings == ()


def test_declared_periods_tell_the_size(told):
    text = "variables: {T: {period: 10s}, p: {period: 1s}, q: {unit: K}}\ntasks: [read]"
    found = told(f"{text}\nlimits: {{duration: 2d}}")
    assert found.file.bytes_per_day == pytest.approx(1.1 * DAY * BYTES_PER_VALUE)
    assert found.file.total == pytest.approx(2 * found.file.bytes_per_day)
    assert (found.file.declared, found.file.measured) == (2, False)
    assert told(text, duration=100.0).file.total == pytest.approx(110 * BYTES_PER_VALUE)


@pytest.mark.parametrize(
    ("sweep", "points", "seconds"),
    [
        ("{start: 0, stop: 5, num: 11, settle: 30s}", 11, 330.0),
        ("{values: [0, 1, 3]}", 3, None),
        ("{log: {start: 1, stop: 100, num: 7}, settle: 1s}", 7, 7.0),
        ("{use: points, settle: 1s}", None, None),
    ],
)
def test_what_is_known_of_a_sweep_is_told(told, sweep, points, seconds):
    found = told(f"tasks: {{scan: {{sweep: {sweep}}}}}").sweeps["scan"]
    assert (found.points, found.seconds, found.measured) == (points, seconds, None)


def test_the_points_of_a_grid_are_counted(told):
    text = "parameters: {a: 0, b: 0}\ntasks: {grid: {sweep: {grid: {a: [1, 2, 3], b: {start: 0, stop: 1, num: 5}}}}}"
    assert told(text).sweeps["grid"].points == 15


def test_the_start_of_a_sweep_is_waited_for(told):
    text = "tasks: {scan: {start_after: 10s, sweep: {values: [1, 2], settle: 5s}}}"
    assert told(text).sweeps["scan"].seconds == 20.0


def run_before(tmp_path, name="experiment.h5"):
    """Run for half a second: two values every 50 ms, 8 kB every 100 ms, a sweep of 4 points."""
    import numpy as np

    from pymanip_run import every

    async def read(sesn):
        sesn.add_entry(T=1.0, p=2.0)

    async def frame(sesn):
        sesn.add_dataset(frame=np.zeros(1000))

    async def scan(sesn, value):
        sesn.add_entry(U=value)
        await sesn.sleep(0.15)

    with AsyncSession(tmp_path / name, verbose=False) as sesn:
        tasks = every(0.05, read), every(0.1, frame), sesn.sweep(scan, range(4))
        asyncio.run(sesn.monitor(*tasks, handle_signals=False))


def test_the_last_run_tells_what_the_file_does_not(told, tmp_path):
    run_before(tmp_path)
    found = told("tasks: {read: {every: 1s}, scan: {sweep: {start: 0, stop: 1, num: 40}}}")
    with SavedAsyncSession(tmp_path / "experiment.h5", verbose=False) as view:
        read, scan = (view.logged_variable(name).timestamps for name in ("T", "U"))
        frame = view.dataset_times("frame")
    # On a busy computer it took longer than the 50, 150 and 100 ms that were asked for.
    reads, steps, frames = ((len(t) - 1) / (t[-1] - t[0]) for t in (read, scan, frame))
    assert 1 / steps == pytest.approx(0.15, rel=1)
    # Two values at each reading, one and the number of the point at each step, 8 kB each time.
    values = (2 * reads + 2 * steps) * BYTES_PER_VALUE
    assert found.file.bytes_per_day == pytest.approx((values + 8000 * frames) * DAY, rel=1e-3)
    assert found.file.measured
    assert found.sweeps["scan"].measured == pytest.approx(1 / steps, rel=1e-3)
    assert found.sweeps["scan"].seconds == pytest.approx(40 / steps, rel=1e-3)


def test_a_declared_period_goes_before_what_the_last_run_has_shown(told, tmp_path):
    run_before(tmp_path)
    tasks = "tasks: {read: {every: 1s}}"
    slower = (
        "variables: {T: {period: 10s}, p: {period: 10s}, U: {period: 10s}, frame: {period: 1s}}"
    )
    found, before = told(f"{slower}\n{tasks}"), told(tasks)
    assert found.file.bytes_per_day < before.file.bytes_per_day


def test_the_session_of_the_last_run_is_found_under_another_name(told, tmp_path, registered):
    run_before(tmp_path, "run_2026.h5")
    text = "session: run_{n}.h5\ntasks: [read]"
    assert not told(text).file.measured
    registered(
        session=str(tmp_path / "run_2026.h5"), experiment=str(tmp_path / "experiment.yaml")
    ).finish(0, "done")
    found = told(text)
    assert found.file.measured
    assert (found.file.path, found.file.exists) == (tmp_path / "run_1.h5", False)


def test_a_session_that_cannot_be_read_tells_nothing(told, tmp_path):
    (tmp_path / "experiment.h5").write_bytes(b"garbage")
    assert told("tasks: [read]").file.bytes_per_day is None


def test_a_session_that_must_not_be_there_is_a_warning(told, tmp_path):
    run_before(tmp_path)
    found = told("session: {file: experiment.h5, exists: fail}\ntasks: [read]")
    assert found.file.path is None
    assert "exists; choose another session.file" in found.warnings[0]


def test_a_session_that_is_being_written_is_a_warning(told, registered):
    registered()
    (warning,) = told("tasks: [read]").warnings
    assert f"experiment.h5 is being written by process {os.getpid()} now" in warning


@pytest.fixture
def free(monkeypatch):
    def leave(size):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=size))

    return leave


def test_a_disk_that_is_too_small_is_a_warning(told, free):
    text = "variables: {T: {period: 1ms}}\ntasks: [read]"
    free(10_000_000)
    (warning,) = told(text, duration=3600.0).warnings
    assert warning == "the run needs about 58.0 MB, and 10.0 MB are free"
    (warning,) = told(text).warnings
    assert warning == "10.0 MB are free: full after about 10 min 21 s"
    free(10_000_000_000)
    assert told(text, duration=3600.0).warnings == ()
    (warning,) = told(f"{text}\nlimits: {{min_free_disk: 20GB}}").warnings
    assert "less than limits.min_free_disk (20.0 GB)" in warning
    assert "exit code 4" in warning


def test_a_sweep_that_is_cut_short_is_a_warning(told):
    text = "tasks: {scan: {sweep: {values: [1, 2, 3], settle: 1min}}}"
    (warning,) = told(text, duration=100.0).warnings
    assert warning == "the sweep scan needs at least 3 min, and the run ends after 1 min 40 s"


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_free_port_is_free_and_a_taken_one_tells_by_whom(told, taken, registered):
    assert told("tasks: [read]\nserver: {port: 0}").port.port is None
    assert told("tasks: [read]\nserver: {enabled: false}").port.enabled is False
    text = f"tasks: [read]\nserver: {{port: {taken}}}\nsession: other.h5"
    found = told(text).port
    assert (found.port, found.free, found.taken_by) == (taken, False, None)
    registered(port=taken)
    assert told(text).port.taken_by == f"experiment.h5 (process {os.getpid()})"
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert told(f"tasks: [read]\nserver: {{port: {port}}}").port.free is True


def test_the_size_of_a_value_is_what_a_session_really_takes(tmp_path):
    """As long as a file is large enough for its fixed part not to matter."""
    count = 60_000
    with AsyncSession(tmp_path / "size", verbose=False) as sesn:
        for i in range(count):
            sesn.add_entry(a=i, b=i, c=i)
    size = (tmp_path / "size.h5").stat().st_size
    assert size / (3 * count) == pytest.approx(module.BYTES_PER_VALUE, rel=0.1)
