"""What is printed and logged of a task that fails and is tried again: once, and where it belongs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
EXPERIMENT = """\
module: tasks.py
tasks: {read: {every: 50ms, on_error: {then: continue}}}
server: {enabled: false}
limits: {entries: 3}
"""
MODULE = """\
calls = []

async def read(sesn):
    calls.append(1)
    if len(calls) < 4:
        raise OSError("no answer")
    sesn.add_entry(T=1)
"""
SAID = "OSError: no answer; going on with the next call"


@pytest.fixture
def run(tmp_path):
    def run(*options):
        (tmp_path / "tasks.py").write_text(MODULE)
        (tmp_path / "a.yaml").write_text(EXPERIMENT)
        done = subprocess.run(
            [sys.executable, "-m", "pymanip_run", "a.yaml", *options], cwd=tmp_path, text=True, timeout=60,
            capture_output=True, env=os.environ | {"PYTHONPATH": str(PROJECT)}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done
        return done, (tmp_path / "a.log").read_text()

    return run


@pytest.mark.parametrize("display", ["lines", "json", "none"])
def test_a_failure_is_said_once_on_standard_error(run, display):
    done, _ = run("--display", display)
    assert done.stderr.count(SAID) == 1
    assert done.stderr.count("no answer") == 1
    assert "Traceback" not in done.stderr
    assert "read: 3 failures" in done.stderr


def test_the_log_has_its_traceback_once_and_each_event_once(run):
    _, log = run("--display", "none")
    assert log.count("Traceback") == 1
    assert log.count('raise OSError("no answer")') == 1
    assert log.count(f"read: {SAID}") == 1
    assert log.count("works again after 3 failures") == 1


def test_the_summary_counts_runs_errors_and_missed_ticks(run):
    done, _ = run("--json")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    counts = lines[-1]["tasks"]["read"]
    assert (counts["runs"], counts["errors"]) == (3, 3)
    kinds = [line["kind"] for line in lines if line["type"] == "event" and line["source"] == "read"]
    assert [kind for kind in kinds if kind != "warning"] == ["error", "recovery"]
