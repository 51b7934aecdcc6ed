"""What all tests share: programs of the system that a test may need."""

import asyncio
import inspect
import os
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

ON_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}


def pytest_configure(config):
    """Keep the real home out of everything, and give child processes signals as from a terminal.

    Modules of tests copy the environment when they are imported: it must be right before. Signals are
    ignored where the tests run under nohup or a script's ``&``.
    """
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME"):
        folder = tempfile.TemporaryDirectory(prefix="pymanip-run-", ignore_cleanup_errors=True)
        config.add_cleanup(folder.cleanup)
        os.environ[name] = folder.name
    for signum, handler in (
        (signal.SIGINT, signal.default_int_handler),
        (signal.SIGTERM, signal.SIG_DFL),
        (signal.SIGHUP, signal.SIG_DFL),
    ):
        if signal.getsignal(signum) is signal.SIG_IGN:
            signal.signal(signum, handler)


@pytest.fixture
def time_zone(monkeypatch):
    """Set the local time zone, called with its name, for the test."""

    def choose(name):
        monkeypatch.setenv("TZ", name)
        time.tzset()

    yield choose
    monkeypatch.undo()
    time.tzset()


def pytest_runtest_setup(item):
    """Skip a test marked ``needs_system("tmux", …)`` where one of the programs is missing."""
    for marker in item.iter_markers("needs_system"):
        missing = [program for program in marker.args if shutil.which(program) is None]
        if missing:
            pytest.skip(f"needs {' and '.join(missing)} on the PATH")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """Turn the skip of a ``needs_system`` test into a failure under CI=true, whatever its cause."""
    report = yield
    if (
        ON_CI
        and report.skipped
        and not hasattr(report, "wasxfail")
        and item.get_closest_marker("needs_system")
    ):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{str(reason).removeprefix('Skipped: ')} — and under CI=true a test of the system must not be skipped"
    return report


@pytest.fixture(autouse=True)
def _the_state_folder_is_not_the_users(tmp_path_factory, monkeypatch):
    """Keep tests and their child processes out of the real home: what they register, what they read."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))


@pytest.fixture(autouse=True)
def _tasks_are_not_left_behind(request):
    """Fail an asynchronous test that ends while tasks of its event loop are still there."""
    if inspect.iscoroutinefunction(getattr(request, "function", None)):
        request.getfixturevalue("_tasks_at_the_end")


@pytest.fixture
async def _tasks_at_the_end():
    yield
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"asyncio tasks left behind: {', '.join(map(repr, left))}"


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    mount = tmp_path / "disk"
    mount.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", mount], capture_output=True, check=False
    )
    if done.returncode:
        pytest.skip(f"cannot mount a small disk: {done.stderr.decode().strip()}")
    yield mount
    subprocess.run(["umount", "-l", mount], check=True)
